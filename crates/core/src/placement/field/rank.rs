//! What people are told of a field: all that fit in their order, those next to the best, and what
//! the terms weigh. Read from the heaps that decide.

use std::collections::{BTreeMap, BinaryHeap};

use super::super::Seat;
use super::super::score::{BASIS, ONE, basis, shares};
use super::{Field, Key, at, mark};
use crate::explain::Census;
use crate::workload::Strategy;

/// Best last, as in the order of classes; then the node, and the place in its class's heap.
type Entry = (Key, u32, usize);

impl Field {
    /// The nodes after the best one, best first, at most `most`: indices in the field.
    pub fn next_best(&self, most: usize) -> Vec<usize> {
        let tops = self.order.iter().rev().take(most + 1);
        let mut frontier: BinaryHeap<Entry> = tops.filter_map(|key| self.entry(key.4, 0)).collect();
        let mut found = Vec::with_capacity(most + 1);
        while found.len() <= most
            && let Some(((_, _, _, _, class), index, place)) = frontier.pop()
        {
            // What a heap has of a node may be how that was before.
            let now = mark(&self.stalls[at(index)], at(index));
            let entry = self.classes[at(class)].heap.as_slice()[place];
            if now == entry && self.reasons(at(index)).is_empty() && !found.contains(&at(index)) {
                found.push(at(index));
            }
            // No entry of a heap is better than the one above it.
            frontier.extend(self.entry(class, 2 * place + 1));
            frontier.extend(self.entry(class, 2 * place + 2));
        }
        found.into_iter().skip(1).collect()
    }

    /// The same by looking at every node.
    #[cfg(test)]
    pub fn next_best_plain(&self, most: usize) -> Vec<usize> {
        let key = |index: &usize| {
            let stall = &self.stalls[*index];
            let class = stall.class;
            let total = stall.points + self.class_points(class);
            let spread = self.spread(class).unwrap_or(0);
            let tie = std::cmp::Reverse(stall.tie);
            std::cmp::Reverse((self.bare(class), spread, total, tie, class, *index))
        };
        let fits = |index: &usize| self.reasons(*index).is_empty();
        let mut all: Vec<usize> = (0..self.stalls.len()).filter(fits).collect();
        all.sort_by_key(key);
        all.into_iter().skip(1).take(most).collect()
    }

    fn entry(&self, class: u32, place: usize) -> Option<Entry> {
        let (points, tie, index) = *self.classes[at(class)].heap.as_slice().get(place)?;
        let (bare, spread, _, _, _) = self.classes[at(class)].key?;
        let total = points + self.class_points(class);
        Some(((bare, spread, total, tie, class), index, place))
    }

    /// How the node is chosen.
    pub fn strategy(&self) -> Strategy {
        self.layout.by.strategy
    }

    /// How far the spread asks for a node, in basis points.
    pub fn told_spread(&self, index: usize) -> Option<i64> {
        let scale = i64::try_from(ONE / BASIS).expect("small");
        self.spread(self.stalls[index].class).map(|rank| rank / scale.max(1))
    }

    /// What would be available of each quantity after placing, 0 to 10,000 of what there is.
    pub fn available(&self, seat: &Seat) -> BTreeMap<&'static str, u32> {
        let names = ["cpu", "memory", "disk", "network"];
        let shares = shares(seat, self.layout.ask).map(basis);
        names.into_iter().zip(shares).collect()
    }

    /// What each term that counts weighs.
    pub fn weighting(&self) -> Vec<(&'static str, u64)> {
        let (uses, terms) = (&self.layout.uses, &self.layout.by.terms);
        [
            ("base", true, terms.base),
            ("prefer", uses.prefer, terms.prefer),
            ("affinity", uses.affinity, terms.affinity),
            ("anti_affinity", uses.aside > 0, terms.affinity),
            ("own_workload", uses.own, terms.own_workload),
            ("image", uses.image, terms.image),
            ("power", uses.power, terms.power),
        ]
        .into_iter()
        .filter(|(_, used, weight)| *used && *weight > 0)
        .map(|(name, _, weight)| (name, weight))
        .collect()
    }

    /// How many nodes there are, and why not the others.
    pub fn census(&self) -> Census {
        let mut census = Census::default();
        for ((class, own), nodes) in &self.tally {
            let reasons = own.and(self.class_reasons(*class));
            census.nodes += nodes;
            census.fitting += if reasons.is_empty() { *nodes } else { 0 };
            for reason in reasons.iter() {
                *census.passed_over.entry(reason).or_insert(0) += nodes;
            }
        }
        census
    }

    /// The same by looking at every node.
    #[cfg(test)]
    pub fn census_plain(&self) -> Census {
        let mut census = Census::default();
        for index in 0..self.stalls.len() {
            let reasons = self.reasons(index);
            census.nodes += 1;
            census.fitting += u32::from(reasons.is_empty());
            reasons.tally(&mut census.passed_over);
        }
        census
    }
}
