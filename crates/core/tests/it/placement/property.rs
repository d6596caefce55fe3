//! What holds of any fleet with any rules: properties over fleets of 1 to 200 nodes.

use std::collections::{BTreeMap, BTreeSet};

use ostler_core::constraint::{Requirement, attribute};
use ostler_core::explain::NodeVerdict;
use ostler_core::id::NodeName;
use ostler_core::instance::{Desired, PortGrant};
use ostler_core::node::{Bid, Node};
use ostler_core::reconcile::Event;
use ostler_core::resources::Resources;
use ostler_core::workload::{Mode, Scope, Workload};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::any;
use crate::fleet::{FIRST, Fleet};

fn read_nodes(nodes: &[Value]) -> Vec<Node> {
    nodes.iter().map(|node| serde_json::from_value(node.clone()).expect("a node")).collect()
}

fn read_workloads(workloads: &[Value]) -> Vec<Workload> {
    let read = |one: &Value| serde_json::from_value(one.clone()).expect("a workload");
    workloads.iter().map(read).collect()
}

/// A pool in which all nodes have bid.
fn pool(nodes: &[Node]) -> Fleet {
    let mut fleet = Fleet::new("");
    for node in nodes {
        fleet.join_node(node.clone());
        fleet.tell(Event::Bid(node.name.clone(), FIRST, Bid::default()));
    }
    fleet
}

fn placed(nodes: &[Node], workloads: &[Workload]) -> Fleet {
    let mut fleet = pool(nodes);
    workloads.iter().for_each(|spec| fleet.put_spec(spec.clone()));
    fleet.settle();
    fleet
}

/// What is on each node: the workload and the ports of each instance that is ordered to run.
fn carried(fleet: &Fleet) -> BTreeMap<NodeName, Vec<(Workload, Vec<PortGrant>)>> {
    let mut carried = BTreeMap::new();
    for (name, executor) in &fleet.executors {
        let entries = executor.manifest.groups.iter().flat_map(|group| {
            let spec = &fleet.heads[&group.key].spec;
            let running = group.entries.iter().filter(|entry| entry.desired == Desired::Run);
            running.map(move |entry| (spec.clone(), entry.ports.clone()))
        });
        carried.insert(name.clone(), entries.collect());
    }
    carried
}

/// P1: the sum of requests is within what the node has, and no port is given twice.
fn nothing_is_over_committed(fleet: &Fleet) {
    for (name, there) in carried(fleet) {
        let facts = &fleet.executors[&name].node.facts;
        let asked = there.iter().map(|(spec, _)| spec.ask());
        let asked = asked.fold(Resources::default(), Resources::plus);
        let has = facts.capacity.minus(facts.reserved);
        assert!(
            asked.cpu <= has.cpu
                && asked.memory <= has.memory
                && asked.disk <= has.disk
                && asked.network <= has.network,
            "{name}: {asked:?} of {has:?}"
        );
        assert!(there.len() <= usize::try_from(facts.max_instances).expect("small"), "{name}");
        let mut taken = BTreeSet::new();
        for (spec, grants) in &there {
            assert_eq!(spec.ports.len(), grants.len(), "{name}");
            for (port, grant) in spec.ports.iter().zip(grants) {
                let last = grant.first + grant.count - 1;
                assert!((grant.first..=last).all(|port| taken.insert(port)), "{name}: {grant:?}");
                assert_eq!(grant.count, port.count, "{name}");
                let range = facts.ports.0..=facts.ports.1;
                let fits = range.contains(&grant.first)
                    && range.contains(&last)
                    && grant.first.is_multiple_of(port.align.max(1));
                assert!(port.fixed.map_or(fits, |fixed| fixed == grant.first), "{name}: {grant:?}");
            }
        }
    }
}

