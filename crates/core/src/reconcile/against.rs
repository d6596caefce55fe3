//! What stands against one more instance on a node, in numbers.
//!
//! The field says which filters rule a node out; here each of them is asked what it compared. A
//! filter that has no numbers yet is named as it is, so nothing that was found is ever left out.

use std::collections::{BTreeMap, BTreeSet};

use crate::constraint::attribute;
use crate::explain::{Obstacle, Quantity, Shortage};
use crate::head::Head;
use crate::id::WorkloadKey;
use crate::instance::Desired;
use crate::node::{Liveness, Node, Use};
use crate::placement::{Reason, Reasons, Request, Seat, doors};
use crate::resources::Resources;
use crate::time::Timestamp;
use crate::workload::{AntiAffinity, Mode, PortSpec, Scope};

use super::Engine;
use super::observe::group_tag;
use super::picture::{NodeState, at};
use super::survey::scope_name;

/// One workload's questions to nodes, with what they need of the whole pool counted once.
pub(super) struct Against<'a> {
    engine: &'a Engine,
    head: &'a Head,
    pub(super) request: &'a Request,
    work: u32,
    pub(super) now: Timestamp,
    /// For each `max_per`: how many there are by value.
    counts: Vec<BTreeMap<String, u64>>,
    /// For each hard affinity: the values where what it names is; `None`: anywhere will do.
    near: Vec<Option<BTreeSet<String>>>,
    /// For each hard group that is not about nodes: a node with a member, by value.
    apart: Vec<BTreeMap<String, u32>>,
}

impl<'a> Against<'a> {
    pub(super) fn new(engine: &'a Engine, work: u32, now: Timestamp) -> Option<Self> {
        let state = &engine.works[at(work)];
        let (head, request) = (state.head.as_deref()?, state.request.as_deref()?);
        let mut against = Self {
            engine,
            head,
            request,
            work,
            now,
            counts: Vec::new(),
            near: Vec::new(),
            apart: Vec::new(),
        };
        against.look();
        Some(against)
    }

    /// Counts what is counted over the whole pool.
    fn look(&mut self) {
        let rules = &self.head.spec.placement;
        self.counts = rules.max_per.keys().map(|name| self.count(name)).collect();
        self.near = self.affinities().map(|rule| self.where_near(rule)).collect();
        self.apart = self.far_groups().map(|rule| self.members(rule)).collect();
    }

    fn seat(&self, node: u32) -> &Seat {
        &self.engine.nodes[at(node)].seat
    }

    fn affinities(&self) -> impl Iterator<Item = &'a crate::workload::Affinity> + use<'a> {
        let rules = self.head.spec.placement.affinity.iter();
        rules.filter(|rule| rule.mode == Mode::Hard)
    }

    fn far_groups(&self) -> impl Iterator<Item = &'a AntiAffinity> + use<'a> {
        let rules = self.head.spec.placement.anti_affinity.iter();
        rules.filter(|rule| rule.mode == Mode::Hard && rule.scope != Scope::Node)
    }

    fn value(&self, name: &str, node: u32) -> String {
        let state = &self.engine.nodes[at(node)];
        let of = |record| attribute(record, name).map(std::borrow::Cow::into_owned);
        let value = state.record.as_deref().and_then(of).unwrap_or_default();
        // A node without a hardware id is a machine of its own.
        let alone = name == "node.hardware" && value.is_empty();
        if alone { format!("\u{0}{}", state.name) } else { value }
    }

    fn count(&self, name: &str) -> BTreeMap<String, u64> {
        let mut by_node: BTreeMap<u32, u64> = BTreeMap::new();
        for (_, index) in &self.engine.works[at(self.work)].slots {
            let instance = &self.engine.instances[at(*index)];
            if instance.desired != Desired::Keep {
                *by_node.entry(instance.node).or_default() += 1;
            }
        }
        let mut counts = BTreeMap::new();
        for (node, count) in by_node {
            *counts.entry(self.value(name, node)).or_default() += count;
        }
        counts
    }

