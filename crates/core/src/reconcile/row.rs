//! A plan as a row of writes, in an order in which it may be cut anywhere.
//!
//! What ends or restricts comes before what begins, and what is remembered before what it is about:
//! a leader that dies between two batches leaves less done than was planned, never something done
//! twice. That an order was obeyed is noted before the manifests that obey it; the next leader sees
//! by the instance's generation what is left to do. A plan that fits in one batch is committed at
//! once, whatever the order.

use std::collections::BTreeSet;

use crate::command::Outcome;
use crate::id::{NodeName, WorkloadKey};
use crate::instance::Manifest;
use crate::time::Timestamp;

use super::{Decision, Engine, Plan, Progress, Revert};

/// One write.
#[derive(Debug, Clone)]
pub enum Item {
    /// What a node should run; incarnation, term and revision are filled in when it is written.
    Manifest(NodeName, Box<Manifest>),
    /// What is remembered of a workload; `None`: nothing more.
    Progress(WorkloadKey, Option<Box<Progress>>),
    /// What became of commands.
    Outcomes(Vec<Outcome>),
    /// Until when nothing is moved because of loss.
    Brake(Timestamp),
}

/// What follows once everything was written.
#[derive(Debug, Clone, Default)]
pub struct Aftermath {
    /// What was decided, for history.
    pub decisions: Vec<Decision>,
    /// Workloads that are to be set back: which, to which version, from which.
    pub reverts: Vec<Revert>,
}

/// What one plan writes, in order.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// The writes.
    pub items: Vec<Item>,
    /// What follows.
    pub aftermath: Aftermath,
}

impl Row {
    /// What is to be written and done about a plan.
    #[must_use]
    pub fn of(plan: Plan, engine: &Engine) -> Self {
        let first = ending(&plan.decisions);
        let manifest = |node: &NodeName| {
            let manifest = engine.manifest(node).unwrap_or_default();
            Item::Manifest(node.clone(), Box::new(manifest))
        };
        let progress =
            |key: &WorkloadKey| Item::Progress(key.clone(), engine.progress(key).map(Box::new));
        let (urgent, others): (Vec<_>, Vec<_>) =
            plan.manifests.iter().partition(|node| first.contains(*node));
        let outcomes = plan.outcomes.then(|| Item::Outcomes(engine.outcomes()));
        let brake = engine.brake_until().filter(|_| plan.brake).map(Item::Brake);
        let items = brake.into_iter().chain(plan.progress.iter().map(progress));
        let items = items.chain(outcomes).chain(urgent.into_iter().map(manifest));
        let items = items.chain(others.into_iter().map(manifest)).collect();
        // That a deleted workload has ended the registry sees by itself: nothing of it is left.
        let Plan { decisions, reverts, .. } = plan;
        Self { items, aftermath: Aftermath { decisions, reverts } }
    }

    /// Whether there is nothing to write and nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Aftermath { decisions, reverts } = &self.aftermath;
        self.items.is_empty() && decisions.is_empty() && reverts.is_empty()
    }
}

/// Nodes on which something ends, restarts or is kept.
fn ending(decisions: &[Decision]) -> BTreeSet<&NodeName> {
    decisions.iter().filter_map(ends_on).collect()
}

fn ends_on(decision: &Decision) -> Option<&NodeName> {
    match decision {
        Decision::Place { moved, .. } => moved.as_ref().map(|(from, _)| from),
        Decision::Stop { node, .. }
        | Decision::Preempt { node, .. }
        | Decision::Restart { node, .. }
        | Decision::Lost { node, .. } => Some(node),
        Decision::UpdateFailed { .. }
        | Decision::Updated { .. }
        | Decision::Unplaced { .. }
        | Decision::Drained { .. }
        | Decision::Noted { .. }
        | Decision::MassLoss { .. } => None,
    }
}