/// P2: hard rules of every instance hold where it is, said again in other words.
fn hard_rules_hold(fleet: &Fleet) {
    let carried = carried(fleet);
    let node = |name: &NodeName| &fleet.executors[name].node;
    let place = |name: &NodeName, scope: Scope| match scope {
        Scope::Node => name.to_string(),
        Scope::Hardware => attribute(node(name), "node.hardware").unwrap_or_default().into_owned(),
        Scope::Zone => node(name).facts.zone.clone(),
    };
    let all: Vec<(&NodeName, &Workload)> = carried
        .iter()
        .flat_map(|(name, there)| there.iter().map(move |(spec, _)| (name, spec)))
        .collect();
    for (index, (name, spec)) in all.iter().enumerate() {
        let rules = &spec.placement;
        let facts = &node(name).facts;
        assert!(facts.drivers.contains_key(spec.driver.as_str()), "{name}");
        assert!(rules.node.is_empty() || rules.node == name.as_str(), "{name}");
        for text in &rules.require {
            let holds = text.parse::<Requirement>().expect("reads").holds(node(name));
            assert!(holds, "{name}: {text}");
        }
        if let Some(platform) = spec.docker.as_ref().and_then(|docker| docker.platform.as_deref()) {
            assert_eq!((platform, facts.arch.as_str()), ("linux/arm64", "arm64"));
        }
        for rule in rules.anti_affinity.iter().filter(|rule| rule.mode == Mode::Hard) {
            for (other, (there, peer)) in all.iter().enumerate() {
                let member = peer.placement.anti_affinity.iter().any(|one| one.group == rule.group);
                let apart = place(name, rule.scope) != place(there, rule.scope);
                // Who came first may have been there when the rule was not yet broken by a softer
                // one: only what came later had to keep apart.
                let both_hard = peer.placement.anti_affinity.iter().any(|one| {
                    one.group == rule.group && (one.mode, one.scope) == (rule.mode, rule.scope)
                });
                assert!(other == index || !member || !both_hard || apart, "{name} {there}");
            }
        }
        for (name_of, most) in &rules.max_per {
            let value =
                |at: &NodeName| attribute(node(at), name_of).unwrap_or_default().into_owned();
            let own = all.iter().filter(|(_, peer)| peer.name == spec.name);
            let there = own.filter(|(at, _)| value(at) == value(name)).count();
            assert!(there <= usize::try_from(*most).expect("small"), "{name}: {there} of {most}");
        }
    }
}

/// P7: a node that explain calls fit takes one more, and one that it rejects does not.
fn explain_agrees(fleet: &Fleet, workload: &Workload) {
    let mut engine = fleet.engine.clone();
    let explained = engine.explain_workload(&workload.key(), None, fleet.now).expect("known");
    for (node, verdict) in explained.verdicts.nodes {
        let mut fleet = fleet.clone();
        fleet.decided.clear();
        let more = Workload { count: workload.count + 1, ..workload.clone() };
        let others: Vec<NodeName> =
            fleet.executors.keys().filter(|name| **name != node).cloned().collect();
        for other in others {
            fleet.edit(other.as_str(), |node| node.admin = ostler_core::node::Admin::Cordoned);
        }
        let before = fleet.engine.instances().count();
        fleet.put_spec(more);
        fleet.settle();
        let took = fleet.engine.instances().count() > before;
        match verdict {
            NodeVerdict::Fits { score, terms, .. } => {
                assert!(took, "{node} was said to fit");
                assert!(score <= 10_000 && terms.values().all(|term| *term <= 10_000));
            }
            NodeVerdict::Rejected { reasons, .. } => {
                assert!(!reasons.is_empty() && !took, "{node} was said not to fit: {reasons:?}");
            }
        }
    }
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, max_shrink_iters: 300, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(150))]

    #[test]
    fn nothing_is_over_committed_and_every_hard_rule_holds(
        nodes in any::nodes(40),
        workloads in any::workloads(),
    ) {
        let fleet = placed(&read_nodes(&nodes), &read_workloads(&workloads));
        nothing_is_over_committed(&fleet);
        hard_rules_hold(&fleet);
    }

    /// P3: whatever the order in which nodes and workloads became known.
    #[test]
    fn the_order_of_news_changes_nothing(
        nodes in any::nodes(30),
        workloads in any::workloads(),
    ) {
        let (mut nodes, mut workloads) = (read_nodes(&nodes), read_workloads(&workloads));
        let forth = placed(&nodes, &workloads).show();
        nodes.reverse();
        workloads.reverse();
        prop_assert_eq!(forth, placed(&nodes, &workloads).show());
    }

    /// P4: what was planned and carried out is not planned again, by this leader or the next.
    #[test]
    fn planning_again_gives_nothing(nodes in any::nodes(20), workloads in any::workloads()) {
        let fleet = placed(&read_nodes(&nodes), &read_workloads(&workloads));
        let mut next = fleet.takeover(crate::fleet::Reverse::Yes);
        for node in read_nodes(&nodes) {
            next.tell(Event::Bid(node.name, FIRST, Bid::default()));
        }
        next.settle();
        prop_assert_eq!(fleet.show(), next.show());
    }
}

