//! Any fleet and any workload, as JSON: every rule there is, in small numbers, so that they meet.

use proptest::prelude::*;
use serde_json::{Value, json};

/// Any node of this number.
pub fn node(number: usize) -> impl Strategy<Value = Value> {
    let place = (0u32..4, 0u32..4, 0u32..3, 0u32..6);
    let room = (1u64..9, 1u64..9, 0u64..5, 1u32..9);
    let state = (0u32..12, any::<bool>(), 0u32..4, 0u32..4);
    (place, room, state).prop_map(move |((zone, rack, hardware, arch), room, state)| {
        let (cpu, memory, network, most) = room;
        let (liveness, battery, disk, kind) = state;
        let zone = ["", "east", "west", "north"][index(zone)];
        let labels = match rack {
            0 => json!({}),
            rack => {
                let disk = if rack == 2 { "ssd" } else { "hdd" };
                json!({ "rack": format!("r{rack}"), "disk": disk })
            }
        };
        let liveness = match liveness {
            0 => "suspect",
            _ => "online",
        };
        let drivers = match kind {
            0 => json!({ "sim": "1.0" }),
            1 => json!({ "docker": "24.0.7" }),
            _ => json!({ "sim": "2.1", "docker": "27.1" }),
        };
        let capacity = json!({ "cpu": cpu * 500, "memory": memory << 28, "disk": u64::from(disk) << 30,
            "network": network * 100 });
        let reserved = json!({ "cpu": 100, "memory": 0, "disk": 0, "network": 0 });
        let hardware = if hardware == 0 { String::new() } else { format!("box{}", number / 2) };
        let facts = json!({ "arch": if arch == 0 { "arm64" } else { "amd64" }, "os": "linux",
            "kernel": "6.1", "boot_id": "", "hardware": hardware, "zone": zone,
            "capacity": capacity, "reserved": reserved, "max_instances": most, "drivers": drivers,
            "labels": labels, "addresses": [], "ports": [20_000, 20_011], "version": "",
            "battery": battery && number.is_multiple_of(3) });
        json!({ "name": format!("n{number:03}"), "pool": "default", "admin": "active",
            "liveness": liveness, "liveness_since": 0, "epoch": 1, "facts": facts,
            "drain_deadline": null, "key": "", "left_empty": false, "op_id": "" })
    })
}

/// As many nodes, of any kind, one of them certainly online.
pub fn nodes(most: usize) -> impl Strategy<Value = Vec<Value>> {
    (1..=most).prop_flat_map(|count| (0..count).map(node).collect::<Vec<_>>())
}

/// The strategies by name.
pub const STRATEGIES: [&str; 9] = [
    "weighted",
    "binpack",
    "least_loaded",
    "least_instances",
    "round_robin",
    "sticky",
    "first_fit",
    "random",
    "auction",
];

/// Placement rules; `name` is that of a workload that may be there.
fn rules() -> impl Strategy<Value = Value> {
    let scope = prop::sample::select(&["node", "hardware", "zone"][..]);
    let mode = prop::sample::select(&["hard", "soft"][..]);
    let attribute = prop::sample::select(&["node.zone", "node.labels.rack", "node.name"][..]);
    let group = prop::sample::select(&["g", "h"][..]);
    prop_oneof![
        6 => Just(json!({})),
        2 => (group, scope.clone(), mode.clone())
            .prop_map(|(g, s, m)| json!({ "anti_affinity": { "group": g, "scope": s, "mode": m } })),
        1 => (scope.clone(), mode.clone()).prop_map(|(s, m)| json!({ "anti_affinity": [
            { "group": "g", "scope": s, "mode": m }, { "group": "h", "mode": "soft" }] })),
        2 => (0u32..4, scope, mode).prop_map(|(w, s, m)| {
            json!({ "affinity": { "workload": format!("w{w}"), "scope": s, "mode": m } })
        }),
        2 => (attribute.clone(), 1u32..4)
            .prop_map(|(a, most)| json!({ "max_per": { a: most } })),
        1 => (attribute, 0u32..100).prop_map(|(a, percent)| json!({ "spread": [
            { "attribute": a, "weight": 70 },
            { "attribute": "node.zone", "weight": 30, "targets": { "east": percent } }] })),
        1 => Just(json!({ "zone_redundancy": true })),
        1 => Just(json!({ "require": ["node.arch == amd64", "node.labels.rack is_set"] })),
        1 => Just(json!({ "require": ["node.driver.sim >= 2"] })),
        1 => Just(json!({ "node": "n001" })),
        2 => (-100i32..=100, 1i32..=100).prop_map(|(a, b)| json!({ "prefer": [
            { "attribute": "node.labels.disk", "value": "ssd", "weight": a },
            { "attribute": "node.zone", "value": "west", "weight": b }] })),
        1 => (0u32..20, 0u32..20)
            .prop_map(|(own, base)| json!({ "weights": { "own_workload": own, "base": base, "cpu": 1 } })),
    ]
}

fn ports() -> impl Strategy<Value = Value> {
    prop_oneof![
        5 => Just(json!([])),
        1 => Just(json!([{ "name": "http", "static": 8080 }])),
        1 => (1u16..4, 1u16..5)
            .prop_map(|(count, align)| json!([{ "name": "a", "count": count, "align": align }])),
        1 => Just(json!([{ "name": "http", "static": 20_004, "count": 2 },
            { "name": "b", "count": 2, "align": 2 }, { "name": "c" }])),
    ]
}

/// Any workload but for its name.
pub fn workload() -> impl Strategy<Value = Value> {
    let strategy = prop::sample::select(&STRATEGIES[..]);
    let ask = (0u64..6, 0u64..6, 0u64..3);
    let driver = prop_oneof![4 => Just(0), 1 => Just(1), 1 => Just(2)];
    (strategy, rules(), ports(), ask, 1u32..7, driver).prop_map(
        |(strategy, rules, ports, (cpu, memory, network), count, driver)| {
            let mut placement = rules;
            placement["strategy"] = json!(strategy);
            if strategy == "sticky" {
                placement["sticky_key"] = json!("alice");
            }
            let mut spec = json!({ "driver": "sim", "count": count, "ports": ports,
                "placement": placement, "resources": { "cpu": cpu * 100, "memory": memory << 25,
                "network": network * 20 } });
            if driver > 0 {
                spec["driver"] = json!("docker");
                spec["docker"] = json!({ "image": "nginx" });
            }
            if driver == 2 {
                spec["docker"]["platform"] = json!("linux/arm64");
            }
            spec
        },
    )
}

/// Any workloads by name; each may come several times over, so that some ask the same.
pub fn workloads() -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec((workload(), 1usize..4), 1..6).prop_map(|kinds| {
        let all = kinds.into_iter().flat_map(|(spec, times)| vec![spec; times]);
        let named = all.enumerate().map(|(number, mut spec)| {
            spec["name"] = json!(format!("w{number}"));
            spec
        });
        named.collect()
    })
}

fn index(number: u32) -> usize {
    usize::try_from(number).expect("small")
}
