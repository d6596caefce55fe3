//! The simulated fleet: engines, executors, registry, and the time.

use std::collections::{BTreeMap, BTreeSet};

use super::executor::Executor;
use super::registry::Registry;
use super::report::{MoveReport, PlaceReport, StopReport};
use super::scenario::{NodeSpec, Scenario};
use crate::head::Head;
use crate::id::{Namespace, NodeName, PoolName, Revision, Term, WorkloadKey};
use crate::instance::Report;
use crate::quota::{Quota, Totals, refusal};
use crate::reconcile::{Engine, Event, Progress, Settings};
use crate::time::Timestamp;
use crate::workload::{Kind, Workload};

/// When scenarios begin: 2026-01-01, so that no moment is zero.
pub(super) const BEGIN: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// Everything there is in a scenario.
#[derive(Debug)]
pub(super) struct World {
    pub now: Timestamp,
    seed: u32,
    /// What every leader is started with.
    settings: Settings,
    quotas: BTreeMap<Namespace, Quota>,
    /// One leader a pool.
    pub engines: BTreeMap<PoolName, Engine>,
    pub executors: BTreeMap<NodeName, Executor>,
    pub registry: Registry,
    /// What the leaders wrote of the workloads.
    pub progress: BTreeMap<(PoolName, WorkloadKey), Progress>,
    /// Executors that have something to do now.
    pub busy: BTreeSet<NodeName>,
    /// When executors have something to do next.
    pub timers: BTreeSet<(Timestamp, NodeName)>,
    pub term: Term,
    pub revision: Revision,
    /// How many commands were sent.
    pub commands: u32,
    pub done: Done,
    /// Whether any plan since this was last unset ordered anything.
    pub acted: bool,
    /// What should never happen and did.
    pub broken: Vec<String>,
}

/// What the running step did so far.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub placed: Vec<PlaceReport>,
    pub stopped: Vec<StopReport>,
    pub moved: Vec<MoveReport>,
    /// Why the step was refused as the registry refuses it.
    pub refused: Option<String>,
}

impl World {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let mut world = Self {
            now: BEGIN,
            seed: scenario.seed,
            settings: Settings { preemption: scenario.preemption, ..Settings::default() },
            quotas: scenario.quotas.clone(),
            engines: BTreeMap::new(),
            executors: BTreeMap::new(),
            registry: Registry::default(),
            progress: BTreeMap::new(),
            busy: BTreeSet::new(),
            timers: BTreeSet::new(),
            term: Term(1),
            revision: Revision(0),
            commands: 0,
            done: Done::default(),
            acted: false,
            broken: Vec::new(),
        };
        world.pool(&PoolName::default());
        for spec in &scenario.nodes {
            world.join(spec);
        }
        world.begin(scenario);
        world
    }

    /// Makes sure that the pool has a leader.
    pub(super) fn pool(&mut self, pool: &PoolName) {
        if !self.engines.contains_key(pool) {
            let engine = Engine::new(pool.clone(), self.settings.clone(), self.seed);
            self.engines.insert(pool.clone(), engine);
            self.tell(pool);
        }
    }

    /// Whether a workload may be asked for as it would be; if not, the step says so and changes
    /// nothing.
    pub(super) fn within_quota(&mut self, spec: &Workload) -> bool {
        let Some(quota) = self.quotas.get(&spec.namespace) else { return true };
        let nodes = |pool: &PoolName| {
            let ours = self.executors.values().filter(|executor| executor.node.pool == *pool);
            u32::try_from(ours.count()).unwrap_or(u32::MAX)
        };
        let asked = |head: &Head| Totals::of_head(head, nodes(&head.spec.pool));
        let key = spec.key();
        let mut others = Totals::default();
        for head in self.registry.heads().filter(|head| head.spec.namespace == spec.namespace) {
            if head.key() != key {
                others = others.plus(asked(head));
            }
        }
        let before = self.registry.head(&key).map(asked).unwrap_or_default();
        let count = match spec.kind {
            Kind::Service | Kind::Job => spec.count,
            Kind::System => nodes(&spec.pool),
            Kind::Cron => 1,
        };
        let admitted = quota.admit(others, before, Totals::of(spec, count));
        let refused = admitted.err().map(|over| refusal(spec.namespace.as_str(), &over));
        self.done.refused = refused;
        self.done.refused.is_none()
    }

    /// Notes why the step was not made.
    pub(super) fn refuse(&mut self, why: String) {
        self.done.refused = Some(why);
    }

    /// Tells every leader.
    pub(super) fn observe(&mut self, event: &Event) {
        for engine in self.engines.values_mut() {
            engine.observe(event.clone(), self.now);
        }
    }

    pub(super) fn join(&mut self, spec: &NodeSpec) {
        self.pool(&spec.pool);
        for name in super::range::names(&spec.name).expect("ranges were read before") {
            let node = spec.node(&name, self.now);
            self.observe(&Event::Node(Box::new(node.clone())));
            let mut executor = Executor::new(node, spec.behaviour.clone());
            executor.foreign = spec.used.map(Into::into);
            if let Some(beat) = executor.heartbeat(self.now).filter(|_| executor.alive()) {
                self.observe(&Event::Heartbeat(beat));
            }
            self.executors.insert(name.clone(), executor);
            self.busy.insert(name);
        }
    }

    /// Tells the leader of a pool all that stands on the bus, again or for the first time.
    pub(super) fn tell(&mut self, pool: &PoolName) {
        let now = self.now;
        let Some(engine) = self.engines.get_mut(pool) else { return };
        for executor in self.executors.values() {
            engine.observe(Event::Node(Box::new(executor.node.clone())), now);
        }
        for head in self.registry.heads() {
            engine.observe(Event::Workload(Box::new(head.clone())), now);
        }
        for executor in self.executors.values() {
            let name = &executor.node.name;
            if let Some(beat) = executor.heartbeat(now) {
                engine.observe(Event::Heartbeat(beat), now);
            }
            if executor.last != (Report { epoch: executor.last.epoch, ..Report::default() }) {
                let report = Box::new(executor.last.clone());
                engine.observe(Event::Report(name.clone(), report), now);
            }
        }
    }

    /// The leaders die; others read what stands on the bus.
    pub(super) fn take_over(&mut self) {
        self.term = self.term.next();
        self.seed = self.seed.wrapping_add(0x0001_0000);
        let pools: Vec<PoolName> = self.engines.keys().cloned().collect();
        for pool in pools {
            let outcomes = self.engines.get(&pool).map(Engine::outcomes).unwrap_or_default();
            let brake = self.engines.get(&pool).and_then(Engine::brake_until);
            let mut engine = Engine::new(pool.clone(), self.settings.clone(), self.seed);
            engine.observe(Event::Outcomes(outcomes), self.now);
            if let Some(until) = brake {
                engine.observe(Event::Brake(until), self.now);
            }
            for executor in self.executors.values().filter(|e| e.node.pool == pool) {
                let manifest = Box::new(executor.wanted.clone());
                engine.observe(Event::Manifest(executor.node.name.clone(), manifest), self.now);
            }
            for ((of, key), progress) in &self.progress {
                if *of == pool {
                    let progress = Box::new(progress.clone());
                    engine.observe(Event::Progress(key.clone(), progress), self.now);
                }
            }
            self.engines.insert(pool.clone(), engine);
            self.tell(&pool);
        }
    }
}
