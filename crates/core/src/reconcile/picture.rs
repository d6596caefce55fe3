//! The picture of the pool: nodes, workloads and instances under small numbers, and the few
//! operations that change what occupies a node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::command::{Command, Outcome};
use crate::head::Head;
use crate::id::{
    Epoch, Generation, InstanceId, NodeName, Revision, SpecHash, Term, Version, WorkloadKey,
};
use crate::instance::{Desired, Observed, PortGrant, Report};
use crate::node::{Admin, Liveness, Node};
use crate::placement::{Request, Seat};
use crate::ports::PortTable;
use crate::resources::Resources;
use crate::time::Timestamp;

use super::why::Why;
use super::{Engine, Progress, Unplaced};

/// The index of no instance.
pub(super) const NONE: u32 = u32::MAX;

/// One text of one workload, as its instances were placed with it.
#[derive(Debug, Clone)]
pub(super) struct Text {
    pub version: Version,
    pub spec: SpecHash,
    pub ask: Resources,
    pub priority: u8,
}

/// One instance: what is ordered of it, and what is seen of it.
#[derive(Debug, Clone)]
pub(super) struct Instance {
    pub id: InstanceId,
    pub work: u32,
    pub node: u32,
    pub slot: u32,
    pub text: u32,
    pub score: u32,
    pub generation: Generation,
    pub restarted: Generation,
    pub ports: Vec<PortGrant>,
    pub desired: Desired,
    pub why: Why,
    pub observed: Option<Observed>,
    pub ready: bool,
    pub proven: bool,
    /// Its end was seen and waits to be settled.
    pub ended: bool,
    /// When it was first seen ready, in pool time.
    pub ready_since: Timestamp,
    /// Where its present order was committed.
    pub committed: Option<(Term, Revision)>,
    /// The last report of its node that named it.
    pub mark: u32,
    /// It was ordered to move: where to, or [`NONE`] for anywhere else.
    pub moving: Option<u32>,
}

/// What is known of a node.
#[derive(Debug, Clone)]
pub(super) struct NodeState {
    pub name: NodeName,
    /// `None` while only its manifest or report is known.
    pub record: Option<Box<Node>>,
    /// It was removed from the fleet.
    pub gone: bool,
    /// The lease under which it runs fenced instances is gone.
    pub lease_gone: bool,
    pub seat: Seat,
    pub ports: PortTable,
    pub entries: BTreeSet<u32>,
    /// How many of them say `keep`: it gets no new work before their fate is settled.
    pub kept: u32,
    /// Whether its manifest is known, from the bus or because we wrote it.
    pub manifest_known: bool,
    pub incarnation: u64,
    /// What its last report had applied.
    pub applied: (Term, Revision),
    pub reports: u32,
    /// A report that came before the manifest.
    pub early: Option<Box<Report>>,
}

impl NodeState {
    pub fn new(name: NodeName) -> Self {
        Self {
            name,
            record: None,
            gone: false,
            lease_gone: false,
            seat: Seat::default(),
            ports: PortTable::new((0, 0)),
            entries: BTreeSet::new(),
            kept: 0,
            manifest_known: false,
            incarnation: 0,
            applied: (Term(0), Revision(0)),
            reports: 0,
            early: None,
        }
    }

    /// Online where nothing is known: absence is never an order.
    pub fn liveness(&self) -> Liveness {
        self.record.as_ref().map_or(Liveness::Online, |node| node.liveness)
    }

    pub fn admin(&self) -> Admin {
        self.record.as_ref().map_or(Admin::Active, |node| node.admin)
    }

    pub fn epoch(&self) -> Epoch {
        self.record.as_ref().map_or(Epoch(0), |node| node.epoch)
    }

    /// It can be told to stop things and would say so.
    pub fn reachable(&self) -> bool {
        !self.gone
            && match self.liveness() {
                Liveness::Online | Liveness::Suspect => true,
                Liveness::Offline | Liveness::Left | Liveness::Asleep => false,
            }
    }

    /// It is being emptied.
    pub fn emptying(&self) -> bool {
        match self.admin() {
            Admin::Draining | Admin::Maintenance => true,
            Admin::Active | Admin::Cordoned => false,
        }
    }
}

/// What is known of a workload.
#[derive(Debug, Clone)]
pub(super) struct Work {
    pub key: WorkloadKey,
    /// `None` while only its instances are known: they are left alone.
    pub head: Option<Arc<Head>>,
    pub request: Option<Arc<Request>>,
    /// The group and sticky tags that its instances carry.
    pub tags: Vec<String>,
    pub texts: BTreeMap<Version, u32>,
    /// Slot and instance.
    pub slots: BTreeSet<(u32, u32)>,
    pub progress: Progress,
    /// How many of its instances are ordered to run and ready.
    pub ready: u32,
    /// At how many it should be looked at, since all are ready then.
    pub all_ready: u32,
    /// What becomes ready may let the next step be made.
    pub watch: bool,
    /// Slots without a place, or replacements without one, wait for something that could help.
    pub blocked: bool,
    /// Something happened that could help.
    pub woken: bool,
    /// Replacements that have no place.
    pub stuck: Option<Unplaced>,
    /// How many instances were up to date and ready when last looked at.
    pub settled: u32,
    pub wake: Option<Timestamp>,
    /// Instances whose end was seen, and what their executor said.
    pub ended: Vec<(u32, String)>,
    /// By slot: where its last instance was, if that failed or had to go.
    pub origins: BTreeMap<u32, (NodeName, Why)>,
}

