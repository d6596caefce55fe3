//! The pool as one workload sees it: which nodes are closed to it, and what it counts on each.

use std::collections::BTreeMap;

use crate::constraint::attribute;
use crate::head::Head;
use crate::instance::Desired;
use crate::node::Node;
use crate::placement::dimension::{Dimension, NO_VALUE, Rule, Value, wanted};
use crate::placement::field::{Field, Layout, Stall, Uses};
use crate::placement::score::{ONE, Turnstile, Yardstick, seed};
use crate::placement::{Reason, Reasons, Request, closed, doors, room};
use crate::time::Timestamp;
use crate::workload::{Mode, Scope, Strategy};

use super::Engine;
use super::observe::{group_tag, sticky_tag};
use super::picture::{at, index};
use super::plan::Pass;

/// Where an instance may be placed, beside what its workload says.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bounds {
    /// That node or nowhere.
    pub to: Option<u32>,
    /// Anywhere but there.
    pub not: Option<u32>,
}

/// How many instances each node carries of one workload, by node.
struct Own {
    running: Vec<u32>,
    /// With those that were told to stop and have not ended.
    occupying: Vec<u32>,
}

/// One attribute of all nodes: each node's value, in the order of names.
struct Column {
    of: Vec<Value>,
    names: Vec<String>,
}

impl Engine {
    /// All nodes as this workload sees them now.
    pub(super) fn field(&self, work: u32, head: &Head, now: Timestamp, bounds: Bounds) -> Field {
        let own = self.own(work);
        let closed: Vec<Reasons> = self.closings(work, head, now, bounds);
        let (dimensions, columns) = self.dimensions(head, &own, &closed);
        let layout = self.layout(work, head, dimensions);
        let aside = on_node(head, Mode::Soft);
        let apart = on_node(head, Mode::Hard);
        let near = self.near(head, Mode::Soft);
        let mut field = Field::new(layout);
        let cursor = self.cursor();
        for (place, node) in self.order.iter().copied().enumerate() {
            let state = &self.nodes[at(node)];
            let stall = Stall {
                node,
                closed: closed[place],
                prefer: state.record.as_ref().map_or(0, |record| prefer(head, record)),
                affinity: near.as_ref().map_or(0, |near| near[place]),
                own: own.running[at(node)],
                apart: self.members(&apart, node),
                aside: self.members(&aside, node),
                turn: self.turnstile(head, place, node, cursor),
                ..Stall::default()
            };
            let values = columns.iter().map(|column| column.of[place]).collect();
            field.add(stall, &state.seat, &state.ports, values);
        }
        field.open();
        field
    }

    fn layout(&self, work: u32, head: &Head, dimensions: Vec<Dimension>) -> Layout {
        let rules = &head.spec.placement;
        let nodes = u64::from(index(self.order.len()));
        let most = self.nodes.iter().map(|node| node.seat.max_instances).max().unwrap_or(1);
        let key = seed(self.newest.map_or(crate::id::InstanceId::from_bits(0), |(id, _)| id));
        let asides = rules.anti_affinity.iter().filter(|rule| rule.mode == Mode::Soft);
        let far = asides.clone().filter(|rule| rule.scope != Scope::Node).count();
        let near = usize::from(asides.clone().any(|rule| rule.scope == Scope::Node));
        let counted = |mode| index(on_node(head, mode).len());
        Layout {
            by: Yardstick {
                strategy: rules.strategy,
                weights: self.weights(head),
                most: u64::from(most),
                nodes,
                seed: key,
            },
            ask: head.spec.ask(),
            ports: head.spec.ports.clone(),
            count: head.spec.count.max(1),
            uses: Uses {
                prefer: !rules.prefer.is_empty(),
                affinity: rules.affinity.iter().any(|rule| rule.mode == Mode::Soft),
                aside: u64::from(index(far + near)),
                apart_on_node: counted(Mode::Hard),
                aside_on_node: counted(Mode::Soft),
                own: self.keeps_own_apart(work, head),
            },
            dimensions,
        }
    }

    /// The own-workload term counts where the strategy does not already say where the next goes.
    fn keeps_own_apart(&self, _work: u32, head: &Head) -> bool {
        let spreads = match head.spec.placement.strategy {
            Strategy::Weighted | Strategy::Sticky | Strategy::Auction => true,
            Strategy::Binpack
            | Strategy::LeastLoaded
            | Strategy::LeastInstances
            | Strategy::RoundRobin
            | Strategy::FirstFit
            | Strategy::Random => false,
        };
        spreads && head.spec.count > 1
    }

    fn weights(&self, head: &Head) -> [u64; 4] {
        let own = &head.spec.placement.weights;
        if own.is_empty() {
            return self.settings.weights.map(u64::from);
        }
        ["cpu", "memory", "disk", "network"].map(|name| own.get(name).copied().map_or(0, u64::from))
    }

