//! Missing instances and replacements get their nodes, or reasons.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::explain::Choice;
use crate::id::{Generation, Slot};
use crate::instance::{Desired, PortGrant};
use crate::placement::field::Field;
use crate::placement::{Reason, grant};
use crate::time::Timestamp;
use crate::workload::Kind;

use super::picture::{Instance, NONE, Text, at};
use super::plan::{Pass, Turn, Want};
use super::slot::Hold;
use super::survey::Bounds;
use super::why::Why;
use super::{Decision, Engine, Note, Unplaced};

/// At most so many nodes are named with their reasons.
pub(super) const NAMED: usize = 100;
/// Of so many decisions of a plan each is told with why it was taken.
const TOLD: usize = 1000;

impl Engine {
    /// Places what is missing, then what replaces others, and notes what has no place.
    pub(super) fn place(&mut self, pass: &mut Pass, turn: &mut Turn) {
        if pass.head.spec.kind == Kind::System {
            self.place_on_nodes(pass, turn);
            return;
        }
        let mut missing: Vec<u32> = pass
            .units
            .iter()
            .filter(|unit| unit.hold == Hold::Missing)
            .map(|unit| unit.slot)
            .collect();
        self.take_held(pass, &mut missing, turn);
        let state = &self.works[at(pass.work)];
        // That one thing has no place says nothing of others: a move may be bound to one node.
        let tried = (missing.is_empty() || !state.progress.unplaced.is_empty())
            && (pass.wants.is_empty() || state.stuck.is_some());
        if state.blocked && !state.woken && tried {
            self.still_blocked(pass, &missing, turn);
            return;
        }
        let mut wants: Vec<Want> = missing.into_iter().map(Want::fill).collect();
        wants.append(&mut pass.wants);
        let mut misses = Misses::default();
        if let Some(slot) = pass.nowhere {
            let field = self.field(pass.work, &pass.head, turn.now, Bounds::default());
            (misses.reasons, misses.stuck) =
                (Some(self.reasons(&field, Bounds::default())), vec![slot]);
        }
        // Those that may not go anywhere come first.
        wants.sort_by_key(|want| want.to.is_none() && want.not.is_none());
        self.place_anywhere(pass, wants, (&mut misses, turn));
        self.make_room(pass, &mut misses, turn);
        self.note_misses(pass, misses, turn);
    }

    /// Nothing has happened that could help: the reasons stand.
    fn still_blocked(&mut self, pass: &mut Pass, missing: &[u32], turn: &mut Turn) {
        let progress = &self.works[at(pass.work)].progress;
        let reasons = progress.unplaced.first().cloned();
        let unplaced = reasons.and_then(|reasons| Unplaced::of(missing, &reasons));
        let unplaced = unplaced.into_iter().collect();
        self.set_unplaced(pass, unplaced, turn);
        let stuck = self.works[at(pass.work)].stuck.is_some();
        let wanting = !missing.is_empty() || !pass.wants.is_empty() || pass.nowhere.is_some();
        if !wanting && stuck {
            self.works[at(pass.work)].stuck = None;
        }
        self.block(pass, turn.now);
    }

    /// Places them all; not if one that asks for the same found no node just now.
    fn place_anywhere(
        &mut self,
        pass: &mut Pass,
        wants: Vec<Want>,
        (misses, turn): (&mut Misses, &mut Turn),
    ) {
        let plain = wants.iter().all(|want| want.to.is_none() && want.not.is_none());
        let shape = self.shape_of(pass.work, turn.now).filter(|_| plain);
        let known = self.hopeless.why(shape.as_deref()).filter(|_| self.freed.is_empty());
        if let Some(why) = known {
            misses.reasons.get_or_insert(why);
            wants.into_iter().for_each(|want| self.miss(pass, want, misses, turn));
            return;
        }
        let none = wants.is_empty() || misses.reasons.is_some();
        self.place_all(pass, wants, (misses, turn));
        if let (false, Some(why)) =
            (none, misses.reasons.as_ref().filter(|_| !misses.slots.is_empty()))
        {
            self.hopeless.note(shape, why);
        }
    }

    fn place_all(
        &mut self,
        pass: &mut Pass,
        wants: Vec<Want>,
        (misses, turn): (&mut Misses, &mut Turn),
    ) {
        if wants.is_empty() {
            return;
        }
        let mut stand = self.stand(pass, turn.now);
        let mut census = None;
        for want in wants {
            if turn.left == 0 {
                self.dirty.insert(pass.work);
                break;
            }
            let bounds = Bounds { to: want.to, not: want.not };
            let Some(best) = self.best(&mut stand.field, bounds) else {
                misses.reasons.get_or_insert_with(|| self.reasons(&stand.field, bounds));
                self.miss(pass, want, misses, turn);
                continue;
            };
            #[cfg(test)]
            self.must_be_best(pass, bounds, best, turn.now);
            let node = stand.field.stalls()[best].node;
            let score = stand.field.score(best);
            let moves = self.draws_near(pass, &stand, best);
            // Of the first of a pass always, of the others while each is told by itself.
            let told = census.is_none() || turn.plan.decisions.len() < TOLD;
            let why = told.then(|| {
                let census = census.get_or_insert_with(|| Arc::new(stand.field.census()));
                Box::new(self.choice(&stand.field, best, census))
            });
            self.place_one(pass, want, (node, score, why), turn);
            if moves {
                stand = self.stand(pass, turn.now);
            } else {
                self.note_placed(pass, best, &mut stand, turn.now);
            }
        }
        self.leave(stand);
    }

