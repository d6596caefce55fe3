//! Start order: slots wait until the workloads that must be ready first are.

use crate::id::WorkloadKey;
use crate::instance::Desired;
use crate::workload::Kind;

use super::Engine;
use super::picture::at;
use super::plan::Pass;
use super::slot::Hold;

impl Engine {
    /// Empty slots wait while a workload that must be ready first is not. What runs goes on.
    pub(super) fn wait_for_others(&mut self, pass: &mut Pass) {
        let waits_for = self.waits_for(pass.work);
        let wanting = pass.units.iter().any(|unit| unit.hold == Hold::Missing || !unit.current);
        let progress = &mut self.works[at(pass.work)].progress;
        if waits_for.is_empty() || !wanting {
            progress.waits_for.clear();
            self.waiting.remove(&pass.work);
            return;
        }
        pass.waits = true;
        progress.waits_for = waits_for;
        // The time for which others were waited for is not taken from the update.
        progress.step_since = None;
        self.waiting.insert(pass.work);
        for unit in pass.units.iter_mut().filter(|unit| unit.hold == Hold::Missing) {
            unit.hold = Hold::Waiting;
        }
    }

    /// Workloads for which others need not be waited for any more, or fewer, are looked at.
    pub(super) fn wake_waiting(&mut self) {
        let changed =
            |work: &u32| self.waits_for(*work) != self.works[at(*work)].progress.waits_for;
        let woken: Vec<u32> = self.waiting.iter().copied().filter(changed).collect();
        self.dirty.extend(woken);
    }

    /// What must be ready before this workload's slots are filled and is not, each with its state.
    fn waits_for(&self, work: u32) -> Vec<String> {
        let Some(head) = &self.works[at(work)].head else { return Vec::new() };
        if head.deleted || head.stopped {
            return Vec::new();
        }
        let state = |name: &crate::id::WorkloadName| {
            let key = WorkloadKey::new(head.spec.namespace.clone(), name.clone());
            self.unready(&key).map(|why| format!("`{name}`, which {why}"))
        };
        head.spec.after.iter().filter_map(state).collect()
    }

    /// Why a workload does not count as ready, if it does not.
    fn unready(&self, key: &WorkloadKey) -> Option<&'static str> {
        let Some(work) = self.work_keys.get(key) else { return Some("is not there") };
        let state = &self.works[at(*work)];
        let Some(head) = &state.head else { return Some("is not there") };
        if head.deleted || head.spec.pool != self.pool {
            return Some("is not there");
        }
        if head.stopped {
            return Some("is stopped");
        }
        let done = match head.spec.kind {
            Kind::Job => {
                let of_now = state.progress.completed_version >= head.compatible_since;
                let bits = state.progress.completed.iter().map(|byte| byte.count_ones());
                return (!of_now || bits.sum::<u32>() < head.spec.count)
                    .then_some("is not completed");
            }
            Kind::Cron => {
                let last = state.progress.runs.as_ref().and_then(|runs| runs.last.as_ref());
                return last
                    .is_none_or(|(_, how)| how != "completed")
                    .then_some("has completed no run");
            }
            Kind::System => state.ready > 0 && self.all_ready(*work),
            Kind::Service => {
                state.ready >= head.spec.count && self.ready_slots(*work, head.spec.count)
            }
        };
        (!done).then_some("is not ready")
    }

    /// Everything of it that is ordered to run is ready, and nothing lacks a place.
    fn all_ready(&self, work: u32) -> bool {
        let state = &self.works[at(work)];
        let mut there = state.slots.iter().map(|(_, index)| &self.instances[at(*index)]);
        state.progress.unplaced.is_empty()
            && there.all(|instance| instance.desired != Desired::Run || instance.ready)
    }

    /// Each of its slots holds one that is ready.
    fn ready_slots(&self, work: u32, count: u32) -> bool {
        let ready = |(slot, index): &(u32, u32)| {
            let instance = &self.instances[at(*index)];
            let up = self.nodes[at(instance.node)].reachable();
            (*slot < count && up && instance.ready && instance.desired == Desired::Run)
                .then_some(*slot)
        };
        let mut slots: Vec<u32> = self.works[at(work)].slots.iter().filter_map(ready).collect();
        slots.dedup();
        super::picture::index(slots.len()) == count
    }
}
