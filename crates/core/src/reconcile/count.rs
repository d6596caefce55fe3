//! How many: which slots there should be, what is in each, and what is one too many.

use crate::instance::Desired;
use crate::time::{Span, Timestamp};
use crate::workload::Kind;

use super::Engine;
use super::ending::OTHERS;
use super::picture::{at, index};
use super::plan::{Pass, Turn};
use super::slot::{Hold, Unit};
use super::why::Why;

/// For how long a passed exclusion is remembered, so that the next one is longer.
const REMEMBER: Span = Span::from_secs(3600);
/// For how long it is remembered that a slot was moved to even out the nodes' use.
const REST: Span = Span::from_secs(300);

impl Engine {
    /// Forgets what belongs to older texts or is long past.
    pub(super) fn prune(&mut self, pass: &mut Pass, now: Timestamp) {
        let head = pass.head.clone();
        let work = &mut self.works[at(pass.work)];
        let progress = &mut work.progress;
        let passed_over = progress.excluded.len();
        progress
            .excluded
            .retain(|one| one.version >= head.compatible_since && one.until.plus(REMEMBER) > now);
        work.woken |= progress.excluded.len() < passed_over;
        progress.rebalanced.retain(|(_, at)| at.plus(REST) > now);
        let called_back = head.spec.kind == Kind::Service
            && (head.stopped || progress.completed_restart != head.restart_generation);
        let new_text = progress.completed_version < head.compatible_since;
        if called_back || new_text && head.spec.kind != Kind::Cron {
            progress.completed.clear();
        }
        if head.spec.placement.feasible_when.is_empty() {
            progress.feasibility = None;
        }
        if progress.failed.as_ref().is_some_and(|(version, _)| *version != head.version) {
            progress.failed = None;
            progress.step_since = None;
        }
        let good = progress.good_version;
        if good.0 > 0 && good >= head.compatible_since {
            progress.good_version = head.version;
        }
    }

    /// Looks at every slot: stops what is not wanted, and lists how the wanted ones are held.
    pub(super) fn take_stock(&mut self, pass: &mut Pass, turn: &mut Turn) {
        let (wanted, why) = self.wanted(pass);
        if pass.head.spec.kind == Kind::System && why == Why::Scaled {
            self.take_stock_of_nodes(pass, turn);
            return;
        }
        let slots: Vec<(u32, u32)> = self.works[at(pass.work)].slots.iter().copied().collect();
        pass.units.reserve(usize::try_from(wanted).unwrap_or(0));
        for group in slots.chunk_by(|a, b| a.0 == b.0) {
            let mut group: Vec<u32> = group.iter().map(|(_, index)| *index).collect();
            group.sort_by_key(|index| self.instances[at(*index)].id);
            let slot = self.instances[at(group[0])].slot;
            self.fill_up_to(pass, slot.min(wanted), turn.now);
            if slot >= wanted {
                self.end_group(&group, why, turn);
            } else if self.completed(pass, slot) {
                self.end_group(&group, Why::Completed, turn);
                pass.units.push(Unit::new(slot, Hold::Done));
            } else {
                let unit = self.judge(pass, &group, turn);
                pass.units.push(unit);
            }
        }
        self.fill_up_to(pass, wanted, turn.now);
        self.forgive(pass, wanted);
    }

    /// How many slots there are, and why others end.
    fn wanted(&self, pass: &Pass) -> (u32, Why) {
        let head = &pass.head;
        if head.deleted {
            return (0, Why::Deleted);
        }
        if head.stopped {
            return (0, Why::Stopped);
        }
        if head.spec.pool != self.pool {
            return (0, Why::Moved);
        }
        if !super::feasible::carried(&self.works[at(pass.work)]) {
            return (0, Why::Infeasible);
        }
        match head.spec.kind {
            Kind::Cron => self.run_slots(pass),
            Kind::Service | Kind::Job | Kind::System => {
                (head.spec.count.saturating_add(self.canaries(pass)), Why::Scaled)
            }
        }
    }

    /// Slots with nothing in them, up to `slot`.
    fn fill_up_to(&self, pass: &mut Pass, slot: u32, now: Timestamp) {
        for slot in index(pass.units.len())..slot {
            let hold =
                if self.completed(pass, slot) { Hold::Done } else { self.empty(pass, slot, now) };
            pass.units.push(Unit::new(slot, hold));
        }
    }

    /// Slots whose instance is available start again from the first back-off.
    fn forgive(&mut self, pass: &Pass, wanted: u32) {
        let waiting = &mut self.works[at(pass.work)].progress.waiting;
        let failing = pass.units.iter().any(|unit| !unit.available && !unit.done());
        waiting.retain(|(slot, _, _)| {
            if *slot == OTHERS {
                return failing;
            }
            let unit = usize::try_from(slot.0).ok().and_then(|slot| pass.units.get(slot));
            slot.0 < wanted && unit.is_some_and(|unit| !unit.available && !unit.done())
        });
    }

    /// Tells everything in a slot to end.
    pub(super) fn end_group(&mut self, group: &[u32], why: Why, turn: &mut Turn) {
        for index in group.iter().copied() {
            let instance = &self.instances[at(index)];
            let gone = self.nodes[at(instance.node)].gone;
            self.works[at(instance.work)].origins.remove(&instance.slot);
            match instance.desired {
                Desired::Stop if gone => self.remove(index, turn),
                Desired::Run | Desired::Keep | Desired::Hibernate | Desired::Stop => {
                    self.order_stop(index, why, turn);
                }
            }
        }
    }

    pub(super) fn completed(&self, pass: &Pass, slot: u32) -> bool {
        let bits = &self.works[at(pass.work)].progress.completed;
        let byte = usize::try_from(slot / 8).ok().and_then(|byte| bits.get(byte));
        byte.is_some_and(|byte| byte & (1 << (slot % 8)) != 0)
    }
}
