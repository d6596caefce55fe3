//! One step of a scenario: what happens, then the loop until it is quiet.

use super::report::{FreeReport, InstanceReport, NodeReport, StepReport, UnplacedReport};
use super::scenario::{Exits, NodeChange, Step, UseChange};
use super::settle::{Restless, short};
use super::world::{BEGIN, Done, World};
use crate::command::{Command, Order, Verdict};
use crate::id::{NodeName, PoolName, Slot, WorkloadKey};
use crate::instance::{Desired, Observed};
use crate::node::{Admin, Use};
use crate::reconcile::Event;
use crate::time::{Span, Timestamp};
use crate::workload::{OneOrMany, Workload};

/// Why a step was not carried out as it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It is no step that can be made: the scenario is wrong, or asks for what is not there yet.
    Refused(String),
    /// It was made and did not come out as it should.
    Failed(String),
}

impl From<Restless> for Trouble {
    fn from(_: Restless) -> Self {
        Self::Failed("the loop is not quiet after 10,000 rounds at one instant".to_owned())
    }
}

/// How long jobs may finish while a node is drained.
const DRAIN_DEADLINE: Span = Span::from_secs(3600);

impl World {
    /// Makes the step.
    pub(super) fn make(&mut self, step: Step) -> Result<(), Trouble> {
        self.done = Done::default();
        let head = match step {
            Step::Apply(spec) => {
                self.pool(&spec.pool);
                let allowed = self.within_quota(&spec);
                allowed.then(|| self.registry.put(*spec, self.now)).flatten()
            }
            Step::Scale(scale) => {
                let head = self.registry.head(&scale.workload);
                let spec = head.map(|head| Workload { count: scale.count, ..head.spec.clone() });
                let allowed = spec.is_some_and(|spec| self.within_quota(&spec));
                let (key, count) = (&scale.workload, scale.count);
                allowed.then(|| self.registry.scale(key, count, self.now)).flatten()
            }
            Step::Remove(named) => self.registry.remove(&named.workload, self.now),
            Step::Promote(named) => return self.promote(&named.workload),
            Step::Join(OneOrMany(nodes)) => {
                nodes.iter().for_each(|spec| self.join(spec));
                None
            }
            Step::Node(change) => {
                self.change_node(change);
                None
            }
            Step::Use(used) => {
                self.use_node(&used);
                None
            }
            Step::Exit(exits) => {
                self.exit(&exits)?;
                None
            }
            Step::Advance(span) => return Ok(self.advance(span)?),
            Step::Rebalance(wanted) => {
                let order = Order::Rebalance { max_moves: wanted.max_moves };
                return self.order("rebalance", &PoolName::default(), order);
            }
            Step::ExpectQuiet(_) => return self.expect_quiet(),
            Step::Takeover(_) => {
                self.take_over();
                None
            }
        };
        if let Some(head) = head {
            self.observe(&Event::Workload(Box::new(head)));
        }
        Ok(self.settle()?)
    }

    fn promote(&mut self, key: &WorkloadKey) -> Result<(), Trouble> {
        let pool = self.registry.head(key).map(|head| head.spec.pool.clone());
        let order = Order::Promote { workload: key.to_string() };
        self.order("promote", &pool.unwrap_or_default(), order)
    }

    /// Sends a command and looks at what became of it.
    fn order(&mut self, what: &str, pool: &PoolName, order: Order) -> Result<(), Trouble> {
        self.commands += 1;
        let id = format!("{:026}", self.commands);
        let (pool, actor, at) = (pool.clone(), "scenario".to_owned(), self.now);
        let command = Command { id: id.clone(), pool: pool.clone(), order, actor, at };
        self.observe(&Event::Command(Box::new(command)));
        self.settle()?;
        let outcomes = self.engines.get(&pool).map(crate::reconcile::Engine::outcomes);
        let outcome = outcomes.iter().flatten().find(|outcome| outcome.id == id);
        match outcome.map(|outcome| (outcome.verdict, outcome.reason.as_str())) {
            Some((Verdict::Refused, reason)) => Err(Trouble::Refused(format!("{what}: {reason}"))),
            Some((Verdict::Running | Verdict::Done, _)) => Ok(()),
            None => Err(Trouble::Refused(format!("{what}: not available in this version"))),
        }
    }