    /// The best node of the field within these bounds.
    fn best(&self, field: &mut Field, bounds: Bounds) -> Option<usize> {
        let place = |node: u32| at(self.places[at(node)]);
        match bounds {
            Bounds { to: Some(to), not } => {
                let place = place(to);
                let fits = not != Some(to) && field.reasons(place).is_empty();
                fits.then_some(place)
            }
            Bounds { to: None, not: Some(not) } => field.best_but(place(not)),
            Bounds { to: None, not: None } => field.best(),
        }
    }

    /// What a field that is made for this placement alone says, by looking at every node. Not for
    /// `random`, which goes on drawing where a new field would begin, and `round_robin`, of whose
    /// turns a new field knows the last one only.
    #[cfg(test)]
    fn must_be_best(&self, pass: &Pass, bounds: Bounds, best: usize, now: Timestamp) {
        use crate::workload::Strategy;
        let rules = &pass.head.spec.placement;
        if !matches!(rules.strategy, Strategy::Random | Strategy::RoundRobin) {
            let field = self.field(pass.work, &pass.head, now, bounds);
            let name = &pass.head.spec.name;
            assert_eq!(Some(best), field.best_plain(), "{name}: {rules:?} {bounds:?}");
        }
    }

    /// No node takes it. An update goes on in its own place, if there is room once the old one
    /// has ended; all else waits.
    fn miss(&mut self, pass: &mut Pass, want: Want, misses: &mut Misses, turn: &mut Turn) {
        match want.replaces {
            None => misses.slots.push(want.slot),
            Some(old)
                if want.why == Why::Updated
                    && !self.slot_is_left(pass.work, want.slot)
                    && self.fits_instead(pass, old) =>
            {
                let (workload, slot) = (self.works[at(pass.work)].key.clone(), Slot(want.slot));
                let note = Note::StopsFirst { slot };
                self.decide(turn, Decision::Noted { workload, note });
                self.order_stop(old, Why::Updated, turn);
                pass.steps += 1;
            }
            Some(_) => misses.stuck.push(want.slot),
        }
    }

    /// Something in this slot is ending: there may be room once it has.
    fn slot_is_left(&self, work: u32, slot: u32) -> bool {
        let mut there = self.works[at(work)].slots.range((slot, 0)..=(slot, u32::MAX));
        there.any(|(_, index)| {
            let instance = &self.instances[at(*index)];
            instance.desired == Desired::Stop && self.nodes[at(instance.node)].reachable()
        })
    }

    /// Whether the workload's text would fit where this instance is, were it gone.
    fn fits_instead(&self, pass: &Pass, old: u32) -> bool {
        let Some(request) = &self.works[at(pass.work)].request else { return false };
        let mut without = self.clone_node(self.instances[at(old)].node);
        let instance = &self.instances[at(old)];
        let ask = self.texts[at(instance.text)].ask;
        without.seat.requested = without.seat.requested.minus(ask);
        without.seat.instances = without.seat.instances.saturating_sub(1);
        if let Some(used) = &mut without.seat.used {
            used.memory = used.memory.saturating_sub(ask.memory.0);
            used.disk = used.disk.saturating_sub(ask.disk.0);
        }
        instance.ports.iter().for_each(|grant| without.ports.free(grant.first));
        let Some(record) = &without.record else { return false };
        let candidate = crate::placement::Candidate {
            node: record,
            seat: &without.seat,
            ports: &without.ports,
        };
        crate::placement::fit(&candidate, request).is_ok()
    }

    fn clone_node(&self, node: u32) -> super::NodeState {
        let mut state = self.nodes[at(node)].clone();
        state.early = None;
        state
    }