    fn where_near(&self, rule: &crate::workload::Affinity) -> Option<BTreeSet<String>> {
        let key = WorkloadKey::new(self.head.spec.namespace.clone(), rule.workload.clone());
        let slots = self.engine.work_keys.get(&key).map(|work| &self.engine.works[at(*work)].slots);
        let running = slots.into_iter().flatten().filter_map(|(_, index)| {
            let instance = &self.engine.instances[at(*index)];
            (instance.desired == Desired::Run).then_some(instance.node)
        });
        let nodes: BTreeSet<u32> = running.collect();
        let alone = nodes.is_empty() && key == self.head.key();
        let scope = scope_name(rule.scope);
        (!alone).then(|| nodes.into_iter().map(|node| self.value(scope, node)).collect())
    }

    fn members(&self, rule: &AntiAffinity) -> BTreeMap<String, u32> {
        let nodes = self.engine.tallies.get(&group_tag(&rule.group));
        let nodes = nodes.into_iter().flat_map(|nodes| nodes.keys()).copied();
        let nodes = nodes.filter(|node| self.member(*node, &rule.group).is_some());
        nodes.map(|node| (self.value(scope_name(rule.scope), node), node)).collect()
    }

    /// Everything that stands against the node, which is ruled out for these reasons.
    pub(super) fn obstacles(&self, node: u32, reasons: Reasons) -> Vec<Obstacle> {
        let mut found = Vec::new();
        for reason in reasons.iter() {
            let before = found.len();
            self.ask(reason, node, &mut found);
            if found.len() == before {
                found.push(Obstacle::Other { reason });
            }
        }
        found
    }

    fn ask(&self, reason: Reason, node: u32, found: &mut Vec<Obstacle>) {
        let state = &self.engine.nodes[at(node)];
        let Some(record) = state.record.as_deref() else {
            return found.push(Obstacle::Unknown);
        };
        match reason {
            Reason::Pool => found
                .push(Obstacle::Pool { needs: self.request.pool.clone(), is: record.pool.clone() }),
            Reason::Liveness => found.push(self.silent(state, record)),
            Reason::Admin => found.push(Obstacle::Admin { is: record.admin }),
            Reason::Pin if !self.request.pin.is_empty() => {
                found.push(Obstacle::Pin { to: self.request.pin.clone() });
            }
            Reason::Driver => found.push(Obstacle::Driver {
                needs: self.request.driver.as_str().to_owned(),
                has: record.facts.drivers.keys().cloned().collect(),
            }),
            Reason::Require => self.requirements(node, record, found),
            Reason::MaxInstances => found.push(Obstacle::MaxInstances {
                has: self.seat(node).instances,
                limit: state.seat.max_instances,
            }),
            Reason::Cpu => found.extend(self.short(self.seat(node), Quantity::Cpu)),
            Reason::Memory => found.extend(self.short(self.seat(node), Quantity::Memory)),
            Reason::Disk => found.extend(self.short(self.seat(node), Quantity::Disk)),
            Reason::Network => found.extend(self.short(self.seat(node), Quantity::Network)),
            Reason::Ports => self.ports(node, record, found),
            Reason::AntiAffinity => self.neighbours(node, found),
            Reason::MaxPer => self.crowds(node, found),
            Reason::Failed => found.extend(self.excluded(state, reason)),
            Reason::Declined => {
                found.extend(self.excluded(state, reason));
                let why = self.engine.refused(self.request, node, self.now);
                found.extend(why.map(|why| Obstacle::Refused { why: why.to_owned() }));
            }
            Reason::Pin | Reason::Image => {}
        }
    }

    fn silent(&self, state: &NodeState, record: &Node) -> Obstacle {
        if state.gone {
            return Obstacle::Removed;
        }
        if record.liveness == Liveness::Online && state.kept > 0 {
            return Obstacle::Settling { kept: state.kept };
        }
        let since = self.now.since(record.liveness_since);
        Obstacle::Liveness { is: record.liveness, since }
    }

