//! What must hold of everything that is committed: no node is given more than it has, or what it
//! must not have, and at most one of a fenced slot is alive.

use std::collections::BTreeMap;

use super::executor::Executor;
use super::registry::Registry;
use crate::constraint::Requirement;
use crate::id::{InstanceId, NodeName, Slot, WorkloadKey};
use crate::instance::{Desired, Manifest, PortGrant};
use crate::node::{Admin, Liveness, Node};
use crate::resources::Resources;
use crate::workload::{Mode, OnNodeLoss, Scope, Workload};

/// P1: what is too much in this manifest for this node.
pub(super) fn manifest(node: &Node, manifest: &Manifest) -> Vec<String> {
    let mut broken = Vec::new();
    let (mut asked, mut count, mut ports) = (Resources::default(), 0u32, BTreeMap::new());
    for group in &manifest.groups {
        for entry in &group.entries {
            asked = asked.plus(group.ask);
            count += 1;
            broken.extend(entry.ports.iter().filter_map(|grant| taken(node, grant, &mut ports)));
        }
    }
    let room = node.facts.capacity.minus(node.facts.reserved);
    let over = [
        ("cpu", asked.cpu, room.cpu),
        ("memory", asked.memory.0, room.memory.0),
        ("disk", asked.disk.0, room.disk.0),
        ("network", asked.network, room.network),
        ("max_instances", count.into(), node.facts.max_instances.into()),
    ];
    for (what, asked, room) in over.into_iter().filter(|(_, asked, room)| asked > room) {
        broken.push(format!("node {}: {what} is over-committed: {asked} of {room}", node.name));
    }
    broken
}

fn taken(node: &Node, grant: &PortGrant, ports: &mut BTreeMap<u16, u16>) -> Option<String> {
    let last = grant.first.checked_add(grant.count.saturating_sub(1));
    let Some(last) = last else {
        return Some(format!("node {}: port {} goes past 65535", node.name, grant.name));
    };
    let before = ports.range(..=last).next_back().map(|(_, last)| *last);
    let clash = before.is_some_and(|before| before >= grant.first);
    ports.insert(grant.first, last);
    clash.then(|| format!("node {}: port {} is given twice", node.name, grant.first))
}

/// P2: which hard rule the placement of `id` on this node breaks, just after it was committed.
pub(super) fn placement(
    executor: &Executor,
    workload: &Workload,
    id: InstanceId,
    registry: &Registry,
) -> Vec<String> {
    let node = &executor.node;
    let rules = &workload.placement;
    let holds = |text: &String| text.parse::<Requirement>().is_ok_and(|r| r.holds(node));
    let broken = [
        ("pool", node.pool != workload.pool),
        ("liveness", node.liveness != Liveness::Online),
        ("admin", node.admin != Admin::Active),
        ("pin", !rules.node.is_empty() && rules.node != node.name.as_str()),
        ("driver", !node.facts.drivers.contains_key(workload.driver.as_str())),
        ("require", !rules.require.iter().all(holds)),
        ("anti_affinity", near_its_group(executor, workload, id, registry)),
    ];
    let broken = broken.into_iter().filter(|(_, broken)| *broken);
    broken.map(|(rule, _)| format!("{id} is placed on {} against {rule}", node.name)).collect()
}

fn near_its_group(
    executor: &Executor,
    workload: &Workload,
    id: InstanceId,
    registry: &Registry,
) -> bool {
    let rules = workload.placement.anti_affinity.iter();
    let hard = rules.filter(|rule| rule.mode == Mode::Hard && rule.scope == Scope::Node);
    let groups: Vec<&String> = hard.map(|rule| &rule.group).collect();
    let member = |key: &WorkloadKey| {
        let head = registry.head(key);
        let mut theirs = head.into_iter().flat_map(|h| h.spec.placement.anti_affinity.iter());
        theirs.any(|rule| groups.contains(&&rule.group))
    };
    let others = executor.wanted.groups.iter().filter(|group| member(&group.key));
    let mut entries = others.flat_map(|group| &group.entries);
    // Whoever came later in the same plan may mind less.
    entries.any(|entry| entry.id < id && entry.desired != Desired::Keep)
}

/// P14: slots of which more than one fenced instance is alive, wherever, seen or not.
pub(super) fn fenced(executors: &BTreeMap<NodeName, Executor>, registry: &Registry) -> Vec<String> {
    let mut alive: BTreeMap<(&WorkloadKey, Slot), u32> = BTreeMap::new();
    for executor in executors.values() {
        for group in executor.obeyed().filter(|group| {
            let text = registry.text(&group.key, group.version);
            text.reschedule.on_node_loss == OnNodeLoss::Fence
        }) {
            for entry in group.entries.iter().filter(|entry| executor.runs(entry.id)) {
                *alive.entry((&group.key, entry.slot)).or_default() += 1;
            }
        }
    }
    let doubled = alive.into_iter().filter(|(_, count)| *count > 1);
    doubled
        .map(|((key, slot), count)| format!("{count} of fenced {key}/{slot} are alive"))
        .collect()
}
