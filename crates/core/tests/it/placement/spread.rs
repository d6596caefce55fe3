//! Even and weighted spread: exact outcomes.

use std::collections::BTreeMap;

use expect_test::expect;
use ostler_core::instance::Desired;

use super::check;
use crate::fleet::Fleet;

/// How many instances each value of a label, or the zone, has.
fn by(fleet: &Fleet, name: &str) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for executor in fleet.executors.values() {
        let value = ostler_core::constraint::attribute(&executor.node, name);
        counts.entry(value.unwrap_or_default().into_owned()).or_insert(0);
    }
    for one in fleet.engine.instances().filter(|one| one.desired == Desired::Run) {
        let node = &fleet.executors[one.node].node;
        let value = ostler_core::constraint::attribute(node, name).unwrap_or_default();
        *counts.get_mut(value.as_ref()).expect("a value") += 1;
    }
    counts
}

fn grid(zones: &[&str], racks: &[&str], each: u32) -> String {
    let mut lines = String::new();
    for zone in zones {
        for rack in racks {
            for number in 0..each {
                lines +=
                    &format!("{zone}-{rack}-{number} zone {zone} rack {rack} cpu 8000 max 500\n");
            }
        }
    }
    lines
}

#[test]
fn ten_over_60_30_10_percent_are_6_3_1() {
    let mut fleet = Fleet::new(&grid(&["dc1", "dc2", "dc3"], &["r"], 3));
    fleet.put(
        r#""name":"web","count":10,"placement":{"spread":
            {"attribute":"node.zone","targets":{"dc1":60,"dc2":30,"dc3":10}}}"#,
    );
    fleet.settle();
    expect![[r#"{"dc1": 6, "dc2": 3, "dc3": 1}"#]]
        .assert_eq(&format!("{:?}", by(&fleet, "node.zone")));
}

#[test]
fn two_spreads_together_hold_both() {
    let mut fleet = Fleet::new(&grid(&["dc1", "dc2"], &["r1", "r2"], 2));
    fleet.put(
        r#""name":"web","count":10,"placement":{"spread":[
            {"attribute":"node.zone","targets":{"dc1":50,"dc2":50}},
            {"attribute":"node.labels.rack","targets":{"r1":70,"r2":30}}]}"#,
    );
    fleet.settle();
    assert_eq!(format!("{:?}", by(&fleet, "node.zone")), r#"{"dc1": 5, "dc2": 5}"#);
    assert_eq!(format!("{:?}", by(&fleet, "node.labels.rack")), r#"{"r1": 7, "r2": 3}"#);
}

#[test]
fn values_without_a_target_share_the_rest_evenly() {
    let mut fleet = Fleet::new(&grid(&["a", "b", "c"], &["r"], 1));
    fleet.put(
        r#""name":"web","count":10,"placement":{"spread":
            {"attribute":"node.zone","targets":{"a":40}}}"#,
    );
    fleet.settle();
    assert_eq!(format!("{:?}", by(&fleet, "node.zone")), r#"{"a": 4, "b": 3, "c": 3}"#);
}

#[test]
fn five_hundred_over_a_hundred_racks_are_five_each() {
    let racks: Vec<String> = (0..100).map(|rack| format!("r{rack:02}")).collect();
    let racks: Vec<&str> = racks.iter().map(String::as_str).collect();
    let mut fleet = Fleet::new(&grid(&["z"], &racks, 10));
    fleet
        .put(r#""name":"web","count":500,"placement":{"spread":{"attribute":"node.labels.rack"}}"#);
    fleet.settle();
    let counts = by(&fleet, "node.labels.rack");
    assert!(counts.values().all(|count| *count == 5), "{counts:?}");
}

/// A known trap: with use {a: 0, b: 2, c: 5} the order must be a, b, c, always.
#[test]
fn an_even_spread_prefers_the_empty_value_then_the_emptier() {
    let mut fleet = Fleet::new("na zone a\nnb zone b\nnc zone c");
    for (name, count) in [("nb", 2), ("nc", 7)] {
        fleet.put(&format!(r#""name":"web","count":{count},"placement":{{"node":"{name}"}}"#));
        fleet.settle();
    }
    fleet.put(r#""name":"web","count":7,"placement":{"spread":{"attribute":"node.zone"}}"#);
    fleet.settle();
    for (count, want) in [
        (8, r#"{"a": 1, "b": 2, "c": 5}"#),
        (9, r#"{"a": 2, "b": 2, "c": 5}"#),
        (10, r#"{"a": 3, "b": 2, "c": 5}"#),
        (11, r#"{"a": 3, "b": 3, "c": 5}"#),
    ] {
        fleet.scale("web", count);
        fleet.settle();
        assert_eq!(format!("{:?}", by(&fleet, "node.zone")), want);
    }
}

#[test]
fn nodes_without_the_attribute_are_worst_and_never_excluded() {
    check(
        r#""count":4,"resources":{"cpu":1500},"placement":{"spread":{"attribute":"node.labels.rack"}}"#,
        "n1\nn2 rack r1\nn3",
        expect!["n1 1, n2 2, n3 1"],
    );
}

#[test]
fn a_target_of_nothing_ranks_last_and_is_still_used() {
    check(
        r#""count":4,"resources":{"cpu":1500},"placement":{"spread":
            {"attribute":"node.zone","targets":{"a":0,"b":100}}}"#,
        "n1 zone a\nn2 zone b",
        expect!["n1 2, n2 2"],
    );
}

#[test]
fn zone_redundancy_puts_one_in_every_zone_before_a_second_in_any() {
    check(
        r#""count":3,"placement":{"zone_redundancy":true,"strategy":"binpack"}"#,
        "n1 zone a\nn2 zone a\nn3 zone b\nn4 zone c cpu 100",
        expect!["n1 1, n2 0, n3 1, n4 1"],
    );
}
