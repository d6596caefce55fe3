//! The fleet, its time and its messages: every event of a run comes out of one queue.

use std::collections::{BTreeMap, BTreeSet};

use ostler_core::id::{Epoch, InstanceId, NodeName, PoolName, Revision, Term, WorkloadKey};
use ostler_core::instance::Exit;
use ostler_core::liveness;
use ostler_core::quota::Quota;
use ostler_core::reconcile::Settings;
use ostler_core::supervise;
use ostler_core::time::{Span, Timestamp};

use crate::bus::{Answer, Ask, Bucket, Server, Told};
use crate::chance::Chance;
use crate::check::Ledger;
use crate::host::Host;
use crate::registry::Registry;
use crate::scheduler::Replica;

mod dispatch;

/// A process that speaks to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    Scheduler(usize),
    Registry(usize),
    Host(usize),
}

/// Which way messages of a process are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cut {
    #[default]
    None,
    Out,
    In,
    Both,
}

/// What all processes have: lives, pauses, a link, and questions that are open.
#[derive(Debug, Default)]
pub struct Body {
    pub up: bool,
    pub life: u32,
    pub paused: Option<Timestamp>,
    pub cut: Cut,
    /// How much longer its messages take.
    pub slow: u64,
    number: u64,
    open: BTreeMap<u64, Topic>,
}

impl Body {
    /// The next life of the process begins: what the last one had asked is nobody's any more.
    pub fn begin(&mut self) {
        (self.up, self.life, self.paused) = (true, self.life + 1, None);
        self.open.clear();
    }

    /// Answers to what was asked so far mean nothing any more.
    pub fn forget(&mut self) {
        self.open.clear();
    }
}

/// What a question was about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    Lease(Timestamp),
    Goals,
    Term,
    Batch,
    Stand,
    NodeLease(NodeName, (Term, Revision)),
    Record(NodeName),
    Forget(WorkloadKey),
    Remove(NodeName),
    Hello,
    Manifest,
    Clearance,
    LastReport,
    Report,
    Guard(Timestamp),
    Nothing,
}

/// What happens.
#[derive(Debug, Clone)]
pub enum Ev {
    /// The next thing that an operator or fate does.
    Act,
    Server(Who, u32, u64, Ask),
    Answer(Who, u32, u64, Answer),
    /// A watch is to be told what it has not heard.
    Pump(Who, u32, Bucket),
    /// What was written after a revision, up to another.
    Told(Who, u32, Bucket, Vec<Told>, (u64, u64)),
    Tick(Who, u32),
    Due(Who, u32),
    Beat(usize, Epoch, u64),
    Hint(usize, u64),
    /// The guardian's time is over, unless the lease was renewed since.
    Guard(usize, Timestamp),
    Probed(usize, u32, NodeName, Epoch, liveness::Answer),
    Deaf(usize, u32),
    Hearing(usize, u32),
    Spawn(usize, u32, InstanceId, u64),
    Happened(usize, u32, InstanceId, Box<supervise::Event>),
    Exit(usize, InstanceId, u64, Exit),
    Gone(usize, u32, InstanceId),
    /// A fault is over.
    Resume(Who),
    Heal(Who),
    Start(Who, u32),
}

/// How a run goes.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub seed: u64,
    /// At most so many acts of operators and fate.
    pub steps: u32,
    pub trace: bool,
    /// A mistake that is made on purpose, to see that it is found.
    pub mistake: Option<Mistake>,
}

/// What somebody might forget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// The server takes a batch whatever sequence it names.
    UnfencedBatches,
    /// A new leader does not read what the last one remembered of workloads.
    ForgottenProgress,
    /// A new leader does not read what was placed.
    ForgottenPlacements,
    /// Guardians do not kill.
    SleepingGuardians,
    /// An executor that comes back ends what it finds.
    EndedAtReturn,
}

