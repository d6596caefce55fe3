//! What the leader remembers of a workload beside its placements.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{NodeName, Slot, Version};
use crate::placement::Reason;
use crate::time::Timestamp;

/// What the leader remembers of a workload beside its placements. Small; written with the manifests
/// that it belongs to, in one batch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Unplaced {
    /// First and last slot of the run.
    pub slots: (Slot, Slot),
    /// How many nodes were passed over for each reason. All reasons of a node count.
    pub reasons: BTreeMap<Reason, u32>,
    /// The reasons node by node; at most 100 nodes are kept.
    pub nodes: BTreeMap<NodeName, Vec<Reason>>,
}
