//! Moves: instances that have to go from where they are, each after its replacement is ready.

use crate::node::Liveness;
use crate::workload::OnNodeLoss;

use super::Engine;
use super::picture::{NONE, at};
use super::plan::{Pass, Turn, Want};
use super::slot::{Hold, Unit};
use super::why::Why;

impl Engine {
    /// Ends what has to leave now, whatever becomes of it: before anything else is taken away.
    pub(super) fn force_away(&mut self, pass: &mut Pass, turn: &mut Turn) {
        for place in 0..pass.units.len() {
            let unit = pass.units[place];
            let (Some(holder), Some(why)) = (unit.sole(), unit.leaving) else { continue };
            if !unit.silent && self.forced(pass, holder, turn) {
                self.order_stop(holder, why, turn);
                pass.units[place].hold = Hold::Held;
            }
        }
    }

    /// Starts as many moves as the workload allows at a time.
    pub(super) fn move_away(&mut self, pass: &mut Pass, turn: &mut Turn) {
        if pass.units.iter().all(|unit| unit.leaving.is_none()) {
            return;
        }
        let mut allowed = moves_now(pass);
        for place in 0..pass.units.len() {
            let unit = pass.units[place];
            if unit.silent || unit.sole().is_none() || unit.leaving.is_none() {
                continue;
            }
            if pass.head.spec.kind.runs_to_completion() {
                self.move_job(pass, place, turn);
            } else if !unit.ready || allowed > 0 {
                allowed -= usize::from(unit.ready);
                self.start_move(pass, place, turn);
            }
        }
    }

    /// A job may finish where it is, unless it was itself ordered to move.
    fn move_job(&mut self, pass: &mut Pass, place: usize, turn: &mut Turn) {
        let unit = pass.units[place];
        if let (Some(holder), Some(Why::Moved)) = (unit.sole(), unit.leaving) {
            self.order_stop(holder, Why::Moved, turn);
            pass.units[place].hold = Hold::Held;
        }
    }

    fn start_move(&mut self, pass: &mut Pass, place: usize, turn: &mut Turn) {
        let unit = pass.units[place];
        let (Some(holder), Some(why)) = (unit.sole(), unit.leaving) else { return };
        if pass.head.spec.reschedule.on_node_loss == OnNodeLoss::Fence {
            if self.could_go_anywhere(pass, turn.now) {
                self.order_stop(holder, why, turn);
                pass.units[place].hold = Hold::Held;
            } else {
                pass.nowhere = Some(unit.slot);
            }
            return;
        }
        let instance = &self.instances[at(holder)];
        let to = instance.moving.filter(|to| *to != NONE);
        let not = instance.moving.map(|_| instance.node);
        pass.wants.push(Want { slot: unit.slot, replaces: Some(holder), why, to, not });
    }

    /// Nothing is waited for: somebody said so, or the deadline has passed.
    pub(super) fn forced(&self, pass: &mut Pass, holder: u32, turn: &Turn) -> bool {
        let node = self.instances[at(holder)].node;
        let state = &self.nodes[at(node)];
        if self.orders.forced.contains(&node) && state.emptying() {
            return true;
        }
        let deadline = state.record.as_ref().and_then(|record| record.drain_deadline);
        match deadline.filter(|_| state.emptying() && state.liveness() == Liveness::Online) {
            Some(deadline) if deadline <= turn.now => true,
            Some(deadline) => {
                pass.later(deadline);
                false
            }
            None => false,
        }
    }
}

/// max(0, ready and not moving − (count − `max_parallel`)), and one if nothing moves yet: a
/// replacement starts before the old one ends, so this takes nothing away. What is fenced ends
/// first, so there whatever is under way counts.
fn moves_now(pass: &Pass) -> usize {
    let parallel = at(pass.head.spec.update.max_parallel);
    if parallel == 0 {
        return usize::MAX;
    }
    let fenced = pass.head.spec.reschedule.on_node_loss == OnNodeLoss::Fence;
    let count = at(pass.head.spec.count);
    let moves = |unit: &&Unit| if fenced { unit.in_flight() } else { unit.replacing() };
    let moving = pass.units.iter().filter(moves).count();
    let steady = pass.units.iter().filter(|unit| unit.ready && unit.sole().is_some()).count();
    let allowed = steady.saturating_sub(count.saturating_sub(parallel));
    allowed.min(parallel.saturating_sub(moving)).max(usize::from(moving == 0))
}
