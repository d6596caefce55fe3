//! A pool in memory for tests: the engine, and executors that do at once what they are told.

use std::collections::{BTreeMap, BTreeSet};

use ostler_core::command::{Command, Order, Outcome};
use ostler_core::head::Head;
use ostler_core::id::{
    Epoch, Generation, NodeName, PoolName, Revision, Term, Version, WorkloadKey,
};
use ostler_core::instance::{Desired, Manifest, Observed, Report, Status, Usage};
use ostler_core::node::{Admin, Liveness, Node};
use ostler_core::reconcile::{Decision, Engine, Event, Plan, Progress, Settings};
use ostler_core::time::{Span, Timestamp};
use ostler_core::workload::Workload;

mod ends;
mod text;

use text::hash;
pub use text::{node, workload};

/// One executor: what it was told and what it says.
#[derive(Debug, Clone)]
pub struct Executor {
    pub node: Node,
    pub manifest: Manifest,
    pub statuses: BTreeMap<ostler_core::id::InstanceId, Status>,
    /// It answers.
    pub alive: bool,
    /// Workloads whose instances it declines, fails, or never has ready.
    pub declines: BTreeSet<String>,
    pub fails: BTreeSet<String>,
    pub unready: BTreeSet<String>,
    /// It takes its time to stop things.
    pub slow_to_stop: bool,
    /// The revision that it last reported.
    pub told: Revision,
}

/// A pool.
#[derive(Debug, Clone)]
pub struct Fleet {
    pub engine: Engine,
    pub now: Timestamp,
    pub executors: BTreeMap<NodeName, Executor>,
    pub heads: BTreeMap<WorkloadKey, Head>,
    pub records: BTreeMap<WorkloadKey, Progress>,
    pub brake: Option<Timestamp>,
    pub revision: Revision,
    pub plans: Vec<Plan>,
    /// What was decided since last asked.
    pub decided: Vec<Decision>,
    orders: u32,
}

impl Fleet {
    /// A pool with these nodes, one a line; see [`node`].
    pub fn new(nodes: &str) -> Self {
        Self::with(nodes, Settings::default())
    }

    pub fn with(nodes: &str, settings: Settings) -> Self {
        let mut fleet = Self {
            engine: Engine::new(PoolName::default(), settings, 1),
            now: Timestamp::from_millis(1_000_000),
            executors: BTreeMap::new(),
            heads: BTreeMap::new(),
            records: BTreeMap::new(),
            brake: None,
            revision: Revision(1),
            plans: Vec::new(),
            decided: Vec::new(),
            orders: 0,
        };
        for line in nodes.lines().map(str::trim).filter(|line| !line.is_empty()) {
            fleet.join(line);
        }
        fleet
    }

    pub fn join(&mut self, line: &str) {
        self.join_node(node(line));
    }

    pub fn join_node(&mut self, node: Node) {
        let executor = Executor {
            node: node.clone(),
            manifest: Manifest::default(),
            statuses: BTreeMap::new(),
            alive: true,
            declines: BTreeSet::new(),
            fails: BTreeSet::new(),
            unready: BTreeSet::new(),
            slow_to_stop: false,
            told: Revision(0),
        };
        self.executors.insert(node.name.clone(), executor);
        self.tell(Event::Node(Box::new(node)));
    }

    pub fn tell(&mut self, event: Event) {
        self.engine.observe(event, self.now);
    }

    /// Puts a workload as the registry does; see [`workload`].
    pub fn put(&mut self, text: &str) {
        self.put_spec(workload(text));
    }

    pub fn put_spec(&mut self, spec: Workload) {
        let old = self.heads.get(&spec.key()).cloned();
        let version = old.as_ref().map_or(Version(1), |old| old.version.next());
        let kept = old.as_ref().filter(|old| !old.spec.destructive(&spec));
        let head = Head {
            version,
            compatible_since: kept.map_or(version, |old| old.compatible_since),
            spec_hash: hash(&spec),
            spec,
            restart_generation: old.map_or(Generation(0), |old| old.restart_generation),
            reload_generation: Generation(0),
            stopped: false,
            deleted: false,
            purge: false,
            updated_at: self.now,
            op_id: String::new(),
            earlier: Vec::new(),
        };
        self.write_head(head);
    }

    /// Changes a head without a new version.
    pub fn change(&mut self, key: &str, change: impl FnOnce(&mut Head)) {
        let key: WorkloadKey = key.parse().expect("a key");
        let mut head = self.heads[&key].clone();
        change(&mut head);
        self.write_head(head);
    }

