//! What wakes a workload: time, and whatever could help one that is blocked.

use crate::placement::Reason;
use crate::time::Timestamp;
use crate::workload::Mode;

use super::Engine;
use super::picture::at;

impl Engine {
    /// The next moment at which [`Self::plan`] could do something by time alone.
    #[must_use]
    pub fn wake_at(&self) -> Option<Timestamp> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let brake = self.brake_until;
        timer.into_iter().chain(brake).min()
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
        if freed.is_empty() {
            return;
        }
        let nodes: Vec<u32> = freed.into_iter().collect();
        let helped: Vec<u32> =
            self.blocked.iter().copied().filter(|work| self.helped(*work, &nodes, now)).collect();
        for work in helped {
            self.works[at(work)].woken = true;
            self.dirty.insert(work);
        }
    }

    fn helped(&self, work: u32, nodes: &[u32], now: Timestamp) -> bool {
        let state = &self.works[at(work)];
        let stuck = state.progress.unplaced.iter().chain(&state.stuck);
        let far = [Reason::AntiAffinity, Reason::MaxPer];
        let elsewhere = |reasons: &super::Unplaced| {
            far.iter().any(|reason| reasons.reasons.contains_key(reason))
        };
        if stuck.clone().any(elsewhere) {
            return true;
        }
        let (Some(head), Some(request)) = (&state.head, &state.request) else { return false };
        nodes.iter().any(|node| self.open_to(head, request, *node, now))
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
