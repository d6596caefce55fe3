//! All nodes of the pool as one workload sees them, and the best of them, again and again.
//!
//! Nodes that share their values in all dimensions form a class, with a heap of their own: what a
//! placement elsewhere changes, it changes for a class as a whole.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use crate::ports::PortTable;
use crate::resources::Resources;
use crate::workload::{PortSpec, Strategy};

use super::dimension::{Dimension, Value};
use super::score::{AFFINITY, BASE, ONE, OWN, PREFER, Turnstile, Yardstick, base, basis};
use super::{Reason, Reasons, Seat, filter};

/// What is the same for all nodes.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// How a node is chosen.
    pub by: Yardstick,
    /// What each instance occupies.
    pub ask: Resources,
    /// The ports each needs.
    pub ports: Vec<PortSpec>,
    /// How many instances the workload has: the scale of the own-workload term.
    pub count: u32,
    /// Terms that the workload uses beside the base.
    pub uses: Uses,
    /// The dimensions, in the order of each node's values.
    pub dimensions: Vec<Dimension>,
}

/// Which terms the workload uses; a term that is used counts on every node.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Uses {
    pub prefer: bool,
    pub affinity: bool,
    /// How many rules say "rather not near": one for all of scope node, one for each other.
    pub aside: u64,
    /// Members of these groups must not, or should rather not, share a node.
    pub apart_on_node: u32,
    pub aside_on_node: u32,
    pub own: bool,
}

/// One node as one workload sees it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stall {
    /// The engine's index of the node.
    pub node: u32,
    /// What the node is rules it out.
    pub closed: Reasons,
    /// How much it is preferred, 0 to [`ONE`].
    pub prefer: u64,
    /// How near it is to what the workload wants to be near, 0 to [`ONE`].
    pub affinity: u64,
    /// Instances of the workload that are there.
    pub own: u32,
    /// Members there of groups that must stay apart on a node.
    pub apart: u32,
    /// Members there of groups that should rather stay apart on a node.
    pub aside: u32,
    /// For the strategies that take turns.
    pub turn: Turnstile,
    /// Set by [`Field::add`]: all reasons of its own, the points of its own terms, its class.
    pub reasons: Reasons,
    pub points: u64,
    pub class: u32,
}

/// Best last: zones that have none first, then the spread, the points, and the smaller name.
type Key = (bool, i64, u64, Reverse<u64>, u32);

#[derive(Debug, Clone, Default)]
struct Class {
    values: Vec<Value>,
    heap: BinaryHeap<(u64, Reverse<u64>, u32)>,
    key: Option<Key>,
}

/// What a node that fits is worth, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Merit {
    pub spread: Option<i64>,
    pub score: u32,
    pub terms: BTreeMap<&'static str, u32>,
}

/// All nodes of the pool as one workload sees them.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    layout: Layout,
    stalls: Vec<Stall>,
    classes: Vec<Class>,
    known: BTreeMap<Vec<Value>, u32>,
    members: Vec<BTreeMap<Value, Vec<u32>>>,
    order: BTreeSet<Key>,
}

impl Field {
    /// A field without nodes.
    pub fn new(layout: Layout) -> Self {
        let members = vec![BTreeMap::new(); layout.dimensions.len()];
        let (stalls, classes, known) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { layout, stalls, classes, known, members, order: BTreeSet::new() }
    }

    /// Adds a node; in the order of names. `values` has one for each dimension.
    pub fn add(&mut self, mut stall: Stall, seat: &Seat, ports: &PortTable, values: Vec<Value>) {
        stall.class = self.class(values);
        if self.layout.by.strategy == Strategy::Random {
            stall.turn.due = stall.turn.wait(&self.layout.by);
        }
        self.assess(&mut stall, seat, ports);
        self.stalls.push(stall);
    }

