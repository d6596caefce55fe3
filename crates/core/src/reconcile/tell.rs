//! Answers to *why*, from the very functions that decide.

use std::collections::BTreeMap;

use crate::explain::{
    Carried, Choice, Explanation, InstanceExplanation, NodeExplanation, Placed, RunnerUp, Term,
    Told,
};
use crate::id::{InstanceId, NodeName, Slot, WorkloadKey};
use crate::placement::Reason;
use crate::placement::field::Field;
use crate::time::Timestamp;

use super::Engine;
use super::against::Against;
use super::occupy::uses_its_ask;
use super::picture::{Work, at, index};
use super::survey::Bounds;

/// Of one workload or node at most so many instances are told.
const MOST_INSTANCES: usize = 1000;
/// Runners-up that are kept with a decision, and that are told of an instance.
const KEPT: usize = 2;
const RUNNERS_UP: usize = 5;
/// A question about a node looks at so many pairs of node and workload without a place.
const MOST_PAIRS: usize = 100_000;

/// What a beginning of an id stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// No instance here.
    None,
    /// This one.
    One(InstanceId),
    /// More than one.
    Many,
}

impl Engine {
    /// The instance whose id begins so.
    #[must_use]
    pub fn named(&self, beginning: &str) -> Named {
        let Some((first, last)) = InstanceId::beginning_with(beginning) else { return Named::None };
        let mut found = self.ids.range((first, 0)..=(last, u32::MAX));
        match (found.next(), found.next()) {
            (None, _) => Named::None,
            (Some((id, _)), None) => Named::One(*id),
            (Some(_), Some(_)) => Named::Many,
        }
    }

    /// Where the workload's instances are and why, and what nodes say to one more: those that
    /// matter most, or `only` that one.
    #[must_use]
    pub fn explain_workload(
        &mut self,
        key: &WorkloadKey,
        only: Option<&NodeName>,
        now: Timestamp,
    ) -> Option<Explanation> {
        self.sort_nodes();
        let work = *self.work_keys.get(key)?;
        let head = self.works[at(work)].head.clone()?;
        let field = self.field(work, &head, now, Bounds::default());
        let state = &self.works[at(work)];
        let told = |(_, index): &(u32, u32)| self.placed(*index, Some(&field));
        let mut instances: Vec<Placed> =
            state.slots.iter().take(MOST_INSTANCES).map(told).collect();
        instances.sort_by_key(|one| (one.slot, one.id));
        Some(Explanation {
            workload: key.clone(),
            version: head.version,
            strategy: head.spec.placement.strategy,
            weights: field.weighting().into_iter().collect(),
            notes: notes(state, now),
            instances_left_out: index(state.slots.len() - instances.len()),
            instances,
            unplaced: state.progress.unplaced.clone(),
            verdicts: self.verdicts(&field, &Against::new(self, work, now)?, only),
        })
    }

    /// Why an instance is where it is: as if it were placed again now, itself left out. The engine is
    /// used up, since the instance is taken out of it: give a copy.
    #[must_use]
    pub fn explain_instance(
        mut self,
        id: InstanceId,
        only: Option<&NodeName>,
        now: Timestamp,
    ) -> Option<InstanceExplanation> {
        self.sort_nodes();
        let index = self.known(id)?;
        let instance = &self.instances[at(index)];
        let (work, home) = (instance.work, instance.node);
        let head = self.works[at(work)].head.clone()?;
        let own = self.placed(index, None);
        self.take_out(index);
        let field = self.field(work, &head, now, Bounds::default());
        let own = Placed { terms: self.terms_on(home, &field), ..own };
        let place = field.stalls().iter().position(|stall| stall.node == home)?;
        let best = field.best();
        let others = best.into_iter().chain(field.next_best(RUNNERS_UP));
        let others = others.filter(|other| *other != place).take(RUNNERS_UP);
        let mine = field.score(place);
        let would_go_to = best.map(|best| self.name_in(&field, best));
        let against = Against::new(&self, work, now)?;
        Some(InstanceExplanation {
            workload: self.works[at(work)].key.clone(),
            version: head.version,
            strategy: head.spec.placement.strategy,
            weights: field.weighting().into_iter().collect(),
            instance: own,
            would_go_to,
            runners_up: others.map(|other| self.runner_up(&field, other, mine)).collect(),
            verdicts: self.verdicts(&field, &against, only),
        })
    }