    fn own(&self, work: u32) -> Own {
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
        own
    }

    /// Why each node is closed to the workload whatever room it has, in the order of names.
    fn closings(&self, work: u32, head: &Head, now: Timestamp, bounds: Bounds) -> Vec<Reasons> {
        let Some(request) = &self.works[at(work)].request else { return Vec::new() };
        let near = self.near(head, Mode::Hard);
        let close = |(place, node): (usize, &u32)| {
            let mut reasons = self.closed_to(request, *node);
            let elsewhere = bounds.to.is_some_and(|to| to != *node);
            reasons.add_if(Reason::Pin, || elsewhere || bounds.not == Some(*node));
            reasons.add_if(Reason::Require, || near.as_ref().is_some_and(|near| near[place] < ONE));
            reasons
        };
        let mut closings: Vec<Reasons> = self.order.iter().enumerate().map(close).collect();
        for one in &self.works[at(work)].progress.excluded {
            let place =
                self.order.binary_search_by_key(&&one.node, |node| &self.nodes[at(*node)].name);
            if let (Ok(place), true) = (place, one.until > now) {
                closings[place].add(one.reason);
            }
        }
        closings
    }

    pub(super) fn closed_to(&self, request: &Request, node: u32) -> Reasons {
        let state = &self.nodes[at(node)];
        match &state.record {
            Some(record) if !state.gone => {
                let mut reasons = closed(record, request);
                // What it kept while it was lost is settled before it is given anything new.
                reasons.add_if(Reason::Liveness, || state.kept > 0);
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
            && self.closed_to(request, node).is_empty()
            && room(&state.seat, request.ask).is_empty()
            && doors(&state.ports, &request.ports).is_empty()
            && (apart.is_empty() || self.members(&apart, node) == 0)
    }

    /// Whether one more would fit anywhere.
    pub(super) fn could_go_anywhere(&self, pass: &Pass, now: Timestamp) -> bool {
        let Some(request) = &self.works[at(pass.work)].request else { return false };
        self.order.iter().any(|node| self.open_to(&pass.head, request, *node, now))
    }

    fn members(&self, tags: &[String], node: u32) -> u32 {
        let counts = tags.iter().filter_map(|tag| self.tallies.get(tag));
        counts.filter_map(|nodes| nodes.get(&node)).sum()
    }

    fn turnstile(&self, head: &Head, place: usize, node: u32, cursor: usize) -> Turnstile {
        let nodes = self.order.len();
        let sticky = &head.spec.placement.sticky_key;
        let tally = self.tallies.get(&sticky_tag(sticky)).filter(|_| !sticky.is_empty());
        Turnstile {
            due: u64::from(index((place + nodes - cursor) % nodes.max(1))),
            sticky: tally.is_some_and(|nodes| nodes.contains_key(&node)),
            rank: u64::from(index(place)),
            picks: 0,
        }
    }

    /// The place after the node that was used last.
    fn cursor(&self) -> usize {
        let Some((_, last)) = self.newest else { return 0 };
        let name = &self.nodes[at(last)].name;
        let place = self.order.binary_search_by_key(&name, |node| &self.nodes[at(*node)].name);
        place.map_or(0, |place| (place + 1) % self.order.len().max(1))
    }

    /// How near each node is to the workloads of the affinity rules of this mode: [`ONE`] where
    /// all are in scope. `None` without such rules.
    fn near(&self, head: &Head, mode: Mode) -> Option<Vec<u64>> {
        let rules: Vec<_> =
            head.spec.placement.affinity.iter().filter(|rule| rule.mode == mode).collect();
        let mut sums = vec![0u64; self.order.len()];
        for rule in &rules {
            let key =
                crate::id::WorkloadKey::new(head.spec.namespace.clone(), rule.workload.clone());
            let column = self.column(scope_name(rule.scope), &[]);
            let mut there = vec![false; column.names.len()];
            let target = self.work_keys.get(&key).map(|work| self.own(*work).running);
            let alone = key == head.key() && target.iter().flatten().all(|count| *count == 0);
            for (place, node) in self.order.iter().enumerate() {
                let has = target.as_ref().is_some_and(|target| target[at(*node)] > 0);
                there[at(column.of[place])] |= has || alone;
            }
            for (sum, value) in sums.iter_mut().zip(&column.of) {
                *sum += if there[at(*value)] { ONE } else { 0 };
            }
        }
        let count = u64::from(index(rules.len()));
        sums.iter_mut().for_each(|sum| *sum /= count.max(1));
        (!rules.is_empty()).then_some(sums)
    }

    /// Each node's value of an attribute. With `open`, only nodes that are open add values, and
    /// those that lack the attribute have none; without, lacking it is a value too.
    fn column(&self, name: &str, open: &[Reasons]) -> Column {
        let mut known: BTreeMap<String, Value> = BTreeMap::new();
        let mut texts: Vec<Option<String>> = Vec::with_capacity(self.order.len());
        let mut names = Vec::new();
        for (place, node) in self.order.iter().enumerate() {
            let text = self.value(name, *node);
            let lacks = text.as_ref().is_none_or(String::is_empty);
            let text = if open.is_empty() { Some(text.unwrap_or_default()) } else { text };
            let counts = open.is_empty() || (open[place].is_empty() && !lacks);
            if let (true, Some(text)) = (counts, &text) {
                known.entry(text.clone()).or_insert_with(|| {
                    names.push(text.clone());
                    index(names.len() - 1)
                });
            }
            texts.push(text);
        }
        let value = |text: &Option<String>| {
            text.as_ref().and_then(|text| known.get(text)).copied().unwrap_or(NO_VALUE)
        };
        Column { of: texts.iter().map(value).collect(), names }
    }

    fn value(&self, name: &str, node: u32) -> Option<String> {
        let state = &self.nodes[at(node)];
        let record = state.record.as_ref()?;
        let value = attribute(record, name).map(|value| value.into_owned());
        if name == "node.hardware" {
            let node = || format!("\u{0}{}", state.name);
            return Some(value.filter(|value| !value.is_empty()).unwrap_or_else(node));
        }
        value
    }

    fn dimensions(
        &self,
        head: &Head,
        own: &Own,
        closed: &[Reasons],
    ) -> (Vec<Dimension>, Vec<Column>) {
        let rules = &head.spec.placement;
        let mut all = (Vec::new(), Vec::new());
        let mut push = |rule: Rule, column: Column, per_node: &[u32]| {
            let have = self.counts(&column, per_node);
            all.0.push(Dimension::new(rule, have));
            all.1.push(column);
        };
        if rules.zone_redundancy {
            push(Rule::EveryValue, self.column("node.zone", &[]), &own.running);
        }
        for spread in rules.spread.iter() {
            let column = self.column(&spread.attribute, closed);
            let targets: Vec<Option<u32>> =
                column.names.iter().map(|name| spread.targets.get(name).copied()).collect();
            let wanted = wanted(head.spec.count, &targets);
            let weight = i64::from(spread.weight.clamp(1, 100));
            push(Rule::Spread { weight, wanted }, column, &own.running);
        }
        for (name, limit) in &rules.max_per {
            push(Rule::MaxPer(u64::from(*limit)), self.column(name, &[]), &own.occupying);
        }
        for rule in rules.anti_affinity.iter().filter(|rule| rule.scope != Scope::Node) {
            let tag = [group_tag(&rule.group)];
            let members: Vec<u32> =
                (0..index(self.nodes.len())).map(|node| self.members(&tag, node)).collect();
            let kind = if rule.mode == Mode::Hard { Rule::Apart } else { Rule::Aside };
            push(kind, self.column(scope_name(rule.scope), &[]), &members);
        }
        all
    }

    fn counts(&self, column: &Column, per_node: &[u32]) -> Vec<u64> {
        let mut counts = vec![0; column.names.len()];
        for (node, value) in self.order.iter().zip(&column.of) {
            if *value != NO_VALUE {
                counts[at(*value)] += u64::from(per_node[at(*node)]);
            }
        }
        counts
    }
}

/// The tags of the anti-affinity groups of scope `node` and this mode.
fn on_node(head: &Head, mode: Mode) -> Vec<String> {
    let rules = head.spec.placement.anti_affinity.iter();
    rules
        .filter(|rule| rule.scope == Scope::Node && rule.mode == mode)
        .map(|rule| group_tag(&rule.group))
        .collect()
}

fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Node => "node.name",
        Scope::Hardware => "node.hardware",
        Scope::Zone => "node.zone",
    }
}

/// 5,000 + 5,000 × Σ matching weights / Σ |weights|, in units of [`ONE`].
fn prefer(head: &Head, node: &Node) -> u64 {
    let wishes = &head.spec.placement.prefer;
    let all: i64 = wishes.iter().map(|wish| i64::from(wish.weight.abs())).sum();
    let matching: i64 = wishes
        .iter()
        .filter(|wish| attribute(node, &wish.attribute).is_some_and(|value| value == wish.value))
        .map(|wish| i64::from(wish.weight))
        .sum();
    let half = i64::try_from(ONE / 2).expect("small");
    let term = half + half * matching / all.max(1);
    u64::try_from(term).unwrap_or(0)
}