#[derive(Debug)]
pub struct World {
    pub now: Timestamp,
    pub plan: Plan,
    queue: BTreeMap<(Timestamp, u64), Ev>,
    queued: u64,
    pub net: Chance,
    pub fate: Chance,
    pub acts: u32,
    pub server: Server,
    pub schedulers: Vec<Replica>,
    pub registries: Vec<Registry>,
    pub hosts: Vec<Host>,
    pub bodies: BTreeMap<Who, Body>,
    pub settings: Settings,
    /// What the one namespace may ask for.
    pub quota: Quota,
    /// Nothing is lost, killed or held up any more.
    pub calm: bool,
    pub ledger: Ledger,
    pub commands: u64,
    pub events: u64,
    pub told: Vec<String>,
}

pub const BEGIN: Timestamp = Timestamp::from_millis(1_800_000_000_000);
/// A question that is not answered by then is one whose answer nobody knows.
const PATIENCE: Span = Span::from_secs(2);

macro_rules! say {
    ($world:expr, $($what:tt)*) => {
        if $world.plan.trace {
            let line = format!($($what)*);
            $world.note(line);
        }
    };
}
pub(crate) use say;

impl World {
    pub fn new(plan: Plan) -> Self {
        let settings = Settings {
            mass_loss_pause: Span::from_secs(20),
            exclude_for: Span::from_secs(10),
            left_for: Span::from_secs(20),
            batch: 1_000,
            ..Settings::default()
        };
        Self {
            now: BEGIN,
            plan,
            queue: BTreeMap::new(),
            queued: 0,
            net: Chance::new(plan.seed.wrapping_mul(3)),
            fate: Chance::new(plan.seed.wrapping_mul(7)),
            acts: 0,
            server: Server {
                unfenced: plan.mistake == Some(Mistake::UnfencedBatches),
                ..Server::default()
            },
            schedulers: Vec::new(),
            registries: Vec::new(),
            hosts: Vec::new(),
            bodies: BTreeMap::new(),
            settings,
            quota: Quota::default(),
            calm: false,
            ledger: Ledger::default(),
            commands: 0,
            events: 0,
            told: Vec::new(),
        }
    }

    pub fn note(&mut self, line: String) {
        let ms = self.now.since(BEGIN).as_millis();
        self.told.push(format!("{:>4}.{:03} {line}", ms / 1000, ms % 1000));
    }

    pub fn later(&mut self, wait: u64, event: Ev) {
        self.at(self.now.plus(Span::from_millis(wait)), event);
    }

    pub fn at(&mut self, at: Timestamp, event: Ev) {
        self.queued += 1;
        self.queue.insert((at.max(self.now), self.queued), event);
    }

    pub fn body(&mut self, who: Who) -> &mut Body {
        self.bodies.entry(who).or_default()
    }

    pub fn life(&self, who: Who) -> u32 {
        self.bodies.get(&who).map_or(0, |body| body.life)
    }

    /// How long a message takes, one way; `None` if it is lost.
    pub fn way(&mut self, who: Who, out: bool) -> Option<u64> {
        let (cut, slow) =
            self.bodies.get(&who).map_or((Cut::None, 0), |body| (body.cut, body.slow));
        let lost = match cut {
            Cut::None => false,
            Cut::Both => true,
            Cut::Out => out,
            Cut::In => !out,
        };
        let wait = self.net.between(1, 8) + slow;
        if lost {
            return None;
        }
        if self.calm {
            return Some(wait);
        }
        if self.net.permille(4) {
            return None;
        }
        Some(if self.net.permille(15) { wait + self.net.between(50, 3_000) } else { wait })
    }

    /// Asks the server; the answer comes as an event, [`Answer::Unknown`] if none came in time.
    pub fn ask(&mut self, who: Who, topic: Topic, ask: Ask) {
        let body = self.body(who);
        body.number += 1;
        let (number, life) = (body.number, body.life);
        body.open.insert(number, topic);
        if let Some(wait) = self.way(who, true) {
            self.later(wait, Ev::Server(who, life, number, ask));
        }
        self.later(PATIENCE.as_millis(), Ev::Answer(who, life, number, Answer::Unknown));
    }

