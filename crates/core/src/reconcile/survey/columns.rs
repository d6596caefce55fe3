//! Nodes by the values of an attribute, and the rules that count by value.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::constraint::attribute;
use crate::head::Head;
use crate::placement::Reasons;
use crate::placement::dimension::{Dimension, NO_VALUE, Rule, Value, wanted};
use crate::placement::score::ONE;
use crate::reconcile::Engine;
use crate::reconcile::observe::group_tag;
use crate::reconcile::picture::{at, index};
use crate::workload::{Mode, Scope};

use super::Own;

/// One attribute of all nodes: each node's value, in the order of names.
#[derive(Debug, Clone)]
pub(in crate::reconcile) struct Column {
    pub of: Vec<Value>,
    names: Vec<String>,
}

/// What becomes of nodes that lack the attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lacking {
    /// They have no value.
    None,
    /// Lacking it is a value like any other.
    Value,
}

impl Engine {
    /// Works out once, until nodes change, by what this workload's rules go.
    pub(in crate::reconcile) fn know_columns(&mut self, head: &Head) {
        for name in names(head) {
            if !self.columns.contains_key(name) {
                let column = Arc::new(self.read_column(name));
                self.columns.insert(name.to_owned(), column);
            }
        }
    }

    fn column(&self, name: &str, lacking: Lacking) -> Column {
        let known = self.columns.get(name);
        let mut column = known.map_or_else(|| self.read_column(name), |known| (**known).clone());
        if lacking == Lacking::Value && column.of.contains(&NO_VALUE) {
            let lacks = index(column.names.len());
            column.names.push(String::new());
            column.of.iter_mut().filter(|of| **of == NO_VALUE).for_each(|of| *of = lacks);
        }
        column
    }

    fn read_column(&self, name: &str) -> Column {
        let mut known: BTreeMap<String, Value> = BTreeMap::new();
        let mut names: Vec<String> = Vec::new();
        let mut number = |node: &u32| {
            let record = self.nodes[at(*node)].record.as_ref()?;
            let text = attribute(record, name).filter(|text| !text.is_empty())?;
            if let Some(value) = known.get(text.as_ref()) {
                return Some(*value);
            }
            let value = index(names.len());
            names.push(text.clone().into_owned());
            known.insert(text.into_owned(), value);
            Some(value)
        };
        let of = self.order.iter().map(|node| number(node).unwrap_or(NO_VALUE)).collect();
        Column { of, names }
    }

    /// Only values of nodes that are open; other nodes have none.
    fn open_column(&self, name: &str, closed: &[Reasons]) -> Column {
        let all = self.column(name, Lacking::None);
        let mut kept: Vec<Option<Value>> = vec![None; all.names.len()];
        let mut names = Vec::new();
        for (of, closed) in all.of.iter().zip(closed) {
            if *of != NO_VALUE && closed.is_empty() && kept[at(*of)].is_none() {
                kept[at(*of)] = Some(index(names.len()));
                names.push(all.names[at(*of)].clone());
            }
        }
        let value = |of: &Value| if *of == NO_VALUE { None } else { kept[at(*of)] };
        let of = all.of.iter().map(|of| value(of).unwrap_or(NO_VALUE)).collect();
        Column { of, names }
    }

    /// The rules that count by value, each with the attribute that it goes by.
    pub(super) fn dimensions(
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
            push(Rule::EveryValue, self.column(ZONE, Lacking::None), &own.running);
        }
        for spread in rules.spread.iter() {
            let column = self.open_column(&spread.attribute, closed);
            let targets: Vec<Option<u32>> =
                column.names.iter().map(|name| spread.targets.get(name).copied()).collect();
            let named = spread.targets.values().map(|percent| u64::from(*percent)).sum();
            let wanted = wanted(head.spec.count, &targets, named);
            let weight = i64::from(spread.weight.clamp(1, 100));
            push(Rule::Spread { weight, wanted }, column, &own.running);
        }
        for (name, limit) in &rules.max_per {
            let column = self.column(name, Lacking::Value);
            push(Rule::MaxPer(u64::from(*limit)), column, &own.occupying);
        }
        for rule in rules.anti_affinity.iter().filter(|rule| rule.scope != Scope::Node) {
            let mut members = vec![0; self.nodes.len()];
            let there = self.tallies.get(&group_tag(&rule.group));
            for (node, count) in there.into_iter().flat_map(|nodes| nodes.iter()) {
                members[at(*node)] = *count;
            }
            let kind = if rule.mode == Mode::Hard { Rule::Apart } else { Rule::Aside };
            push(kind, self.column(scope_name(rule.scope), Lacking::Value), &members);
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

    /// How near each node is to the workloads of the affinity rules of this mode: [`ONE`] where
    /// all are in scope. `None` without such rules.
    pub(super) fn near(&self, head: &Head, mode: Mode) -> Option<Vec<u64>> {
        let rules: Vec<_> =
            head.spec.placement.affinity.iter().filter(|rule| rule.mode == mode).collect();
        if rules.is_empty() {
            return None;
        }
        let mut sums = vec![0u64; self.order.len()];
        for rule in &rules {
            let key =
                crate::id::WorkloadKey::new(head.spec.namespace.clone(), rule.workload.clone());
            let column = self.column(scope_name(rule.scope), Lacking::Value);
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
        Some(sums)
    }
}

const ZONE: &str = "node.zone";

pub(in crate::reconcile) fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Node => "node.name",
        Scope::Hardware => "node.hardware",
        Scope::Zone => ZONE,
    }
}

/// The attributes by which the workload's rules count.
fn names(head: &Head) -> impl Iterator<Item = &str> {
    let rules = &head.spec.placement;
    let zone = rules.zone_redundancy.then_some(ZONE);
    let spreads = rules.spread.iter().map(|spread| spread.attribute.as_str());
    let limits = rules.max_per.keys().map(String::as_str);
    let apart = rules.anti_affinity.iter().filter(|rule| rule.scope != Scope::Node);
    let apart = apart.map(|rule| scope_name(rule.scope));
    let near = rules.affinity.iter().map(|rule| scope_name(rule.scope));
    zone.into_iter().chain(spreads).chain(limits).chain(apart).chain(near)
}