    pub(super) fn name_in(&self, field: &Field, place: usize) -> NodeName {
        self.nodes[at(field.stalls()[place].node)].name.clone()
    }

    fn runner_up(&self, field: &Field, place: usize, best: u32) -> RunnerUp {
        let score = field.score(place);
        RunnerUp {
            node: self.name_in(field, place),
            spread: field.told_spread(place),
            score,
            behind: i64::from(best) - i64::from(score),
        }
    }

    /// The record of the choice that is about to be made: of `best`.
    pub(super) fn choice(
        &self,
        field: &Field,
        best: usize,
        census: &std::sync::Arc<crate::explain::Census>,
    ) -> Choice {
        let merit = field.merit(best, &self.nodes[at(field.stalls()[best].node)].seat);
        let term = |(name, weight): (&'static str, u64)| Term {
            name,
            weight,
            value: merit.terms.get(name).copied().unwrap_or(0),
        };
        let next = field.next_best(KEPT);
        Choice {
            strategy: field.strategy(),
            spread: merit.spread,
            terms: field.weighting().into_iter().map(term).collect(),
            runners_up: next.iter().map(|one| self.runner_up(field, *one, merit.score)).collect(),
            census: std::sync::Arc::clone(census),
        }
    }

    /// An instance is not there any more, and what it uses of its node is free.
    fn take_out(&mut self, index: u32) {
        let instance = &self.instances[at(index)];
        let (node, ask) = (instance.node, self.texts[at(instance.text)].ask);
        let used = instance.observed.is_some_and(uses_its_ask);
        self.drop_instance(index);
        if let Some(live) = self.nodes[at(node)].seat.used.as_mut().filter(|_| used) {
            live.cpu = live.cpu.saturating_sub(ask.cpu);
            live.memory = live.memory.saturating_sub(ask.memory.0);
            live.disk = live.disk.saturating_sub(ask.disk.0);
        }
    }

