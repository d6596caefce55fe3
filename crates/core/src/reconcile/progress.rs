//! What the leader remembers of a workload beside its placements.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::head::Head;
use crate::id::{NodeName, Slot, Version};
use crate::placement::Reason;
use crate::time::Timestamp;
use crate::workload::{Kind, Workload};

use super::{Feasibility, Runs};

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
    /// What is waited for before its slots are filled, each with its state.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<String>,
    /// For kind `cron`: what was seen to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs: Option<Box<Runs>>,
    /// What was found of its condition on the fleet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feasibility: Option<Feasibility>,
}

impl Progress {
    /// Canaries of this version run, or will, beside the old one until somebody promotes them.
    #[must_use]
    pub fn awaits_promotion(&self, head: &Head) -> bool {
        head.spec.update.canary > 0
            && head.spec.kind == Kind::Service
            && self.promoted < head.compatible_since
    }

    /// It is not to have any instances now: its fleet cannot carry it, or no run is under way.
    #[must_use]
    pub fn dormant(&self, spec: &Workload) -> bool {
        let infeasible = self.feasibility.as_ref().is_some_and(|found| !found.holds);
        let idle = self.runs.as_ref().is_none_or(|runs| runs.running.is_none());
        let conditional = !spec.placement.feasible_when.is_empty();
        conditional && infeasible || spec.kind == Kind::Cron && idle
    }

    /// Why it does not run though nothing failed: its fleet, those that come first, its schedule.
    #[must_use]
    pub fn rests_since(&self, spec: &Workload) -> String {
        match &self.feasibility {
            Some(found) if !found.holds && !spec.placement.feasible_when.is_empty() => {
                return format!("the fleet cannot carry it: `{}` does not hold", found.of);
            }
            Some(_) | None => {}
        }
        if !self.waits_for.is_empty() {
            return format!("it waits for {}", self.waits_for.join(", "));
        }
        let cron = spec.cron.as_ref().filter(|_| spec.kind == Kind::Cron);
        cron.map_or_else(String::new, |cron| super::cron::standing(cron, self.runs.as_deref()))
    }
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
