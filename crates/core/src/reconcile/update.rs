//! New versions and ordered restarts: a few at a time, each next when the last ones are ready.

use std::sync::Arc;

use crate::head::Head;
use crate::instance::Desired;
use crate::workload::{Kind, OnNodeLoss};

use super::picture::{at, index};
use super::plan::{Pass, Turn, Want};
use super::slot::{Hold, Unit};
use super::why::Why;
use super::{Decision, Engine, Revert};

impl Engine {
    /// How many extra instances of the new version there are beside the old ones.
    pub(super) fn canaries(&self, pass: &Pass) -> u32 {
        let head = &pass.head;
        let canary = head.spec.update.canary;
        if canary == 0 || head.spec.kind != Kind::Service {
            return 0;
        }
        let state = &self.works[at(pass.work)];
        // Only beside what they are to replace: an old canary is no reason for canaries.
        let old = |(slot, instance): &(u32, u32)| {
            let running = self.instances[at(*instance)].desired == Desired::Run;
            *slot < head.spec.count && running && !self.current(head, *instance)
        };
        let promoted = state.progress.promoted >= head.compatible_since;
        let going_last = promoted && state.progress.step_since.is_some();
        if going_last || state.slots.iter().any(old) { canary } else { 0 }
    }

    /// What came back, or ended, in this very turn may ask for canaries or leave them none to stand
    /// beside.
    pub(super) fn look_for_canaries(&mut self, pass: &Pass) {
        let spec = &pass.head.spec;
        let counted = spec.kind == Kind::Service && !pass.units.is_empty();
        if counted && index(pass.units.len()) != spec.count.saturating_add(self.canaries(pass)) {
            self.dirty.insert(pass.work);
        }
    }

    /// Canaries run beside the old version until somebody promotes them.
    fn awaits_promotion(&self, pass: &Pass) -> bool {
        self.works[at(pass.work)].progress.awaits_promotion(&pass.head)
    }

    /// Makes the next steps of an update and of an ordered restart.
    pub(super) fn roll(&mut self, pass: &mut Pass, turn: &mut Turn) {
        let head = pass.head.clone();
        let progress = &mut self.works[at(pass.work)].progress;
        let old = pass.units.iter().any(|unit| !unit.current && !unit.silent);
        let failed = progress.failed.is_some();
        if old && !failed && progress.step_since.is_none() {
            progress.step_since = Some(turn.now);
            self.works[at(pass.work)].settled = u32::MAX;
        }
        if old && !failed {
            if self.awaits_promotion(pass) {
                self.renew_canaries(pass, turn);
            } else {
                self.replace_old(pass, turn);
            }
        }
        if head.restart_generation.0 > 0 {
            self.restart_old(pass, turn);
        }
    }

    /// Canaries of a version that nobody promoted make room for those of the next.
    fn renew_canaries(&mut self, pass: &mut Pass, turn: &mut Turn) {
        let count = pass.head.spec.count;
        for unit in pass.units.iter_mut().filter(|unit| unit.slot >= count && !unit.current) {
            if let Some(holder) = unit.sole() {
                self.order_stop(holder, Why::Updated, turn);
                unit.hold = Hold::Held;
                pass.steps += 1;
            }
        }
    }

    fn replace_old(&mut self, pass: &mut Pass, turn: &mut Turn) {
        let in_flight = pass.units.iter().filter(|unit| unit.busy()).count();
        let candidates: Vec<usize> = by_need(&pass.units, |unit| {
            !unit.current && !unit.silent && unit.leaving.is_none() && unit.sole().is_some()
        });
        let all_at_once = pass.head.spec.update.max_parallel == 0;
        let parallel = at(pass.head.spec.update.max_parallel);
        let allowed = if all_at_once { usize::MAX } else { parallel.saturating_sub(in_flight) };
        let stop_first = all_at_once || stops_first(&pass.head);
        let mut alongside = usize::from(in_flight == 0);
        for place in candidates.into_iter().take(allowed) {
            let unit = pass.units[place];
            let Some(holder) = unit.sole() else { continue };
            if stop_first || !unit.ready {
                self.order_stop(holder, Why::Updated, turn);
                pass.units[place].hold = Hold::Held;
                pass.steps += 1;
            } else if alongside > 0 {
                alongside -= 1;
                pass.wants.push(Want {
                    slot: unit.slot,
                    replaces: Some(holder),
                    why: Why::Updated,
                    to: None,
                    not: None,
                });
            }
        }
    }

