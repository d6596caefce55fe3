//! What came of a rehearsal: what was decided, what stands now and did not before, and a sentence.

use std::collections::{BTreeMap, BTreeSet};

use crate::explain::{Load, Supposition, WhatIf, WouldEvict, WouldMove, WouldPlace, WouldStop};
use crate::id::{NodeName, WorkloadKey};
use crate::node::{Admin, Liveness, Node};
use crate::workload::Workload;

use super::picture::NodeState;
use super::{Decision, Engine, Unplaced};

/// At most so many placements are told with their reasons, and so many nodes with their loads.
const EXPLAINED: usize = 1000;
const NODES: usize = 100;

/// How things stand: what has no place, and what each node carries.
pub(super) struct Standing {
    unplaced: BTreeMap<WorkloadKey, Vec<Unplaced>>,
    nodes: BTreeMap<NodeName, Load>,
}

impl Standing {
    pub fn of(engine: &Engine) -> Self {
        let mut unplaced = BTreeMap::new();
        for work in engine.works.iter() {
            let mut runs = work.progress.unplaced.clone();
            runs.extend(work.stuck.clone());
            if work.head.is_some() && !runs.is_empty() {
                unplaced.insert(work.key.clone(), runs);
            }
        }
        let open = |state: &&NodeState| {
            let record = state.record.as_deref();
            let takes = |record: &Node| {
                record.pool == engine.pool
                    && record.liveness == Liveness::Online
                    && record.admin == Admin::Active
            };
            !state.gone && record.is_some_and(takes)
        };
        let load = |state: &NodeState| (state.name.clone(), Load::of(state));
        Self { unplaced, nodes: engine.nodes.iter().filter(open).map(load).collect() }
    }

    fn load(&self) -> Load {
        self.nodes.values().fold(Load::default(), |all, one| Load {
            nodes: all.nodes + one.nodes,
            instances: all.instances + one.instances,
            usable: all.usable.plus(one.usable),
            requested: all.requested.plus(one.requested),
        })
    }
}

impl Load {
    fn of(state: &NodeState) -> Self {
        let seat = &state.seat;
        let (usable, requested) = (seat.usable(), seat.requested);
        Self { nodes: 1, instances: seat.instances, usable, requested }
    }
}

/// What was decided.
#[derive(Default)]
pub(super) struct Log {
    placements: Vec<WouldPlace>,
    stops: Vec<WouldStop>,
    evictions: Vec<WouldEvict>,
    moves: Vec<WouldMove>,
    /// Something happened after the first instant.
    pub late: bool,
}

impl Log {
    pub fn add(&mut self, decision: Decision) {
        match decision {
            Decision::Place { workload, slot, version, node, score, moved, why, .. } => {
                if let Some((from, reason)) = moved {
                    let (workload, to) = (workload.clone(), node.clone());
                    self.moves.push(WouldMove { workload, slot, from, to, reason });
                }
                let why = why.filter(|_| self.placements.len() < EXPLAINED);
                let place = WouldPlace { workload, slot, version, node, score, why };
                self.placements.push(place);
                self.late = true;
            }
            Decision::Stop { id, workload, slot, node, reason } => {
                self.stops.push(WouldStop { id, workload, slot, node, reason });
                self.late = true;
            }
            Decision::Preempt { id, workload, slot, node, by, by_slot } => {
                self.evictions.push(WouldEvict { id, workload, slot, node, by, by_slot });
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

    pub fn into(self, what_if: &mut WhatIf) {
        let Self { placements, stops, evictions, moves, .. } = self;
        (what_if.placements, what_if.stops) = (placements, stops);
        (what_if.evictions, what_if.moves) = (evictions, moves);
    }
}

impl WhatIf {
    pub(super) fn compare(&mut self, before: &Standing, after: Standing, supposed: &Supposition) {
        self.load = (before.load(), after.load());
        let names: BTreeSet<&NodeName> = before.nodes.keys().chain(after.nodes.keys()).collect();
        let pair = |name: &&NodeName| (before.nodes.get(*name), after.nodes.get(*name));
        let changed = names.into_iter().filter(|name| {
            let (was, is) = pair(name);
            was != is
        });
        let loads = changed.take(NODES).map(|name| {
            let (was, is) = pair(&name);
            (name.clone(), (was.copied(), is.copied()))
        });
        self.nodes = loads.collect();
        let put: BTreeSet<WorkloadKey> = supposed.workloads.iter().map(Workload::key).collect();
        let count = |runs: &BTreeMap<WorkloadKey, Vec<Unplaced>>| -> u32 {
            runs.values().flatten().map(Unplaced::count).sum()
        };
        self.unplaced_slots = (count(&before.unplaced), count(&after.unplaced));
        let worse = |key: &WorkloadKey, runs: &[Unplaced]| {
            let had = before.unplaced.get(key).map_or(&[][..], Vec::as_slice);
            let known = |run: &Unplaced| had.iter().any(|old| run.within(old));
            put.contains(key) || !runs.iter().all(known)
        };
        self.unplaced = after.unplaced;
        self.unplaced.retain(|key, runs| worse(key, runs));
    }

    pub(super) fn conclude(&mut self, supposed: &Supposition) {
        let without: u32 = self.unplaced.values().flatten().map(Unplaced::count).sum();
        self.survives = without == 0 && self.complete;
        let moves = self.moves.len();
        let fresh = self.placements.len().saturating_sub(moves);
        let mut said = Vec::new();
        let mut say = |count: usize, one: &str, many: &str| match count {
            0 => {}
            1 => said.push(format!("1 {one}")),
            more => said.push(format!("{more} {many}")),
        };
        say(moves, "instance moves", "instances move");
        say(fresh, "is placed", "are placed");
        let stops = self.stops.len().saturating_sub(moves);
        if supposed.lose.is_empty() && supposed.drain.is_empty() {
            say(stops, "is stopped", "are stopped");
        }
        say(self.evictions.len(), "is evicted", "are evicted");
        say(self.waits.len(), "waits for its lost node", "wait for their lost nodes");
        let what = if said.is_empty() { "nothing changes".to_owned() } else { said.join(", ") };
        let all = if self.placements.is_empty() { "" } else { ", all placed" };
        self.summary = match (without, self.complete) {
            (0, true) => format!("yes: {what}{all}"),
            (0, false) => format!("not known: it was not followed to its end; so far {what}"),
            (1, _) if said.is_empty() => "no: 1 has no place".to_owned(),
            (1, _) => format!("no: 1 has no place; {what}"),
            (more, _) if said.is_empty() => format!("no: {more} have no place"),
            (more, _) => format!("no: {more} have no place; {what}"),
        };
    }
}
