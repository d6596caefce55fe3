//! Which instance of a node may go, and where to.

use std::collections::BTreeSet;

use super::super::Engine;
use super::super::hold::looks_further;
use super::super::picture::at;
use super::super::survey::{on_node, prefer, scope_name};
use super::scale::Scale;
use super::{COOL_DOWN, Step};
use crate::constraint::attribute;
use crate::head::Head;
use crate::id::{NodeName, Slot};
use crate::instance::Desired;
use crate::node::{Admin, Liveness};
use crate::placement::{Request, room};
use crate::time::Timestamp;
use crate::workload::{DriverKind, Kind, Mode, OnNodeLoss, Strategy};

/// So many nodes that would take it are compared, by each quantity.
const COMPARED: usize = 16;
/// So many nodes are asked whether they would.
const ASKED: usize = 256;

impl Engine {
    /// It is of the pool, there, and takes new work.
    pub(in crate::reconcile) fn takes_work(&self, node: u32) -> bool {
        let state = &self.nodes[at(node)];
        let record = state.record.as_ref().filter(|record| record.pool == self.pool);
        let open = record.is_some_and(|record| {
            record.liveness == Liveness::Online && record.admin == Admin::Active
        });
        open && !state.gone && state.kept == 0
    }

    /// The best move off the fullest node from which there is one.
    pub(super) fn best_step(
        &self,
        scale: &Scale,
        taken: &BTreeSet<u32>,
        now: Timestamp,
    ) -> Option<Step> {
        let mut pans: Vec<usize> = (0..scale.pans.len()).collect();
        pans.retain(|place| scale.height(*place) > 0);
        pans.sort_by_cached_key(|place| (std::cmp::Reverse(scale.height(*place)), *place));
        pans.into_iter().find_map(|from| self.best_from(scale, from, taken, now))
    }

    fn best_from(
        &self,
        scale: &Scale,
        from: usize,
        taken: &BTreeSet<u32>,
        now: Timestamp,
    ) -> Option<Step> {
        let entries = &self.nodes[at(scale.pans[from].node)].entries;
        let mut texts = BTreeSet::new();
        let mut movable: Vec<u32> = entries
            .iter()
            .copied()
            .filter(|index| !taken.contains(index) && self.may_move(*index, now))
            .collect();
        // The youngest of each text: it has the least to lose.
        movable.sort_by_key(|index| std::cmp::Reverse(self.instances[at(*index)].id));
        movable.retain(|index| texts.insert(self.instances[at(*index)].text));
        let mut best: Option<((i128, std::cmp::Reverse<&NodeName>), Step)> = None;
        for instance in movable {
            for to in self.better_places(scale, (from, instance), now) {
                let ask = self.texts[at(self.instances[at(instance)].text)].ask;
                let Some(gain) = scale.gain(ask, from, to) else { continue };
                let node = scale.pans[to].node;
                let rank = (gain, std::cmp::Reverse(&self.nodes[at(node)].name));
                if best.as_ref().is_none_or(|(found, _)| *found < rank) {
                    best = Some((rank, Step { instance, to: node }));
                }
            }
        }
        best.map(|(_, step)| step)
    }

    /// Nodes that are emptier, take it, and are as good for it: the emptiest of each quantity.
    fn better_places(
        &self,
        scale: &Scale,
        (from, instance): (usize, u32),
        now: Timestamp,
    ) -> BTreeSet<usize> {
        let mut places = BTreeSet::new();
        for dimension in 0..4 {
            let full = scale.pans[from].share(dimension);
            let emptier = scale.emptiest(dimension).take(ASKED);
            let emptier = emptier.take_while(|to| scale.pans[*to].share(dimension) < full);
            let fitting = emptier.filter(|to| self.as_good(scale, (from, *to), instance, now));
            places.extend(fitting.take(COMPARED));
        }
        places
    }

    /// Nothing would be lost by moving it: it is up, alone in its slot, settled, and may be
    /// started a second time before it ends.
    fn may_move(&self, index: u32, now: Timestamp) -> bool {
        let instance = &self.instances[at(index)];
        let state = &self.works[at(instance.work)];
        let Some(head) = &state.head else { return false };
        let plain = instance.desired == Desired::Run && instance.ready && instance.moving.is_none();
        let settled = state.progress.step_since.is_none() && self.current(head, index);
        let slots = state.slots.range((instance.slot, 0)..=(instance.slot, u32::MAX));
        let rests = |(slot, when): &(Slot, Timestamp)| {
            slot.0 == instance.slot && when.plus(COOL_DOWN) > now
        };
        plain
            && settled
            && slots.count() == 1
            && !stays(head)
            && !state.progress.rebalanced.iter().any(rests)
    }

