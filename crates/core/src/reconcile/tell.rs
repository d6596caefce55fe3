//! Answers to *why* and *what if*, from the very functions that decide.

use std::collections::BTreeMap;

use crate::explain::{
    Carried, Explanation, NodeExplanation, NodeVerdict, Placed, WhatIf, WouldMove, WouldPlace,
    WouldStop,
};
use crate::head::Head;
use crate::id::{Generation, NodeName, Slot, SpecHash, Version, WorkloadKey};
use crate::placement::Reason;
use crate::placement::field::Field;
use crate::time::Timestamp;
use crate::workload::Workload;

use super::picture::at;
use super::survey::Bounds;
use super::{Decision, Engine, Event};

/// An answer to *what if* looks at no more plans in a row than this.
const MOST_PLANS: u32 = 1000;

impl Engine {
    /// Where the workload's instances are and why, and each node's verdict on one more.
    #[must_use]
    pub fn explain_workload(&self, key: &WorkloadKey, now: Timestamp) -> Option<Explanation> {
        let work = *self.work_keys.get(key)?;
        let head = self.works[at(work)].head.clone()?;
        let mut engine = None;
        let this = self.ordered(&mut engine);
        let field = this.field(work, &head, now, Bounds::default());
        let mut nodes = BTreeMap::new();
        for (place, stall) in field.stalls().iter().enumerate() {
            let state = &this.nodes[at(stall.node)];
            nodes.insert(state.name.clone(), this.verdict(work, &field, place, now));
        }
        let mut instances: Vec<Placed> = this.works[at(work)]
            .slots
            .iter()
            .map(|(slot, index)| this.placed(*slot, *index, &nodes))
            .collect();
        instances.sort_by_key(|one| (one.slot, one.id));
        let unplaced = this.works[at(work)].progress.unplaced.clone();
        let version = head.version;
        Some(Explanation { workload: key.clone(), version, instances, unplaced, nodes })
    }

    /// This engine with its nodes in order: a copy only if nothing was planned since one joined.
    fn ordered<'a>(&'a self, copy: &'a mut Option<Self>) -> &'a Self {
        if !self.order.is_empty() || self.nodes.is_empty() {
            return self;
        }
        let copy = copy.insert(self.clone());
        copy.sort_nodes();
        copy
    }

    fn verdict(&self, work: u32, field: &Field, place: usize, now: Timestamp) -> NodeVerdict {
        let reasons = field.reasons(place);
        if !reasons.is_empty() {
            let node = field.stalls()[place].node;
            let request = self.works[at(work)].request.as_ref();
            let said = request.and_then(|request| self.refused(request, node, now));
            let (reasons, said) = (reasons.iter().collect(), said.map(str::to_owned));
            return NodeVerdict::Rejected { reasons, said };
        }
        let state = &self.nodes[at(field.stalls()[place].node)];
        let merit = field.merit(place, &state.seat);
        NodeVerdict::Fits { spread: merit.spread, score: merit.score, terms: merit.terms }
    }

    fn placed(&self, slot: u32, index: u32, nodes: &BTreeMap<NodeName, NodeVerdict>) -> Placed {
        let instance = &self.instances[at(index)];
        let node = self.nodes[at(instance.node)].name.clone();
        let terms = match nodes.get(&node) {
            Some(NodeVerdict::Fits { terms, .. }) => terms.clone(),
            Some(NodeVerdict::Rejected { .. }) | None => BTreeMap::new(),
        };
        let (id, score, version) = (instance.id, instance.score, self.version(index));
        Placed { id, slot: Slot(slot), version, node, score, terms }
    }

    /// What a node has, carries and refuses.
    #[must_use]
    pub fn explain_node(&self, node: &NodeName, now: Timestamp) -> Option<NodeExplanation> {
        let index = *self.node_names.get(node)?;
        let state = &self.nodes[at(index)];
        let record = state.record.as_ref()?;
        let mut instances: Vec<Carried> =
            state.entries.iter().map(|index| self.carried(*index)).collect();
        instances.sort_by_key(|one| one.id);
        let mut closed = Vec::new();
        if record.pool != self.pool {
            closed.push(Reason::Pool);
        }
        if record.liveness != crate::node::Liveness::Online || state.gone {
            closed.push(Reason::Liveness);
        }
        if record.admin != crate::node::Admin::Active {
            closed.push(Reason::Admin);
        }
        Some(NodeExplanation {
            node: node.clone(),
            admin: record.admin,
            liveness: record.liveness,
            usable: state.seat.usable(),
            free: state.seat.free(),
            instances,
            closed,
            bid: state.bid.as_ref().map(|(bid, _)| bid.clone()),
            unplaced: self.refusals(index, now),
        })
    }

