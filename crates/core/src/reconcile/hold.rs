//! Places that are kept for a workload until those who have to leave them have ended.
//!
//! A kept place counts on its node like an instance: its request, its ports, its groups. So nobody
//! else takes the room that others were told to make. It is remembered with the workload's progress,
//! and the next leader keeps it too.

use std::sync::Arc;

use crate::head::Head;
use crate::id::{NodeName, Slot};
use crate::instance::Desired;
use crate::placement::grant;
use crate::ports::PortTable;
use crate::resources::Resources;
use crate::time::{Span, Timestamp};
use crate::workload::{Kind, Mode, PortSpec, Scope};

use super::Engine;
use super::picture::at;
use super::plan::{Pass, Turn, Want};
use super::survey::Bounds;

/// After the last who had to leave has ended, what a node says of its live use may lag so long.
const LAG: Span = Span::from_secs(10);
/// Where making room did not help, it is not tried again for so long.
const IN_VAIN: Span = Span::from_secs(300);

/// For which workload and slot; for kind `system` the second is the node.
pub(super) type HoldKey = (u32, u32);

/// One kept place.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub node: u32,
    score: u32,
    ask: Resources,
    ports: Vec<PortSpec>,
    pub tags: Vec<String>,
    /// The first ports of the blocks that are kept already.
    taken: Vec<u16>,
    /// When it is given up, once nobody has to leave any more.
    until: Option<Timestamp>,
}

impl Held {
    /// Its ports are not free yet.
    fn lacks_ports(&self) -> bool {
        self.taken.is_empty() && !self.ports.is_empty()
    }
}

/// What came of a kept place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// The instance was placed there.
    Taken,
    /// Others still have to leave.
    Waits,
    /// It is of no use any more.
    Lost,
}

impl Engine {
    /// Keeps a place for a slot.
    pub(super) fn hold(&mut self, key: HoldKey, node: u32, score: u32) {
        let work = &self.works[at(key.0)];
        let Some(head) = work.head.clone() else { return };
        let (ask, ports) = (head.spec.ask(), head.spec.ports.clone());
        let (tags, taken) = (work.tags.clone(), Vec::new());
        self.put_hold(key, Held { node, score, ask, ports, tags, taken, until: None });
    }

    fn put_hold(&mut self, key: HoldKey, mut held: Held) {
        let state = &mut self.nodes[at(held.node)];
        state.seat.requested = state.seat.requested.plus(held.ask);
        state.seat.pending = state.seat.pending.plus(held.ask);
        state.seat.instances += 1;
        state.held.insert(key);
        for tag in &held.tags {
            let nodes = Arc::make_mut(self.tallies.entry(tag.clone()).or_default());
            let count = nodes.entry(held.node).or_insert(0);
            *count += 1;
        }
        self.fields.changed(held.node);
        self.fields.forget();
        self.keep_ports(&mut held);
        self.holds.insert(key, held);
    }

    /// Takes the ports as soon as all of them are free.
    fn keep_ports(&mut self, held: &mut Held) {
        if !held.lacks_ports() {
            return;
        }
        let mut table = self.nodes[at(held.node)].ports.clone();
        if let Some(firsts) = grant(&mut table, &held.ports) {
            self.nodes[at(held.node)].ports = table;
            held.taken = firsts;
        }
    }

    /// Takes, in a table of this node's ports as they will be, what kept places still lack.
    pub(super) fn give_holders(&self, node: u32, table: &mut PortTable) {
        let held = self.nodes[at(node)].held.iter().map(|key| &self.holds[key]);
        for held in held.filter(|held| held.lacks_ports()) {
            let mut given = table.clone();
            if grant(&mut given, &held.ports).is_some() {
                *table = given;
            }
        }
    }

    /// Something left this node: its ports may go to whom they are kept for, who has to look.
    pub(super) fn tell_holders(&mut self, node: u32) {
        for key in self.nodes[at(node)].held.clone() {
            if let Some(mut held) = self.holds.remove(&key) {
                self.keep_ports(&mut held);
                self.holds.insert(key, held);
            }
            self.dirty.insert(key.0);
        }
    }

