//! Instances that ended: what is remembered of it, and their entry is dropped in the same plan.

use crate::head::Head;
use crate::id::{Slot, Version};
use crate::instance::{Desired, Observed};
use crate::placement::Reason;
use crate::time::{Span, Timestamp};
use crate::workload::Kind;

use super::picture::at;
use super::plan::Turn;
use super::why::Why;
use super::{Engine, Exclusion, Progress};

/// No exclusion is longer.
const LONGEST_EXCLUSION: Span = Span::from_secs(3600);
/// No back-off across nodes is longer, unless the workload says so.
const LONGEST_BACKOFF: Span = Span::from_secs(300);

impl Engine {
    /// Settles every end that was seen of a workload's instances, by id.
    pub(super) fn settle(&mut self, work: u32, turn: &mut Turn) {
        let mut ended = std::mem::take(&mut self.works[at(work)].ended);
        if ended.is_empty() {
            return;
        }
        ended.sort_by_key(|(index, _)| self.instances[at(*index)].id);
        for (index, said) in ended {
            if self.instances[at(index)].work == work && self.instances[at(index)].ended {
                self.settle_one(index, &said, turn);
            }
        }
        turn.plan.progress.insert(self.works[at(work)].key.clone());
    }

    fn settle_one(&mut self, index: u32, said: &str, turn: &mut Turn) {
        let instance = &self.instances[at(index)];
        let (work, slot, desired) = (instance.work, instance.slot, instance.desired);
        let observed = instance.observed.unwrap_or(Observed::Stopped);
        let origin = self.nodes[at(instance.node)].name.clone();
        let why = match (desired, observed) {
            (Desired::Run, Observed::Declined) => Why::Declined,
            (Desired::Run, Observed::Completed) => Why::Completed,
            (Desired::Run, _) => Why::Failed,
            (Desired::Stop | Desired::Keep | Desired::Hibernate, _) => instance.why,
        };
        if let Some(head) = self.works[at(work)].head.clone() {
            if observed == Observed::Completed && head.spec.kind != Kind::System {
                self.complete(&head, index);
            } else if desired == Desired::Run {
                self.learn(&head, index, said, turn);
            }
        }
        self.remove(index, turn);
        let had_to_go =
            matches!(why, Why::Drain | Why::Moved | Why::Failed | Why::Declined | Why::Preempted);
        if had_to_go && !self.is_run(work, slot) {
            self.works[at(work)].origins.insert(slot, (origin, why));
        } else if why != Why::NodeLost {
            self.works[at(work)].origins.remove(&slot);
        }
    }

    /// Whether an instance in this slot is ordered to run.
    fn is_run(&self, work: u32, slot: u32) -> bool {
        let mut there = self.works[at(work)].slots.range((slot, 0)..=(slot, u32::MAX));
        there.any(|(_, index)| self.instances[at(*index)].desired == Desired::Run)
    }

    /// A slot of a job is done, or that of a service wants no more: it is not run again for this
    /// text, unless somebody orders a restart.
    fn complete(&mut self, head: &Head, index: u32) {
        let counts = match head.spec.kind {
            Kind::Cron => self.of_this_run(index),
            Kind::Job | Kind::Service | Kind::System => self.current(head, index),
        };
        if !counts {
            return;
        }
        let (work, slot) = (self.instances[at(index)].work, self.instances[at(index)].slot);
        let progress = &mut self.works[at(work)].progress;
        if progress.completed_version < head.compatible_since && head.spec.kind != Kind::Cron {
            progress.completed.clear();
        }
        progress.completed_version = head.version;
        progress.completed_restart = head.restart_generation;
        let byte = at(slot / 8);
        if progress.completed.len() <= byte {
            progress.completed.resize(byte + 1, 0);
        }
        progress.completed[byte] |= 1 << (slot % 8);
    }

    /// One ended that should run: the node is passed over for a while, and the slot waits.
    fn learn(&mut self, head: &Head, index: u32, said: &str, turn: &mut Turn) {
        let instance = &self.instances[at(index)];
        let (work, node, slot) = (instance.work, instance.node, instance.slot);
        let reason = match instance.observed {
            Some(Observed::Declined) => Some(Reason::Declined),
            Some(Observed::Failed) => Some(Reason::Failed),
            Some(
                Observed::Accepted
                | Observed::Preparing
                | Observed::Starting
                | Observed::Running
                | Observed::Stopping
                | Observed::Stopped
                | Observed::Completed
                | Observed::Hibernating
                | Observed::Hibernated
                | Observed::Lost,
            )
            | None => None,
        };
        let current = self.current(head, index);
        let version = if current { head.version } else { self.version(index) };
        // What an older text did there says nothing about this one.
        if let Some(reason) = reason.filter(|_| version >= head.compatible_since) {
            self.exclude(work, node, (version, reason), turn.now);
        }
        if head.spec.kind != Kind::System {
            let progress = &mut self.works[at(work)].progress;
            wait(progress, head, Slot(slot), turn.now);
        }
        let rolling = self.works[at(work)].progress.step_since.is_some();
        if rolling && current && reason == Some(Reason::Failed) {
            let name = &self.nodes[at(node)].name;
            let text = format!("slot {slot} failed on `{name}`: {said}");
            self.fail_update(work, head, text, turn);
        }
    }

    fn exclude(&mut self, work: u32, node: u32, what: (Version, Reason), now: Timestamp) {
        let (version, reason) = what;
        let node = self.nodes[at(node)].name.clone();
        let first = self.settings.exclude_for;
        let excluded = &mut self.works[at(work)].progress.excluded;
        let found = excluded.binary_search_by(|one| one.node.cmp(&node));
        match found {
            Ok(place) => {
                let one = &mut excluded[place];
                one.times = if one.version == version { one.times + 1 } else { 1 };
                (one.version, one.reason) = (version, reason);
                one.until = now.plus(first.doubled(one.times - 1, LONGEST_EXCLUSION));
            }
            Err(place) => {
                let until = now.plus(first);
                let one = Exclusion { node, version, reason, until, times: 1 };
                excluded.insert(place, one);
            }
        }
    }
}

/// Of so many slots the back-off is remembered one by one; all others of the workload wait together.
const ONE_BY_ONE: usize = 4096;
/// The slot that stands for all others.
pub(super) const OTHERS: Slot = Slot(u32::MAX);

/// The slot waits before its next try, longer after each failure in a row.
fn wait(progress: &mut Progress, head: &Head, slot: Slot, now: Timestamp) {
    let backoff = &head.spec.reschedule.backoff;
    let known = progress.waiting.binary_search_by_key(&slot, |(slot, _, _)| *slot).is_ok();
    let crowded = progress.waiting.len() >= ONE_BY_ONE && !known;
    let slot = if crowded { OTHERS } else { slot };
    match progress.waiting.binary_search_by_key(&slot, |(slot, _, _)| *slot) {
        Ok(place) => {
            let (_, until, failures) = &mut progress.waiting[place];
            if slot == OTHERS && *until > now {
                // The others fail together: that is one failure.
                return;
            }
            *until = now.plus(backoff.after(*failures, LONGEST_BACKOFF));
            *failures += 1;
        }
        Err(place) => {
            let until = now.plus(backoff.after(0, LONGEST_BACKOFF));
            progress.waiting.insert(place, (slot, until, 1));
        }
    }
}