    pub fn asking(&self, who: Who, topic: impl Fn(&Topic) -> bool) -> bool {
        self.bodies.get(&who).is_some_and(|body| body.open.values().any(topic))
    }

    /// Whoever watches a bucket is told soon.
    pub fn written(&mut self, bucket: &Bucket) {
        let watching: Vec<Who> = self
            .bodies
            .keys()
            .copied()
            .filter(|who| match who {
                Who::Scheduler(r) => self.schedulers[*r].ears.contains_key(bucket),
                Who::Registry(g) => self.registries[*g].ears.contains_key(bucket),
                Who::Host(_) => false,
            })
            .collect();
        for who in watching {
            self.pump_soon(who, bucket.clone());
        }
    }

    pub fn pump_soon(&mut self, who: Who, bucket: Bucket) {
        let Some(ear) = self.ear(who, &bucket) else { return };
        if std::mem::replace(&mut ear.pumping, true) {
            return;
        }
        let lag = if self.calm || !self.net.percent(3) { 0 } else { self.net.between(100, 6_000) };
        let (wait, life) = (self.net.between(1, 6) + lag, self.life(who));
        self.later(wait, Ev::Pump(who, life, bucket));
    }

    pub fn ear(&mut self, who: Who, bucket: &Bucket) -> Option<&mut Ear> {
        match who {
            Who::Scheduler(r) => self.schedulers[r].ears.get_mut(bucket),
            Who::Registry(g) => self.registries[g].ears.get_mut(bucket),
            Who::Host(_) => None,
        }
    }

    pub fn pump(&mut self, who: Who, bucket: &Bucket) {
        let life = self.life(who);
        let deaf =
            self.bodies.get(&who).is_some_and(|body| matches!(body.cut, Cut::In | Cut::Both));
        let Some(heard) = self.ear(who, bucket).map(|ear| ear.heard) else { return };
        if deaf {
            return self.later(300, Ev::Pump(who, life, bucket.clone()));
        }
        let stream = self.server.stream(bucket);
        let (told, last) = (stream.past(heard), stream.last);
        let some = if told.len() > 1 && self.net.percent(30) {
            self.net.index(told.len())
        } else {
            told.len()
        };
        let upto = if some < told.len() { told[some].revision - 1 } else { last };
        let told = told.into_iter().take(some).collect();
        let wait = self.net.between(1, 5);
        self.later(wait, Ev::Told(who, life, bucket.clone(), told, (heard, upto)));
    }

    pub fn hear(&mut self, who: Who, bucket: &Bucket, told: Vec<Told>, (from, upto): (u64, u64)) {
        let behind = self.server.stream(bucket).last > upto;
        let Some(ear) = self.ear(who, bucket) else { return };
        if ear.heard != from {
            // Of a watch that was ended.
            return;
        }
        ear.pumping = false;
        ear.heard = upto;
        ear.caught_up |= !behind;
        for one in &told {
            match &one.value {
                Some(_) => ear.cache.insert(one.key.clone(), one.clone()),
                None => ear.cache.remove(&one.key),
            };
        }
        if behind {
            self.pump_soon(who, bucket.clone());
        }
        match who {
            Who::Scheduler(r) => self.scheduler_told(r, bucket, told),
            Who::Registry(g) => self.registry_told(g, bucket, told),
            Who::Host(_) => {}
        }
    }

    /// Wakes what is paused: everything that waited for it comes now.
    pub fn resume(&mut self, who: Who) {
        say!(self, "{who:?} goes on");
        self.body(who).paused = None;
    }

    pub fn nodes_of(&self, pool: &PoolName) -> BTreeSet<NodeName> {
        let nodes = self.server.nodes();
        nodes.into_iter().filter(|node| node.pool == *pool).map(|node| node.name).collect()
    }
}

/// What one watch has heard.
#[derive(Debug, Default)]
pub struct Ear {
    pub heard: u64,
    /// It was told everything there was, once: before, what was overwritten meanwhile is missing.
    pub caught_up: bool,
    pub pumping: bool,
    pub cache: BTreeMap<String, Told>,
}
