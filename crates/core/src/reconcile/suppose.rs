//! Answers to *what if*: the engine is led on as if it had happened, and what it does is told.

use std::collections::{BTreeMap, BTreeSet};

use crate::explain::{Addition, Selector, Supposition, WhatIf, WouldWait};
use crate::head::Head;
use crate::id::{Generation, NodeName, Slot, SpecHash, Version, WorkloadKey};
use crate::instance::Desired;
use crate::node::{Admin, Liveness, Node};
use crate::time::{Span, Timestamp};
use crate::workload::{Kind, Workload};

use super::against::Against;
use super::outcome::{Log, Standing};
use super::picture::{at, index};
use super::rehearse::Rehearsal;
use super::survey::Bounds;
use super::{Engine, Event, Unplaced};

/// How long jobs may finish where a node is drained.
const DRAIN: Span = Span::from_secs(3600);
/// After the last thing that is known to be waited for.
const MARGIN: Span = Span::from_secs(1);
/// Of so many workloads without a place it is told in numbers why.
const WHY: usize = 20;

impl Engine {
    /// The nodes of this pool that are meant.
    #[must_use]
    pub fn meant(&self, selector: &Selector) -> Vec<NodeName> {
        let mut meant: Vec<NodeName> = self
            .own_nodes()
            .filter(|node| selector.matches(node))
            .map(|node| node.name.clone())
            .collect();
        meant.sort();
        meant
    }

    /// What nodes of this pool have for what the selector asks about; at most ten.
    #[must_use]
    pub fn values_of(&self, selector: &Selector) -> BTreeSet<String> {
        let mut values = BTreeSet::new();
        for value in self.own_nodes().filter_map(|node| selector.value_of(node)) {
            if values.len() < 10 || values.contains(&value) {
                values.insert(value);
            }
        }
        values
    }

    /// The node that an addition is like, by name; the first in the order of names.
    #[must_use]
    pub fn pattern(&self, addition: &Addition) -> Option<NodeName> {
        let mut nodes: Vec<&Node> = self.own_nodes().collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        addition.pattern(nodes.iter().copied()).map(|node| node.name.clone())
    }

    /// What was meant and is not here, with what is.
    fn unmatched(&self, supposed: &Supposition) -> BTreeMap<String, Vec<String>> {
        let mut unmatched = BTreeMap::new();
        for selector in supposed.lose.iter().chain(&supposed.drain) {
            if self.meant(selector).is_empty() {
                let values = self.values_of(selector).into_iter().collect();
                unmatched.insert(selector.as_str().to_owned(), values);
            }
        }
        for addition in supposed.add.iter().filter(|one| self.pattern(one).is_none()) {
            unmatched.insert(addition.like().to_owned(), Vec::new());
        }
        unmatched
    }

    fn own_nodes(&self) -> impl Iterator<Item = &Node> + Clone {
        let there = self.nodes.iter().filter(|state| !state.gone);
        let records = there.filter_map(|state| state.record.as_deref());
        records.filter(|record| record.pool == self.pool)
    }

    /// What would come of this, carried out to its end; the engine is used up, so give a copy.
    /// `go_on` is asked before every plan; once it says no, the answer is what was found so far.
    /// Selectors and additions that mean nothing here are passed over.
    #[must_use]
    pub fn what_if(
        self,
        supposed: &Supposition,
        now: Timestamp,
        go_on: &mut dyn FnMut() -> bool,
    ) -> WhatIf {
        let mut rehearsal = Rehearsal::new(self, now, go_on);
        rehearsal.arrive();
        rehearsal.settle(&mut |_| {});
        let before = Standing::of(&rehearsal.engine);
        let mut what_if = WhatIf { pool: rehearsal.engine.pool.clone(), ..WhatIf::default() };
        let horizon = rehearsal.suppose(supposed, &mut what_if);
        let mut log = Log::default();
        rehearsal.settle(&mut |decision| log.add(decision));
        rehearsal.advance(horizon, &mut |decision| log.add(decision));
        what_if.after_ms = if log.late { rehearsal.took().as_millis() } else { 0 };
        what_if.complete = rehearsal.complete;
        let engine = rehearsal.engine;
        let after = Standing::of(&engine);
        log.into(&mut what_if);
        what_if.waits = engine.waiting_on(&what_if.lost);
        what_if.compare(&before, after, supposed);
        what_if.why = engine.why_unplaced(&what_if.unplaced, now);
        what_if.conclude(supposed);
        what_if
    }

