//! All nodes of the pool as one workload sees them, and the best of them, again and again.
//!
//! Nodes that share their values in all dimensions form a class, with a heap of their own: what a
//! placement elsewhere changes, it changes for a class as a whole. A node that changed is put into
//! the heap anew; marks that are no longer true are dropped when they come to the top. So one field
//! serves one workload after another, as long as they ask the same of nodes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use crate::ports::PortTable;
use crate::resources::Resources;
use crate::workload::{PortSpec, Strategy};

use super::dimension::{Dimension, NO_VALUE, Value};
use super::score::{Turnstile, Yardstick, tie};
use super::{Reason, Reasons, Seat, filter};

mod merit;
mod rank;

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
    pub image: bool,
    pub power: bool,
}

/// What others' placements change of a node, beside its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Company {
    /// What the node is rules it out.
    pub closed: Reasons,
    /// Members there of groups that must stay apart on a node.
    pub apart: u32,
    /// Members there of groups that should rather stay apart on a node.
    pub aside: u32,
    /// Work with the same sticky key runs there.
    pub sticky: bool,
    /// Its image or artifact is there.
    pub image: bool,
}

/// One node as one workload sees it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stall {
    /// The engine's index of the node.
    pub node: u32,
    /// How much it is preferred, 0 to [`super::score::ONE`].
    pub prefer: u64,
    /// How near it is to what the workload wants to be near, 0 to [`super::score::ONE`].
    pub affinity: u64,
    /// It runs on battery.
    pub battery: bool,
    /// What others' placements change.
    pub company: Company,
    /// Instances of the workload that are there.
    pub own: u32,
    /// For the strategies that take turns.
    pub turn: Turnstile,
    /// Set by [`Field::add`]: all reasons of its own, the points of its own terms, its class.
    pub reasons: Reasons,
    pub points: u64,
    pub tie: u64,
    pub class: u32,
    /// It is passed over just now; see [`Field::best_but`].
    pub barred: bool,
}

/// Best last: zones that have none first, then the spread, the points, and the tie.
type Key = (bool, i64, u64, Reverse<u64>, u32);
/// A node in the heap of its class, as it was when it was put there.
type Mark = (u64, Reverse<u64>, u32);

#[derive(Debug, Clone, Default)]
struct Class {
    values: Vec<Value>,
    heap: BinaryHeap<Mark>,
    key: Option<Key>,
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
    /// How many nodes of each class have which reasons of their own.
    tally: BTreeMap<(u32, Reasons), u32>,
}

impl Field {
    /// A field without nodes.
    pub fn new(layout: Layout) -> Self {
        let members = vec![BTreeMap::new(); layout.dimensions.len()];
        let (stalls, classes, known) = (Vec::new(), Vec::new(), BTreeMap::new());
        let (order, tally) = (BTreeSet::new(), BTreeMap::new());
        Self { layout, stalls, classes, known, members, order, tally }
    }

    /// Adds a node; in the order of names. `values` has one for each dimension.
    pub fn add(&mut self, mut stall: Stall, seat: &Seat, ports: &PortTable, values: &[Value]) {
        stall.class = self.class(values);
        if self.layout.by.strategy == Strategy::Random {
            stall.turn.due = stall.turn.wait(&self.layout.by);
        }
        self.assess(&mut stall, seat, ports);
        *self.tally.entry((stall.class, stall.reasons)).or_insert(0) += 1;
        self.stalls.push(stall);
    }

    /// The node is now like this.
    fn replace(&mut self, index: usize, mut stall: Stall, seat: &Seat, ports: &PortTable) {
        let (class, before) = (stall.class, stall.reasons);
        self.assess(&mut stall, seat, ports);
        if stall.reasons != before {
            *self.tally.entry((class, stall.reasons)).or_insert(0) += 1;
            let left = self.tally.get_mut(&(class, before)).expect("it was counted there");
            *left -= 1;
            if *left == 0 {
                self.tally.remove(&(class, before));
            }
        }
        self.stalls[index] = stall;
        self.mark_again(index);
    }

    fn class(&mut self, values: &[Value]) -> u32 {
        if values.is_empty() && !self.classes.is_empty() {
            return 0;
        }
        if let Some(class) = self.known.get(values) {
            return *class;
        }
        let class = u32::try_from(self.classes.len()).expect("fewer than nodes");
        for (members, value) in self.members.iter_mut().zip(values) {
            members.entry(*value).or_default().push(class);
        }
        self.known.insert(values.to_vec(), class);
        self.classes.push(Class { values: values.to_vec(), ..Class::default() });
        class
    }

    /// All nodes were added: puts them in order.
    pub fn open(&mut self) {
        let mut heaps: Vec<Vec<_>> = vec![Vec::new(); self.classes.len()];
        for (index, stall) in self.stalls.iter().enumerate() {
            if stall.reasons.is_empty() {
                heaps[at(stall.class)].push(mark(stall, index));
            }
        }
        for (class, heap) in self.classes.iter_mut().zip(heaps) {
            class.heap = heap.into();
        }
        self.rank_all();
    }

    fn rank_all(&mut self) {
        for class in 0..u32::try_from(self.classes.len()).expect("fewer than nodes") {
            self.rank(class);
        }
    }

