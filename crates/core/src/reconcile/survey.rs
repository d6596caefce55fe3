//! The pool as one workload sees it: which nodes are closed to it, and what it counts on each.

use crate::head::Head;
use crate::id::InstanceId;
use crate::instance::Desired;
use crate::node::Node;
use crate::placement::dimension::{Dimension, Value};
use crate::placement::field::{Company, Field, Layout, Stall, Uses};
use crate::placement::score::{ONE, Turnstile, Yardstick, seed};
use crate::placement::{Reason, Reasons, Request, closed, doors, image, room};
use crate::time::Timestamp;
use crate::workload::{Mode, Scope, Strategy};

use super::observe::{group_tag, sticky_tag};
use super::picture::{at, index};
use super::plan::Pass;
use super::{Engine, PerNode};

mod bids;
mod columns;

pub(super) use columns::{Column, scope_name};

/// Where an instance may be placed, beside what its workload says.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bounds {
    /// That node or nowhere.
    pub to: Option<u32>,
    /// Anywhere but there.
    pub not: Option<u32>,
}

impl Bounds {
    /// Whether this node is one of them.
    pub fn have(self, node: u32) -> bool {
        self.to.is_none_or(|to| to == node) && self.not != Some(node)
    }
}

/// How many instances each node carries of one workload, by node.
pub(super) struct Own {
    pub running: Vec<u32>,
    /// With those that were told to stop and have not ended.
    pub occupying: Vec<u32>,
}

impl Engine {
    /// All nodes as this workload sees them now.
    pub(super) fn field(&self, work: u32, head: &Head, now: Timestamp, bounds: Bounds) -> Field {
        let Some(request) = &self.works[at(work)].request else {
            return Field::new(self.layout(head, Vec::new()));
        };
        let own = self.own(work);
        let closed: Vec<Reasons> = self.closings(work, (head, request), now, bounds);
        let (dimensions, columns) = self.dimensions(head, &own, &closed);
        let near = self.near(head, Mode::Soft);
        let bids = self.prices(head, now);
        let mut field = Field::new(self.layout(head, dimensions));
        let company = self.company_of(head, request);
        let cursor = self.cursor();
        let mut values: Vec<Value> = Vec::new();
        for (place, node) in self.order.iter().copied().enumerate() {
            let state = &self.nodes[at(node)];
            let turn = Turnstile {
                due: self.due_in(place, cursor),
                rank: u64::from(index(place)),
                bid: bids.as_ref().map_or(0, |bids| bids[place]),
                ..Turnstile::default()
            };
            let stall = Stall {
                node,
                prefer: state.record.as_ref().map_or(0, |record| prefer(request, record)),
                affinity: near.as_ref().map_or(0, |near| near[place]),
                battery: state.on_battery(),
                company: Company { closed: closed[place], ..company(node) },
                own: own.running[at(node)],
                turn,
                ..Stall::default()
            };
            values.clear();
            values.extend(columns.iter().map(|column| column.of[place]));
            field.add(stall, &state.seat, &state.ports, &values);
        }
        field.open();
        field
    }

    fn layout(&self, head: &Head, dimensions: Vec<Dimension>) -> Layout {
        let rules = &head.spec.placement;
        let nodes = u64::from(index(self.order.len()));
        let most = self.nodes.iter().map(|node| node.seat.max_instances).max().unwrap_or(1);
        let memory = self.nodes.iter().map(|node| node.seat.usable().memory.0).max().unwrap_or(0);
        let key = seed(self.newest.map_or(InstanceId::from_bits(0), |(id, _)| id));
        Layout {
            by: Yardstick {
                strategy: rules.strategy,
                weights: self.weights(head),
                most: u64::from(most),
                nodes,
                seed: key,
                memory,
                terms: self.settings.terms.with(&rules.weights),
            },
            ask: head.spec.ask(),
            ports: head.spec.ports.clone(),
            count: head.spec.count.max(1),
            uses: self.uses(head),
            dimensions,
        }
    }

