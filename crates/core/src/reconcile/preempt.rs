//! More important work without a place may have others of much less priority ended to get one.
//!
//! Nobody is ended in vain: on the node that is chosen there will be room, by every rule, once those
//! who were chosen have gone, and not if any one of them stayed. Of all nodes the one is taken whose
//! most important victim is the least important, then the one with the fewest victims, then the
//! least important in sum. Instances that are ending anyway are waited for first.

use std::collections::BTreeMap;

use crate::instance::Desired;
use crate::placement::field::Field;
use crate::time::Timestamp;
use crate::workload::{Mode, Scope};

use super::hold::looks_further;
use super::picture::at;
use super::place::Misses;
use super::plan::{Pass, Turn};
use super::survey::{Bounds, on_node};
use super::why::Why;
use super::{Decision, Engine};

mod choose;
mod hunt;

use hunt::{Hunt, Offer};

/// Only who has so much less priority has to go.
const GAP: u8 = 10;

/// How dear an offer is: the highest priority of those who would have to go, how many they are, the
/// sum of their priorities, and which node it is by name.
type Cost = (u8, usize, u32, usize);

/// What the nodes offer one workload, the cheapest first.
struct Board {
    hunt: Hunt,
    field: Field,
    offers: BTreeMap<Cost, Offer>,
}

impl Engine {
    /// Makes room for slots that found no place, where the pool allows it.
    pub(super) fn make_room(&mut self, pass: &mut Pass, misses: &mut Misses, turn: &mut Turn) {
        let Some(most) = self.may_end(pass) else { return };
        let drained = |slot: &u32| {
            let mut units = pass.units.iter();
            // What has to end first is not placed beside itself.
            pass.nowhere.is_none()
                && units.any(|unit| unit.slot == *slot && unit.leaving == Some(Why::Drain))
        };
        let (moves, stuck) = std::mem::take(&mut misses.stuck).into_iter().partition(drained);
        misses.stuck = stuck;
        let slots = std::mem::take(&mut misses.slots);
        misses.slots = self.make_room_for(pass, slots, most, turn);
        let moves = self.make_room_for(pass, moves, most, turn);
        misses.stuck.extend(moves);
        misses.stuck.sort_unstable();
    }

    /// The highest priority that has to go for this workload; `None` if nobody has.
    pub(super) fn may_end(&self, pass: &Pass) -> Option<u8> {
        let allowed = self.settings.preemption && !pass.head.deleted;
        pass.head.spec.priority.checked_sub(GAP).filter(|_| allowed)
    }

    /// The slots for which there is no room to be made.
    fn make_room_for(
        &mut self,
        pass: &mut Pass,
        slots: Vec<u32>,
        most: u8,
        turn: &mut Turn,
    ) -> Vec<u32> {
        let known = self.hopeless.contains(self.works[at(pass.work)].shape.as_deref(), most);
        if slots.is_empty() || (known && self.freed.is_empty()) {
            return slots;
        }
        let mut board = self.board(pass, most, turn.now);
        let mut slots = slots.into_iter();
        let mut left = Vec::new();
        for slot in slots.by_ref() {
            if turn.left == 0 {
                self.dirty.insert(pass.work);
                self.works[at(pass.work)].woken = true;
                left.push(slot);
                break;
            }
            let Some((cost, offer)) = board.offers.pop_first() else {
                let shape = self.works[at(pass.work)].shape.clone();
                self.hopeless.insert(shape, most);
                left.push(slot);
                break;
            };
            let place = cost.3;
            let score = board.field.score(place);
            self.evict(pass, slot, (offer, score), turn);
            if looks_further(&pass.head) {
                board = self.board(pass, most, turn.now);
            } else if let Some((cost, offer)) = self.offer(&board.hunt, &board.field, place) {
                board.offers.insert(cost, offer);
            }
        }
        left.extend(slots);
        left
    }

