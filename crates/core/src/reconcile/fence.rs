//! Fenced instances of silent nodes: when it is certain that none is alive.
//!
//! A node runs fenced instances only while it holds its own lease, and having taken a new lease it
//! reads its manifest from the stream's leader before it starts any. So the order matters: first
//! `keep` (or `stop`) is committed, then the lease is looked for. If it is not there *then*, the
//! node either never took it, or lost it, and whenever it takes one again it reads that order.
//! A look that began before the order was committed says nothing: the node could have been between
//! reading `run` and taking its lease.

use crate::id::{NodeName, Revision, Term};
use crate::instance::Desired;
use crate::time::{Span, Timestamp};
use crate::workload::OnNodeLoss;

use super::Engine;
use super::picture::{NodeState, at};
use super::plan::{Pass, Turn};

/// A lease that is gone has been gone for so long before its instances count as dead: the kernel
/// takes time to kill, and the stream's next leader may have a clock that is a little ahead.
const MARGIN: Span = Span::from_secs(2);

/// Under which order of a node its lease was seen to be gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unleased {
    /// Everything committed up to here had been committed when the look began.
    pub since: (Term, Revision),
    /// When it was heard.
    pub at: Timestamp,
}

impl Engine {
    /// Nodes whose own lease is to be looked for, from the stream's leader, each with where its
    /// orders stand. If the lease is not there, [`super::Event::NodeLeaseGone`] is told with the
    /// same mark, which has to be taken *before* the look begins.
    #[must_use]
    pub fn leases_to_look_for(&self) -> Vec<(NodeName, (Term, Revision))> {
        let away = self.nodes.iter().filter(|node| !node.reachable() && !node.entries.is_empty());
        let mut found: Vec<(NodeName, (Term, Revision))> = away
            .filter_map(|node| {
                let open = |index: &u32| self.open_fence(node, *index);
                let since = node.entries.iter().filter_map(open).max()?;
                Some((node.name.clone(), since))
            })
            .collect();
        found.sort();
        found
    }

    /// Where the order of a fenced instance was committed whose death is not certain yet.
    fn open_fence(&self, node: &NodeState, index: u32) -> Option<(Term, Revision)> {
        let instance = &self.instances[at(index)];
        let head = self.works[at(instance.work)].head.as_ref()?;
        let fenced = head.spec.reschedule.on_node_loss == OnNodeLoss::Fence;
        let told = instance.desired != Desired::Run;
        let committed = instance.committed.filter(|_| fenced && told)?;
        let seen = node.unleased.is_some_and(|seen| committed <= seen.since);
        (!seen).then_some(committed)
    }

    /// It may be alive on a node that cannot be asked, and at most one may.
    pub(super) fn fenced(&self, pass: &mut Pass, index: u32, turn: &Turn) -> bool {
        if pass.head.spec.reschedule.on_node_loss != OnNodeLoss::Fence {
            return false;
        }
        let instance = &self.instances[at(index)];
        let node = &self.nodes[at(instance.node)];
        if node.record.as_ref().is_some_and(|record| record.left_empty) {
            return false;
        }
        let told = instance.committed.filter(|_| instance.desired != Desired::Run);
        let seen = node.unleased.filter(|seen| told.is_some_and(|told| told <= seen.since));
        let Some(seen) = seen else { return true };
        let dead_at = seen.at.plus(MARGIN);
        if dead_at > turn.now {
            pass.later(dead_at);
        }
        dead_at > turn.now
    }
}