    fn requirements(&self, node: u32, record: &Node, found: &mut Vec<Obstacle>) {
        let texts = &self.head.spec.placement.require;
        for (text, require) in texts.iter().zip(&self.request.require) {
            if require.as_ref().is_some_and(|require| require.holds(record)) {
                continue;
            }
            let is = require.as_ref().and_then(|require| require.value(record));
            let unknown = require.as_ref().and_then(|require| require.unknown_attribute());
            found.push(Obstacle::Require {
                expression: text.clone(),
                is: is.map(std::borrow::Cow::into_owned),
                unknown: unknown.map(str::to_owned),
            });
        }
        for (rule, near) in self.affinities().zip(&self.near) {
            let value = self.value(scope_name(rule.scope), node);
            if near.as_ref().is_some_and(|near| !near.contains(&value)) {
                let (workload, scope) = (rule.workload.clone(), rule.scope);
                found.push(Obstacle::Affinity { workload, scope });
            }
        }
    }

    /// How many expressions and affinities do not hold; what [`Self::requirements`] would find.
    pub(super) fn unmet(&self, node: u32) -> usize {
        let Some(record) = self.engine.nodes[at(node)].record.as_deref() else { return 0 };
        let holds = |one: &Option<crate::constraint::Requirement>| {
            one.as_ref().is_some_and(|one| one.holds(record))
        };
        let unmet = self.request.require.iter().filter(|one| !holds(one)).count();
        let far = self.affinities().zip(&self.near).filter(|(rule, near)| {
            let value = || self.value(scope_name(rule.scope), node);
            near.as_ref().is_some_and(|near| !near.contains(&value()))
        });
        unmet + far.count()
    }

    /// What is lacking of a quantity, if anything is.
    pub(super) fn short(&self, seat: &Seat, of: Quantity) -> Option<Obstacle> {
        let part = |all: Resources| match of {
            Quantity::Cpu => all.cpu,
            Quantity::Memory => all.memory.0,
            Quantity::Disk => all.disk.0,
            Quantity::Network => all.network,
        };
        let used = seat.used.filter(|_| matches!(of, Quantity::Memory | Quantity::Disk));
        let used = used.map(|Use { memory, disk, .. }| {
            let used = if of == Quantity::Memory { memory } else { disk };
            used.saturating_add(part(seat.pending))
        });
        let needs = part(self.request.ask);
        let asked = part(seat.reserved).saturating_add(part(seat.requested));
        let capacity = part(seat.capacity);
        let lacking = |taken: u64| taken.saturating_add(needs).saturating_sub(capacity);
        let (by_request, by_use) = (lacking(asked), used.map_or(0, lacking));
        let short = by_request.max(by_use);
        let free = capacity.saturating_sub(asked.max(used.unwrap_or(0)));
        let by_use = by_use > by_request;
        (short > 0).then_some(Obstacle::Short(Shortage { of, needs, free, short, by_use }))
    }

    fn ports(&self, node: u32, record: &Node, found: &mut Vec<Obstacle>) {
        let state = &self.engine.nodes[at(node)];
        let table = &state.ports;
        let before = found.len();
        for port in &self.request.ports {
            let Some(fixed) = port.fixed else { continue };
            if !table.is_free(fixed, port.count.max(1)) {
                let held_by = self.holder(state, fixed, port.count.max(1));
                let name = port.name.clone();
                found.push(Obstacle::Port { name, port: fixed, held_by });
            }
        }
        let free: Vec<PortSpec> =
            self.request.ports.iter().filter(|port| port.fixed.is_none()).cloned().collect();
        if !doors(table, &free).is_empty() || found.len() == before {
            let needs = free.iter().map(|port| u32::from(port.count.max(1))).sum();
            found.push(Obstacle::Ports { needs, range: record.facts.ports });
        }
    }

    /// Which instance has one of these ports.
    fn holder(&self, state: &NodeState, first: u16, count: u16) -> Option<String> {
        let (first, last) = (u32::from(first), u32::from(first) + u32::from(count));
        let holds = |index: &&u32| {
            let grants = &self.engine.instances[at(**index)].ports;
            grants.iter().any(|grant| {
                let begin = u32::from(grant.first);
                begin < last && first < begin + u32::from(grant.count)
            })
        };
        state.entries.iter().find(holds).map(|index| self.called(*index))
    }

