//! What the leader remembers of a workload beside its placements.

use serde::{Deserialize, Serialize};

use crate::head::Head;
use crate::id::{Generation, NodeName, Slot, Version};
use crate::placement::Reason;
use crate::time::Timestamp;
use crate::workload::{Kind, Workload};

use super::{Feasibility, Runs};

use super::Unplaced;

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
    /// Completed slots of a job, and of a service those that ended by their own choice, as a bitmap: bit `slot % 8` of byte `slot / 8`.
    pub completed: Vec<u8>,
    /// The version whose completed slots these are.
    pub completed_version: Version,
    /// For a service: after which ordered restart that was.
    #[serde(skip_serializing_if = "is_first")]
    pub completed_restart: Generation,
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
    /// Nothing of it is left, nor will be, under the head that this operation wrote: it was stopped
    /// or deleted. Only then may the registry forget it or let it go to another pool.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub at_rest: String,
    /// In a note: how many more slots have no place than `unplaced` names.
    #[serde(skip_serializing_if = "is_zero")]
    pub unplaced_besides: u32,
    /// Places that are kept for slots until those who have to leave them have ended. For kind
    /// `system` only the node counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reserved: Vec<(Slot, NodeName)>,
    /// Slots that were moved to even out the nodes' use, and when: they rest for a while.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rebalanced: Vec<(Slot, Timestamp)>,
}

/// So many nodes that are passed over are noted, those that are so the longest.
const NOTED_EXCLUSIONS: usize = 1_000;
/// So many slots that wait are noted, those that wait the longest.
const NOTED_WAITING: usize = 4_096;
/// So many kept places are noted; a leader that does not know the others finds places anew.
const NOTED_RESERVED: usize = 4_096;
/// So many slots that were moved to even out are noted, those that were moved last.
const NOTED_REBALANCED: usize = 4_096;
/// So many runs of slots without a place are noted; the others are counted.
const NOTED_RUNS: usize = 100;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
const fn is_first(generation: &Generation) -> bool {
    generation.0 == 0
}

fn is_zero(number: &u32) -> bool {
    *number == 0
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

    /// How many slots have no place.
    #[must_use]
    pub fn unplaced_slots(&self) -> u32 {
        let runs = self.unplaced.iter();
        runs.map(Unplaced::count).fold(self.unplaced_besides, u32::saturating_add)
    }

    /// What is kept of it on the bus: bounded, however many instances and nodes there are. A leader
    /// that reads it tries some slots and nodes sooner than the one that wrote it would have.
    #[must_use]
    pub fn noted(&self) -> Self {
        let mut note = self.clone();
        longest(&mut note.excluded, NOTED_EXCLUSIONS, |one| one.until);
        longest(&mut note.waiting, NOTED_WAITING, |(_, until, _)| *until);
        longest(&mut note.rebalanced, NOTED_REBALANCED, |(_, when)| *when);
        note.reserved.truncate(NOTED_RESERVED);
        let all = note.unplaced_slots();
        note.unplaced.truncate(NOTED_RUNS);
        note.unplaced_besides = 0;
        note.unplaced_besides = all.saturating_sub(note.unplaced_slots());
        note
    }
}

/// Keeps those that last the longest, in the order in which they are.
fn longest<T>(all: &mut Vec<T>, most: usize, until: impl Fn(&T) -> Timestamp) {
    if all.len() <= most {
        return;
    }
    let mut ends: Vec<Timestamp> = all.iter().map(&until).collect();
    ends.sort_unstable();
    let last = ends[ends.len() - most];
    let later = ends.iter().filter(|end| **end > last).count();
    let mut equal = most - later;
    all.retain(|one| match until(one).cmp(&last) {
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => {
            let kept = equal > 0;
            equal = equal.saturating_sub(1);
            kept
        }
        std::cmp::Ordering::Less => false,
    });
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