    /// Keeps a place no longer; nobody is told.
    fn lift(&mut self, key: HoldKey) -> Option<Held> {
        let mut held = self.holds.remove(&key)?;
        let state = &mut self.nodes[at(held.node)];
        state.held.remove(&key);
        state.seat.requested = state.seat.requested.minus(held.ask);
        state.seat.pending = state.seat.pending.minus(held.ask);
        state.seat.instances -= 1;
        std::mem::take(&mut held.taken).into_iter().for_each(|first| state.ports.free(first));
        self.fields.changed(held.node);
        self.fields.forget();
        for tag in &held.tags {
            let Some(nodes) = self.tallies.get_mut(tag) else { continue };
            let nodes = Arc::make_mut(nodes);
            if let Some(count) = nodes.get_mut(&held.node) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    nodes.remove(&held.node);
                }
            }
        }
        Some(held)
    }

    /// Keeps a place no longer: others may have it.
    pub(super) fn let_go(&mut self, key: HoldKey) {
        if let Some(held) = self.lift(key) {
            self.freed.insert(held.node);
        }
    }

    /// The slots, or for kind `system` the nodes, that places are kept for.
    pub(super) fn held_for(&self, work: u32) -> Vec<u32> {
        self.holds.range((work, 0)..=(work, u32::MAX)).map(|(key, _)| key.1).collect()
    }

    pub(super) fn let_all_go(&mut self, work: u32) {
        self.held_for(work).into_iter().for_each(|slot| self.let_go((work, slot)));
    }

    /// Slots that a place is kept for are placed there once there is room; until then they are
    /// neither missing nor without a place.
    pub(super) fn take_held(&mut self, pass: &mut Pass, missing: &mut Vec<u32>, turn: &mut Turn) {
        for slot in self.held_for(pass.work) {
            let place = missing.binary_search(&slot);
            let other = pass.wants.iter().position(|want| want.slot == slot);
            let want = match (place, other) {
                (Ok(_), _) => Want::fill(slot),
                (Err(_), Some(other)) => pass.wants[other],
                (Err(_), None) => {
                    self.let_go((pass.work, slot));
                    continue;
                }
            };
            if self.claim(pass, (pass.work, slot), want, turn) == Claim::Lost {
                continue;
            }
            match (place, other) {
                (Ok(place), _) => drop(missing.remove(place)),
                (Err(_), Some(other)) => drop(pass.wants.remove(other)),
                (Err(_), None) => {}
            }
        }
    }

    /// Puts the instance on the kept place if it fits there now.
    pub(super) fn claim(
        &mut self,
        pass: &mut Pass,
        key: HoldKey,
        want: Want,
        turn: &mut Turn,
    ) -> Claim {
        let Some(held) = self.lift(key) else { return Claim::Lost };
        let node = held.node;
        let same = held.ask == pass.head.spec.ask() && held.ports == pass.head.spec.ports;
        if same && turn.left > 0 && self.fits_there(pass, node, turn.now) {
            self.place_one(pass, want, (node, held.score, None), turn);
            // As long as the place was kept nobody could be ended for it, however important.
            self.relieved.insert(node);
            return Claim::Taken;
        }
        let until = held.until.unwrap_or(turn.now.plus(LAG));
        if !same || !self.still_open(pass, node, turn.now) {
            self.freed.insert(node);
        } else if turn.left == 0 {
            self.dirty.insert(pass.work);
            self.put_hold(key, held);
            return Claim::Waits;
        } else if self.someone_leaves(node) {
            self.put_hold(key, Held { until: None, ..held });
            return Claim::Waits;
        } else if until > turn.now {
            pass.later(until);
            self.put_hold(key, Held { until: Some(until), ..held });
            return Claim::Waits;
        } else {
            self.freed.insert(node);
            self.works[at(key.0)].in_vain.insert(node, turn.now.plus(IN_VAIN));
        }
        Claim::Lost
    }

    fn still_open(&self, pass: &Pass, node: u32, now: Timestamp) -> bool {
        let request = self.works[at(pass.work)].request.as_ref();
        request.is_some_and(|request| self.closed_to(request, node, now).is_empty())
    }

    pub(super) fn someone_leaves(&self, node: u32) -> bool {
        let entries = &self.nodes[at(node)].entries;
        entries.iter().any(|index| self.instances[at(*index)].desired == Desired::Stop)
    }

    fn fits_there(&self, pass: &Pass, node: u32, now: Timestamp) -> bool {
        let Some(request) = &self.works[at(pass.work)].request else { return false };
        if !self.open_to(&pass.head, request, node, now) {
            return false;
        }
        let bounds = Bounds { to: Some(node), not: None };
        !looks_further(&pass.head)
            || self.field(pass.work, &pass.head, now, bounds).best().is_some()
    }

    /// Writes down which places are kept.
    pub(super) fn note_holds(&mut self, pass: &Pass) {
        let system = pass.head.spec.kind == Kind::System;
        let keys = self.holds.range((pass.work, 0)..=(pass.work, u32::MAX));
        let note = |((_, slot), held): (&HoldKey, &Held)| -> (Slot, NodeName) {
            (Slot(if system { 0 } else { *slot }), self.nodes[at(held.node)].name.clone())
        };
        let reserved: Vec<(Slot, NodeName)> = keys.map(note).collect();
        self.works[at(pass.work)].progress.reserved = reserved;
    }

    /// Keeps the places that the leader before kept.
    pub(super) fn restore_holds(&mut self) {
        for work in std::mem::take(&mut self.unrestored) {
            let state = &self.works[at(work)];
            let Some(head) = &state.head else { continue };
            let system = head.spec.kind == Kind::System;
            for (slot, node) in state.progress.reserved.clone() {
                let Some(node) = self.node_names.get(&node).copied() else { continue };
                let key = (work, if system { node } else { slot.0 });
                if !self.holds.contains_key(&key) {
                    self.hold(key, node, 0);
                    self.dirty.insert(work);
                }
            }
        }
    }
}

/// Whether what is on other nodes decides if it may be on one.
pub(super) fn looks_further(head: &Head) -> bool {
    let rules = &head.spec.placement;
    let far = |scope: Scope, mode: Mode| scope != Scope::Node && mode == Mode::Hard;
    !rules.max_per.is_empty()
        || rules.affinity.iter().any(|rule| rule.mode == Mode::Hard)
        || rules.anti_affinity.iter().any(|rule| far(rule.scope, rule.mode))
}
