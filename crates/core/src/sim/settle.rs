//! The loop between leaders and executors, and the passing of time.

use super::invariant;
use super::report::{MoveReport, PlaceReport, StopReport};
use super::world::World;
use crate::head::Head;
use crate::id::{Namespace, NodeName, PoolName, WorkloadKey};
use crate::node::Bid;
use crate::reconcile::{Decision, Event, Plan, Revert};
use crate::time::{Span, Timestamp};
use crate::workload::Strategy;

/// A loop that is not quiet after so many rounds at one instant never will be.
const MOST_ROUNDS: u32 = 10_000;

/// The loop did not come to rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Restless;

impl World {
    /// Runs leaders and executors in turn until none has anything to do at this instant.
    pub(super) fn settle(&mut self) -> Result<(), Restless> {
        for _ in 0..MOST_ROUNDS {
            let planned = self.plan();
            let moved = self.run_executors();
            if !planned && !moved {
                self.broken.extend(invariant::fenced(&self.executors, &self.registry));
                return Ok(());
            }
        }
        Err(Restless)
    }

    /// Lets time pass, stopping at every moment at which something is due.
    pub(super) fn advance(&mut self, span: Span) -> Result<(), Restless> {
        let end = self.now.plus(span);
        self.settle()?;
        while let Some(next) = self.next_moment().filter(|next| *next <= end) {
            // What a leader wants to do in the past would be due for ever.
            self.now = next.max(self.now.plus(Span::from_millis(1))).min(end);
            self.wake_executors();
            self.settle()?;
            if self.now == end {
                break;
            }
        }
        self.now = end;
        self.wake_executors();
        self.settle()
    }

    fn next_moment(&self) -> Option<Timestamp> {
        let engines = self.engines.values().filter_map(crate::reconcile::Engine::wake_at);
        let executors = self.timers.first().map(|(at, _)| *at);
        engines.chain(executors).min()
    }

    fn wake_executors(&mut self) {
        while let Some((at, _)) = self.timers.first() {
            if *at > self.now {
                return;
            }
            let (_, name) = self.timers.pop_first().expect("it was there");
            self.busy.insert(name);
        }
    }

    /// Whether any leader had anything to write.
    pub(super) fn plan(&mut self) -> bool {
        self.bid();
        let pools: Vec<PoolName> = self.engines.keys().cloned().collect();
        let mut any = false;
        for pool in pools {
            let engine = self.engines.get_mut(&pool).expect("it is one of ours");
            let plan = engine.plan(self.now);
            any |= plan != Plan::default();
            self.acted |= acts(&plan);
            self.commit(&pool, plan);
        }
        any
    }

    /// Where there are auctions every executor that is there bids: able, for nothing.
    fn bid(&mut self) {
        let auction = |head: &Head| head.spec.placement.strategy == Strategy::Auction;
        if !self.registry.heads().any(auction) {
            return;
        }
        let alive = self.executors.values().filter(|executor| executor.alive());
        let bids = alive.map(|executor| {
            let node = &executor.node;
            Event::Bid(node.name.clone(), node.epoch, Bid::default())
        });
        for bid in bids.collect::<Vec<_>>() {
            self.observe(&bid);
        }
    }

    fn commit(&mut self, pool: &PoolName, plan: Plan) {
        for node in plan.manifests {
            self.commit_manifest(pool, &node);
        }
        for decision in plan.decisions {
            self.judge(&decision);
            self.note(decision);
        }
        let engine = self.engines.get(pool).expect("it is one of ours");
        for key in plan.progress {
            match engine.progress(&key) {
                Some(progress) => self.progress.insert((pool.clone(), key), progress),
                None => self.progress.remove(&(pool.clone(), key)),
            };
        }
        for Revert { workload: key, good: to, .. } in plan.reverts {
            if let Some(head) = self.registry.revert(&key, to, self.now) {
                self.observe(&Event::Workload(Box::new(head)));
            }
        }
        for key in plan.ended {
            self.registry.purge(&key);
            self.observe(&Event::WorkloadGone(key));
        }
    }

    /// Whether a placement keeps the hard rules.
    fn judge(&mut self, decision: &Decision) {
        let Decision::Place { id, workload, version, node, .. } = decision else { return };
        let text = self.registry.text(workload, *version);
        if let Some(executor) = self.executors.get(node) {
            let broken = invariant::placement(executor, text, *id, &self.registry);
            self.broken.extend(broken);
        }
    }

    fn commit_manifest(&mut self, pool: &PoolName, node: &NodeName) {
        self.revision = self.revision.next();
        let engine = self.engines.get_mut(pool).expect("it is one of ours");
        let mut manifest = engine.manifest(node).unwrap_or_default();
        (manifest.incarnation, manifest.term, manifest.revision) = (1, self.term, self.revision);
        engine.committed(node, self.term, self.revision);
        let Some(executor) = self.executors.get_mut(node) else {
            self.broken.push(format!("node {node} is given work and is not there"));
            return;
        };
        self.broken.extend(invariant::manifest(&executor.node, &manifest));
        executor.wanted = manifest;
        self.busy.insert(node.clone());
    }

    /// Whether any executor had anything to say.
    fn run_executors(&mut self) -> bool {
        let mut news = false;
        for name in std::mem::take(&mut self.busy) {
            let executor = self.executors.get_mut(&name).expect("executors are never forgotten");
            if !executor.alive() {
                continue;
            }
            let (report, forgotten) = executor.step(&self.registry, self.now);
            if forgotten {
                self.broken.push(format!("something runs on {name} that nothing orders any more"));
            }
            self.timers.extend(executor.due(self.now).map(|at| (at, name.clone())));
            let beat = executor.heartbeat(self.now);
            if let Some(report) = report {
                if let Some(beat) = beat {
                    self.observe(&Event::Heartbeat(beat));
                }
                self.observe(&Event::Report(name, Box::new(report)));
                news = true;
            }
        }
        news
    }

    fn note(&mut self, decision: Decision) {
        match decision {
            Decision::Place { id, workload, slot, version, node, score, moved, .. } => {
                let workload = short(&workload);
                // On the node where it was it is no move, whatever made it necessary.
                if let Some((from, reason)) = moved.filter(|(from, _)| *from != node) {
                    let (workload, to) = (workload.clone(), node.clone());
                    self.done.moved.push(MoveReport { workload, slot, from, to, reason });
                }
                let placed = PlaceReport { id, workload, slot, version, node, score };
                self.done.placed.push(placed);
            }
            Decision::Stop { id, workload, slot, node, reason } => {
                let workload = short(&workload);
                self.done.stopped.push(StopReport { id, workload, slot, node, reason });
            }
            Decision::Preempt { .. }
            | Decision::Restart { .. }
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

/// Whether a plan orders anything; not, if it only notes what it knows better now, such as why a
/// slot has no place.
fn acts(plan: &Plan) -> bool {
    let orders = plan.decisions.iter().any(|decision| match decision {
        Decision::Unplaced { .. } | Decision::Drained { .. } | Decision::Noted { .. } => false,
        Decision::Place { .. }
        | Decision::Stop { .. }
        | Decision::Preempt { .. }
        | Decision::Restart { .. }
        | Decision::Lost { .. }
        | Decision::UpdateFailed { .. }
        | Decision::Updated { .. }
        | Decision::MassLoss { .. } => true,
    });
    orders || plan.more || !(plan.manifests.is_empty() && plan.reverts.is_empty())
}

/// `web` for `default/web`, the full key elsewhere.
pub(super) fn short(key: &WorkloadKey) -> String {
    if key.namespace == Namespace::default() { key.name.to_string() } else { key.to_string() }
}
