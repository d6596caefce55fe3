//! Evening out the nodes' use: a plan first, then as few moves as were allowed.
//!
//! What is evened out is the use by requests, cpu, memory, disk and network by the pool's weights,
//! over the nodes that take work. Every move makes it more even, by a margin, so that a second run
//! finds nothing; each starts the new one first, on a node where it fits beside everything else.
//! Whatever could not be started twice, or would lose what it has, stays: pinned and fenced work,
//! jobs, system work, whole systems without a snapshot, and what hangs on where others are. What was
//! moved rests for five minutes.

use std::collections::{BTreeMap, BTreeSet};

use crate::explain::{Evening, EveningMove};
use crate::id::{InstanceId, Slot};
use crate::instance::Desired;
use crate::time::{Span, Timestamp};

use super::Engine;
use super::picture::at;
use super::plan::Turn;

mod movable;
mod scale;

use scale::Scale;

/// What was moved rests for so long.
const COOL_DOWN: Span = Span::from_secs(300);
/// How long a change has to last before it is acted on without being asked, and how long it takes
/// at least from one round of moves to the next.
const LOOK: Span = Span::from_secs(30);

/// What is known about how evenly the nodes are used.
#[derive(Debug, Clone, Default)]
pub(super) struct Evenness {
    /// Something changed since it was last looked at.
    pub stale: bool,
    /// When it is looked at again.
    pub due: Option<Timestamp>,
    /// How many more moves an order allows, once those under way are done.
    left: u32,
    /// Instances that are being moved, and who they are.
    moving: BTreeMap<u32, InstanceId>,
    /// A node joined, and what it could take is being moved.
    joined: bool,
    /// It was uneven when last looked at.
    above: bool,
    /// A round of moves was made because it was.
    rounds: bool,
    /// Since the first plan nodes that appear have joined.
    begun: bool,
}

/// One move, by the engine's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    instance: u32,
    to: u32,
}

impl Engine {
    /// What a rebalance would do now; nothing changes.
    #[must_use]
    pub fn evening(&mut self, max_moves: u32, now: Timestamp) -> Evening {
        self.sort_nodes();
        let this = &*self;
        let mut scale = Scale::of(this);
        let before = scale.unevenness();
        let steps = this.steps(&mut scale, max_moves, now);
        let told = |step: &Step| {
            let instance = &this.instances[at(step.instance)];
            EveningMove {
                id: instance.id,
                workload: this.works[at(instance.work)].key.clone(),
                slot: Slot(instance.slot),
                from: this.nodes[at(instance.node)].name.clone(),
                to: this.nodes[at(step.to)].name.clone(),
            }
        };
        Evening { moves: steps.iter().map(told).collect(), before, after: scale.unevenness() }
    }

