//! From what is wanted and what is seen to what is ordered: the engine of one pool.
//!
//! The engine is a picture of the pool. It is told events and asked for a plan; planning changes
//! the picture as if the plan were carried out, so that planning again gives nothing. The shell
//! commits the manifests and the progress that a plan touched; if it cannot, it throws the engine
//! away and reads everything anew. Placements, progress and outcomes that were read back from the
//! bus are told as events too.

use std::collections::{BTreeMap, BTreeSet};

use crate::command::{Command, Outcome};
use crate::head::Head;
use crate::id::{InstanceId, NodeName, Slot, Version, WorkloadKey};
use crate::instance::{Manifest, Report};
use crate::node::{Heartbeat, Node};
use crate::placement::Reason;
use crate::time::{Span, Timestamp};

/// What the engine is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A workload was written.
    Workload(Box<Head>),
    /// A workload's head was purged: it had ended before.
    WorkloadGone(WorkloadKey),
    /// A node was written.
    Node(Box<Node>),
    /// A node was removed from the fleet.
    NodeGone(NodeName),
    /// A node beat.
    Heartbeat(Heartbeat),
    /// A node reported.
    Report(NodeName, Box<Report>),
    /// An order came.
    Command(Box<Command>),
    /// A manifest as it stands on the bus, at takeover.
    Manifest(NodeName, Box<Manifest>),
    /// The progress of a workload as it stands on the bus, at takeover.
    Progress(WorkloadKey, Box<Progress>),
    /// The outcomes as they stand on the bus, at takeover.
    Outcomes(Vec<Outcome>),
}

/// What the leader remembers of a workload beside its placements. Small; written with the manifests
/// that it belongs to, in one batch.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Progress {
    /// The version that last had all its instances ready; where `auto_revert` goes back to.
    pub good_version: Version,
    /// The version whose update failed, and why; rolling has stopped.
    pub failed: Option<(Version, String)>,
    /// Since when the running update has made no step, in pool time.
    pub step_since: Option<Timestamp>,
    /// Whether the canaries' version was promoted.
    pub promoted: Version,
    /// Completed slots of a job, as a bitmap: bit `slot % 8` of byte `slot / 8`.
    pub completed: Vec<u8>,
    /// The version whose completed slots these are.
    pub completed_version: Version,
    /// Nodes that failed or declined it lately: until when they are passed over, and how often.
    pub excluded: Vec<Exclusion>,
    /// Slots that wait before the next try: until when, and after how many failures.
    pub waiting: Vec<(Slot, Timestamp, u32)>,
    /// Slots that have no place, with the reasons.
    pub unplaced: Vec<Unplaced>,
}

/// A node that is passed over for a version of a workload.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Exclusion {
    /// Which node.
    pub node: NodeName,
    /// For which version.
    pub version: Version,
    /// `Failed` or `Declined`.
    pub reason: Reason,
    /// Until when.
    pub until: Timestamp,
    /// How often in a row; doubles the time.
    pub times: u32,
}

/// Slots of one workload that have no place for the same reasons.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Unplaced {
    /// First and last slot of the run.
    pub slots: (Slot, Slot),
    /// How many nodes were passed over for each reason. All reasons of a node count.
    pub reasons: BTreeMap<Reason, u32>,
    /// The reasons node by node; at most 100 nodes are kept.
    pub nodes: BTreeMap<NodeName, Vec<Reason>>,
}

/// One thing that the plan does, for history and for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// A slot got a node.
    Place {
        /// Which copy.
        id: InstanceId,
        /// Of which workload.
        workload: WorkloadKey,
        /// Its index.
        slot: Slot,
        /// Which text.
        version: Version,
        /// Where.
        node: NodeName,
        /// 0 to 10,000.
        score: u32,
        /// If it replaces one elsewhere: from where, and why (`drain`, `node_lost`, `failed` …).
        moved: Option<(NodeName, &'static str)>,
    },
    /// An instance was told to end.
    Stop {
        /// Which copy.
        id: InstanceId,
        /// Of which workload.
        workload: WorkloadKey,
        /// Its index.
        slot: Slot,
        /// Where.
        node: NodeName,
        /// `scaled`, `deleted`, `updated`, `drain`, `moved`, `command` …
        reason: &'static str,
    },
    /// An instance was told to restart in place.
    Restart {
        /// Which copy.
        id: InstanceId,
        /// Of which workload.
        workload: WorkloadKey,
        /// Where.
        node: NodeName,
    },
    /// An instance's node is lost; its entry says `keep`.
    Lost {
        /// Which copy.
        id: InstanceId,
        /// Of which workload.
        workload: WorkloadKey,
        /// Its index.
        slot: Slot,
        /// Where it was.
        node: NodeName,
    },
    /// An update stopped because a replacement did not become ready.
    UpdateFailed {
        /// Of which workload.
        workload: WorkloadKey,
        /// To which text.
        version: Version,
        /// Why.
        reason: String,
    },
    /// An update is through.
    Updated {
        /// Of which workload.
        workload: WorkloadKey,
        /// To which text.
        version: Version,
    },
    /// Slots have no place.
    Unplaced {
        /// Of which workload.
        workload: WorkloadKey,
        /// Which, and why.
        unplaced: Unplaced,
    },
    /// Too many nodes were lost at once: nothing is moved for a while.
    MassLoss {
        /// How many went offline within the window.
        lost: u32,
        /// Of how many.
        of: u32,
        /// Until when nothing is moved.
        until: Timestamp,
    },
}

/// What changed in the picture and has to be committed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Nodes whose manifest changed.
    pub manifests: BTreeSet<NodeName>,
    /// Workloads whose progress changed. `Engine::progress` of one that ended is `None`: delete it.
    pub progress: BTreeSet<WorkloadKey>,
    /// Whether `_commands` changed.
    pub outcomes: bool,
    /// What was decided, in order.
    pub decisions: Vec<Decision>,
    /// Workloads that are to be set back to an older version, by the registry.
    pub reverts: Vec<(WorkloadKey, Version, Version)>,
    /// Deleted workloads of which nothing is left: the registry may purge their heads.
    pub ended: Vec<WorkloadKey>,
    /// Whether there was more to do than one plan takes: plan again at once after the commit.
    pub more: bool,
}

/// Settings of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Weights of the `weighted` strategy in percent: cpu, memory, disk, network.
    pub weights: [u32; 4],
    /// At most so many placements in one plan; the rest follows at once.
    pub batch: usize,
    /// No movement for so long after a mass loss.
    pub mass_loss_pause: Span,
    /// How long a node that failed or declined is passed over at first; doubles up to an hour.
    pub exclude_for: Span,
    /// How long a node that left is waited for.
    pub left_for: Span,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            weights: [30, 40, 20, 10],
            batch: 50_000,
            mass_loss_pause: Span::from_secs(60),
            exclude_for: Span::from_secs(300),
            left_for: Span::from_secs(300),
        }
    }
}