    /// Tells those to end who have to, and keeps the place.
    fn evict(&mut self, pass: &mut Pass, slot: u32, (offer, score): (Offer, u32), turn: &mut Turn) {
        for victim in offer.victims {
            let instance = &self.instances[at(victim)];
            self.dirty.insert(instance.work);
            let decision = Decision::Preempt {
                id: instance.id,
                workload: self.works[at(instance.work)].key.clone(),
                slot: crate::id::Slot(instance.slot),
                node: self.nodes[at(instance.node)].name.clone(),
                by: self.works[at(pass.work)].key.clone(),
                by_slot: crate::id::Slot(slot),
            };
            self.decide(turn, decision);
            self.order_stop(victim, Why::Preempted, turn);
        }
        self.hold((pass.work, slot), offer.node, score);
        if !self.someone_leaves(offer.node) {
            self.dirty.insert(pass.work);
        }
        turn.left -= 1;
        pass.steps += 1;
    }

    /// Makes room on this very node, for kind `system`.
    pub(super) fn make_room_on(
        &mut self,
        pass: &mut Pass,
        (field, place): (&Field, usize),
        turn: &mut Turn,
    ) -> bool {
        let Some(most) = self.may_end(pass) else { return false };
        let hunt = self.hunt(pass, most, turn.now);
        let Some((_, offer)) = self.offer(&hunt, field, place) else { return false };
        let (node, score) = (offer.node, field.score(place));
        self.evict(pass, node, (offer, score), turn);
        true
    }

    fn board(&self, pass: &Pass, most: u8, now: Timestamp) -> Board {
        let hunt = self.hunt(pass, most, now);
        let field = self.field(pass.work, &pass.head, now, Bounds::default());
        let places = 0..field.stalls().len();
        let offers = places.filter_map(|place| self.offer(&hunt, &field, place)).collect();
        Board { hunt, field, offers }
    }

    /// Whether room could be made on this node for one more of a blocked workload.
    pub(super) fn could_make_room(&self, work: u32, node: u32, now: Timestamp) -> bool {
        let state = &self.works[at(work)];
        let (Some(head), Some(request)) = (&state.head, &state.request) else { return false };
        let most = head.spec.priority.checked_sub(GAP).filter(|_| self.settings.preemption);
        let Some(most) = most else { return false };
        let in_vain = state.in_vain.get(&node).is_some_and(|until| *until > now);
        if in_vain || !self.closed_to(request, node, now).is_empty() {
            return false;
        }
        let less = |index: &u32| {
            let instance = &self.instances[at(*index)];
            instance.desired == Desired::Run && self.priority_of(*index) <= most
        };
        self.someone_leaves(node) || self.nodes[at(node)].entries.iter().any(less)
    }

    /// How important an instance is.
    fn priority_of(&self, index: u32) -> u8 {
        let instance = &self.instances[at(index)];
        match &self.works[at(instance.work)].head {
            Some(head) => head.spec.priority,
            // Nothing is known of it but where it is: it is left alone.
            None => u8::MAX,
        }
    }

    fn hunt(&self, pass: &Pass, most: u8, now: Timestamp) -> Hunt {
        let spec = &pass.head.spec;
        let in_vain = &self.works[at(pass.work)].in_vain;
        let far = spec.placement.anti_affinity.iter();
        let far = far.filter(|rule| rule.scope != Scope::Node && rule.mode == Mode::Hard);
        Hunt {
            most,
            ask: spec.ask(),
            ports: spec.ports.clone(),
            tags: on_node(&pass.head, Mode::Hard),
            far: far.map(|rule| self.neighbourhood(rule)).collect(),
            near: self
                .wishes(pass.work)
                .iter()
                .filter_map(|key| self.work_keys.get(key))
                .copied()
                .collect(),
            in_vain: in_vain.iter().filter(|(_, until)| **until > now).map(|(n, _)| *n).collect(),
        }
    }
}