proptest! {
    #![proptest_config(config(8))]

    #[test]
    fn so_it_is_in_a_fleet_of_two_hundred(nodes in any::nodes(200), workloads in any::workloads()) {
        let fleet = placed(&read_nodes(&nodes), &read_workloads(&workloads));
        nothing_is_over_committed(&fleet);
        hard_rules_hold(&fleet);
    }
}

proptest! {
    #![proptest_config(config(40))]

    #[test]
    fn explain_says_what_a_plan_does(nodes in any::nodes(8), spec in any::workload()) {
        let mut spec = spec;
        spec["name"] = json!("w0");
        let workloads = read_workloads(&[spec]);
        let fleet = placed(&read_nodes(&nodes), &workloads);
        explain_agrees(&fleet, &workloads[0]);
    }
}

/// Equal instances: how many fit is then a matter of each node alone, so the greedy way finds a full
/// assignment if there is one (P5), and a node more or a rule less never places fewer (P6). Of
/// unequal instances neither holds: two small ones may take the places that a large one needed.
/// It holds with `require`, pins, `max_per` by one attribute, and anti-affinity of a single scope:
/// each group then has a limit of its own, and no instance can be in two.
fn equal(count: u32, cpu: u64, rule: usize) -> Workload {
    let rules = [
        json!({}),
        json!({ "require": ["node.arch == amd64"] }),
        json!({ "max_per": { "node.zone": 3 } }),
        json!({ "anti_affinity": { "group": "g", "scope": "zone" } }),
        json!({ "anti_affinity": { "group": "g" } }),
    ];
    let strategy = any::STRATEGIES[(usize::try_from(cpu).expect("small") + rule) % 9];
    let mut placement = rules[rule].clone();
    placement["strategy"] = json!(strategy);
    placement["sticky_key"] = json!("alice");
    let spec = json!({ "name": "web", "driver": "sim", "count": count, "placement": placement,
        "resources": { "cpu": cpu * 100, "memory": 64 << 20 } });
    serde_json::from_value(spec).expect("a workload")
}

/// How many fit, counted group by group.
fn room(nodes: &[Node], spec: &Workload, rule: usize) -> u64 {
    let mut groups: BTreeMap<String, u64> = BTreeMap::new();
    for node in nodes {
        let facts = &node.facts;
        let open = node.liveness == ostler_core::node::Liveness::Online
            && facts.drivers.contains_key("sim")
            && (rule != 1 || facts.arch == "amd64");
        let has = facts.capacity.minus(facts.reserved);
        let by_cpu = has.cpu.checked_div(spec.ask().cpu).unwrap_or(u64::MAX);
        let by_memory = has.memory.0 / spec.ask().memory.0;
        let fits = by_cpu.min(by_memory).min(facts.max_instances.into());
        let fits = if !open {
            0
        } else if rule == 4 {
            fits.min(1)
        } else {
            fits
        };
        let group = if rule == 2 || rule == 3 { facts.zone.clone() } else { String::new() };
        *groups.entry(group).or_insert(0) += fits;
    }
    let most = match rule {
        2 => 3,
        3 => 1,
        _ => u64::MAX,
    };
    groups.values().map(|fits| (*fits).min(most)).sum()
}

fn running(fleet: &Fleet) -> u64 {
    let running = fleet.engine.instances().filter(|one| one.desired == Desired::Run).count();
    u64::try_from(running).expect("fits")
}

proptest! {
    #![proptest_config(config(120))]

    #[test]
    fn equal_instances_fill_all_room_there_is(
        nodes in any::nodes(40),
        (count, cpu, rule) in (1u32..60, 0u64..9, 0usize..5),
    ) {
        let (nodes, spec) = (read_nodes(&nodes), equal(count, cpu, rule));
        let fleet = placed(&nodes, std::slice::from_ref(&spec));
        prop_assert_eq!(running(&fleet), u64::from(count).min(room(&nodes, &spec, rule)));
        let fewer = placed(&nodes[1..], std::slice::from_ref(&spec));
        prop_assert!(running(&fewer) <= running(&fleet), "one node more places fewer");
        let free = placed(&nodes, &[equal(count, cpu, 0)]);
        prop_assert!(running(&fleet) <= running(&free), "a rule less places fewer");
    }
}
