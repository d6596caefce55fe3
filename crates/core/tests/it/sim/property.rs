//! What must hold of the engine in any scenario: random ones, each from a seed that proptest prints.
//!
//! The runner itself checks after every commit that nothing is over-committed and that nothing that
//! runs is forgotten (P1, and "absence is never an order"); `expect_quiet` is P4.

use std::collections::{BTreeMap, BTreeSet};

use ostler_core::sim::{InstanceReport, StepReport, read, run};
use proptest::prelude::*;
use serde_json::{Value, json};

/// All steps of a scenario that must run without a complaint.
fn steps(nodes: &Value, steps: Vec<Value>) -> Vec<StepReport> {
    let text = json!({ "nodes": nodes, "steps": steps }).to_string();
    let scenario = read(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let mut told = Vec::new();
    let result = run(scenario, |step| told.push(step));
    assert_eq!(result.exit_code(), 0, "{result:?} of {text}");
    told
}

fn workload(name: &str, count: u32, cpu: u64, placement: Value) -> Value {
    let resources = json!({ "cpu": cpu, "memory": "16MiB" });
    json!({ "apply": { "name": name, "driver": "sim", "count": count, "resources": resources,
        "placement": placement } })
}

fn strategy() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("weighted"),
        Just("binpack"),
        Just("least_instances"),
        Just("round_robin"),
        Just("first_fit"),
        Just("least_loaded"),
        Just("random"),
    ]
}

/// A workload with any of the rules that change how it is placed, updated and moved.
fn any_workload() -> impl Strategy<Value = Value> {
    let names = prop_oneof![Just("a"), Just("b"), Just("c"), Just("d")];
    let ports = prop_oneof![
        3 => Just(json!([])),
        1 => Just(json!([{ "name": "http", "static": 8080 }])),
        1 => Just(json!([{ "name": "block", "count": 3, "align": 4 }])),
    ];
    let loss = prop_oneof![Just("restart"), Just("restart"), Just("wait"), Just("fence")];
    let waits = prop_oneof![Just("0s"), Just("5s")];
    let rules = prop_oneof![
        Just(json!({})),
        Just(json!({ "max_per": { "node.name": 2 } })),
        Just(json!({ "spread": { "attribute": "node.zone" } })),
        Just(json!({ "anti_affinity": { "group": "h", "scope": "zone", "mode": "soft" } })),
        Just(json!({ "anti_affinity": { "group": "h" } })),
        Just(json!({ "require": ["node.name != n3"] })),
    ];
    let update = (0u32..4, 0u64..8);
    (names, (0u32..8, 1u64..20), ports, (loss, waits), rules, update).prop_map(
        |(name, (count, cpu), ports, (loss, waits), rules, (parallel, min_ready))| {
            json!({ "apply": { "name": name, "driver": "sim", "count": count, "ports": ports,
                "resources": { "cpu": cpu * 50, "memory": "16MiB" }, "placement": rules,
                "reschedule": { "on_node_loss": loss, "disconnected_for": waits },
                "restart": { "attempts": 1 },
                "update": { "max_parallel": parallel, "min_ready": format!("{min_ready}s") } } })
        },
    )
}

/// A step that may come in any order.
fn step() -> impl Strategy<Value = Value> {
    let names = prop_oneof![Just("a"), Just("b"), Just("c")];
    let node = (1u32..=5).prop_map(|n| format!("n{n}"));
    let liveness = prop_oneof![Just("online"), Just("online"), Just("suspect"), Just("offline")];
    let admin = prop_oneof![Just("active"), Just("active"), Just("cordoned"), Just("draining")];
    let some = || (1u32..=5).prop_map(|n| format!("n{n}"));
    prop_oneof![
        4 => any_workload(),
        1 => Just(json!({ "apply": { "name": "agent", "driver": "sim", "kind": "system" } })),
        3 => (names.clone(), 0u32..8, 1u64..20, strategy()).prop_map(|(name, count, cpu, strategy)| {
            workload(name, count, cpu * 100, json!({ "strategy": strategy }))
        }),
        1 => (names, any::<bool>()).prop_map(|(name, mode)| {
            let mode = if mode { "hard" } else { "soft" };
            workload(name, 4, 100, json!({ "anti_affinity": { "group": "g", "mode": mode } }))
        }),
        2 => (node, liveness).prop_map(|(n, l)| json!({ "node": { "name": n, "liveness": l } })),
        2 => (some(), admin).prop_map(|(n, a)| json!({ "node": { "name": n, "admin": a } })),
        1 => (some(), prop_oneof![Just(json!(["a"])), Just(json!(["*"])), Just(json!([]))])
            .prop_map(|(n, list)| json!({ "node": { "name": n, "behaviour": { "fail": list } } })),
        1 => (some(), prop_oneof![Just(json!(["b"])), Just(json!([]))])
            .prop_map(|(n, list)| json!({ "node": { "name": n, "behaviour": { "decline": list } } })),
        1 => (some(), 0u64..9).prop_map(|(n, gib)| {
            json!({ "use": { "name": n, "cpu": gib * 400, "memory": format!("{gib}GiB") } })
        }),
        3 => (1u64..20_000).prop_map(|ms| json!({ "advance": format!("{ms}ms") })),
        1 => Just(json!({ "advance": "10m" })),
        1 => Just(json!({ "takeover": {} })),
    ]
}