    fn restart_old(&mut self, pass: &mut Pass, turn: &mut Turn) {
        let generation = pass.head.restart_generation;
        let due = |engine: &Self, unit: &Unit| {
            let holder = unit.sole().filter(|_| unit.current && !unit.silent);
            holder.is_some_and(|holder| engine.instances[at(holder)].restarted < generation)
        };
        let busy = pass.units.iter().filter(|unit| unit.busy() && !due(self, unit)).count();
        let parallel = at(pass.head.spec.update.max_parallel);
        let allowed = if parallel == 0 { usize::MAX } else { parallel.saturating_sub(busy) };
        let candidates = by_need(&pass.units, |unit| due(self, unit));
        for place in candidates.into_iter().take(allowed) {
            if let Some(holder) = pass.units[place].sole() {
                self.order_restart(holder, generation, turn);
                (pass.units[place].ready, pass.units[place].available) = (false, false);
            }
        }
    }

    /// Whether the update is through, has made a step, or has failed.
    pub(super) fn judge_update(&mut self, pass: &mut Pass, turn: &mut Turn) {
        let settled = index(pass.units.iter().filter(|unit| unit.settled()).count());
        let left = pass.units.iter().any(|unit| !unit.settled() && !unit.only_silent());
        if !left && !waits_for_old(pass) {
            self.update_done(pass, turn);
            return;
        }
        if self.awaits_promotion(pass) && canaries_stand(pass) {
            // Nothing is waited for but a person, who has all the time.
            return;
        }
        let head = pass.head.clone();
        let state = &mut self.works[at(pass.work)];
        let Some(since) = state.progress.step_since else { return };
        // Only what was never reached before is a step: one that comes and goes makes none.
        let further = state.settled != u32::MAX && settled > state.settled;
        state.settled =
            if state.settled == u32::MAX { settled } else { state.settled.max(settled) };
        if further || pass.steps > 0 {
            state.progress.step_since = Some(turn.now);
            pass.later(turn.now.plus(head.spec.update.deadline));
            return;
        }
        let deadline = since.plus(head.spec.update.deadline);
        let in_flight = pass.units.iter().any(Unit::in_flight) || state.stuck.is_some();
        if deadline > turn.now {
            pass.later(deadline);
        } else if in_flight {
            let text = format!("no replacement became ready within {}", head.spec.update.deadline);
            self.fail_update(pass.work, &head, text, turn);
        }
    }

    fn update_done(&mut self, pass: &Pass, turn: &mut Turn) {
        let state = &mut self.works[at(pass.work)];
        let version = pass.head.version;
        let rolled = state.progress.step_since.take().is_some();
        state.progress.failed = None;
        state.progress.good_version = version;
        if rolled {
            let workload = state.key.clone();
            turn.plan.decisions.push(Decision::Updated { workload, version });
            self.dirty.insert(pass.work);
        }
    }

    /// The update stops; where it may, it goes back to the last good version, once.
    pub(super) fn fail_update(&mut self, work: u32, head: &Head, reason: String, turn: &mut Turn) {
        let state = &mut self.works[at(work)];
        let version = head.version;
        if state.progress.failed.is_some() {
            return;
        }
        state.progress.failed = Some((version, reason.clone()));
        state.progress.step_since = None;
        let workload = state.key.clone();
        turn.plan.progress.insert(workload.clone());
        turn.plan.decisions.push(Decision::UpdateFailed { workload, version, reason });
        // Canaries that were to go last may have nothing left to stand beside.
        self.dirty.insert(work);
    }
}

impl Engine {
    /// Asks, once in a reign, that a workload whose update failed goes back to its last good
    /// version. What was asked and not done when a leader died is asked by the next one.
    pub(super) fn ask_back(&mut self, pass: &Pass, turn: &mut Turn) {
        let state = &mut self.works[at(pass.work)];
        let (failed, good) = (pass.head.version, state.progress.good_version);
        let stopped = state.progress.failed.as_ref().is_some_and(|(version, _)| *version == failed);
        let may = pass.head.spec.update.auto_revert && good.0 > 0 && good != failed;
        if stopped && may && state.asked_back != failed {
            state.asked_back = failed;
            turn.plan.reverts.push(Revert { workload: state.key.clone(), failed, good });
        }
    }
}

/// Whether the old one ends before the new one starts.
pub(super) fn stops_first(head: &Arc<Head>) -> bool {
    let update = &head.spec.update;
    head.spec.count > update.max_parallel
        || head.spec.kind != Kind::Service
        || head.spec.reschedule.on_node_loss == OnNodeLoss::Fence
}

/// Every canary is there and was ready for long enough.
fn canaries_stand(pass: &Pass) -> bool {
    let mut canaries = pass.units.iter().filter(|unit| unit.slot >= pass.head.spec.count);
    canaries.all(Unit::settled)
}

fn waits_for_old(pass: &Pass) -> bool {
    pass.units.iter().any(|unit| !unit.current)
}

/// The units that are meant: first those that are not ready, then by slot.
fn by_need(units: &[Unit], meant: impl Fn(&Unit) -> bool) -> Vec<usize> {
    let mut places: Vec<usize> = (0..units.len()).filter(|place| meant(&units[*place])).collect();
    places.sort_by_key(|place| units[*place].ready);
    places
}