    fn uses(&self, head: &Head) -> Uses {
        let rules = &head.spec.placement;
        let asides = rules.anti_affinity.iter().filter(|rule| rule.mode == Mode::Soft);
        let far = asides.clone().filter(|rule| rule.scope != Scope::Node).count();
        let near = usize::from(asides.clone().any(|rule| rule.scope == Scope::Node));
        let counted = |mode| index(on_node(head, mode).len());
        let weighs = weighs(rules.strategy);
        Uses {
            prefer: !rules.prefer.is_empty(),
            affinity: rules.affinity.iter().any(|rule| rule.mode == Mode::Soft),
            aside: u64::from(index(far + near)),
            apart_on_node: counted(Mode::Hard),
            aside_on_node: counted(Mode::Soft),
            own: weighs == Weighs::All && head.spec.count > 1,
            image: weighs != Weighs::Nothing && image::tag(&head.spec).is_some(),
            power: weighs != Weighs::Nothing && self.nodes.iter().any(|node| node.on_battery()),
        }
    }

    fn weights(&self, head: &Head) -> [u64; 4] {
        let own = &head.spec.placement.weights;
        let names = ["cpu", "memory", "disk", "network"];
        if !names.iter().any(|name| own.contains_key(*name)) {
            return self.settings.weights.map(u64::from);
        }
        names.map(|name| own.get(name).copied().map_or(0, u64::from))
    }

    pub(super) fn own(&self, work: u32) -> Own {
        let mut own =
            Own { running: vec![0; self.nodes.len()], occupying: vec![0; self.nodes.len()] };
        for (_, instance) in &self.works[at(work)].slots {
            let instance = &self.instances[at(*instance)];
            match instance.desired {
                Desired::Run => {
                    own.running[at(instance.node)] += 1;
                    own.occupying[at(instance.node)] += 1;
                }
                Desired::Stop | Desired::Hibernate => own.occupying[at(instance.node)] += 1,
                Desired::Keep => {}
            }
        }
        // Places that are kept for it will have one more each.
        for (_, held) in self.holds.range((work, 0)..=(work, u32::MAX)) {
            own.running[at(held.node)] += 1;
            own.occupying[at(held.node)] += 1;
        }
        own
    }

    /// Why each node is closed to the workload whatever room it has, in the order of names.
    fn closings(
        &self,
        work: u32,
        (head, request): (&Head, &Request),
        now: Timestamp,
        bounds: Bounds,
    ) -> Vec<Reasons> {
        let near = self.near(head, Mode::Hard);
        let close = |(place, node): (usize, &u32)| {
            let mut reasons = self.closed_to(request, *node, now);
            reasons.add_if(Reason::Pin, || !bounds.have(*node));
            reasons.add_if(Reason::Require, || near.as_ref().is_some_and(|near| near[place] < ONE));
            reasons
        };
        let mut closings: Vec<Reasons> = self.order.iter().enumerate().map(close).collect();
        for one in &self.works[at(work)].progress.excluded {
            let place = self.node_names.get(&one.node).map(|node| self.places[at(*node)]);
            if let (Some(place), true) = (place, one.until > now) {
                closings[at(place)].add(one.reason);
            }
        }
        closings
    }

    /// What the node is rules it out, or what it said of itself.
    pub(super) fn closed_to(&self, request: &Request, node: u32, now: Timestamp) -> Reasons {
        let state = &self.nodes[at(node)];
        match &state.record {
            Some(record) if !state.gone => {
                let mut reasons = closed(record, request);
                // What it kept while it was lost is settled before it is given anything new.
                reasons.add_if(Reason::Liveness, || state.kept > 0);
                reasons.add_if(Reason::Declined, || self.refused(request, node, now).is_some());
                reasons
            }
            Some(_) | None => Reasons::from(Reason::Liveness),
        }
    }

    /// Whether one more would fit on this node; what only other nodes decide is not asked.
    pub(super) fn open_to(
        &self,
        head: &Head,
        request: &Request,
        node: u32,
        now: Timestamp,
    ) -> bool {
        let state = &self.nodes[at(node)];
        let Some(work) = self.work_keys.get(&head.key()) else { return false };
        let excluded = &self.works[at(*work)].progress.excluded;
        let passed_over = excluded.iter().any(|one| one.node == state.name && one.until > now);
        let apart = on_node(head, Mode::Hard);
        !passed_over
            && self.closed_to(request, node, now).is_empty()
            && room(&state.seat, request.ask).is_empty()
            && doors(&state.ports, &request.ports).is_empty()
            && (apart.is_empty() || self.members(&apart, node) == 0)
    }

