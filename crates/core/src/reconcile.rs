//! From what is wanted and what is seen to what is ordered: the engine of one pool.
//!
//! The engine is a picture of the pool. It is told events and asked for a plan; planning changes
//! the picture as if the plan were carried out, so that planning again gives nothing. The shell
//! commits the manifests and the progress that a plan touched; if it cannot, it throws the engine
//! away and reads everything anew. Placements, progress and outcomes that were read back from the
//! bus are told as events too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::id::{IdSource, InstanceId, NodeName, PoolName, Revision, Term, WorkloadKey};
use crate::time::Timestamp;

mod after;
mod against;
mod commands;
mod count;
mod cron;
mod decision;
mod double;
mod drain;
mod ending;
mod event;
mod feasible;
mod fence;
mod follow;
mod hold;
mod intake;
mod loss;
mod obeyed;
mod observe;
mod occupy;
mod order;
mod outcome;
mod picture;
mod place;
mod plan;
mod preempt;
mod progress;
mod rebalance;
mod rehearse;
mod report;
mod row;
mod settings;
mod share;
mod shared;
mod show;
mod slot;
mod suppose;
mod survey;
mod system;
mod tell;
mod unplaced;
mod update;
mod verdict;
mod view;
mod wake;
mod why;

pub use cron::Runs;
pub use decision::{Again, Decision, Note, Plan, Revert};
pub use event::Event;
pub use feasible::Feasibility;
pub use intake::{Intake, Source};
pub use progress::{Exclusion, Progress};
pub use row::{Aftermath, Item, Row};
pub use settings::{Rebalancing, Settings, Terms};
pub use tell::Named;
pub use unplaced::Unplaced;
pub use view::{InstanceView, NodeView, WorkloadStatus};

use hold::{Held, HoldKey};
use picture::{Instance, NodeState, Orders, Text, Work};
use rebalance::Evenness;
use settings::Levels;
use shared::{Pieces, Sorted};
use wake::{Hopeless, News, Waiting};

/// How many of something are on each node.
type PerNode = Arc<BTreeMap<u32, u32>>;

/// The scheduler of one pool, as a value: no bus, no clock, no chance.
///
/// Nodes, workloads and instances are kept under small numbers; those depend on the order in which
/// events came, so nothing that is decided may: decisions go by names and ids.
#[derive(Debug, Clone)]
pub struct Engine {
    pool: PoolName,
    /// Those in force.
    settings: Settings,
    levels: Levels,
    /// Which life of the fleet its manifests are written in.
    incarnation: u64,
    id_source: IdSource,
    nodes: Pieces<NodeState, 16>,
    node_names: Arc<BTreeMap<NodeName, u32>>,
    /// Nodes in the order of names; empty when it has to be made anew.
    order: Vec<u32>,
    /// By node: its place in that order.
    places: Vec<u32>,
    /// By attribute: every node's value, until nodes change.
    columns: BTreeMap<String, Arc<survey::Column>>,
    /// What workloads of one plan share.
    fields: share::Fields,
    works: Pieces<Work, 16>,
    work_keys: Arc<BTreeMap<WorkloadKey, u32>>,
    texts: Vec<Text>,
    instances: Pieces<Instance, 256>,
    /// Places in `instances` that are free.
    free: Vec<u32>,
    /// Every instance by its id.
    ids: Sorted<(InstanceId, u32)>,
    /// The newest instance and its node: where `round_robin` goes on from.
    newest: Option<(InstanceId, u32)>,
    /// By group or sticky tag: how many members are on each node.
    tallies: BTreeMap<String, PerNode>,
    /// Workloads that have to be looked at.
    dirty: BTreeSet<u32>,
    /// Workloads that wait for something that could help.
    blocked: BTreeSet<u32>,
    in_line: Waiting,
    news: News,
    hopeless: Hopeless,
    /// Places that are kept, and workloads whose kept places are not yet.
    holds: BTreeMap<HoldKey, Held>,
    unrestored: BTreeSet<u32>,
    /// Nodes that have more to give than when last looked at.
    freed: BTreeSet<u32>,
    /// Nodes whose heartbeat shows more memory or disk free than before.
    relieved: BTreeSet<u32>,
    /// Workloads that have one on every eligible node.
    systems: BTreeSet<u32>,
    /// Workloads that wait for others to be ready first.
    waiting: BTreeSet<u32>,
    /// Workloads that have a condition on the fleet.
    conditional: BTreeSet<u32>,
    /// Conditions have to be judged again: something that they ask about changed.
    fleet_changed: bool,
    /// When a condition has held, or not, for long enough.
    feasible_at: Option<Timestamp>,
    /// When workloads have to be looked at again.
    timers: BTreeSet<(Timestamp, u32)>,
    orders: Orders,
    /// Until when nothing is moved because of loss.
    brake_until: Option<Timestamp>,
    brake_stale: bool,
    evenness: Evenness,
    /// What the next plan writes though nothing changed.
    again: Plan,
}

impl Engine {
    /// An engine that knows nothing yet. `id_seed` tells the ids of two leaders apart.
    #[must_use]
    pub fn new(pool: PoolName, settings: Settings, id_seed: u32) -> Self {
        Self {
            pool,
            levels: Levels::new(settings.clone()),
            settings,
            incarnation: 0,
            id_source: IdSource::new(id_seed),
            nodes: Pieces::default(),
            node_names: Arc::default(),
            order: Vec::new(),
            places: Vec::new(),
            columns: BTreeMap::new(),
            fields: share::Fields::default(),
            works: Pieces::default(),
            work_keys: Arc::default(),
            texts: Vec::new(),
            instances: Pieces::default(),
            free: Vec::new(),
            ids: Sorted::default(),
            newest: None,
            tallies: BTreeMap::new(),
            dirty: BTreeSet::new(),
            blocked: BTreeSet::new(),
            in_line: Waiting::default(),
            news: News::default(),
            hopeless: Hopeless::default(),
            holds: BTreeMap::new(),
            unrestored: BTreeSet::new(),
            freed: BTreeSet::new(),
            relieved: BTreeSet::new(),
            systems: BTreeSet::new(),
            waiting: BTreeSet::new(),
            conditional: BTreeSet::new(),
            fleet_changed: false,
            feasible_at: None,
            timers: BTreeSet::new(),
            orders: Orders::default(),
            brake_until: None,
            brake_stale: false,
            evenness: Evenness::default(),
            again: Plan::default(),
        }
    }

    /// This is written with the next plan as it stands here: somebody else wrote over it.
    pub fn write_again(&mut self, what: Again) {
        match what {
            Again::Manifest(node) => drop(self.again.manifests.insert(node)),
            Again::Progress(workload) => drop(self.again.progress.insert(workload)),
            Again::Outcomes => self.again.outcomes = true,
        }
    }

    /// The same engine in this life of the fleet: what executors say to have applied in an earlier
    /// one counts no more, once they were written a manifest in this one.
    #[must_use]
    pub fn in_life(self, incarnation: u64) -> Self {
        Self { incarnation, ..self }
    }

    /// The node's manifest as it now stands here was committed at this term and revision.
    pub fn committed(&mut self, node: &NodeName, term: Term, revision: Revision) {
        let Some(node) = self.node_names.get(node) else { return };
        let state = &mut self.nodes[picture::at(*node)];
        state.manifest_known = true;
        state.early = None;
        if state.incarnation < self.incarnation {
            state.incarnation = self.incarnation;
            state.applied = (Term(0), Revision(0));
        }
        for index in &state.entries {
            let instance = &mut self.instances[picture::at(*index)];
            instance.committed.get_or_insert((term, revision));
        }
    }
}
