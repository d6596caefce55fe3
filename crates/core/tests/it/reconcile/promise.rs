//! What must always hold, on random fleets.

use std::collections::BTreeMap;

use ostler_core::instance::Desired;
use ostler_core::reconcile::{Decision, Event, Plan};
use proptest::prelude::*;

use crate::fleet::{Fleet, Reverse, node, workload};

fn nodes() -> impl Strategy<Value = Vec<String>> {
    let one = (500u64..8000, 1u32..16, 1u32..12, 0u32..3, 0u32..4);
    prop::collection::vec(one, 1..20).prop_map(|all| {
        let line = |(number, (cpu, gib, max, zone, rack)): (usize, (u64, u32, u32, u32, u32))| {
            format!("n{number:02} cpu {cpu} mem {gib}GiB max {max} zone z{zone} rack r{rack} ports 100-110")
        };
        all.into_iter().enumerate().map(line).collect()
    })
}

fn workloads() -> impl Strategy<Value = Vec<String>> {
    let rules = prop_oneof![
        Just(""),
        Just(r#""spread":{"attribute":"node.zone"}"#),
        Just(
            r#""spread":[{"attribute":"node.zone","targets":{"z0":60}},{"attribute":"node.labels.rack"}]"#
        ),
        Just(r#""anti_affinity":{"group":"g"}"#),
        Just(r#""anti_affinity":{"group":"g","scope":"zone","mode":"soft"}"#),
        Just(r#""max_per":{"node.labels.rack":3}"#),
        Just(r#""prefer":[{"attribute":"node.zone","value":"z1"}]"#),
        Just(r#""zone_redundancy":true"#),
    ];
    let strategy = prop_oneof![
        Just("weighted"),
        Just("binpack"),
        Just("least_instances"),
        Just("least_loaded"),
        Just("round_robin"),
        Just("first_fit"),
    ];
    let ports = prop_oneof![
        Just(""),
        Just(r#"{"name":"a"}"#),
        Just(r#"{"name":"a","static":105},{"name":"b","count":2,"align":2}"#),
    ];
    let one = (1u32..15, 0u64..2000, 16u32..2048, (rules, strategy, ports));
    prop::collection::vec(one, 1..6).prop_map(|all| {
        let text = |(number, (count, cpu, mib, (rules, strategy, ports)))| {
            let comma = if str::is_empty(rules) { "" } else { "," };
            format!(
                r#""name":"w{number}","count":{count},"resources":{{"cpu":{cpu},"memory":"{mib}MiB"}},"ports":[{ports}],"placement":{{"strategy":"{strategy}"{comma}{rules}}}"#
            )
        };
        all.into_iter().enumerate().map(text).collect()
    })
}

fn fleet(nodes: &[String], workloads: &[String]) -> Fleet {
    let mut fleet = Fleet::new(&nodes.join("\n"));
    workloads.iter().for_each(|text| fleet.put(text));
    fleet
}

fn over_committed(fleet: &Fleet) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, executor) in &fleet.executors {
        let facts = &executor.node.facts;
        let manifest = fleet.engine.manifest(name).unwrap_or_default();
        let (mut cpu, mut memory, mut count, mut ports) = (0, 0, 0u32, BTreeMap::new());
        for group in &manifest.groups {
            for entry in &group.entries {
                cpu += group.ask.cpu;
                memory += group.ask.memory.0;
                count += 1;
                for grant in &entry.ports {
                    for port in grant.first..grant.first + grant.count {
                        *ports.entry(port).or_insert(0) += 1;
                    }
                }
            }
        }
        let twice = ports.values().any(|count| *count > 1);
        if cpu > facts.capacity.cpu
            || memory > facts.capacity.memory.0
            || count > facts.max_instances
            || twice
        {
            wrong.push(format!("{name}: {cpu} {memory} {count} {ports:?}"));
        }
    }
    wrong
}

/// What a plan decided, without ids.
fn decided(plan: &Plan) -> Vec<String> {
    let place = |one: &Decision| match one {
        Decision::Place { workload, slot, node, score, .. } => {
            format!("{workload}/{slot} {node} {score}")
        }
        Decision::Stop { .. }
        | Decision::Preempt { .. }
        | Decision::Restart { .. }
        | Decision::Lost { .. }
        | Decision::UpdateFailed { .. }
        | Decision::Updated { .. }
        | Decision::Unplaced { .. }
        | Decision::Drained { .. }
        | Decision::Noted { .. }
        | Decision::MassLoss { .. } => format!("{one:?}"),
    };
    plan.decisions.iter().map(place).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_over_committed_and_planning_again_gives_nothing(
        nodes in nodes(), workloads in workloads(),
    ) {
        let mut fleet = fleet(&nodes, &workloads);
        while fleet.engine.plan(fleet.now).more {}
        prop_assert_eq!(over_committed(&fleet), Vec::<String>::new());
        prop_assert_eq!(fleet.engine.plan(fleet.now), Plan::default());
    }

    #[test]
    fn the_order_of_events_does_not_matter(
        nodes in nodes(),
        workloads in workloads(),
        (seed, reverse) in (any::<u64>(), any::<bool>()),
    ) {
        let mut plain = fleet(&nodes, &workloads);
        let mut events: Vec<Event> = nodes.iter().map(|l| Event::Node(Box::new(node(l)))).collect();
        events.extend(plain.heads.values().map(|h| Event::Workload(Box::new(h.clone()))));
        events.sort_by_key(|event| format!("{event:?}").len() as u64 ^ seed);
        if reverse {
            events.reverse();
        }
        let mut other = Fleet::new("");
        events.into_iter().for_each(|event| other.tell(event));
        prop_assert_eq!(decided(&plain.engine.plan(plain.now)), decided(&other.engine.plan(plain.now)));
    }

    #[test]
    fn every_slot_is_accounted_for_and_explain_agrees(
        nodes in nodes(), workloads in workloads(),
    ) {
        let mut fleet = fleet(&nodes, &workloads);
        fleet.settle();
        for text in &workloads {
            let spec = workload(text);
            let progress = fleet.engine.progress(&spec.key()).unwrap_or_default();
            let unplaced: u32 =
                progress.unplaced.iter().map(|one| one.count()).sum();
            let placed = fleet.engine.instances().filter(|one| {
                *one.key == spec.key() && one.desired == Desired::Run
            });
            prop_assert_eq!(u32::try_from(placed.count()).unwrap_or(0) + unplaced, spec.count);
            let explained = fleet.engine.explain_workload(&spec.key(), None, fleet.now).expect("known");
            let fits = explained.verdicts.nodes.values().any(|verdict| {
                matches!(verdict, ostler_core::explain::NodeVerdict::Fits { .. })
            });
            prop_assert!(unplaced == 0 || !fits, "{:?}", explained);
        }
    }

    #[test]
    fn scaling_down_and_up_leaves_the_survivors_alone(
        nodes in nodes(), workloads in workloads(), less in 0u32..8,
    ) {
        let mut fleet = fleet(&nodes, &workloads);
        fleet.advance(10);
        let ids = |fleet: &Fleet| -> Vec<_> {
            let kept = fleet.engine.instances().filter(|one| one.slot.0 < less);
            kept.map(|one| (one.id, one.node.clone(), one.slot)).collect()
        };
        let before = ids(&fleet);
        let counts: Vec<_> = fleet.heads.values().map(|h| (h.key().to_string(), h.spec.count)).collect();
        for (key, count) in &counts {
            fleet.scale(key, less.min(*count));
        }
        fleet.advance(10);
        let between = ids(&fleet);
        prop_assert!(before.iter().all(|one| between.contains(one)));
        for (key, count) in &counts {
            fleet.scale(key, *count);
        }
        fleet.advance(10);
        let after = ids(&fleet);
        prop_assert!(before.iter().all(|one| after.contains(one)));
    }

    #[test]
    fn a_new_leader_changes_nothing(nodes in nodes(), workloads in workloads()) {
        let mut fleet = fleet(&nodes, &workloads);
        fleet.advance(60);
        for reverse in [Reverse::Yes, Reverse::No] {
            let mut next = fleet.takeover(reverse);
            // Why a slot has no place may read differently after what was placed later.
            let plan = Plan { progress: [].into(), ..next.engine.plan(next.now) };
            prop_assert_eq!(plan, Plan::default());
        }
    }
}