/// Everything is healed, and an hour passes: longer than any exclusion.
fn heal(steps: &mut Vec<Value>) {
    let behaviour = json!({ "fail": [], "decline": [] });
    steps.push(json!({ "node": { "name": "n{1..5}", "liveness": "online", "admin": "active",
        "behaviour": behaviour } }));
    steps.push(json!({ "use": { "name": "n{1..5}" } }));
    steps.push(json!({ "advance": "3h" }));
    steps.push(json!({ "expect_quiet": {} }));
}

fn live(instance: &InstanceReport) -> bool {
    instance.desired == "run"
}

/// Slots of each workload that are held by something that runs and is ready.
fn ready_slots(step: &StepReport) -> BTreeMap<&str, Vec<u32>> {
    let mut slots: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for instance in step.instances.iter().filter(|i| live(i) && i.ready) {
        slots.entry(&instance.workload).or_default().push(instance.slot.0);
    }
    slots
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// P5, P4: whatever happened, once all is well every slot is held once, by something ready, as
    /// far as there is room; and then nothing more is done.
    #[test]
    fn whatever_happened_the_fleet_comes_to_rest(
        mut happened in prop::collection::vec(step(), 1..25),
        ready_ms in 0u64..3000,
        stop_ms in 0u64..3000,
    ) {
        let behaviour = json!({ "ready_after": format!("{ready_ms}ms"),
            "stop_after": format!("{stop_ms}ms") });
        let node = |name: &str, zone: &str| json!({ "name": name, "zone": zone,
            "behaviour": behaviour, "ports": [20000, 20009], "max_instances": 6 });
        let nodes = json!([node("n{1..2}", "x"), node("n{3..4}", "y"), node("n5", "")]);
        let mut last_counts: BTreeMap<String, u64> = BTreeMap::new();
        for step in &happened {
            if let Some(apply) = step.get("apply").filter(|apply| apply["name"] != "agent") {
                let name = apply["name"].as_str().unwrap_or_default().to_owned();
                last_counts.insert(name, apply["count"].as_u64().unwrap_or(1));
            }
        }
        heal(&mut happened);
        let told = steps(&nodes, happened);
        let end = told.last().expect("there are steps");
        let ready = ready_slots(end);
        for (name, count) in last_counts {
            let held: Vec<u32> = ready.get(name.as_str()).cloned().unwrap_or_default();
            let unplaced = end.unplaced.iter().filter(|u| u.workload == name).map(|u| u.slot.0);
            let all: BTreeSet<u32> = held.iter().copied().chain(unplaced).collect();
            let wanted: BTreeSet<u32> = (0..u32::try_from(count).unwrap_or(0)).collect();
            prop_assert_eq!(all, wanted, "slots of {} at the end: {:?}", name, end);
        }
        prop_assert!(end.instances.iter().all(live), "nothing is left to stop: {end:?}");
    }

    /// P8: scaling down and up again leaves the survivors alone.
    #[test]
    fn scaling_touches_only_the_highest_slots(
        count in 1u32..20,
        less in 0u32..20,
        strategy in strategy(),
    ) {
        let nodes = json!([{ "name": "n{1..4}" }]);
        let placement = json!({ "strategy": strategy });
        let told = steps(&nodes, vec![
            workload("web", count, 100, placement),
            json!({ "scale": { "workload": "web", "count": less } }),
            json!({ "scale": { "workload": "web", "count": count } }),
            json!({ "expect_quiet": {} }),
        ]);
        let ids = |step: &StepReport| -> BTreeSet<_> {
            let kept = step.instances.iter().filter(|i| i.slot.0 < less.min(count));
            kept.map(|i| (i.slot, i.id, i.node.clone())).collect()
        };
        prop_assert_eq!(ids(&told[0]), ids(&told[1]));
        prop_assert_eq!(ids(&told[0]), ids(&told[2]));
        prop_assert_eq!(told[1].stopped.len(), usize::try_from(count.saturating_sub(less)).unwrap_or(0));
    }

    /// P6: one more node never places fewer, of instances that ask for the same (of others it may:
    /// what is placed first is not packed for the sake of what comes later).
    #[test]
    fn one_more_node_never_places_fewer(
        nodes in 1u32..5,
        counts in prop::collection::vec(1u32..20, 1..4),
        cpu in 1u64..30,
        strategy in strategy(),
    ) {
        let placed = |nodes: u32| {
            let fleet = json!([{ "name": format!("n{{1..{nodes}}}") }]);
            let apply = counts.iter().enumerate().map(|(i, count)| {
                workload(&format!("w{i}"), *count, cpu * 100, json!({ "strategy": strategy }))
            });
            let told = steps(&fleet, apply.collect());
            told.last().map_or(0, |step| step.instances.len())
        };
        prop_assert!(placed(nodes + 1) >= placed(nodes));
    }

    /// P9, P10: an update stays within [count − max_parallel, count + 1] ready instances.
    #[test]
    fn an_update_keeps_enough_ready(
        count in 1u32..8,
        parallel in 1u32..4,
        ready_ms in 1u64..3000,
        stop_ms in 0u64..3000,
        drained in prop::option::of(1u32..=3),
    ) {
        let behaviour = json!({ "ready_after": format!("{ready_ms}ms"),
            "stop_after": format!("{stop_ms}ms") });
        let apply = |cpu: u64| json!({ "apply": { "name": "web", "driver": "sim", "count": count,
            "resources": { "cpu": cpu }, "update": { "max_parallel": parallel } } });
        let mut what = vec![apply(100), json!({ "advance": "20s" })];
        let start = what.len();
        what.push(apply(200));
        what.extend(drained.map(|n| json!({ "node": { "name": format!("n{n}"),
            "admin": "draining" } })));
        what.extend((0..400).map(|_| json!({ "advance": "500ms" })));
        what.push(json!({ "expect_quiet": {} }));
        let told = steps(&json!([{ "name": "n{1..3}", "behaviour": behaviour }]), what);
        let least = if count > parallel { count - parallel } else { count.min(1) };
        for step in &told[start..] {
            let ready = step.instances.iter().filter(|i| live(i) && i.ready).count();
            prop_assert!(ready >= usize::try_from(least).unwrap_or(0), "too few ready: {step:?}");
            let running = step.instances.iter().filter(|i| live(i)).count();
            let most = count + 1 + parallel.min(drained.map_or(0, |_| parallel));
            prop_assert!(running <= usize::try_from(most).unwrap_or(0), "too many: {step:?}");
        }
        let end = told.last().expect("there are steps");
        prop_assert!(end.instances.iter().all(|i| i.version.0 == 2 && i.ready));
    }

    /// P3: the order in which nodes are named does not matter.
    #[test]
    fn the_order_of_nodes_does_not_matter(
        mut names in Just((1..=6u32).collect::<Vec<_>>()).prop_shuffle(),
        counts in prop::collection::vec((1u32..8, 1u64..20), 1..4),
        strategy in strategy(),
    ) {
        let end = |names: &[u32]| {
            let nodes: Vec<Value> = names.iter().map(|n| json!({ "name": format!("n{n}"),
                "zone": format!("z{}", n % 2) })).collect();
            let apply = counts.iter().enumerate().map(|(i, (count, cpu))| {
                workload(&format!("w{i}"), *count, cpu * 100, json!({ "strategy": strategy,
                    "spread": { "attribute": "node.zone" } }))
            });
            steps(&json!(nodes), apply.collect()).pop()
        };
        let shuffled = end(&names);
        names.sort_unstable();
        prop_assert_eq!(shuffled, end(&names));
    }
}
