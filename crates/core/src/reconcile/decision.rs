//! What a plan decides, and what it leaves to be committed.

use std::collections::BTreeSet;

use crate::explain::Choice;
use crate::id::{InstanceId, NodeName, Slot, Version, WorkloadKey};
use crate::time::Timestamp;

use super::Unplaced;

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
        /// Why there: of the first thousand decisions of a plan, and of the first of each pass
        /// over the nodes. Absent where there was no choice, as for kind `system`.
        why: Option<Box<Choice>>,
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
    /// An instance was told to end because more important work needs its place; beside its `Stop`.
    Preempt {
        /// Who has to go.
        id: InstanceId,
        /// Of which workload.
        workload: WorkloadKey,
        /// Its index.
        slot: Slot,
        /// Where.
        node: NodeName,
        /// For which workload.
        by: WorkloadKey,
        /// For which of its slots; for kind `system` the number means nothing.
        by_slot: Slot,
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
    /// Nothing of ours is left on a node that was to be emptied.
    Drained {
        /// Which node.
        node: NodeName,
    },
    /// Something else that people should know of a workload.
    Noted {
        /// Of which workload.
        workload: WorkloadKey,
        /// What.
        note: Note,
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

/// What people should know of a workload, beside what becomes of its instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// The fleet cannot carry it: it is withdrawn, or not begun.
    Infeasible {
        /// What does not hold.
        condition: String,
    },
    /// The fleet can carry it (again).
    Feasible,
    /// A run of a schedule began.
    RunBegan {
        /// For when it was due.
        due: Timestamp,
    },
    /// A run of a schedule did not take place.
    RunSkipped {
        /// For when the last of them was due.
        due: Timestamp,
        /// Why.
        why: &'static str,
    },
    /// A run of a schedule is over.
    RunEnded {
        /// For when it was due.
        due: Timestamp,
        /// How: `completed`, `time_limit` or `failed`.
        how: &'static str,
    },
    /// An update ends the old instance before the new one starts, since both have no room at once.
    StopsFirst {
        /// In which slot.
        slot: Slot,
    },
}

/// A workload whose update failed and that is to be set back by the registry. Asked again by every
/// new leader until the version in force is another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revert {
    /// Which workload.
    pub workload: WorkloadKey,
    /// The version in force, whose update failed.
    pub failed: Version,
    /// The last good version.
    pub good: Version,
}

/// Something that is written again though nothing changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Again {
    /// The manifest of a node.
    Manifest(NodeName),
    /// What is remembered of a workload.
    Progress(WorkloadKey),
    /// What became of commands.
    Outcomes,
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
    /// Whether `_brake` changed.
    pub brake: bool,
    /// What was decided, in order.
    pub decisions: Vec<Decision>,
    /// Workloads that are to be set back to an older version, by the registry.
    pub reverts: Vec<Revert>,
    /// Deleted workloads of which nothing is left: the registry may purge their heads.
    pub ended: Vec<WorkloadKey>,
    /// Whether there was more to do than one plan takes: plan again at once after the commit.
    pub more: bool,
}
