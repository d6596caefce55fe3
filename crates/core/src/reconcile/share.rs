//! Workloads of one plan that ask the same of nodes share one field: its nodes are filtered once,
//! and then only those are looked at again on which something changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::head::Head;
use crate::id::InstanceId;
use crate::instance::Desired;
use crate::placement::Request;
use crate::placement::field::Field;
use crate::placement::score::ONE;
use crate::time::Timestamp;
use crate::workload::{Mode, Scope, Strategy};

use super::Engine;
use super::picture::at;
use super::plan::Pass;
use super::survey::Bounds;

/// So many fields are kept for the workloads that follow.
const KEPT: usize = 32;

/// The fields of a plan, and the nodes on which something changed since it began.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    kept: Vec<Stand>,
    changed: Vec<u32>,
    planning: bool,
}

impl Fields {
    /// A plan begins.
    pub fn begin(&mut self) {
        *self = Self { planning: true, ..Self::default() };
    }

    /// The plan is made.
    pub fn end(&mut self) {
        *self = Self::default();
    }

    /// Something changed on this node.
    pub fn changed(&mut self, node: u32) {
        if self.planning {
            self.changed.push(node);
        }
    }

    /// Nothing that was kept is worth anything.
    pub fn forget(&mut self) {
        self.kept.clear();
    }
}

/// A field and whose it is.
#[derive(Debug, Clone)]
pub(super) struct Stand {
    pub field: Field,
    /// One of the workloads it was made for, and what that asks; `None`: it is for one alone.
    made_for: Option<(Arc<Head>, Arc<Request>)>,
    /// How many of the changes it has seen.
    seen: usize,
    /// Where its workload has instances.
    own: Vec<usize>,
    /// What was the newest instance when it was last used.
    newest: Option<(InstanceId, u32)>,
}

impl Engine {
    /// The field for this workload: one that another one left, or a new one.
    pub(super) fn stand(&mut self, pass: &Pass, now: Timestamp) -> Stand {
        self.know_columns(&pass.head);
        let request = self.works[at(pass.work)].request.clone();
        let Some(request) = request.filter(|_| self.shares(pass, now)) else {
            let field = self.field(pass.work, &pass.head, now, Bounds::default());
            let own = running(&self.counted(pass.work));
            return Stand { field, made_for: None, seen: 0, own, newest: None };
        };
        if let Some(mut stand) = self.left_by_another(pass, &request) {
            self.catch_up(pass, &mut stand, now);
            self.hand_over(pass, &mut stand);
            return stand;
        }
        let field = self.field(pass.work, &pass.head, now, Bounds::default());
        let own = running(&self.counted(pass.work));
        let made_for = Some((Arc::clone(&pass.head), request));
        Stand { field, made_for, seen: self.fields.changed.len(), own, newest: None }
    }

    fn left_by_another(&mut self, pass: &Pass, request: &Request) -> Option<Stand> {
        let asks = (pass.head.as_ref(), request);
        let fits = |stand: &Stand| stand.made_for.as_ref().is_some_and(|one| alike(one, asks));
        let place = self.fields.kept.iter().rposition(fits)?;
        let stand = self.fields.kept.remove(place);
        // Whose turn it is goes by what was placed last, whoever placed it.
        let turns = pass.head.spec.placement.strategy == Strategy::RoundRobin;
        (!turns || stand.newest == self.newest).then_some(stand)
    }

    /// One was placed on this node of the field.
    pub(super) fn note_placed(
        &mut self,
        pass: &Pass,
        place: usize,
        stand: &mut Stand,
        now: Timestamp,
    ) {
        let node = stand.field.stalls()[place].node;
        let state = &self.nodes[at(node)];
        stand.field.placed(place, &state.seat, &state.ports);
        stand.own.push(place);
        if self.fields.changed[stand.seen..].iter().all(|changed| *changed == node) {
            stand.seen = self.fields.changed.len();
        } else if stand.made_for.is_some() {
            self.catch_up(pass, stand, now);
        }
    }

    /// Whether a placement there changes to which nodes the workload's others want to be near: it
    /// wants to be near itself, and there was none of it yet where this one goes.
    pub(super) fn draws_near(&self, pass: &Pass, stand: &Stand, place: usize) -> bool {
        let rules = pass.head.spec.placement.affinity.iter();
        let mut own = rules.filter(|rule| rule.workload == pass.head.spec.name);
        let first = stand.own.is_empty();
        let near = stand.field.stalls()[place].affinity == ONE;
        own.any(|rule| first || (rule.mode == Mode::Soft && !near))
    }