impl Work {
    pub fn new(key: WorkloadKey) -> Self {
        Self {
            key,
            head: None,
            request: None,
            tags: Vec::new(),
            texts: BTreeMap::new(),
            slots: BTreeSet::new(),
            progress: Progress::default(),
            ready: 0,
            all_ready: u32::MAX,
            watch: false,
            blocked: false,
            woken: true,
            stuck: None,
            settled: u32::MAX,
            wake: None,
            ended: Vec::new(),
            origins: BTreeMap::new(),
        }
    }

    pub fn priority(&self) -> u8 {
        self.head.as_ref().map_or(0, |head| head.spec.priority)
    }
}

/// Orders that came, and what became of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Orders {
    pub waiting: BTreeMap<String, Command>,
    pub running: BTreeMap<String, Command>,
    pub outcomes: BTreeMap<String, Outcome>,
    /// Nodes whose drain does not wait, by index.
    pub forced: BTreeSet<u32>,
    /// Nodes that are treated as lost, by index.
    pub evacuated: BTreeSet<u32>,
}

pub(super) fn at(index: u32) -> usize {
    usize::try_from(index).expect("indices fit")
}

pub(super) fn index(len: usize) -> u32 {
    u32::try_from(len).expect("fewer than 2^32")
}

impl Engine {
    pub(super) fn node_index(&mut self, name: &NodeName) -> u32 {
        if let Some(node) = self.node_names.get(name) {
            return *node;
        }
        let node = index(self.nodes.len());
        self.nodes.push(NodeState::new(name.clone()));
        self.node_names.insert(name.clone(), node);
        self.order.clear();
        node
    }

    pub(super) fn work_index(&mut self, key: &WorkloadKey) -> u32 {
        if let Some(work) = self.work_keys.get(key) {
            return *work;
        }
        let work = index(self.works.len());
        self.works.push(Work::new(key.clone()));
        self.work_keys.insert(key.clone(), work);
        work
    }

    /// The index of a text of a workload, added if it is new.
    pub(super) fn text_index(&mut self, work: u32, text: Text) -> u32 {
        let next = index(self.texts.len());
        let known = *self.works[at(work)].texts.entry(text.version).or_insert(next);
        if known == next {
            self.texts.push(text);
        }
        known
    }

    pub(super) fn version(&self, instance: u32) -> Version {
        self.texts[at(self.instances[at(instance)].text)].version
    }

    /// Adds an instance: it occupies its node from now on.
    pub(super) fn add(&mut self, instance: Instance) -> u32 {
        let index = match self.free.pop() {
            Some(index) => index,
            None => index(self.instances.len()),
        };
        let ask = self.texts[at(instance.text)].ask;
        let node = &mut self.nodes[at(instance.node)];
        node.entries.insert(index);
        node.kept += u32::from(instance.desired == Desired::Keep);
        node.seat.instances += 1;
        node.seat.requested = node.seat.requested.plus(ask);
        node.seat.pending = node.seat.pending.plus(ask);
        for grant in &instance.ports {
            node.ports.take(grant.first, grant.count);
        }
        self.works[at(instance.work)].slots.insert((instance.slot, index));
        self.ids.insert(instance.id, index);
        self.newest = self.newest.max(Some((instance.id, instance.node)));
        let counts = instance.desired != Desired::Keep;
        let (work, node) = (instance.work, instance.node);
        if at(index) == self.instances.len() {
            self.instances.push(instance);
        } else {
            self.instances[at(index)] = instance;
        }
        if counts {
            self.tally(work, node, Tally::More);
        } else {
            self.nodes[at(node)].kept += 1;
        }
        index
    }

    /// Takes an instance out of its node's manifest: it occupies nothing any more.
    pub(super) fn drop_instance(&mut self, index: u32) {
        self.set_seen(index, None, false);
        let instance = &mut self.instances[at(index)];
        let (work, node, slot) = (instance.work, instance.node, instance.slot);
        let counted = instance.desired != Desired::Keep;
        let ports = std::mem::take(&mut instance.ports);
        let ask = self.texts[at(instance.text)].ask;
        self.ids.remove(&instance.id);
        instance.work = NONE;
        let state = &mut self.nodes[at(node)];
        state.entries.remove(&index);
        state.kept -= u32::from(!counted);
        state.seat.instances -= 1;
        state.seat.requested = state.seat.requested.minus(ask);
        state.seat.pending = state.seat.pending.minus(ask);
        for grant in &ports {
            state.ports.free(grant.first);
        }
        self.works[at(work)].slots.remove(&(slot, index));
        self.free.push(index);
        self.freed.insert(node);
        if counted {
            self.tally(work, node, Tally::Less);
        } else {
            self.reopen(node);
        }
        self.mark_last_to_go(node);
    }