    fn change_node(&mut self, change: NodeChange) {
        for name in super::range::names(&change.name).expect("ranges were read before") {
            let executor = self.executors.get_mut(&name).expect("names were checked before");
            executor.behaviour.merge(change.behaviour.clone());
            if let Some(admin) = change.admin {
                executor.node.admin = admin;
                executor.node.drain_deadline = drain_deadline(admin, self.now);
            }
            let was_alive = executor.alive();
            if let Some(liveness) = change.liveness
                && liveness != executor.node.liveness
            {
                let was = executor.node.liveness;
                (executor.node.liveness, executor.node.liveness_since) = (liveness, self.now);
                if executor.alive() && !was_alive {
                    executor.returns(was);
                }
            }
            let node = Box::new(executor.node.clone());
            self.observe(&Event::Node(node));
            self.busy.insert(name);
        }
        if change.admin == Some(Admin::Draining) {
            self.drain(&change.name);
        }
    }

    /// What an operator does besides: the order that says when the node is empty.
    fn drain(&mut self, pattern: &str) {
        for node in super::range::names(pattern).expect("ranges were read before") {
            self.commands += 1;
            let executor = self.executors.get(&node).expect("names were checked before");
            let command = Command {
                id: format!("{:026}", self.commands),
                pool: executor.node.pool.clone(),
                order: Order::Drain { node, force: false },
                actor: "scenario".to_owned(),
                at: self.now,
            };
            self.observe(&Event::Command(Box::new(command)));
        }
    }

    fn use_node(&mut self, change: &UseChange) {
        let UseChange { cpu, memory, disk, network, .. } = change;
        let used = Use { cpu: *cpu, memory: memory.0, disk: disk.0, network: *network };
        for name in super::range::names(&change.name).expect("ranges were read before") {
            let executor = self.executors.get_mut(&name).expect("names were checked before");
            executor.foreign = Some(used);
            let beat = executor.heartbeat(self.now).filter(|_| executor.alive());
            if let Some(beat) = beat {
                self.observe(&Event::Heartbeat(beat));
            }
        }
    }

    fn exit(&mut self, exits: &Exits) -> Result<(), Trouble> {
        let nodes: Vec<_> = self.running(&exits.workload, exits.slot);
        for (id, node) in nodes {
            let executor = self.executors.get_mut(&node).expect("names were checked before");
            if executor.exits(id, exits.code, self.now) {
                self.busy.insert(node);
                return Ok(());
            }
        }
        let (workload, slot) = (short(&exits.workload), exits.slot);
        Err(Trouble::Refused(format!("exit: no instance of `{workload}` runs in slot {slot}")))
    }

    /// Instances of a slot that are wanted and run.
    fn running(&self, key: &WorkloadKey, slot: Slot) -> Vec<(crate::id::InstanceId, NodeName)> {
        let all = self.engines.values().flat_map(|engine| engine.instances());
        let wanted = all.filter(|view| {
            let runs = view.observed == Some(Observed::Running) && view.desired == Desired::Run;
            view.key == key && view.slot == slot && runs
        });
        wanted.map(|view| (view.id, view.node.clone())).collect()
    }

