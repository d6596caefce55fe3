//! What a node is worth: its terms, their weighted sum, and how people read it.

use std::collections::BTreeMap;

use crate::placement::Seat;
use crate::placement::score::{BASIS, ONE, base, basis};

use super::{Field, Stall};

/// What a node that fits is worth, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Merit {
    pub spread: Option<i64>,
    pub score: u32,
    pub terms: BTreeMap<&'static str, u32>,
}

/// A term of one node that does not depend on its class: name, weight, value.
type Part = (&'static str, u64, u64);

impl Field {
    /// The weighted sum of a node's own terms; those of its class come on top.
    pub(super) fn points(&self, stall: &Stall, seat: &Seat) -> u64 {
        self.parts(stall, seat).iter().map(|(_, weight, term)| weight * term).sum()
    }

    fn parts(&self, stall: &Stall, seat: &Seat) -> [Part; 7] {
        let (uses, terms) = (&self.layout.uses, &self.layout.by.terms);
        let weight = |used: bool, weight: u64| if used { weight } else { 0 };
        let whole = |yes: bool| if yes { ONE } else { 0 };
        let count = u64::from(self.layout.count.max(1));
        let own = ONE * (count - u64::from(stall.own).min(count)) / count;
        let aside = ONE / (1 + u64::from(stall.company.aside)) / uses.aside.max(1);
        let base = base(&self.layout.by, seat, self.layout.ask, stall.turn);
        [
            ("base", terms.base, base),
            ("prefer", weight(uses.prefer, terms.prefer), stall.prefer),
            ("affinity", weight(uses.affinity, terms.affinity), stall.affinity),
            ("anti_affinity", weight(uses.aside_on_node > 0, terms.affinity), aside),
            ("own_workload", weight(uses.own, terms.own_workload), own),
            ("image", weight(uses.image, terms.image), whole(stall.company.image)),
            ("power", weight(uses.power, terms.power), whole(!stall.battery)),
        ]
    }

    /// What all nodes of a class have in common.
    pub(super) fn class_points(&self, class: u32) -> u64 {
        self.layout.by.terms.affinity * self.class_aside(class)
    }

    fn class_aside(&self, class: u32) -> u64 {
        let asides = self.pairs(class).filter_map(|(dim, value)| dim.aside(value));
        asides.map(|term| term / self.layout.uses.aside.max(1)).sum()
    }

    fn weights(&self) -> u64 {
        let (uses, terms) = (&self.layout.uses, &self.layout.by.terms);
        let all = [
            (true, terms.base),
            (uses.prefer, terms.prefer),
            (uses.affinity, terms.affinity),
            (uses.aside > 0, terms.affinity),
            (uses.own, terms.own_workload),
            (uses.image, terms.image),
            (uses.power, terms.power),
        ];
        let used = all.iter().filter(|(used, _)| *used).map(|(_, weight)| *weight);
        used.sum::<u64>().max(1)
    }

    /// The score of a node for people, 0 to 10,000.
    pub fn score(&self, index: usize) -> u32 {
        let stall = &self.stalls[index];
        basis((stall.points + self.class_points(stall.class)) / self.weights())
    }

    /// What one more there is worth, term by term.
    pub fn merit(&self, index: usize, seat: &Seat) -> Merit {
        let stall = &self.stalls[index];
        let parts = self.parts(stall, seat).into_iter().filter(|(_, weight, _)| *weight > 0);
        let mut terms: BTreeMap<&'static str, u32> =
            parts.map(|(name, _, term)| (name, basis(term))).collect();
        if self.layout.uses.aside > 0 && self.layout.by.terms.affinity > 0 {
            *terms.entry("anti_affinity").or_insert(0) += basis(self.class_aside(stall.class));
        }
        let scale = i64::try_from(ONE / BASIS).expect("small");
        let spread = self.spread(stall.class).map(|rank| rank / scale.max(1));
        Merit { spread, score: self.score(index), terms }
    }
}
