//! Kind `system`: one on every eligible node, also on those that join later.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::NodeName;
use crate::instance::Desired;
use crate::placement::{Reason, Reasons};

use super::hold::Claim;
use super::picture::{NONE, at};
use super::place::NAMED;
use super::plan::{Pass, Turn, Want};
use super::slot::{Hold, Unit};
use super::survey::Bounds;
use super::why::Why;
use super::{Engine, Unplaced};

impl Engine {
    /// Looks at every node instead of every slot.
    pub(super) fn take_stock_of_nodes(&mut self, pass: &mut Pass, turn: &mut Turn) {
        let mut groups: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (_, index) in &self.works[at(pass.work)].slots {
            groups.entry(self.instances[at(*index)].node).or_default().push(*index);
        }
        let field = self.field(pass.work, &pass.head, turn.now, Bounds::default());
        let nodes: Vec<(u32, Reasons)> =
            field.stalls().iter().map(|stall| (stall.node, stall.company.closed)).collect();
        for (node, closed) in nodes {
            match groups.remove(&node) {
                Some(mut group) => {
                    group.sort_by_key(|index| self.instances[at(*index)].id);
                    self.take_stock_of_node(pass, node, &group, turn);
                }
                None if eligible(closed) => {
                    let mut unit = Unit::new(NONE, Hold::Missing);
                    unit.node = Some(node);
                    pass.units.push(unit);
                }
                None => {}
            }
        }
    }

    fn take_stock_of_node(&mut self, pass: &mut Pass, node: u32, group: &[u32], turn: &mut Turn) {
        if self.nodes[at(node)].gone {
            self.forget_group(group, turn);
            return;
        }
        if self.last_to_go(node) || !self.nodes[at(node)].is_of(&self.pool) {
            self.end_group(group, Why::Drain, turn);
            return;
        }
        let mut unit = self.judge(pass, group, turn);
        unit.node = Some(node);
        if unit.hold != Hold::Missing || !self.nodes[at(node)].emptying() {
            pass.units.push(unit);
        }
    }

    /// Its node was removed from the fleet: nothing takes its place, so nothing is waited for.
    fn forget_group(&mut self, group: &[u32], turn: &mut Turn) {
        for index in group.iter().copied() {
            if self.instances[at(index)].desired == Desired::Run {
                self.order_keep(index, turn);
            }
            self.remove(index, turn);
        }
    }

    /// The node is being emptied and nothing but system work is left on it.
    fn last_to_go(&self, node: u32) -> bool {
        let state = &self.nodes[at(node)];
        let system = |index: &u32| self.systems.contains(&self.instances[at(*index)].work);
        state.emptying() && (self.orders.forced.contains(&node) || state.entries.iter().all(system))
    }

    /// Workloads of kind system on a node that is being emptied follow when all else has gone.
    pub(super) fn mark_last_to_go(&mut self, node: u32) {
        if !self.systems.is_empty() && self.nodes[at(node)].emptying() && self.last_to_go(node) {
            self.mark_node(node);
        }
    }

    /// Each node that lacks one gets one, or the reason why not.
    pub(super) fn place_on_nodes(&mut self, pass: &mut Pass, turn: &mut Turn) {
        let missing: Vec<u32> = pass
            .units
            .iter()
            .filter(|unit| unit.hold == Hold::Missing)
            .filter_map(|unit| unit.node)
            .collect();
        for node in self.held_for(pass.work) {
            if !missing.contains(&node) {
                self.let_go((pass.work, node));
            }
        }
        let mut field = self.field(pass.work, &pass.head, turn.now, Bounds::default());
        let places: BTreeMap<u32, usize> =
            field.stalls().iter().enumerate().map(|(place, stall)| (stall.node, place)).collect();
        let mut slots = self.free_slots(pass.work);
        let mut unplaced = Refused::default();
        for node in missing {
            let slot = slots.next().expect("slots do not end");
            let want = Want { to: Some(node), ..Want::fill(slot) };
            if self.claim(pass, (pass.work, node), want, turn) != Claim::Lost {
                continue;
            }
            let reasons = field.reasons(places[&node]);
            if turn.left == 0 {
                self.dirty.insert(pass.work);
                break;
            }
            if reasons.is_empty() {
                self.place_one(pass, want, (node, field.score(places[&node]), None), turn);
                let state = &self.nodes[at(node)];
                field.placed(places[&node], &state.seat, &state.ports);
            } else if !self.make_room_on(pass, (&field, places[&node]), turn) {
                unplaced.add(slot, reasons, &self.nodes[at(node)].name);
            }
        }
        self.works[at(pass.work)].woken = false;
        self.set_unplaced(pass, unplaced.notes(), turn);
        self.block(pass, turn.now);
    }

    /// Slots that no instance has, from the lowest.
    fn free_slots(&self, work: u32) -> impl Iterator<Item = u32> + use<> {
        let taken: BTreeSet<u32> = self.works[at(work)]
            .slots
            .iter()
            .filter(|(_, index)| self.instances[at(*index)].desired != Desired::Keep)
            .map(|(slot, _)| *slot)
            .collect();
        (0..NONE).filter(move |slot| !taken.contains(slot))
    }
}

/// Nodes that one is meant for and that refuse it, together where they say the same.
#[derive(Default)]
struct Refused(BTreeMap<String, Alike>);

/// Slots of nodes that say the same.
#[derive(Default)]
struct Alike {
    slots: Vec<u32>,
    reasons: Reasons,
    nodes: BTreeMap<NodeName, Vec<Reason>>,
}

impl Refused {
    fn add(&mut self, slot: u32, reasons: Reasons, node: &NodeName) {
        let all = self.0.entry(reasons.to_string()).or_default();
        all.slots.push(slot);
        all.reasons = reasons;
        if all.nodes.len() < NAMED {
            all.nodes.insert(node.clone(), reasons.iter().collect());
        }
    }

    fn notes(self) -> Vec<Unplaced> {
        let note = |Alike { slots, reasons, nodes }| {
            let count = super::picture::index(slots.len());
            let counts = reasons.iter().map(|reason| (reason, count)).collect();
            Unplaced::of(&slots, &Unplaced::because(counts, nodes))
        };
        self.0.into_values().filter_map(note).collect()
    }
}

/// It is meant for this node, whether or not there is room just now.
fn eligible(closed: Reasons) -> bool {
    let never = [
        Reason::Pool,
        Reason::Liveness,
        Reason::Admin,
        Reason::Pin,
        Reason::Driver,
        Reason::Require,
        Reason::Image,
    ];
    never.iter().all(|reason| !closed.has(*reason))
}