    /// Instances that stay on nodes that are lost.
    fn waiting_on(&self, lost: &[NodeName]) -> Vec<WouldWait> {
        let mut waits = Vec::new();
        for name in lost {
            let Some(node) = self.node_names.get(name) else { continue };
            for index in &self.nodes[at(*node)].entries {
                let instance = &self.instances[at(*index)];
                let work = &self.works[at(instance.work)];
                let system = work.head.as_ref().is_some_and(|h| h.spec.kind == Kind::System);
                if instance.desired == Desired::Run && !system {
                    let (workload, slot) = (work.key.clone(), Slot(instance.slot));
                    waits.push(WouldWait { workload, slot, node: name.clone() });
                }
            }
        }
        waits.sort_by(|a, b| (&a.workload, a.slot).cmp(&(&b.workload, b.slot)));
        waits
    }

    fn why_unplaced(
        &self,
        unplaced: &BTreeMap<WorkloadKey, Vec<Unplaced>>,
        now: Timestamp,
    ) -> BTreeMap<WorkloadKey, crate::explain::Verdicts> {
        let mut why = BTreeMap::new();
        for key in unplaced.keys().take(WHY) {
            let Some(work) = self.work_keys.get(key).copied() else { continue };
            let Some(head) = self.works[at(work)].head.clone() else { continue };
            let Some(against) = Against::new(self, work, now) else { continue };
            let field = self.field(work, &head, now, Bounds::default());
            why.insert(key.clone(), self.verdicts(&field, &against, None));
        }
        why
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
            earlier: Vec::new(),
        }
    }
}

impl Rehearsal<'_> {
    /// Makes it happen, and says how long its effects may take.
    fn suppose(&mut self, supposed: &Supposition, what_if: &mut WhatIf) -> Span {
        let meant = |selectors: &[Selector]| -> BTreeSet<NodeName> {
            selectors.iter().flat_map(|selector| self.engine.meant(selector)).collect()
        };
        let (lost, drained) = (meant(&supposed.lose), meant(&supposed.drain));
        what_if.unmatched = self.engine.unmatched(supposed);
        let mut horizon = Span::ZERO;
        if !lost.is_empty() {
            horizon = self.engine.patience().plus(self.engine.settings.mass_loss_pause);
        }
        if !drained.is_empty() {
            horizon = horizon.max(DRAIN).plus(MARGIN);
        }
        for addition in &supposed.add {
            what_if.added.extend(self.join(addition));
        }
        let (now, until) = (self.now, self.now.plus(DRAIN));
        for name in &lost {
            self.change(name, |node| {
                (node.liveness, node.liveness_since) = (Liveness::Offline, now);
            });
        }
        for name in &drained {
            self.change(name, |node| {
                (node.admin, node.drain_deadline) = (Admin::Draining, Some(until));
            });
        }
        for workload in &supposed.workloads {
            let head = self.engine.next_head(workload, self.now);
            self.engine.observe(Event::Workload(Box::new(head)), self.now);
        }
        what_if.lost = lost.into_iter().collect();
        what_if.drained = drained.into_iter().collect();
        horizon
    }

    fn change(&mut self, name: &NodeName, change: impl FnOnce(&mut Node)) {
        let node = self.engine.node_names.get(name).map(|node| &self.engine.nodes[at(*node)]);
        let Some(mut record) = node.and_then(|node| node.record.clone()) else { return };
        change(&mut record);
        self.engine.observe(Event::Node(record), self.now);
    }

    /// New nodes that have what their pattern has, each a machine of its own.
    fn join(&mut self, addition: &Addition) -> Vec<NodeName> {
        let Some(pattern) = self.engine.pattern(addition) else { return Vec::new() };
        let node = self.engine.node_names[&pattern];
        let Some(record) = self.engine.nodes[at(node)].record.clone() else { return Vec::new() };
        let mut added = Vec::new();
        let mut number = 0;
        while index(added.len()) < addition.count {
            number += 1;
            let Ok(name) = format!("new-{number}").parse::<NodeName>() else { break };
            if self.engine.node_names.contains_key(&name) {
                continue;
            }
            let mut node = record.clone();
            node.name = name.clone();
            (node.admin, node.liveness, node.liveness_since) =
                (Admin::Active, Liveness::Online, self.now);
            node.drain_deadline = None;
            node.facts.hardware = String::new();
            self.engine.observe(Event::Node(node), self.now);
            added.push(name);
        }
        added
    }
}

impl Engine {
    /// The longest that any workload waits for a lost node.
    fn patience(&self) -> Span {
        let heads = self.works.iter().filter_map(|work| work.head.as_ref());
        let longest = heads.map(|head| head.spec.reschedule.disconnected_for).max();
        longest.unwrap_or(Span::ZERO).plus(MARGIN)
    }
}