    fn class(&mut self, values: Vec<Value>) -> u32 {
        if values.is_empty() && !self.classes.is_empty() {
            return 0;
        }
        if let Some(class) = self.known.get(&values) {
            return *class;
        }
        let class = u32::try_from(self.classes.len()).expect("fewer than nodes");
        for (members, value) in self.members.iter_mut().zip(&values) {
            members.entry(*value).or_default().push(class);
        }
        self.known.insert(values.clone(), class);
        self.classes.push(Class { values, ..Class::default() });
        class
    }

    /// All nodes were added: puts them in order.
    pub fn open(&mut self) {
        let mut heaps: Vec<Vec<_>> = vec![Vec::new(); self.classes.len()];
        for (index, stall) in self.stalls.iter().enumerate() {
            if stall.reasons.is_empty() {
                heaps[at(stall.class)].push(self.seatmark(index));
            }
        }
        for (class, heap) in self.classes.iter_mut().zip(heaps) {
            class.heap = heap.into();
        }
        for class in 0..u32::try_from(self.classes.len()).expect("fewer than nodes") {
            self.rank(class);
        }
    }

    fn seatmark(&self, index: usize) -> (u64, Reverse<u64>, u32) {
        let stall = &self.stalls[index];
        (stall.points, self.tie(stall), u32::try_from(index).expect("fewer than nodes"))
    }

    /// Of equals the smaller name; for `round_robin` whose turn it is.
    fn tie(&self, stall: &Stall) -> Reverse<u64> {
        Reverse(match self.layout.by.strategy {
            Strategy::RoundRobin => stall.turn.due,
            Strategy::Weighted
            | Strategy::Binpack
            | Strategy::LeastLoaded
            | Strategy::LeastInstances
            | Strategy::Sticky
            | Strategy::FirstFit
            | Strategy::Random
            | Strategy::Auction => stall.turn.rank,
        })
    }

    /// The best node for one more; its index in the field.
    pub fn best(&self) -> Option<usize> {
        let class = self.order.last()?.4;
        self.classes[at(class)].heap.peek().map(|(_, _, index)| at(*index))
    }

    /// One was placed on the best node, whose room and ports are now these.
    pub fn placed(&mut self, index: usize, seat: &Seat, ports: &PortTable) {
        let mut stall = std::mem::take(&mut self.stalls[index]);
        let uses = self.layout.uses;
        stall.own += 1;
        stall.apart += uses.apart_on_node;
        stall.aside += uses.aside_on_node;
        stall.turn.picks += 1;
        stall.turn.due += stall.turn.wait(&self.layout.by);
        self.assess(&mut stall, seat, ports);
        let (class, fits) = (stall.class, stall.reasons.is_empty());
        self.stalls[index] = stall;
        let top = self.classes[at(class)].heap.pop();
        debug_assert_eq!(top.map(|(_, _, best)| at(best)), Some(index), "only the best is placed");
        if fits {
            let mark = self.seatmark(index);
            self.classes[at(class)].heap.push(mark);
        }
        self.spread_news(class);
        self.rank(class);
    }

    /// Ranks the classes anew that share a value which has one more now.
    fn spread_news(&mut self, class: u32) {
        for dimension in 0..self.layout.dimensions.len() {
            let value = self.classes[at(class)].values[dimension];
            if self.layout.dimensions[dimension].count(value) {
                let touched = self.members[dimension].remove(&value).unwrap_or_default();
                touched.iter().for_each(|class| self.rank(*class));
                self.members[dimension].insert(value, touched);
            }
        }
    }

    fn rank(&mut self, class: u32) {
        let new = self.key(class);
        let old = std::mem::replace(&mut self.classes[at(class)].key, new);
        if old == new {
            return;
        }
        if let Some(old) = old {
            self.order.remove(&old);
        }
        if let Some(new) = new {
            self.order.insert(new);
        }
    }

    fn key(&self, class: u32) -> Option<Key> {
        let (points, tie, _) = *self.classes[at(class)].heap.peek()?;
        if !self.class_reasons(class).is_empty() {
            return None;
        }
        let total = points + self.class_points(class);
        Some((self.bare(class), self.spread(class).unwrap_or(0), total, tie, class))
    }