    /// The workload has had its turn: the next one that asks the same may have the field.
    pub(super) fn leave(&mut self, mut stand: Stand) {
        if stand.made_for.is_none() {
            return;
        }
        stand.newest = self.newest;
        if self.fields.kept.len() == KEPT {
            self.fields.kept.remove(0);
        }
        self.fields.kept.push(stand);
    }

    /// Whether what this workload sees of nodes depends on nothing but its text, the nodes, and
    /// what occupies each of them.
    fn shares(&self, pass: &Pass, now: Timestamp) -> bool {
        let rules = &pass.head.spec.placement;
        let excluded = &self.works[at(pass.work)].progress.excluded;
        let near = rules.anti_affinity.iter().all(|rule| rule.scope == Scope::Node);
        // Whose turn it is depends on the turns of those that could not be taken.
        let counts = !rules.max_per.is_empty() || !rules.spread.is_empty() || rules.zone_redundancy;
        if rules.strategy == Strategy::RoundRobin && counts {
            return false;
        }
        near && rules.affinity.is_empty()
            && self.works[at(pass.work)].request.is_some()
            && excluded.iter().all(|one| one.until <= now)
    }

    /// Looks again at nodes on which something changed since the field was last used.
    fn catch_up(&self, pass: &Pass, stand: &mut Stand, now: Timestamp) {
        let Some(request) = &self.works[at(pass.work)].request else { return };
        let mut changed = self.fields.changed[stand.seen..].to_vec();
        changed.sort_unstable();
        changed.dedup();
        for node in changed {
            let company = self.company(&pass.head, request, node, now);
            let (place, state) = (at(self.places[at(node)]), &self.nodes[at(node)]);
            stand.field.renew(place, company, &state.seat, &state.ports);
        }
        stand.seen = self.fields.changed.len();
    }

    /// From now on this workload's instances are its own.
    fn hand_over(&self, pass: &Pass, stand: &mut Stand) {
        let counted = self.counted(pass.work);
        let before = std::mem::take(&mut stand.own);
        let gone = before.into_iter().filter(|place| !counted.contains_key(place));
        let now = counted.iter().map(|(place, (running, _))| (*place, *running));
        for (place, own) in gone.map(|place| (place, 0)).chain(now) {
            let node = stand.field.stalls()[place].node;
            let state = &self.nodes[at(node)];
            stand.field.owns(place, own, &state.seat, &state.ports);
        }
        let counts: Vec<(usize, u32, u32)> = counted
            .iter()
            .map(|(place, (running, occupying))| (*place, *running, *occupying))
            .collect();
        stand.field.recount(&counts);
        stand.own = running(&counted);
    }

    /// By place in the field: how many of the workload's run there, and how many occupy it.
    fn counted(&self, work: u32) -> BTreeMap<usize, (u32, u32)> {
        let mut counted: BTreeMap<usize, (u32, u32)> = BTreeMap::new();
        for (_, index) in &self.works[at(work)].slots {
            let instance = &self.instances[at(*index)];
            let place = at(self.places[at(instance.node)]);
            match instance.desired {
                Desired::Run => {
                    let counts = counted.entry(place).or_default();
                    *counts = (counts.0 + 1, counts.1 + 1);
                }
                Desired::Stop | Desired::Hibernate => counted.entry(place).or_default().1 += 1,
                Desired::Keep => {}
            }
        }
        counted
    }
}

/// Where at least one is ordered to run.
fn running(counted: &BTreeMap<usize, (u32, u32)>) -> Vec<usize> {
    let some = counted.iter().filter(|(_, (running, _))| *running > 0);
    some.map(|(place, _)| *place).collect()
}

/// Whether nodes look the same to both.
fn alike((one, asks): &(Arc<Head>, Arc<Request>), (head, request): (&Head, &Request)) -> bool {
    if asks.image != request.image || asks.platforms != request.platforms {
        return false;
    }
    let (one, other) = (&one.spec, &head.spec);
    one.count == other.count
        && one.driver == other.driver
        && one.pool == other.pool
        && one.ask() == other.ask()
        && one.ports == other.ports
        && one.placement == other.placement
}

#[cfg(test)]
mod tests;