    pub fn scale(&mut self, key: &str, count: u32) {
        let key: WorkloadKey = key.parse().expect("a key");
        let mut spec = self.heads[&key].spec.clone();
        spec.count = count;
        self.put_spec(spec);
    }

    fn write_head(&mut self, head: Head) {
        self.heads.insert(head.key(), head.clone());
        self.tell(Event::Workload(Box::new(head)));
    }

    /// Changes a node's record.
    pub fn edit(&mut self, name: &str, change: impl FnOnce(&mut Node)) {
        let name: NodeName = name.parse().expect("a node name");
        let executor = self.executors.get_mut(&name).expect("a known node");
        change(&mut executor.node);
        let node = executor.node.clone();
        self.tell(Event::Node(Box::new(node)));
    }

    pub fn admin(&mut self, name: &str, admin: Admin) {
        self.edit(name, |node| node.admin = admin);
    }

    pub fn executor(&mut self, name: &str) -> &mut Executor {
        let name: NodeName = name.parse().expect("a node name");
        self.executors.get_mut(&name).expect("a known node")
    }

    /// The host is gone; what ran there runs on, unseen.
    pub fn lose(&mut self, name: &str) {
        self.executor(name).alive = false;
        let now = self.now;
        self.edit(name, |node| (node.liveness, node.liveness_since) = (Liveness::Offline, now));
    }

    /// The host is back with what it had.
    pub fn find(&mut self, name: &str) {
        self.executor(name).alive = true;
        let now = self.now;
        self.edit(name, |node| {
            (node.liveness, node.liveness_since) = (Liveness::Online, now);
            node.epoch = node.epoch.next();
        });
    }

    pub fn order(&mut self, order: Order) -> String {
        self.orders += 1;
        let id = format!("{:026}", self.orders);
        let pool = PoolName::default();
        let command = Command { id: id.clone(), pool, order, actor: String::new(), at: self.now };
        self.tell(Event::Command(Box::new(command)));
        id
    }

    pub fn outcome(&self, id: &str) -> Outcome {
        self.engine.outcomes().into_iter().find(|one| one.id == id).expect("an outcome")
    }

    /// Plans, commits, lets executors act and report, until nothing happens at this instant.
    pub fn settle(&mut self) {
        for _ in 0..1000 {
            let plan = self.engine.plan(self.now);
            let quiet = plan == Plan::default();
            self.commit(plan);
            if !self.act() && quiet {
                return;
            }
        }
        panic!("the pool does not come to rest: {:?}", self.plans.last());
    }

    pub fn commit(&mut self, plan: Plan) {
        for name in &plan.manifests {
            self.revision = self.revision.next();
            let mut manifest = self.engine.manifest(name).unwrap_or_default();
            (manifest.term, manifest.revision) = (Term(1), self.revision);
            self.engine.committed(name, Term(1), self.revision);
            self.executors.get_mut(name).expect("a known node").manifest = manifest;
        }
        for key in &plan.progress {
            match self.engine.progress(key) {
                Some(progress) => self.records.insert(key.clone(), progress),
                None => self.records.remove(key),
            };
        }
        if plan.brake {
            self.brake = self.engine.brake_until();
        }
        self.decided.extend(plan.decisions.iter().cloned());
        self.plans.push(plan);
    }

    /// Executors do as they were told and report, if there is news.
    pub fn act(&mut self) -> bool {
        let mut news = false;
        for name in self.executors.keys().cloned().collect::<Vec<_>>() {
            let executor = self.executors.get_mut(&name).expect("a known node");
            if executor.alive && executor.act(self.now) {
                news = true;
                let report = executor.report();
                self.tell(Event::Report(name, Box::new(report)));
            }
        }
        news
    }

    /// Time passes; what is due by time alone is done when it is due.
    pub fn advance(&mut self, seconds: u64) {
        let end = self.now.plus(Span::from_secs(seconds));
        self.settle();
        while let Some(next) = self.engine.wake_at().filter(|next| *next <= end) {
            assert!(next > self.now, "the engine asks to be woken in the past");
            self.now = next;
            self.settle();
        }
        self.now = end;
        self.settle();
    }

