//! What must hold of every manifest that is committed: no node is given more than it has.

use std::collections::BTreeMap;

use crate::instance::{Manifest, PortGrant};
use crate::node::Node;
use crate::resources::Resources;

/// What is wrong with this manifest for this node.
pub(super) fn check(node: &Node, manifest: &Manifest) -> Vec<String> {
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