    /// The best node for one more; its index in the field.
    pub fn best(&self) -> Option<usize> {
        let class = self.order.last()?.4;
        self.classes[at(class)].heap.peek().map(|(_, _, index)| at(*index))
    }

    /// The best node for one more that is not this one.
    pub fn best_but(&mut self, index: usize) -> Option<usize> {
        let class = self.stalls[index].class;
        self.stalls[index].barred = true;
        self.rank(class);
        let best = self.best();
        self.stalls[index].barred = false;
        self.mark_again(index);
        best
    }

    /// One was placed on this node, whose room and ports are now these.
    pub fn placed(&mut self, index: usize, seat: &Seat, ports: &PortTable) {
        let uses = self.layout.uses;
        let mut stall = std::mem::take(&mut self.stalls[index]);
        stall.own += 1;
        stall.company.apart += uses.apart_on_node;
        stall.company.aside += uses.aside_on_node;
        stall.company.sticky = true;
        stall.company.image = true;
        stall.turn.picks += 1;
        stall.turn.due += stall.turn.wait(&self.layout.by);
        let class = stall.class;
        self.replace(index, stall, seat, ports);
        self.spread_news(class);
    }

    /// Something else changed on this node.
    pub fn renew(&mut self, index: usize, company: Company, seat: &Seat, ports: &PortTable) {
        let mut stall = std::mem::take(&mut self.stalls[index]);
        stall.company = company;
        self.replace(index, stall, seat, ports);
    }

    /// So many of the workload are on this node: [`Self::recount`] follows when all were told.
    pub fn owns(&mut self, index: usize, own: u32, seat: &Seat, ports: &PortTable) {
        if self.stalls[index].own == own {
            return;
        }
        self.stalls[index].own = own;
        if self.layout.uses.own {
            let company = self.stalls[index].company;
            self.renew(index, company, seat, ports);
        }
    }

    /// In each dimension that counts the workload's own, this many are on each node.
    pub fn recount(&mut self, counted: &[(usize, u32, u32)]) {
        let mut counts = false;
        for dimension in 0..self.layout.dimensions.len() {
            let Some(by) = self.layout.dimensions[dimension].clear() else { continue };
            counts = true;
            for (index, running, occupying) in counted {
                let value = self.classes[at(self.stalls[*index].class)].values[dimension];
                self.layout.dimensions[dimension].add(value, by.of(*running, *occupying));
            }
        }
        if counts {
            self.rank_all();
        }
    }

    /// Puts a node into the heap of its class as it is now.
    fn mark_again(&mut self, index: usize) {
        let stall = &self.stalls[index];
        let class = stall.class;
        if stall.reasons.is_empty() && !stall.barred {
            let mark = mark(stall, index);
            self.classes[at(class)].heap.push(mark);
        }
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
        self.drop_stale(class);
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

    /// The top of the heap is a node as it is now.
    fn drop_stale(&mut self, class: u32) {
        let Self { classes, stalls, .. } = self;
        let heap = &mut classes[at(class)].heap;
        while let Some(top) = heap.peek() {
            let stall = &stalls[at(top.2)];
            let fits = stall.reasons.is_empty() && !stall.barred;
            if fits && mark(stall, at(top.2)) == *top {
                return;
            }
            heap.pop();
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
        self.pairs(class).any(|(dim, value)| value != NO_VALUE && dim.bare(value))
    }

    fn spread(&self, class: u32) -> Option<i64> {
        self.pairs(class).filter_map(|(dim, value)| dim.spread(value)).reduce(|a, b| a + b)
    }

    fn assess(&self, stall: &mut Stall, seat: &Seat, ports: &PortTable) {
        let layout = &self.layout;
        stall.reasons = stall
            .company
            .closed
            .and(filter::room(seat, layout.ask))
            .and(filter::doors(ports, &layout.ports));
        let apart = layout.uses.apart_on_node > 0 && stall.company.apart > 0;
        stall.reasons.add_if(Reason::AntiAffinity, || apart);
        stall.turn.sticky = stall.company.sticky;
        stall.points = self.points(stall, seat);
        stall.tie = tie(&layout.by, seat, layout.ask, stall.turn);
    }

    /// Why a node is ruled out; empty if it fits.
    pub fn reasons(&self, index: usize) -> Reasons {
        let stall = &self.stalls[index];
        stall.reasons.and(self.class_reasons(stall.class))
    }

    /// All nodes, in the order of names.
    pub fn stalls(&self) -> &[Stall] {
        &self.stalls
    }

    /// The best node by looking at every one of them: what the heaps must agree with.
    #[cfg(test)]
    pub fn best_plain(&self) -> Option<usize> {
        let fits = |index: &usize| self.reasons(*index).is_empty();
        let key = |index: &usize| {
            let stall = &self.stalls[*index];
            let class = stall.class;
            let total = stall.points + self.class_points(class);
            let spread = self.spread(class).unwrap_or(0);
            (self.bare(class), spread, total, Reverse(stall.tie), class)
        };
        (0..self.stalls.len()).filter(fits).max_by_key(key)
    }
}

fn mark(stall: &Stall, index: usize) -> Mark {
    (stall.points, Reverse(stall.tie), u32::try_from(index).expect("fewer than nodes"))
}

fn at(index: u32) -> usize {
    usize::try_from(index).expect("indices fit")
}

#[cfg(test)]
mod tests;
