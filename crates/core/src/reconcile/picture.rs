//! The picture of the pool: nodes, workloads and instances under small numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::command::{Command, Outcome};
use crate::feasible::Condition;
use crate::head::Head;
use crate::id::{
    Epoch, Generation, InstanceId, NodeName, PoolName, Revision, SpecHash, Term, Version,
    WorkloadKey,
};
use crate::instance::{Desired, Observed, PortGrant, Report};
use crate::node::{Admin, Bid, Liveness, Node};
use crate::placement::{Request, Seat};
use crate::ports::PortTable;
use crate::resources::Resources;
use crate::time::Timestamp;

use super::fence::Unleased;
use super::hold::HoldKey;
use super::shared::Sorted;
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
    pub unleased: Option<Unleased>,
    pub seat: Seat,
    /// Its standing bid, and when it came.
    pub bid: Option<(Bid, Timestamp)>,
    /// Whether its last beat said that it runs on battery.
    pub battery: Option<bool>,
    pub ports: PortTable,
    pub entries: Sorted<u32>,
    /// The places on it that are kept, for whom.
    pub held: BTreeSet<HoldKey>,
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
            unleased: None,
            seat: Seat::default(),
            bid: None,
            battery: None,
            ports: PortTable::new((0, 0)),
            entries: Sorted::default(),
            held: BTreeSet::new(),
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

    /// It runs on battery, by its last beat or by what it said when it joined.
    pub fn on_battery(&self) -> bool {
        let joined = || self.record.as_ref().is_some_and(|node| node.facts.battery);
        self.battery.unwrap_or_else(joined)
    }

    /// It can be told to stop things and would say so.
    pub fn reachable(&self) -> bool {
        !self.gone
            && match self.liveness() {
                Liveness::Online | Liveness::Suspect => true,
                Liveness::Offline | Liveness::Left | Liveness::Asleep => false,
            }
    }

    /// It was not given to another pool.
    pub fn is_of(&self, pool: &PoolName) -> bool {
        self.record.as_ref().is_none_or(|record| record.pool == *pool)
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
    pub slots: Sorted<(u32, u32)>,
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
    /// What it has in common with others that have a place exactly when it has.
    pub shape: Option<Arc<str>>,
    /// Nodes where making room for it did not help, and until when that is remembered.
    pub in_vain: BTreeMap<u32, Timestamp>,
    /// Replacements that have no place.
    pub stuck: Option<Unplaced>,
    /// How many instances were up to date and ready when last looked at.
    pub settled: u32,
    /// The version that was asked to be set back, in this reign.
    pub asked_back: Version,
    pub wake: Option<Timestamp>,
    /// Instances whose end was seen, and what their executor said.
    pub ended: Vec<(u32, String)>,
    /// By slot: where its last instance was, if that is lost, failed or had to go.
    pub origins: BTreeMap<u32, (NodeName, Why)>,
    /// What must hold of the fleet before it is begun.
    pub condition: Option<Arc<Condition>>,
    /// It was looked at in this reign.
    pub looked: bool,
}

impl Work {
    pub fn new(key: WorkloadKey) -> Self {
        Self {
            key,
            head: None,
            request: None,
            tags: Vec::new(),
            texts: BTreeMap::new(),
            slots: Sorted::default(),
            progress: Progress::default(),
            ready: 0,
            all_ready: u32::MAX,
            watch: false,
            blocked: false,
            woken: true,
            shape: None,
            in_vain: BTreeMap::new(),
            stuck: None,
            settled: u32::MAX,
            asked_back: Version(0),
            wake: None,
            ended: Vec::new(),
            origins: BTreeMap::new(),
            condition: None,
            looked: false,
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
        Arc::make_mut(&mut self.node_names).insert(name.clone(), node);
        self.order.clear();
        node
    }

    pub(super) fn work_index(&mut self, key: &WorkloadKey) -> u32 {
        if let Some(work) = self.work_keys.get(key) {
            return *work;
        }
        let work = index(self.works.len());
        self.works.push(Work::new(key.clone()));
        Arc::make_mut(&mut self.work_keys).insert(key.clone(), work);
        work
    }

    /// Where the instance of this id is.
    pub(super) fn known(&self, id: InstanceId) -> Option<u32> {
        let mut from = self.ids.range((id, 0)..=(id, u32::MAX));
        from.next().map(|(_, index)| *index)
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
}