    /// The moves that even out most, one after the other, at most so many.
    fn steps(&self, scale: &mut Scale, max_moves: u32, now: Timestamp) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        let mut taken = BTreeSet::new();
        while steps.len() < at(max_moves) {
            let Some(step) = self.best_step(scale, &taken, now) else { break };
            scale.apply(self, step);
            taken.insert(step.instance);
            steps.push(step);
        }
        steps
    }

    /// Starts moves; how many.
    pub(super) fn even_out(&mut self, max_moves: u32, turn: &mut Turn) -> usize {
        let under_way = super::picture::index(self.evenness.moving.len());
        let steps = self.steps(&mut Scale::of(self), max_moves.saturating_sub(under_way), turn.now);
        for Step { instance, to } in &steps {
            let (id, slot) = (self.instances[at(*instance)].id, self.instances[at(*instance)].slot);
            self.instances[at(*instance)].moving = Some(*to);
            self.evenness.moving.insert(*instance, id);
            let work = self.instances[at(*instance)].work;
            let state = &mut self.works[at(work)];
            state.woken = true;
            state.progress.rebalanced.push((Slot(slot), turn.now));
            turn.plan.progress.insert(state.key.clone());
            self.dirty.insert(work);
        }
        steps.len()
    }

    /// Starts to even out by order.
    pub(super) fn begin_evening(&mut self, max_moves: u32, turn: &mut Turn) -> usize {
        let moves = self.even_out(max_moves, turn);
        let made = super::picture::index(moves);
        self.evenness.left = if moves == 0 { 0 } else { max_moves.saturating_sub(made) };
        moves
    }

    /// How many moves that even out are under way. Once all are done, what they made possible
    /// follows, as far as the order allows.
    pub(super) fn evening_moves(&mut self, turn: &mut Turn) -> usize {
        self.settle_evening();
        if self.evenness.moving.is_empty() && self.evenness.left > 0 && !turn.brake {
            self.begin_evening(self.evenness.left, turn);
        }
        self.evenness.moving.len()
    }

    /// It is being moved to even out.
    pub(super) fn is_evened(&self, index: u32) -> bool {
        self.evenness.moving.contains_key(&index)
    }

    /// Moves that are done are forgotten, and so are those that found their place taken: nothing
    /// hangs on them.
    pub(super) fn settle_evening(&mut self) {
        let moving = std::mem::take(&mut self.evenness.moving);
        for (index, id) in moving {
            let instance = &self.instances[at(index)];
            let (there, desired) = (self.known(id) == Some(index), instance.desired);
            match desired {
                Desired::Stop if there => {
                    self.evenness.moving.insert(index, id);
                    continue;
                }
                Desired::Run if there => {}
                Desired::Run | Desired::Stop | Desired::Keep | Desired::Hibernate => continue,
            }
            let work = instance.work;
            let slots =
                self.works[at(work)].slots.range((instance.slot, 0)..=(instance.slot, u32::MAX));
            let replaced = slots.count() > 1;
            if self.works[at(work)].stuck.is_some() && !replaced {
                self.instances[at(index)].moving = None;
                self.works[at(work)].woken = true;
                self.dirty.insert(work);
            } else {
                self.evenness.moving.insert(index, id);
            }
        }
    }

    /// Evens out without being asked, where the pool says so: some time after a node joined, and
    /// when one node is too full at two looks in a row, until it is even.
    pub(super) fn keep_even(&mut self, turn: &mut Turn) {
        self.settle_evening();
        let wanted = self.settings.rebalance;
        if !wanted.on_join && wanted.threshold == 0 {
            (self.evenness.due, self.evenness.joined) = (None, false);
            return;
        }
        if self.evenness.stale && self.evenness.due.is_none() {
            self.evenness.due = Some(turn.now.plus(LOOK));
            self.evenness.stale = false;
        }
        if self.evenness.due.is_none_or(|due| due > turn.now) {
            return;
        }
        self.evenness.due = None;
        if turn.brake || !self.evenness.moving.is_empty() {
            self.evenness.due = Some(turn.now.plus(LOOK));
            return;
        }
        self.look_at_evenness(turn);
    }

    fn look_at_evenness(&mut self, turn: &mut Turn) {
        let wanted = self.settings.rebalance;
        let uneven = Scale::of(self).unevenness();
        let threshold = wanted.threshold;
        let above = threshold > 0 && uneven >= threshold;
        let twice = above && std::mem::replace(&mut self.evenness.above, above);
        // Once begun it goes on until well below the threshold.
        let on = self.evenness.rounds && uneven * 2 > threshold;
        let joined = wanted.on_join && self.evenness.joined;
        let moves = if twice || on || joined { self.even_out(wanted.max_moves, turn) } else { 0 };
        self.evenness.above = above;
        self.evenness.rounds = (twice || on) && moves > 0;
        self.evenness.joined = joined && moves > 0;
        let first_look = above && !twice && !on && !joined;
        if moves > 0 || first_look {
            self.evenness.due = Some(turn.now.plus(LOOK));
        }
    }

    /// A node takes work that took none before.
    pub(super) fn note_join(&mut self) {
        self.evenness.stale = true;
        self.evenness.joined |= self.evenness.begun && self.settings.rebalance.on_join;
    }

    pub(super) fn note_begun(&mut self) {
        self.evenness.begun = true;
    }
}