    /// Nothing is on its way, and being told everything again changes nothing.
    fn expect_quiet(&mut self) -> Result<(), Trouble> {
        if self.plan() {
            return Err(Trouble::Failed("not quiet: planning again is not empty".to_owned()));
        }
        self.acted = false;
        let pools: Vec<PoolName> = self.engines.keys().cloned().collect();
        pools.iter().for_each(|pool| self.tell(pool));
        self.settle()?;
        if self.acted {
            let message = "not quiet: the same messages again lead to new orders";
            return Err(Trouble::Failed(message.to_owned()));
        }
        let restless = self.executors.values().find(|e| e.alive() && !e.settled(self.now));
        if let Some(executor) = restless {
            let message = format!("not quiet: something starts or stops on {}", executor.node.name);
            return Err(Trouble::Failed(message));
        }
        let updating = self.registry.heads().find(|head| self.updating(&head.key()));
        match updating {
            Some(head) => {
                let message = format!("not quiet: `{}` is being updated", short(&head.key()));
                Err(Trouble::Failed(message))
            }
            None => Ok(()),
        }
    }

    /// An update is under way that neither failed nor waits for a promotion.
    fn updating(&self, key: &WorkloadKey) -> bool {
        let Some(head) = self.registry.head(key) else { return false };
        let Some(engine) = self.engines.get(&head.spec.pool) else { return false };
        let progress = engine.progress(key).unwrap_or_default();
        let waits = head.spec.update.canary > 0 && progress.promoted < head.compatible_since;
        engine.status(key).is_some_and(|status| status.updating)
            && progress.failed.is_none()
            && !waits
    }

    /// What the step did, and what stands now.
    pub(super) fn report(&mut self, step: usize) -> StepReport {
        let Done { placed, stopped, moved, refused } = std::mem::take(&mut self.done);
        let mut instances: Vec<InstanceReport> = self.instances();
        instances.sort_by(|a, b| (&a.workload, a.slot, a.id).cmp(&(&b.workload, b.slot, b.id)));
        let mut nodes: Vec<NodeReport> = self.nodes();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        StepReport {
            step,
            now_ms: self.now.since(BEGIN).as_millis(),
            placed,
            stopped,
            moved,
            refused,
            unplaced: self.unplaced(),
            instances,
            nodes,
        }
    }

    fn instances(&self) -> Vec<InstanceReport> {
        let all = self.engines.values().flat_map(|engine| engine.instances());
        all.map(|view| InstanceReport {
            id: view.id,
            workload: short(view.key),
            slot: view.slot,
            version: view.version,
            node: view.node.clone(),
            desired: view.desired.as_str(),
            observed: view.observed.map(Observed::as_str),
            ready: view.ready,
        })
        .collect()
    }

    fn nodes(&self) -> Vec<NodeReport> {
        let all = self.engines.values().flat_map(|engine| engine.nodes());
        all.map(|view| NodeReport {
            name: view.name.clone(),
            admin: view.admin,
            liveness: view.liveness,
            instances: view.instances,
            free: FreeReport {
                cpu: view.free.cpu,
                memory: view.free.memory.0,
                disk: view.free.disk.0,
                network: view.free.network,
            },
        })
        .collect()
    }

    fn unplaced(&self) -> Vec<UnplacedReport> {
        let mut found = Vec::new();
        for head in self.registry.heads() {
            let key = head.key();
            let engine = self.engines.get(&head.spec.pool);
            let progress = engine.and_then(|engine| engine.progress(&key)).unwrap_or_default();
            for run in progress.unplaced {
                found.extend(run.each().map(|slot| UnplacedReport {
                    workload: short(&key),
                    slot,
                    reasons: (*run.reasons).clone(),
                    nodes: (*run.nodes).clone(),
                }));
            }
        }
        found.sort_by(|a, b| (&a.workload, a.slot).cmp(&(&b.workload, b.slot)));
        found
    }
}

fn drain_deadline(admin: Admin, now: Timestamp) -> Option<Timestamp> {
    match admin {
        Admin::Draining | Admin::Maintenance => Some(now.plus(DRAIN_DEADLINE)),
        Admin::Active | Admin::Cordoned => None,
    }
}