    /// Every instance, one a line: `web/0@1 n1 run running ready`, by slot.
    pub fn show(&self) -> String {
        let mut lines: Vec<String> = self
            .engine
            .instances()
            .map(|one| {
                let observed = one.observed.map_or("-", Observed::as_str);
                let ready = if one.ready { " ready" } else { "" };
                let (name, slot, version) = (&one.key.name, one.slot, one.version);
                let desired = one.desired.as_str();
                format!("{name}/{slot}@{version} {} {desired} {observed}{ready}\n", one.node)
            })
            .collect();
        lines.sort();
        lines.concat()
    }

    /// How many instances of any workload each node is ordered to run: `n1 3, n2 3`.
    pub fn counts(&self) -> String {
        let mut counts: BTreeMap<&NodeName, u32> =
            self.executors.keys().map(|name| (name, 0)).collect();
        for one in self.engine.instances().filter(|one| one.desired == Desired::Run) {
            *counts.get_mut(one.node).expect("a known node") += 1;
        }
        let counts: Vec<String> =
            counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
        counts.join(", ")
    }

    /// What was decided since last asked, one a line.
    pub fn decisions(&mut self) -> String {
        let decided = std::mem::take(&mut self.decided);
        decided.iter().map(|one| text::decision(one) + "\n").collect()
    }

    /// A new leader: all that is on the bus, told in this order or in reverse.
    pub fn takeover(&self, reverse: Reverse) -> Self {
        let mut fleet = self.clone();
        fleet.plans.clear();
        // Two leaders at one instant must not give the same ids, as two terms do not.
        let seed = u32::try_from(self.revision.0).expect("few") << 16;
        fleet.engine = Engine::new(PoolName::default(), self.engine.settings().clone(), seed);
        let mut events = vec![Event::Outcomes(self.engine.outcomes())];
        events.extend(self.brake.map(Event::Brake));
        for (name, executor) in &self.executors {
            events.push(Event::Node(Box::new(executor.node.clone())));
            events.push(Event::Manifest(name.clone(), Box::new(executor.manifest.clone())));
            events.push(Event::Report(name.clone(), Box::new(executor.report())));
        }
        for (key, head) in &self.heads {
            events.push(Event::Workload(Box::new(head.clone())));
            if let Some(progress) = self.records.get(key) {
                events.push(Event::Progress(key.clone(), Box::new(progress.clone())));
            }
        }
        if reverse == Reverse::Yes {
            events.reverse();
        }
        events.into_iter().for_each(|event| fleet.tell(event));
        fleet
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reverse {
    Yes,
    No,
}

impl Executor {
    fn act(&mut self, now: Timestamp) -> bool {
        let mut next = BTreeMap::new();
        for group in &self.manifest.groups {
            let name = group.key.name.as_str();
            for entry in &group.entries {
                let old = self.statuses.get(&entry.id);
                let observed = self.observe(name, entry.desired, old.map(|old| old.observed));
                let ready = observed == Observed::Running && !self.unready.contains(name);
                let status = Status {
                    id: entry.id,
                    generation: entry.generation,
                    observed,
                    ready,
                    proven: false,
                    since: now,
                    ready_at: None,
                    proven_at: None,
                    restarts: 0,
                    exit: None,
                    reason: String::new(),
                    pid: None,
                    version: group.version,
                    usage: Usage::default(),
                };
                let same = old.is_some_and(|old| {
                    (old.observed, old.ready, old.generation)
                        == (status.observed, status.ready, status.generation)
                });
                let status = if same { old.expect("same").clone() } else { status };
                next.insert(entry.id, status);
            }
        }
        let news = next != self.statuses || self.told != self.manifest.revision;
        (self.statuses, self.told) = (next, self.manifest.revision);
        news
    }

    fn observe(&self, name: &str, desired: Desired, old: Option<Observed>) -> Observed {
        match (desired, old) {
            (_, Some(ended)) if ended.ended() => ended,
            (Desired::Run, _) if self.declines.contains(name) => Observed::Declined,
            (Desired::Run, _) if self.fails.contains(name) => Observed::Failed,
            (Desired::Run, _) => Observed::Running,
            (Desired::Keep, Some(old)) => old,
            (Desired::Stop, Some(_)) if self.slow_to_stop => Observed::Stopping,
            (Desired::Keep | Desired::Hibernate | Desired::Stop, _) => Observed::Stopped,
        }
    }

    pub fn report(&self) -> Report {
        Report {
            epoch: self.node.epoch,
            incarnation: 0,
            term: self.manifest.term,
            applied: self.manifest.revision,
            pool: None,
            statuses: self.statuses.values().cloned().collect(),
        }
    }
}

/// The first epoch of every node in tests.
pub const FIRST: Epoch = Epoch(1);
