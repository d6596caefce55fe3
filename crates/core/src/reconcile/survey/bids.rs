//! Standing bids: who takes part in an auction, at what price, and who refuses.

use std::collections::BTreeSet;

use crate::head::Head;
use crate::id::{Epoch, NodeName};
use crate::node::Bid;
use crate::placement::Request;
use crate::placement::score::ONE;
use crate::reconcile::Engine;
use crate::reconcile::picture::{at, index};
use crate::time::{Span, Timestamp};
use crate::workload::Strategy;

/// A bid that is older than two beats is none.
pub(super) const BID_FOR: Span = Span::from_secs(2);
/// What is said of a node whose bid is too old, or that never made one.
const NO_BID: &str = "no standing bid";

impl Engine {
    /// A node's standing bid came, with a beat or between two that are worth telling.
    pub(in crate::reconcile) fn observe_bid(
        &mut self,
        node: &NodeName,
        epoch: Epoch,
        bid: &Bid,
        now: Timestamp,
    ) {
        let Some(node) = self.node_names.get(node) else { return };
        let state = &mut self.nodes[at(*node)];
        if state.record.is_none() || epoch < state.epoch() {
            return;
        }
        let known = state.bid.take();
        let same = known.as_ref().is_some_and(|(old, heard)| old == bid && fresh(*heard, now));
        let bid = known.map(|(old, _)| old).filter(|old| old == bid).unwrap_or_else(|| bid.clone());
        state.bid = Some((bid, now));
        if !same && !self.blocked.is_empty() {
            self.relieved.insert(*node);
        }
    }

    /// Why the node takes nothing of this kind by its own policy; in an auction also if its bid is
    /// not there.
    pub(in crate::reconcile) fn refused(
        &self,
        request: &Request,
        node: u32,
        now: Timestamp,
    ) -> Option<&str> {
        let bid = self.nodes[at(node)].bid.as_ref().filter(|(_, heard)| fresh(*heard, now));
        match bid {
            Some((bid, _)) => bid.refusal(request.driver),
            None => (request.strategy == Strategy::Auction).then_some(NO_BID),
        }
    }

    /// What each node's price is worth in an auction, in the order of names: [`ONE`] for the lowest
    /// of all standing prices, less for each step above it. `None` for other strategies.
    pub(super) fn prices(&self, head: &Head, now: Timestamp) -> Option<Vec<u64>> {
        if head.spec.placement.strategy != Strategy::Auction {
            return None;
        }
        let bid = |node: &u32| {
            let bid = self.nodes[at(*node)].bid.as_ref();
            bid.filter(|(_, heard)| fresh(*heard, now)).map(|(bid, _)| bid.price)
        };
        let prices: BTreeSet<u32> = self.order.iter().filter_map(bid).collect();
        let prices: Vec<u32> = prices.into_iter().collect();
        let worth = |node: &u32| {
            let rank = bid(node).and_then(|price| prices.binary_search(&price).ok());
            let steps = u64::from(index(prices.len()));
            rank.map_or(0, |rank| ONE - u64::from(index(rank)) * ONE / steps.max(1))
        };
        Some(self.order.iter().map(worth).collect())
    }
}

fn fresh(heard: Timestamp, now: Timestamp) -> bool {
    now.since(heard) <= BID_FOR
}