    fn pairs(&self, class: u32) -> impl Iterator<Item = (&Dimension, Value)> {
        self.layout.dimensions.iter().zip(self.classes[at(class)].values.iter().copied())
    }

    fn class_reasons(&self, class: u32) -> Reasons {
        self.pairs(class).fold(Reasons::NONE, |all, (dim, value)| all.and(dim.reasons(value)))
    }

    fn bare(&self, class: u32) -> bool {
        self.pairs(class).any(|(dim, value)| dim.bare(value))
    }

    fn spread(&self, class: u32) -> Option<i64> {
        self.pairs(class).filter_map(|(dim, value)| dim.spread(value)).reduce(|a, b| a + b)
    }

    fn class_points(&self, class: u32) -> u64 {
        let asides = self.pairs(class).filter_map(|(dim, value)| dim.aside(value));
        asides.map(|term| AFFINITY * term / self.layout.uses.aside.max(1)).sum()
    }

    fn assess(&self, stall: &mut Stall, seat: &Seat, ports: &PortTable) {
        let layout = &self.layout;
        stall.reasons = stall
            .closed
            .and(filter::room(seat, layout.ask))
            .and(filter::doors(ports, &layout.ports));
        stall
            .reasons
            .add_if(Reason::AntiAffinity, || layout.uses.apart_on_node > 0 && stall.apart > 0);
        let parts = self.parts(stall, seat);
        stall.points = parts.iter().map(|(_, weight, term)| weight * term).sum();
    }