    /// Puts one instance on a node and notes it in the picture.
    pub(super) fn place_one(
        &mut self,
        pass: &mut Pass,
        want: Want,
        (node, score, why): (u32, u32, Option<Box<Choice>>),
        turn: &mut Turn,
    ) {
        let head = pass.head.clone();
        let text = Text {
            version: head.version,
            spec: head.spec_hash,
            ask: head.spec.ask(),
            priority: head.spec.priority,
        };
        let text = self.text_index(pass.work, text);
        let ports = self.grant_ports(&head.spec.ports, node);
        let id = self.id_source.next(turn.now);
        let moved = self.origin(pass, want);
        let decision = Decision::Place {
            id,
            workload: self.works[at(pass.work)].key.clone(),
            slot: Slot(want.slot),
            version: head.version,
            node: self.nodes[at(node)].name.clone(),
            score,
            moved,
            why,
        };
        turn.plan.decisions.push(decision);
        let index = self.add(Instance {
            id,
            work: pass.work,
            node,
            slot: want.slot,
            text,
            score,
            generation: Generation(1),
            restarted: head.restart_generation,
            ports,
            desired: Desired::Run,
            why: Why::None,
            observed: None,
            ready: false,
            proven: false,
            ended: false,
            ready_since: Timestamp::default(),
            committed: None,
            mark: NONE,
            moving: None,
        });
        self.touch(index, turn);
        turn.left -= 1;
        // One that failed before and is tried again is no step of an update.
        let again = |(slot, _, _): &(Slot, Timestamp, u32)| slot.0 == want.slot;
        let again = self.works[at(pass.work)].progress.waiting.iter().any(again);
        pass.steps += u32::from(!again);
        self.works[at(pass.work)].watch = true;
        self.wake_near(pass.work);
    }

    fn grant_ports(&mut self, ports: &[crate::workload::PortSpec], node: u32) -> Vec<PortGrant> {
        if ports.is_empty() {
            return Vec::new();
        }
        let mut table = self.nodes[at(node)].ports.clone();
        let firsts = grant(&mut table, ports).expect("the node was found to have them");
        self.nodes[at(node)].ports.pass(&table);
        let grant = |(port, first): (&crate::workload::PortSpec, u16)| PortGrant {
            name: port.name.clone(),
            first,
            count: port.count.max(1),
        };
        ports.iter().zip(firsts).map(grant).collect()
    }

    /// Where the slot was before, and why it is not there any more.
    fn origin(&mut self, pass: &Pass, want: Want) -> Option<(crate::id::NodeName, &'static str)> {
        if let Some(old) = want.replaces {
            let node = self.instances[at(old)].node;
            let moved = want.why != Why::Updated;
            return moved.then(|| (self.nodes[at(node)].name.clone(), want.why.as_str()));
        }
        let (node, why) = self.works[at(pass.work)].origins.remove(&want.slot)?;
        Some((node, why.as_str()))
    }

    /// What each node of the field says, counted and by name.
    pub(super) fn reasons(&self, field: &Field, bounds: Bounds) -> Unplaced {
        let (mut counts, mut nodes) = (BTreeMap::new(), BTreeMap::new());
        for (index, stall) in field.stalls().iter().enumerate() {
            let mut reasons = field.reasons(index);
            reasons.add_if(Reason::Pin, || !bounds.have(stall.node));
            reasons.tally(&mut counts);
            if nodes.len() < NAMED {
                let name = self.nodes[at(stall.node)].name.clone();
                nodes.insert(name, reasons.iter().collect());
            }
        }
        Unplaced::because(counts, nodes)
    }

    fn note_misses(&mut self, pass: &mut Pass, misses: Misses, turn: &mut Turn) {
        let reasons = misses.reasons.unwrap_or_default();
        let unplaced: Vec<Unplaced> = Unplaced::of(&misses.slots, &reasons).into_iter().collect();
        let stuck = Unplaced::of(&misses.stuck, &reasons);
        let blocked = !unplaced.is_empty() || stuck.is_some();
        let state = &mut self.works[at(pass.work)];
        state.stuck = stuck;
        state.blocked = blocked;
        state.woken = false;
        self.set_unplaced(pass, unplaced, turn);
        self.block(pass, turn.now);
    }

    pub(super) fn set_unplaced(&mut self, pass: &Pass, unplaced: Vec<Unplaced>, turn: &mut Turn) {
        let state = &mut self.works[at(pass.work)];
        let known = &state.progress.unplaced;
        let fewer = |one: &Unplaced| known.iter().any(|old| one.within(old));
        for news in unplaced.iter().filter(|one| !fewer(one)) {
            let (workload, unplaced) = (state.key.clone(), news.clone());
            turn.plan.decisions.push(Decision::Unplaced { workload, unplaced });
        }
        state.progress.unplaced = unplaced;
        state.progress.unplaced_besides = 0;
    }

    /// A workload that waits for help is woken by it, or when an exclusion is over.
    pub(super) fn block(&mut self, pass: &mut Pass, now: Timestamp) {
        let state = &mut self.works[at(pass.work)];
        state.blocked = !state.progress.unplaced.is_empty() || state.stuck.is_some();
        if !state.blocked {
            self.wait_no_more(pass.work);
            return;
        }
        let ends = state.progress.excluded.iter().map(|one| one.until);
        let ends = ends.chain(state.in_vain.values().copied());
        if let Some(end) = ends.filter(|end| *end > now).min() {
            pass.later(end);
        }
        self.wait_for_help(pass.work, now);
    }
}

/// What found no place in one pass.
#[derive(Debug, Default)]
pub(super) struct Misses {
    pub slots: Vec<u32>,
    pub stuck: Vec<u32>,
    pub reasons: Option<Unplaced>,
}
