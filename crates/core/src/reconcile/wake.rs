//! What wakes a workload: time, and whatever could help one that is blocked.

use std::collections::BTreeSet;

use crate::placement::{Reason, Request};
use crate::time::Timestamp;
use crate::workload::{Mode, Scope};

use super::Engine;
use super::picture::{Work, at};

/// Whether something left a node: that can make room on others, by rules that look further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    Something,
    Nothing,
}

impl Engine {
    /// The next moment at which [`Self::plan`] could do something by time alone.
    #[must_use]
    pub fn wake_at(&self) -> Option<Timestamp> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let brake = self.brake_until;
        timer.into_iter().chain(brake).chain(self.feasible_at).min()
    }

    /// Workloads whose time has come have to be looked at.
    pub(super) fn due(&mut self, now: Timestamp) {
        while let Some((when, work)) = self.timers.first().copied() {
            if when > now {
                break;
            }
            self.timers.pop_first();
            let state = &mut self.works[at(work)];
            state.wake = None;
            let expired = |until: Timestamp| until <= now;
            state.woken |= state.progress.excluded.iter().any(|one| expired(one.until));
            self.dirty.insert(work);
        }
    }

    /// Blocked workloads that fit on a node which has more to give now are looked at again.
    pub(super) fn wake_blocked(&mut self, now: Timestamp) {
        let freed = std::mem::take(&mut self.freed);
        let mut nodes = std::mem::take(&mut self.relieved);
        if freed.is_empty() && nodes.is_empty() {
            return;
        }
        let left = if freed.is_empty() { Left::Nothing } else { Left::Something };
        nodes.extend(freed);
        let helps = |work: &u32| self.helped(*work, left, &nodes, now);
        let helped: Vec<u32> = self.blocked.iter().copied().filter(helps).collect();
        for work in helped {
            self.works[at(work)].woken = true;
            self.dirty.insert(work);
        }
    }

    fn helped(&self, work: u32, left: Left, nodes: &BTreeSet<u32>, now: Timestamp) -> bool {
        let state = &self.works[at(work)];
        let (Some(head), Some(request)) = (&state.head, &state.request) else { return false };
        let rules = &head.spec.placement;
        let apart = rules.anti_affinity.iter();
        let far = !rules.max_per.is_empty()
            || apart.clone().any(|rule| rule.mode == Mode::Hard && rule.scope != Scope::Node);
        let news = |node: &u32| {
            self.open_to(head, request, *node, now)
                || self.reads_otherwise(state, request, *node, now)
        };
        (far && left == Left::Something) || nodes.iter().any(news)
    }

    /// The node was offline or cordoned when the workload was told why it has no place, and is not
    /// any more: if there is another reason now, people should read that one.
    fn reads_otherwise(&self, state: &Work, request: &Request, node: u32, now: Timestamp) -> bool {
        let told = state.progress.unplaced.first().or(state.stuck.as_ref());
        let named = told.and_then(|told| told.nodes.get(&self.nodes[at(node)].name));
        let closed = self.closed_to(request, node, now);
        let passing = [Reason::Liveness, Reason::Admin];
        named.is_some_and(|named| {
            passing.iter().any(|reason| named.contains(reason) && !closed.has(*reason))
        })
    }

    /// Blocked workloads that want to be near this one are looked at again.
    pub(super) fn wake_near(&mut self, work: u32) {
        let key = self.works[at(work)].key.clone();
        let near = |other: &u32| {
            let state = &self.works[at(*other)];
            let rules = state.head.iter().flat_map(|head| head.spec.placement.affinity.iter());
            state.key.namespace == key.namespace
                && rules
                    .filter(|rule| rule.mode == Mode::Hard)
                    .any(|rule| rule.workload == key.name)
        };
        let woken: Vec<u32> = self.blocked.iter().copied().filter(near).collect();
        for other in woken {
            self.works[at(other)].woken = true;
            self.dirty.insert(other);
        }
    }
}