    /// `default/x/0`
    fn called(&self, index: u32) -> String {
        let instance = &self.engine.instances[at(index)];
        format!("{}/{}", self.engine.works[at(instance.work)].key, instance.slot)
    }

    fn neighbours(&self, node: u32, found: &mut Vec<Obstacle>) {
        let rules = self.head.spec.placement.anti_affinity.iter();
        for rule in rules.filter(|rule| rule.mode == Mode::Hard && rule.scope == Scope::Node) {
            if let Some(with) = self.member(node, &rule.group) {
                let (group, scope) = (rule.group.clone(), rule.scope);
                found.push(Obstacle::AntiAffinity { group, scope, with: Some(with) });
            }
        }
        for (rule, members) in self.far_groups().zip(&self.apart) {
            if let Some(there) = members.get(&self.value(scope_name(rule.scope), node)) {
                let (group, scope) = (rule.group.clone(), rule.scope);
                let with = self.member(*there, &rule.group);
                found.push(Obstacle::AntiAffinity { group, scope, with });
            }
        }
    }

    /// One member of the group on this node.
    fn member(&self, node: u32, group: &str) -> Option<String> {
        let tag = group_tag(group);
        let counts = |index: &&u32| {
            let instance = &self.engine.instances[at(**index)];
            let tags = &self.engine.works[at(instance.work)].tags;
            instance.desired != Desired::Keep && tags.contains(&tag)
        };
        let entries = &self.engine.nodes[at(node)].entries;
        let members = entries.iter().filter(counts);
        members.map(|index| self.called(*index)).min()
    }

    fn crowds(&self, node: u32, found: &mut Vec<Obstacle>) {
        let rules = &self.head.spec.placement.max_per;
        for ((name, limit), counts) in rules.iter().zip(&self.counts) {
            let value = self.value(name, node);
            let has = counts.get(&value).copied().unwrap_or(0);
            if has >= u64::from(*limit) {
                let value = value.trim_start_matches('\0').to_owned();
                let (attribute, limit) = (name.clone(), *limit);
                found.push(Obstacle::MaxPer { attribute, value, has, limit });
            }
        }
    }

    fn excluded(&self, state: &NodeState, after: Reason) -> Option<Obstacle> {
        let excluded = &self.engine.works[at(self.work)].progress.excluded;
        let here = excluded.iter().filter(|one| one.node == state.name && one.until > self.now);
        let longest = here.filter(|one| one.reason == after).max_by_key(|one| one.until)?;
        let (times, left) = (longest.times, longest.until.since(self.now));
        Some(Obstacle::Excluded { after, times, left })
    }

    /// A rank of how far a node is from taking one: the fewer and smaller its obstacles, the less.
    /// Only for the order in which people are told.
    pub(super) fn distance(&self, node: u32, reasons: Reasons) -> u64 {
        let seat = self.seat(node);
        let short = |of: Quantity| match self.short(seat, of) {
            Some(Obstacle::Short(Shortage { needs, short, .. })) => {
                100 + short.min(needs).saturating_mul(400).checked_div(needs).unwrap_or(0)
            }
            Some(_) | None => 500,
        };
        let far = |reason: Reason| match reason {
            Reason::Cpu => short(Quantity::Cpu),
            Reason::Memory => short(Quantity::Memory),
            Reason::Disk => short(Quantity::Disk),
            Reason::Network => short(Quantity::Network),
            Reason::Failed | Reason::Declined => 150,
            Reason::Admin => 400,
            Reason::MaxInstances | Reason::Ports | Reason::AntiAffinity | Reason::MaxPer => 500,
            Reason::Require => {
                let unmet = u64::try_from(self.unmet(node)).expect("a few");
                700 * unmet.max(1)
            }
            Reason::Pin => 900,
            Reason::Liveness => 1_500,
            Reason::Driver | Reason::Image => 3_000,
            Reason::Pool => 6_000,
        };
        reasons.iter().map(far).sum()
    }
}
