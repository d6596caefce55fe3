//! What of all that is heard concerns one pool, and in which order a new leader is told of it.

use std::collections::BTreeSet;

use crate::command::Command;
use crate::head::Head;
use crate::id::{NodeName, PoolName, WorkloadKey};
use crate::instance::{Manifest, Report};
use crate::node::Node;

use super::{Event, Progress};

/// Where something was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Heads of workloads.
    Workloads,
    /// Nodes.
    Nodes,
    /// Orders that are no specification.
    Commands,
    /// Manifests and progress of the pool.
    Placements,
    /// What executors say.
    Reports,
    /// What operators changed of how it decides.
    Settings,
}

impl Source {
    /// In the order in which a new leader's engine is told of them. Placements come before
    /// workloads: whose instances are here has to be ended here, wherever it belongs by now.
    pub const ALL: [Self; 6] = [
        Self::Settings,
        Self::Nodes,
        Self::Placements,
        Self::Workloads,
        Self::Reports,
        Self::Commands,
    ];

    /// The word in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Workloads => "workloads",
            Self::Nodes => "nodes",
            Self::Commands => "commands",
            Self::Placements => "placements",
            Self::Reports => "reports",
            Self::Settings => "settings",
        }
    }
}

/// Knows what belongs to the pool.
#[derive(Debug, Clone)]
pub struct Intake {
    pool: PoolName,
    workloads: BTreeSet<WorkloadKey>,
    nodes: BTreeSet<NodeName>,
    /// Nodes of other pools.
    strangers: BTreeSet<NodeName>,
    /// Nodes whose manifest named something at takeover.
    ordered: BTreeSet<NodeName>,
    /// While a watch begins anew: what it has not told again.
    untold_workloads: Option<BTreeSet<WorkloadKey>>,
    untold_nodes: Option<BTreeSet<NodeName>>,
}

impl Intake {
    /// One that has heard nothing.
    #[must_use]
    pub fn new(pool: PoolName) -> Self {
        Self {
            pool,
            workloads: BTreeSet::new(),
            nodes: BTreeSet::new(),
            strangers: BTreeSet::new(),
            ordered: BTreeSet::new(),
            untold_workloads: None,
            untold_nodes: None,
        }
    }

    /// Whether a node belongs to another pool.
    #[must_use]
    pub fn is_stranger(&self, node: &NodeName) -> bool {
        self.strangers.contains(node)
    }

    /// Whether a node of this pool has a record.
    #[must_use]
    pub fn knows(&self, node: &NodeName) -> bool {
        self.nodes.contains(node)
    }

    /// The pool's workloads, and those that left something in it.
    pub fn workloads(&self) -> impl Iterator<Item = &WorkloadKey> {
        self.workloads.iter()
    }

    /// A head was written.
    pub fn on_head(&mut self, head: Head) -> Option<Event> {
        let key = head.key();
        if let Some(untold) = &mut self.untold_workloads {
            untold.remove(&key);
        }
        // One that went to another pool has to end here.
        if head.spec.pool != self.pool && !self.workloads.contains(&key) {
            return None;
        }
        self.workloads.insert(key);
        Some(Event::Workload(Box::new(head)))
    }

    /// A node was written.
    pub fn on_node(&mut self, node: Node) -> Option<Event> {
        if let Some(untold) = &mut self.untold_nodes {
            untold.remove(&node.name);
        }
        if node.pool != self.pool && !self.nodes.contains(&node.name) {
            self.strangers.insert(node.name);
            return None;
        }
        self.strangers.remove(&node.name);
        self.nodes.insert(node.name.clone());
        Some(Event::Node(Box::new(node)))
    }

    /// An order came, to the pool that its key names.
    #[must_use]
    pub fn on_command(&self, command: Command) -> Option<Event> {
        (command.pool == self.pool).then(|| Event::Command(Box::new(command)))
    }

    /// A manifest of this pool as it stands, at takeover.
    pub fn on_manifest(&mut self, node: NodeName, manifest: Manifest) -> Event {
        self.workloads.extend(manifest.groups.iter().map(|group| group.key.clone()));
        if !manifest.groups.is_empty() {
            self.ordered.insert(node.clone());
        }
        Event::Manifest(node, Box::new(manifest))
    }

    /// What a new leader is told last, once it has heard everything there is: nodes that something
    /// is ordered of and that have no record any more were removed while nobody led.
    pub fn removed_meanwhile(&mut self) -> Vec<Event> {
        let known = |node: &NodeName| self.nodes.contains(node) || self.strangers.contains(node);
        let ordered = std::mem::take(&mut self.ordered);
        ordered.into_iter().filter(|node| !known(node)).map(Event::NodeGone).collect()
    }

    /// What is remembered here of a workload, at takeover.
    pub fn on_progress(&mut self, workload: WorkloadKey, progress: Progress) -> Event {
        self.workloads.insert(workload.clone());
        Event::Progress(workload, Box::new(progress))
    }

    /// A node reported.
    #[must_use]
    pub fn on_report(&self, node: NodeName, report: Report) -> Option<Event> {
        (!self.is_stranger(&node)).then(|| Event::Report(node, Box::new(report)))
    }

    /// A head was purged.
    pub fn on_head_gone(&mut self, key: WorkloadKey) -> Option<Event> {
        self.workloads.remove(&key).then_some(Event::WorkloadGone(key))
    }

    /// A node was removed.
    pub fn on_node_gone(&mut self, node: NodeName) -> Option<Event> {
        self.strangers.remove(&node);
        self.nodes.remove(&node).then_some(Event::NodeGone(node))
    }

    /// A watch begins anew: what it does not tell again is gone.
    pub fn begin_anew(&mut self, source: Source) {
        match source {
            Source::Workloads => self.untold_workloads = Some(self.workloads.clone()),
            Source::Nodes => self.untold_nodes = Some(self.nodes.clone()),
            Source::Commands | Source::Placements | Source::Reports | Source::Settings => {}
        }
    }

    /// A watch has told everything.
    pub fn caught_up(&mut self, source: Source) -> Vec<Event> {
        match source {
            Source::Workloads => {
                let untold = self.untold_workloads.take().unwrap_or_default();
                untold.into_iter().filter_map(|key| self.on_head_gone(key)).collect()
            }
            Source::Nodes => {
                let untold = self.untold_nodes.take().unwrap_or_default();
                untold.into_iter().filter_map(|node| self.on_node_gone(node)).collect()
            }
            Source::Commands | Source::Placements | Source::Reports | Source::Settings => {
                Vec::new()
            }
        }
    }
}
