//! What a leader hears: beats, and everything at once when it takes over.

use ostler_core::id::{Epoch, NodeName, PoolName, Revision, Term, WorkloadKey};
use ostler_core::node::{Heartbeat, Use};
use ostler_core::reconcile::{Engine, Event, Intake, Source};
use ostler_core::time::Timestamp;
use ostler_core::tuning::Level;

use super::Mode;
use crate::bus::{Bucket, Told, Val};
use crate::world::{Ev, Mistake, Who, World};

impl World {
    fn is_read(&self, event: &Event) -> bool {
        match event {
            Event::Progress(..) => self.plan.mistake != Some(Mistake::ForgottenProgress),
            Event::Manifest(..) => self.plan.mistake != Some(Mistake::ForgottenPlacements),
            _others => true,
        }
    }

    /// A picture of everything that was heard.
    pub fn understand(&self, r: usize, term: Term) -> (Engine, Intake) {
        let replica = &self.schedulers[r];
        let seed = u32::try_from(term.0 * 0x0100_0193 % 0xffff_ffff).expect("fits");
        let mut engine = Engine::new(replica.pool.clone(), self.settings.clone(), seed).in_life(1);
        let mut intake = Intake::new(replica.pool.clone());
        for source in Source::ALL {
            let bucket = Bucket::of(source, &replica.pool);
            let told: Vec<&Told> = replica.ears[&bucket].cache.values().collect();
            for one in told {
                let event = understood(&replica.pool, &mut intake, &bucket, one);
                if let Some(event) = event.filter(|event| self.is_read(event)) {
                    engine.observe(event, self.now);
                }
            }
        }
        for event in intake.removed_meanwhile() {
            engine.observe(event, self.now);
        }
        (engine, intake)
    }

    /// Everybody's beats are heard by every leader.
    pub fn beat_heard(&mut self, h: usize, epoch: Epoch, applied: u64) {
        let node = self.hosts[h].name.clone();
        for g in 0..self.registries.len() {
            self.registry_hears(g, &node, epoch);
        }
        for r in 0..self.schedulers.len() {
            let body = self.body(Who::Scheduler(r));
            let hears = body.up && body.paused.is_none() && body.cut == crate::world::Cut::None;
            let tell = self.net.percent(20);
            let memory = self.hosts[h].alive().map(|(_, proc)| proc.ask.memory.0).sum();
            let now = self.now;
            let Mode::Leading(reign) = &mut self.schedulers[r].mode else { continue };
            if !hears || !reign.intake.knows(&node) {
                continue;
            }
            let behind = reign.behind.entry(node.clone()).or_default();
            behind.1 = if applied < behind.0 { behind.1 + 1 } else { 0 };
            let sync = behind.1 >= 2 && behind.1.is_power_of_two();
            let at = behind.0;
            if tell {
                let used = Use { memory, ..Use::default() };
                reign.engine.observe(Event::Heartbeat(beat(&node, epoch, applied, used)), now);
                reign.dirty = true;
            }
            if sync && let Some(wait) = self.way(Who::Host(h), false) {
                self.later(wait, Ev::Hint(h, at));
            }
            if tell && self.scheduler_input(r) {
                self.scheduler_plans(r);
            }
        }
    }
}

fn beat(node: &NodeName, epoch: Epoch, applied: u64, used: Use) -> Heartbeat {
    Heartbeat {
        node: node.clone(),
        epoch,
        applied: Revision(applied),
        used,
        load: [0; 3],
        instances: 0,
        clock: Timestamp::default(),
        server: String::new(),
        battery: false,
        bid: None,
    }
}

/// What an engine is told because of what a watch told.
pub fn understood(
    pool: &PoolName,
    intake: &mut Intake,
    bucket: &Bucket,
    told: &Told,
) -> Option<Event> {
    match (bucket, told.value.clone()) {
        (_, Some(Val::Node(node))) => intake.on_node(*node),
        (_, Some(Val::Head(head))) => intake.on_head(*head),
        (_, Some(Val::Command(command))) => intake.on_command(*command),
        (_, Some(Val::Report(report))) => {
            intake.on_report(told.key.parse().expect("a node's name"), *report)
        }
        (_, Some(Val::Manifest(manifest))) => {
            Some(intake.on_manifest(told.key.parse().expect("a node's name"), *manifest))
        }
        (_, Some(Val::Progress(progress))) => {
            let key: WorkloadKey = told.key.strip_prefix("_workload.")?.parse().expect("a key");
            Some(intake.on_progress(key, *progress))
        }
        (_, Some(Val::Brake(until))) => Some(Event::Brake(until)),
        (_, Some(Val::Outcomes(outcomes))) => Some(Event::Outcomes(outcomes)),
        (_, Some(Val::Tuning(None, tuning))) => Some(Event::Tuning(Level::Fleet, tuning)),
        (_, Some(Val::Tuning(Some(of), tuning))) => {
            (of == *pool).then_some(Event::Tuning(Level::Pool, tuning))
        }
        (_, Some(Val::Term(..))) => None,
        (Bucket::Heads, None) => intake.on_head_gone(told.key.parse().expect("a key")),
        (Bucket::Nodes, None) => intake.on_node_gone(told.key.parse().expect("a node's name")),
        (Bucket::Commands | Bucket::Reports | Bucket::Settings | Bucket::Placements(_), None) => {
            None
        }
    }
}