    /// Whether one more would fit anywhere.
    pub(super) fn could_go_anywhere(&self, pass: &Pass, now: Timestamp) -> bool {
        let Some(request) = &self.works[at(pass.work)].request else { return false };
        self.order.iter().any(|node| self.open_to(&pass.head, request, *node, now))
    }

    pub(super) fn members(&self, tags: &[String], node: u32) -> u32 {
        let counts = tags.iter().filter_map(|tag| self.tallies.get(tag));
        counts.filter_map(|nodes| nodes.get(&node)).sum()
    }

    /// What others' placements make of a node for this workload; `closed` is left empty.
    fn company_of<'a>(
        &'a self,
        head: &Head,
        request: &'a Request,
    ) -> impl Fn(u32) -> Company + use<'a> {
        let tallies = |mode| -> Vec<_> {
            on_node(head, mode).iter().filter_map(|tag| self.tallies.get(tag)).collect()
        };
        let (apart, aside) = (tallies(Mode::Hard), tallies(Mode::Soft));
        let key = &head.spec.placement.sticky_key;
        let sticky = self.tallies.get(&sticky_tag(key)).filter(|_| !key.is_empty());
        let image = request.image.as_ref().and_then(|tag| self.tallies.get(tag));
        let sum = |tallies: &Vec<&PerNode>, node: u32| {
            tallies.iter().filter_map(|nodes| nodes.get(&node)).sum()
        };
        move |node| Company {
            closed: Reasons::NONE,
            apart: sum(&apart, node),
            aside: sum(&aside, node),
            sticky: sticky.is_some_and(|nodes| nodes.contains_key(&node)),
            image: image.is_some_and(|nodes| nodes.contains_key(&node)),
        }
    }

    /// What others' placements make of one node, in a field without exclusions and affinity.
    pub(super) fn company(
        &self,
        head: &Head,
        request: &Request,
        node: u32,
        now: Timestamp,
    ) -> Company {
        let closed = self.closed_to(request, node, now);
        Company { closed, ..self.company_of(head, request)(node) }
    }

    /// How many nodes come before this one, from where `round_robin` goes on.
    fn due_in(&self, place: usize, cursor: usize) -> u64 {
        let nodes = self.order.len();
        u64::from(index((place + nodes - cursor) % nodes.max(1)))
    }

    /// The place after the node that was used last.
    fn cursor(&self) -> usize {
        let Some((_, last)) = self.newest else { return 0 };
        (at(self.places[at(last)]) + 1) % self.order.len().max(1)
    }
}

/// Which soft terms a strategy leaves room for beside what it says itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weighs {
    /// All.
    All,
    /// All but that instances of one workload keep apart.
    NotOwn,
    /// None that the workload does not name: the strategy says exactly which node is next.
    Nothing,
}

fn weighs(strategy: Strategy) -> Weighs {
    match strategy {
        Strategy::Weighted | Strategy::Sticky => Weighs::All,
        Strategy::Binpack => Weighs::NotOwn,
        Strategy::LeastLoaded
        | Strategy::LeastInstances
        | Strategy::RoundRobin
        | Strategy::FirstFit
        | Strategy::Random
        | Strategy::Auction => Weighs::Nothing,
    }
}

/// The tags of the anti-affinity groups of scope `node` and this mode.
pub(super) fn on_node(head: &Head, mode: Mode) -> Vec<String> {
    let rules = head.spec.placement.anti_affinity.iter();
    rules
        .filter(|rule| rule.scope == Scope::Node && rule.mode == mode)
        .map(|rule| group_tag(&rule.group))
        .collect()
}

/// 5,000 + 5,000 × Σ matching weights / Σ |weights|, in units of [`ONE`].
pub(super) fn prefer(request: &Request, node: &Node) -> u64 {
    let wishes = &request.wishes;
    if wishes.is_empty() {
        return 0;
    }
    let all: i64 = wishes.iter().map(|wish| i64::from(wish.weight.abs())).sum();
    let matching = wishes.iter().filter(|wish| wish.holds(node));
    let matching: i64 = matching.map(|wish| i64::from(wish.weight)).sum();
    let half = i64::try_from(ONE / 2).expect("small");
    let term = half + half * matching / all.max(1);
    u64::try_from(term).unwrap_or(0)
}