    /// What the score of one more on this node is made of; empty where none fits.
    fn terms_on(&self, node: u32, field: &Field) -> BTreeMap<&'static str, u32> {
        let state = &self.nodes[at(node)];
        // The field has the nodes in the order of names.
        let name = |node: &u32| &self.nodes[at(*node)].name;
        let place = self.order.binary_search_by_key(&&state.name, name).ok();
        let open = place.filter(|place| field.reasons(*place).is_empty());
        open.map(|place| field.merit(place, &state.seat).terms).unwrap_or_default()
    }

    fn placed(&self, index: u32, field: Option<&Field>) -> Placed {
        let instance = &self.instances[at(index)];
        let terms = field.map(|field| self.terms_on(instance.node, field));
        Placed {
            id: instance.id,
            slot: Slot(instance.slot),
            version: self.version(index),
            node: self.nodes[at(instance.node)].name.clone(),
            desired: instance.desired.as_str(),
            reason: instance.why.as_str().to_owned(),
            score: instance.score,
            terms: terms.unwrap_or_default(),
        }
    }

    /// What a node has, carries and refuses.
    #[must_use]
    pub fn explain_node(&mut self, node: &NodeName, now: Timestamp) -> Option<NodeExplanation> {
        self.sort_nodes();
        let index = *self.node_names.get(node)?;
        let state = &self.nodes[at(index)];
        let record = state.record.as_ref()?;
        let told = state.entries.iter().take(MOST_INSTANCES);
        let mut instances: Vec<Carried> = told.map(|index| self.carried(*index)).collect();
        instances.sort_by_key(|one| one.id);
        let mut closed = Vec::new();
        if record.pool != self.pool {
            closed.push(Reason::Pool);
        }
        if record.liveness != crate::node::Liveness::Online || state.gone || state.kept > 0 {
            closed.push(Reason::Liveness);
        }
        if record.admin != crate::node::Admin::Active {
            closed.push(Reason::Admin);
        }
        let most = (MOST_PAIRS / self.order.len().max(1)).clamp(1, 100);
        let (unplaced, obstacles) = self.refusals(index, most, now);
        Some(NodeExplanation {
            node: node.clone(),
            admin: record.admin,
            liveness: record.liveness,
            usable: state.seat.usable(),
            free: state.seat.free(),
            live_free: state.seat.live_free(),
            count: state.seat.instances,
            max_instances: state.seat.max_instances,
            instances,
            closed,
            bid: state.bid.as_ref().map(|(bid, _)| bid.clone()),
            unplaced_left_out: super::picture::index(self.blocked.len().saturating_sub(most)),
            unplaced,
            obstacles,
        })
    }

    fn carried(&self, index: u32) -> Carried {
        let instance = &self.instances[at(index)];
        Carried {
            id: instance.id,
            workload: self.works[at(instance.work)].key.clone(),
            slot: Slot(instance.slot),
            ask: self.texts[at(instance.text)].ask,
            desired: instance.desired.as_str(),
            reason: instance.why.as_str().to_owned(),
        }
    }

    /// Workloads with slots that have no place, and why not on this node: codes, and in numbers.
    fn refusals(
        &self,
        node: u32,
        most: usize,
        now: Timestamp,
    ) -> (BTreeMap<WorkloadKey, Vec<Reason>>, BTreeMap<WorkloadKey, Vec<Told>>) {
        let (mut codes, mut numbers) = (BTreeMap::new(), BTreeMap::new());
        let mut blocked: Vec<u32> = self.blocked.iter().copied().collect();
        blocked.sort_by_cached_key(|work| {
            let work = &self.works[at(*work)];
            (std::cmp::Reverse(work.priority()), work.key.clone())
        });
        for work in blocked.into_iter().take(most) {
            let Some(head) = self.works[at(work)].head.clone() else { continue };
            let Some(against) = Against::new(self, work, now) else { continue };
            let field = self.field(work, &head, now, Bounds::default());
            let place = field.stalls().iter().position(|stall| stall.node == node);
            let reasons = place.map(|place| field.reasons(place)).unwrap_or_default();
            let key = self.works[at(work)].key.clone();
            let name = &self.nodes[at(node)].name;
            let told = against.obstacles(node, reasons).into_iter();
            numbers.insert(key.clone(), told.map(|one| Told::on(name, one)).collect());
            codes.insert(key, reasons.iter().collect());
        }
        (codes, numbers)
    }
}

/// Why a workload is not as wanted, or is not acted on.
fn notes(state: &Work, now: Timestamp) -> Vec<String> {
    let mut notes = Vec::new();
    let Some(head) = &state.head else { return notes };
    if head.deleted {
        notes.push("it is deleted: its instances are being stopped".to_owned());
    } else if head.stopped {
        notes.push("it is stopped by a person: no instance is wanted".to_owned());
    } else if head.spec.count == 0 {
        notes.push("its count is 0: no instance is wanted".to_owned());
    }
    // Its fleet, those that come first, or its schedule.
    let rests = state.progress.rests_since(&head.spec);
    notes.extend(Some(rests).filter(|rests| !rests.is_empty()));
    if let Some((version, reason)) = &state.progress.failed {
        notes.push(format!("the update to version {version} failed and stopped: {reason}"));
    } else if state.progress.step_since.is_some() {
        notes.push(format!("version {} is being rolled out", head.version));
    }
    for (slot, until, failures) in state.progress.waiting.iter().take(10) {
        if *until > now {
            let left = crate::explain::for_people(until.since(now));
            let times = if *failures == 1 { "failure" } else { "failures" };
            let after = format!("after {failures} {times}");
            notes.push(format!("slot {slot} waits {left} before the next try, {after}"));
        }
    }
    notes
}