    fn carried(&self, index: u32) -> Carried {
        let instance = &self.instances[at(index)];
        Carried {
            id: instance.id,
            workload: self.works[at(instance.work)].key.clone(),
            slot: Slot(instance.slot),
            desired: instance.desired.as_str(),
            reason: instance.why.as_str().to_owned(),
        }
    }

    /// Workloads with slots that have no place, and why not on this node.
    fn refusals(&self, node: u32, now: Timestamp) -> BTreeMap<WorkloadKey, Vec<Reason>> {
        let mut engine = None;
        let this = self.ordered(&mut engine);
        let mut refusals = BTreeMap::new();
        for work in this.blocked.iter().take(100) {
            let Some(head) = this.works[at(*work)].head.clone() else { continue };
            let field = this.field(*work, &head, now, Bounds::default());
            let place = field.stalls().iter().position(|stall| stall.node == node);
            let reasons = place.map(|place| field.reasons(place).iter().collect());
            refusals.insert(this.works[at(*work)].key.clone(), reasons.unwrap_or_default());
        }
        refusals
    }

    /// What would happen at once if these workloads were put now; nothing changes. Of a rolling
    /// update that is the first step.
    #[must_use]
    pub fn what_if(&self, workloads: &[Workload], now: Timestamp) -> WhatIf {
        let mut engine = self.clone();
        engine.plan_out(now, &mut |_| {});
        for workload in workloads {
            let head = engine.next_head(workload, now);
            engine.observe(Event::Workload(Box::new(head)), now);
        }
        let mut what_if = WhatIf::default();
        engine.plan_out(now, &mut |decision| what_if.add(decision));
        for workload in workloads {
            let unplaced = engine.progress(&workload.key()).unwrap_or_default().unplaced;
            if !unplaced.is_empty() {
                what_if.unplaced.insert(workload.key(), unplaced);
            }
        }
        what_if
    }

    /// Plans until there is no more to do at this moment.
    fn plan_out(&mut self, now: Timestamp, told: &mut impl FnMut(Decision)) {
        for _ in 0..MOST_PLANS {
            let plan = self.plan(now);
            plan.decisions.into_iter().for_each(&mut *told);
            if !plan.more {
                return;
            }
        }
    }

    /// The head that the registry would write for this text.
    fn next_head(&self, workload: &Workload, now: Timestamp) -> Head {
        let work = self.work_keys.get(&workload.key()).map(|work| &self.works[at(*work)]);
        let old = work.and_then(|work| work.head.as_deref());
        let version = old.map_or(Version(1), |old| old.version.next());
        let kept = old.filter(|old| !old.deleted && !old.spec.destructive(workload));
        Head {
            spec: workload.clone(),
            version,
            compatible_since: kept.map_or(version, |old| old.compatible_since),
            spec_hash: kept.map_or(SpecHash([0; 32]), |old| old.spec_hash),
            restart_generation: old.map_or(Generation(0), |old| old.restart_generation),
            reload_generation: old.map_or(Generation(0), |old| old.reload_generation),
            stopped: false,
            deleted: false,
            purge: false,
            updated_at: now,
            op_id: String::new(),
        }
    }
}

impl WhatIf {
    fn add(&mut self, decision: Decision) {
        match decision {
            Decision::Place { workload, slot, node, score, moved, .. } => {
                if let Some((from, reason)) = moved {
                    let (workload, to) = (workload.clone(), node.clone());
                    self.moves.push(WouldMove { workload, slot, from, to, reason });
                }
                self.placements.push(WouldPlace { workload, slot, node, score });
            }
            Decision::Stop { id, workload, slot, node, reason } => {
                self.stops.push(WouldStop { id, workload, slot, node, reason });
            }
            Decision::Restart { .. }
            | Decision::Lost { .. }
            | Decision::UpdateFailed { .. }
            | Decision::Updated { .. }
            | Decision::Unplaced { .. }
            | Decision::Drained { .. }
            | Decision::Noted { .. }
            | Decision::MassLoss { .. } => {}
        }
    }
}