    /// Notes what is seen of an instance, and keeps the counts that follow from it.
    pub(super) fn set_seen(&mut self, index: u32, observed: Option<Observed>, ready: bool) {
        let instance = &mut self.instances[at(index)];
        let before = instance.observed.is_some_and(uses_its_ask);
        let after = observed.is_some_and(uses_its_ask);
        let counted = |ready: bool, desired: Desired| ready && desired == Desired::Run;
        let was = counted(instance.ready, instance.desired);
        let is = counted(ready, instance.desired);
        (instance.observed, instance.ready) = (observed, ready);
        instance.proven &= ready;
        let ask = self.texts[at(instance.text)].ask;
        let seat = &mut self.nodes[at(instance.node)].seat;
        match (before, after) {
            (false, true) => seat.pending = seat.pending.minus(ask),
            (true, false) => seat.pending = seat.pending.plus(ask),
            (true, true) | (false, false) => {}
        }
        let work = &mut self.works[at(instance.work)];
        match (was, is) {
            (false, true) => work.ready += 1,
            (true, false) => work.ready -= 1,
            (true, true) | (false, false) => {}
        }
    }

    /// Changes what is ordered of an instance. The order counts as committed when the shell says.
    pub(super) fn set_desired(&mut self, index: u32, desired: Desired, why: Why) {
        let (observed, ready, proven) = {
            let instance = &self.instances[at(index)];
            (instance.observed, instance.ready, instance.proven)
        };
        self.set_seen(index, observed, false);
        let instance = &mut self.instances[at(index)];
        let (before, work, node) = (instance.desired, instance.work, instance.node);
        (instance.desired, instance.why, instance.committed) = (desired, why, None);
        self.set_seen(index, observed, ready);
        self.instances[at(index)].proven = proven;
        match (before == Desired::Keep, desired == Desired::Keep) {
            (false, true) => {
                self.nodes[at(node)].kept += 1;
                self.tally(work, node, Tally::Less);
            }
            (true, false) => {
                self.nodes[at(node)].kept -= 1;
                self.tally(work, node, Tally::More);
                self.reopen(node);
            }
            (true, true) | (false, false) => {}
        }
    }

    /// Once all that a node kept is settled it takes work again.
    fn reopen(&mut self, node: u32) {
        if self.nodes[at(node)].kept == 0 {
            self.freed.insert(node);
            self.dirty.extend(self.systems.iter().copied());
        }
    }

    /// Counts an instance for the groups and sticky keys of its workload. Instances that are kept
    /// for a lost node do not count.
    fn tally(&mut self, work: u32, node: u32, change: Tally) {
        for tag in &self.works[at(work)].tags {
            let nodes = self.tallies.entry(tag.clone()).or_default();
            let count = nodes.entry(node).or_insert(0);
            match change {
                Tally::More => *count += 1,
                Tally::Less => *count = count.saturating_sub(1),
            }
            if *count == 0 {
                nodes.remove(&node);
            }
        }
    }

    /// Gives a workload other tags; its instances are counted under these from now on.
    pub(super) fn retag(&mut self, work: u32, tags: Vec<String>) {
        if self.works[at(work)].tags == tags {
            return;
        }
        let slots = self.works[at(work)].slots.clone();
        let counted =
            |engine: &Self, index: &u32| engine.instances[at(*index)].desired != Desired::Keep;
        let nodes: Vec<u32> = slots
            .iter()
            .map(|(_, index)| *index)
            .filter(|index| counted(self, index))
            .map(|index| self.instances[at(index)].node)
            .collect();
        nodes.iter().for_each(|node| self.tally(work, *node, Tally::Less));
        // Who waits for such a node because of the group that was left may go there now.
        self.freed.extend(nodes.iter().copied());
        self.works[at(work)].tags = tags;
        nodes.iter().for_each(|node| self.tally(work, *node, Tally::More));
    }
}

enum Tally {
    More,
    Less,
}

/// It has started, so the host's live use has it in it.
fn uses_its_ask(observed: Observed) -> bool {
    match observed {
        Observed::Running | Observed::Stopping | Observed::Hibernating => true,
        Observed::Accepted
        | Observed::Declined
        | Observed::Preparing
        | Observed::Starting
        | Observed::Stopped
        | Observed::Completed
        | Observed::Failed
        | Observed::Hibernated
        | Observed::Lost => false,
    }
}