    /// It fits there beside everything that is there or comes, and the workload likes it no less.
    fn as_good(
        &self,
        scale: &Scale,
        (from, to): (usize, usize),
        index: u32,
        now: Timestamp,
    ) -> bool {
        let (pan, source) = (&scale.pans[to], scale.pans[from].node);
        let state = &self.works[at(self.instances[at(index)].work)];
        let (Some(head), Some(request)) = (&state.head, &state.request) else { return false };
        let mut seat = self.nodes[at(pan.node)].seat;
        seat.requested = seat.requested.plus(pan.coming);
        seat.pending = seat.pending.plus(pan.coming);
        seat.instances += pan.arrivals;
        // Two that come at once could be in each other's way by ports or groups.
        let alone = pan.arrivals == 0 || !excludes_itself(head);
        alone
            && room(&seat, request.ask).is_empty()
            && self.open_to(head, request, pan.node, now)
            && self.likes((head, request), source, pan.node)
    }

    /// What the workload would rather have is there as it was where it comes from.
    fn likes(&self, (head, request): (&Head, &Request), from: u32, to: u32) -> bool {
        let rules = &head.spec.placement;
        let spreads = rules.spread.iter().map(|spread| spread.attribute.as_str());
        let zone = rules.zone_redundancy.then_some("node.zone");
        let near = rules.affinity.iter().map(|rule| scope_name(rule.scope));
        let apart = rules.anti_affinity.iter().filter(|rule| rule.mode == Mode::Soft);
        let apart = apart.map(|rule| scope_name(rule.scope)).filter(|name| *name != "node.name");
        let mut same = spreads.chain(zone).chain(near).chain(apart);
        let tags = on_node(head, Mode::Soft);
        let preferred = |node: u32| {
            self.nodes[at(node)].record.as_ref().map_or(0, |record| prefer(request, record))
        };
        same.all(|name| self.value(name, from) == self.value(name, to))
            && preferred(to) >= preferred(from)
            && (tags.is_empty() || self.members(&tags, to) < self.members(&tags, from))
            && self.copies(head, to) < self.copies(head, from)
    }

    /// A node's value of an attribute; where it is not told on which machine it is, it is one of its
    /// own.
    pub(in crate::reconcile) fn value(&self, name: &str, node: u32) -> Option<String> {
        let state = &self.nodes[at(node)];
        let record = state.record.as_ref()?;
        let value = attribute(record, name).map(|value| value.into_owned());
        if name == "node.hardware" {
            let node = || format!("\u{0}{}", state.name);
            return Some(value.filter(|value| !value.is_empty()).unwrap_or_else(node));
        }
        value
    }

    /// How many of the workload's instances are ordered to run there.
    fn copies(&self, head: &Head, node: u32) -> usize {
        let ours = |index: &&u32| {
            let instance = &self.instances[at(**index)];
            instance.desired == Desired::Run && self.works[at(instance.work)].key == head.key()
        };
        self.nodes[at(node)].entries.iter().filter(ours).count()
    }
}

/// Another that comes to the same node could be in its way.
fn excludes_itself(head: &Head) -> bool {
    let rules = &head.spec.placement.anti_affinity;
    rules.iter().any(|rule| rule.mode == Mode::Hard)
        || head.spec.ports.iter().any(|port| port.fixed.is_some())
}

/// It is never moved to even out: it is pinned, cannot be there twice, has to end first, would lose
/// what it has, hangs on where others are, or was asked to be packed.
fn stays(head: &Head) -> bool {
    let spec = &head.spec;
    let stateful = match spec.driver {
        DriverKind::Vm | DriverKind::Nspawn => true,
        DriverKind::Process
        | DriverKind::Docker
        | DriverKind::S6
        | DriverKind::Uwsgi
        | DriverKind::Sim => false,
    };
    let packed = match spec.placement.strategy {
        Strategy::Binpack | Strategy::FirstFit | Strategy::Sticky => true,
        Strategy::Weighted
        | Strategy::LeastLoaded
        | Strategy::LeastInstances
        | Strategy::RoundRobin
        | Strategy::Random
        | Strategy::Auction => false,
    };
    spec.kind != Kind::Service
        || head.deleted
        || head.stopped
        || !spec.placement.node.is_empty()
        || spec.reschedule.on_node_loss == OnNodeLoss::Fence
        || looks_further(head)
        || stateful
        || packed
}