    /// The terms of one node that do not depend on its class: name, weight, value.
    fn parts(&self, stall: &Stall, seat: &Seat) -> [(&'static str, u64, u64); 5] {
        let uses = &self.layout.uses;
        let weight = |used: bool, weight: u64| if used { weight } else { 0 };
        let count = u64::from(self.layout.count.max(1));
        let own = ONE * (count - u64::from(stall.own).min(count)) / count;
        let aside = ONE / (1 + u64::from(stall.aside)) / uses.aside.max(1);
        [
            ("base", BASE, base(&self.layout.by, seat, self.layout.ask, stall.turn)),
            ("prefer", weight(uses.prefer, PREFER), stall.prefer),
            ("affinity", weight(uses.affinity, AFFINITY), stall.affinity),
            ("anti_affinity", weight(uses.aside_on_node > 0, AFFINITY), aside),
            ("own_workload", weight(uses.own, OWN), own),
        ]
    }

    fn weights(&self) -> u64 {
        let uses = &self.layout.uses;
        let used = [(uses.prefer, PREFER), (uses.affinity, AFFINITY), (uses.own, OWN)];
        let sum: u64 = used.iter().filter(|(used, _)| *used).map(|(_, weight)| weight).sum();
        BASE + sum + if uses.aside > 0 { AFFINITY } else { 0 }
    }

    /// The score of a node for people, 0 to 10,000.
    pub fn score(&self, index: usize) -> u32 {
        let stall = &self.stalls[index];
        basis((stall.points + self.class_points(stall.class)) / self.weights())
    }

    /// Why a node is ruled out; empty if it fits.
    pub fn reasons(&self, index: usize) -> Reasons {
        let stall = &self.stalls[index];
        stall.reasons.and(self.class_reasons(stall.class))
    }

    /// What one more there is worth, term by term.
    pub fn merit(&self, index: usize, seat: &Seat) -> Merit {
        let stall = &self.stalls[index];
        let mut terms = BTreeMap::new();
        for (name, weight, term) in self.parts(stall, seat) {
            if weight > 0 {
                terms.insert(name, basis(term));
            }
        }
        let apart = self.class_points(stall.class) / AFFINITY;
        if self.layout.uses.aside > 0 {
            *terms.entry("anti_affinity").or_insert(0) += basis(apart);
        }
        let scale = i64::try_from(ONE / super::score::BASIS).expect("small");
        let spread = self.spread(stall.class).map(|rank| rank / scale.max(1));
        Merit { spread, score: self.score(index), terms }
    }

    /// All nodes, in the order of names.
    pub fn stalls(&self) -> &[Stall] {
        &self.stalls
    }
}

fn at(index: u32) -> usize {
    usize::try_from(index).expect("indices fit")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::placement::dimension::{Rule, wanted};
    use crate::resources::Bytes;
    use crate::workload::Strategy;

    impl Field {
        /// The best node by looking at every one of them: what the heaps must agree with.
        fn best_plain(&self) -> Option<usize> {
            let fits = |index: &usize| self.reasons(*index).is_empty();
            let key = |index: &usize| {
                let stall = &self.stalls[*index];
                let class = stall.class;
                let total = stall.points + self.class_points(class);
                let spread = self.spread(class).unwrap_or(0);
                (self.bare(class), spread, total, self.tie(stall), class)
            };
            (0..self.stalls.len()).filter(fits).max_by_key(key)
        }
    }

    const STRATEGIES: [Strategy; 9] = [
        Strategy::Weighted,
        Strategy::Binpack,
        Strategy::LeastLoaded,
        Strategy::LeastInstances,
        Strategy::RoundRobin,
        Strategy::Sticky,
        Strategy::FirstFit,
        Strategy::Random,
        Strategy::Auction,
    ];

    fn dimensions(which: u32) -> Vec<Dimension> {
        let targets = [None, Some(60), None];
        let spread = |weight| Rule::Spread { weight, wanted: wanted(40, &targets) };
        let rules = match which % 5 {
            0 => vec![],
            1 => vec![spread(50)],
            2 => vec![spread(50), spread(20)],
            3 => vec![Rule::MaxPer(7), Rule::Aside, Rule::EveryValue],
            _ => vec![Rule::Apart, spread(1)],
        };
        rules.into_iter().map(|rule| Dimension::new(rule, vec![0; 3])).collect()
    }

    fn layout(nodes: usize, strategy: Strategy, which: u32) -> Layout {
        let nodes = u64::try_from(nodes).expect("few");
        Layout {
            by: Yardstick { strategy, weights: [30, 40, 20, 10], most: 9, nodes, seed: 3 },
            ask: Resources { cpu: 10, memory: Bytes(10), disk: Bytes(0), network: 0 },
            ports: Vec::new(),
            count: 40,
            uses: Uses { own: which.is_multiple_of(2), aside: 1, ..Uses::default() },
            dimensions: dimensions(which),
        }
    }

    fn seat((cpu, memory): (u64, u64)) -> Seat {
        let capacity = Resources { cpu, memory: Bytes(memory), disk: Bytes(0), network: 0 };
        Seat { capacity, max_instances: 9, ..Seat::default() }
    }

    proptest! {
        #[test]
        fn heaps_pick_what_looking_at_every_node_picks(
            rooms in prop::collection::vec((0u64..200, 0u64..200), 1..40),
            strategy in prop::sample::select(&STRATEGIES[..]),
            which in 0u32..10,
        ) {
            let mut field = Field::new(layout(rooms.len(), strategy, which));
            let ports = PortTable::new((1, 9));
            let mut seats: Vec<Seat> = rooms.into_iter().map(seat).collect();
            for (index, seat) in seats.iter().enumerate() {
                let rank = u64::try_from(index).expect("few");
                let turn = Turnstile { due: rank, rank, ..Turnstile::default() };
                let node = u32::try_from(index).expect("few");
                let values = (0..field.layout.dimensions.len())
                    .map(|place| (node >> place) % 3)
                    .collect();
                field.add(Stall { node, turn, ..Stall::default() }, seat, &ports, values);
            }
            field.open();
            for _ in 0..40 {
                prop_assert_eq!(field.best(), field.best_plain());
                let Some(best) = field.best() else { break };
                prop_assert!(field.score(best) <= 10_000);
                seats[best].instances += 1;
                seats[best].requested = seats[best].requested.plus(field.layout.ask);
                field.placed(best, &seats[best], &ports);
            }
        }
    }
}
