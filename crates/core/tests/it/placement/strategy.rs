//! How a node is chosen among those that fit.

use expect_test::{Expect, expect};

use super::check;
use crate::fleet::Fleet;

/// Puts `workloads` of one instance each.
#[track_caller]
fn many(workloads: u32, strategy: &str, nodes: &str, want: Expect) {
    let mut fleet = Fleet::new(nodes);
    for number in 0..workloads {
        let placement = format!(r#""placement":{{"strategy":"{strategy}"}}"#);
        fleet.put(&format!(r#""name":"w{number}",{placement},"resources":{{"cpu":1}}"#));
    }
    fleet.settle();
    want.assert_eq(&fleet.counts());
}

#[test]
fn a_hundred_workloads_on_two_equal_nodes_are_fifty_and_fifty() {
    many(100, "least_instances", "n1\nn2", expect!["n1 50, n2 50"]);
}

#[test]
fn a_hundred_workloads_on_three_equal_nodes_are_34_33_33() {
    many(100, "least_instances", "n1\nn2\nn3", expect!["n1 34, n2 33, n3 33"]);
    many(100, "round_robin", "n1\nn2\nn3", expect!["n1 34, n2 33, n3 33"]);
    many(100, "weighted", "n1\nn2\nn3", expect!["n1 34, n2 33, n3 33"]);
}

#[test]
fn binpack_fills_one_node_before_the_next() {
    many(60, "binpack", "n1\nn2\nn3", expect!["n1 50, n2 10, n3 0"]);
    check(
        r#""count":10,"placement":{"strategy":"binpack"},"resources":{"cpu":1000}"#,
        "n1\nn2\nn3\nn4",
        expect!["n1 4, n2 4, n3 2, n4 0"],
    );
}

#[test]
fn the_fewest_instances_win_even_against_ones_own() {
    let mut fleet = Fleet::new("n1\nn2");
    fleet.put(r#""name":"a","count":5,"placement":{"node":"n1"}"#);
    fleet.settle();
    fleet.put(r#""name":"b","count":3,"placement":{"strategy":"least_instances"}"#);
    fleet.settle();
    expect!["n1 5, n2 3"].assert_eq(&fleet.counts());
}

#[test]
fn round_robin_goes_on_after_the_last_node_used() {
    let mut fleet = Fleet::new("n1\nn2\nn3\nn4");
    for (name, count) in [("a", 3), ("b", 2), ("c", 4)] {
        let placement = r#""placement":{"strategy":"round_robin"}"#;
        fleet.put(&format!(r#""name":"{name}","count":{count},{placement}"#));
        fleet.settle();
    }
    expect![[r#"
        a/0@1 n1 run running ready
        a/1@1 n2 run running ready
        a/2@1 n3 run running ready
        b/0@1 n4 run running ready
        b/1@1 n1 run running ready
        c/0@1 n2 run running ready
        c/1@1 n3 run running ready
        c/2@1 n4 run running ready
        c/3@1 n1 run running ready
    "#]]
    .assert_eq(&fleet.show());
}

#[test]
fn first_fit_takes_the_first_name_until_it_is_full() {
    check(
        r#""count":5,"placement":{"strategy":"first_fit"},"resources":{"cpu":2000}"#,
        "n1\nn2\nn3",
        expect!["n1 2, n2 2, n3 1"],
    );
}

#[test]
fn least_loaded_goes_where_most_memory_is_free() {
    check(
        r#""count":2,"placement":{"strategy":"least_loaded"},"resources":{"memory":"1GiB"}"#,
        "n1 mem 2GiB cpu 64000\nn2 mem 16GiB cpu 500",
        expect!["n1 0, n2 2"],
    );
}

#[test]
fn sticky_work_gathers_where_its_key_already_is() {
    let mut fleet = Fleet::new("n1\nn2 cpu 2000\nn3");
    let sticky = r#""placement":{"strategy":"sticky","sticky_key":"alice"}"#;
    fleet.put(r#""name":"a","placement":{"strategy":"sticky","sticky_key":"alice","node":"n2"}"#);
    fleet.settle();
    fleet.put(&format!(r#""name":"b","count":2,{sticky}"#));
    fleet.settle();
    expect!["n1 0, n2 3, n3 0"].assert_eq(&fleet.counts());
}

#[test]
fn random_is_the_same_every_time_and_uses_every_node() {
    let place = || {
        let mut fleet = Fleet::new("n1\nn2\nn3\nn4");
        fleet.put(r#""name":"a","count":40,"placement":{"strategy":"random"}"#);
        fleet.settle();
        fleet.counts()
    };
    assert_eq!(place(), place());
    assert!(!place().contains(" 0"), "{}", place());
}
