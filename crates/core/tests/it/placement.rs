//! Where one more instance goes: tables.

use expect_test::{Expect, expect};
use ostler_core::explain::NodeVerdict;

use crate::fleet::Fleet;

mod any;
mod auction;
mod image;
mod ports;
mod property;
mod spread;
mod strategy;
mod trap;

/// Puts one workload on these nodes: what each node carries then, or why nothing does.
#[track_caller]
fn check(ask: &str, nodes: &str, want: Expect) {
    let mut fleet = Fleet::new(nodes);
    fleet.put(&format!("\"name\":\"web\",{ask}"));
    fleet.settle();
    let key = "web".parse().expect("a key");
    let mut said = fleet.counts();
    for unplaced in fleet.engine.progress(&key).unwrap_or_default().unplaced {
        let (first, last) = unplaced.slots;
        said += &format!("\nno place for {first}-{last}:");
        for (node, reasons) in unplaced.nodes.iter() {
            let reasons: Vec<&str> = reasons.iter().map(|reason| reason.as_str()).collect();
            said += &format!(" {node} ({})", reasons.join(" "));
        }
    }
    want.assert_eq(&said);
}

/// The verdict of each node on one more instance.
#[track_caller]
fn explain(fleet: &mut Fleet, want: Expect) {
    fleet.settle();
    let key = "web".parse().expect("a key");
    let explained = fleet.engine.explain_workload(&key, None, fleet.now).expect("known");
    let mut said = String::new();
    for (node, verdict) in explained.verdicts.nodes {
        said += &match verdict {
            NodeVerdict::Fits { spread, score, terms, .. } => {
                let spread = spread.map_or(String::new(), |spread| format!(" spread {spread}"));
                format!("{node}:{spread} {score} {terms:?}\n")
            }
            NodeVerdict::Rejected { reasons, said, .. } => {
                let said = said.map_or(String::new(), |said| format!(" ({said})"));
                format!("{node}: no, {reasons:?}{said}\n")
            }
        };
    }
    want.assert_eq(&said);
}

#[test]
fn memory_rules_a_node_out_however_much_cpu_it_has() {
    check(
        r#""resources":{"cpu":500,"memory":"4GiB"}"#,
        "n1 cpu 64000 mem 2GiB
         n2 cpu 1000 mem 8GiB",
        expect!["n1 0, n2 1"],
    );
}

#[test]
fn every_reason_of_every_node_is_told() {
    check(
        r#""count":2,"resources":{"cpu":5000,"memory":"16GiB","disk":"200GiB","network":2000},
           "placement":{"node":"n9","require":["node.arch == arm64"]}"#,
        "n1
         n2 cordoned
         n3 suspect
         n4 max 0 pool other driver docker
         n9 arch arm64 cpu 9000 mem 32GiB disk 300GiB net 10000 draining",
        expect![[r#"
            n1 0, n2 0, n3 0, n4 0, n9 0
            no place for 0-1: n1 (pin require cpu memory disk network) n2 (admin pin require cpu memory disk network) n3 (liveness pin require cpu memory disk network) n4 (pool pin driver require max_instances cpu memory disk network) n9 (admin)"#]],
    );
}

#[test]
fn reserved_is_not_given_away_and_neither_is_what_others_use() {
    let mut fleet = Fleet::new("n1 mem 4GiB\nn2 mem 4GiB");
    fleet.edit("n1", |node| node.facts.reserved.memory = "3GiB".parse().expect("a size"));
    fleet.tell(beat("n2", "3GiB"));
    fleet.put(r#""name":"web","resources":{"memory":"2GiB"}"#);
    explain(
        &mut fleet,
        expect![[r#"
        n1: no, [Memory]
        n2: no, [Memory]
    "#]],
    );
}

#[test]
fn a_workload_that_lacks_memory_is_woken_by_a_heartbeat_that_shows_some() {
    let mut fleet = Fleet::new("n1 mem 4GiB");
    fleet.tell(beat("n1", "3GiB"));
    fleet.put(r#""name":"web","resources":{"memory":"2GiB"}"#);
    fleet.settle();
    assert_eq!(fleet.counts(), "n1 0");
    fleet.tell(beat("n1", "1GiB"));
    fleet.settle();
    assert_eq!(fleet.counts(), "n1 1");
}

fn beat(node: &str, memory: &str) -> ostler_core::reconcile::Event {
    let memory: ostler_core::resources::Bytes = memory.parse().expect("a size");
    ostler_core::reconcile::Event::Heartbeat(ostler_core::node::Heartbeat {
        node: node.parse().expect("a node name"),
        epoch: crate::fleet::FIRST,
        applied: ostler_core::id::Revision(0),
        used: ostler_core::node::Use { memory: memory.0, ..Default::default() },
        load: [0; 3],
        instances: 0,
        clock: ostler_core::time::Timestamp::from_millis(0),
        server: String::new(),
        bid: None,
        battery: false,
    })
}

#[test]
fn a_pin_is_that_node_or_nowhere() {
    check(r#""count":2,"placement":{"node":"n2"}"#, "n1\nn2\nn3", expect!["n1 0, n2 2, n3 0"]);
    check(
        r#""placement":{"node":"n7"}"#,
        "n1\nn2",
        expect![[r#"
        n1 0, n2 0
        no place for 0-0: n1 (pin) n2 (pin)"#]],
    );
}

#[test]
fn a_static_port_is_given_once_a_node() {
    check(
        r#""count":3,"ports":[{"name":"http","static":8080}]"#,
        "n1\nn2",
        expect![[r#"
        n1 1, n2 1
        no place for 2-2: n1 (ports) n2 (ports)"#]],
    );
}

#[test]
fn dynamic_ports_are_contiguous_aligned_and_run_out() {
    check(
        r#""count":9,"ports":[{"name":"http","count":4,"align":4}]"#,
        "n1 ports 20002-20017",
        expect![[r#"
            n1 3
            no place for 3-8: n1 (ports)"#]],
    );
}

#[test]
fn hard_anti_affinity_keeps_members_of_a_group_apart() {
    let nodes = "n1 zone a hw h1\nn2 zone a hw h1\nn3 zone a hw h2\nn4 zone b hw h3";
    check(
        r#""count":5,"placement":{"anti_affinity":{"group":"g"}}"#,
        nodes,
        expect![[r#"
        n1 1, n2 1, n3 1, n4 1
        no place for 4-4: n1 (anti_affinity) n2 (anti_affinity) n3 (anti_affinity) n4 (anti_affinity)"#]],
    );
    check(
        r#""count":5,"placement":{"anti_affinity":{"group":"g","scope":"hardware"}}"#,
        nodes,
        expect![[r#"
            n1 1, n2 0, n3 1, n4 1
            no place for 3-4: n1 (anti_affinity) n2 (anti_affinity) n3 (anti_affinity) n4 (anti_affinity)"#]],
    );
    check(
        r#""count":5,"placement":{"anti_affinity":{"group":"g","scope":"zone"}}"#,
        nodes,
        expect![[r#"
            n1 1, n2 0, n3 0, n4 1
            no place for 2-4: n1 (anti_affinity) n2 (anti_affinity) n3 (anti_affinity) n4 (anti_affinity)"#]],
    );
}

#[test]
fn another_workload_of_the_group_counts_too() {
    let mut fleet = Fleet::new("n1\nn2");
    fleet.put(r#""name":"db","placement":{"node":"n1","anti_affinity":{"group":"g"}}"#);
    fleet.settle();
    fleet.put(r#""name":"web","count":2,"placement":{"anti_affinity":{"group":"g"}}"#);
    explain(
        &mut fleet,
        expect![[r#"
        n1: no, [AntiAffinity]
        n2: no, [AntiAffinity]
    "#]],
    );
}

#[test]
fn soft_anti_affinity_only_ranks() {
    let mut fleet =
        Fleet::new("n1 zone a\nn2 zone a cpu 1000 mem 1GiB\nn3 zone b cpu 1000 mem 1GiB");
    fleet.put(
        r#""name":"web","count":3,"placement":{"anti_affinity":{"group":"g","scope":"zone","mode":"soft"}}"#,
    );
    explain(
        &mut fleet,
        expect![[r#"
        n1: 6581 {"anti_affinity": 3333, "base": 9787, "own_workload": 6666}
        n2: 6226 {"anti_affinity": 3333, "base": 8899, "own_workload": 6666}
        n3: 6893 {"anti_affinity": 5000, "base": 8899, "own_workload": 6666}
    "#]],
    );
    expect!["n1 1, n2 1, n3 1"].assert_eq(&fleet.counts());
}

#[test]
fn max_per_is_a_hard_limit_for_each_value() {
    check(
        r#""count":7,"placement":{"max_per":{"node.labels.rack":2}}"#,
        "n1 rack r1\nn2 rack r1\nn3 rack r2\nn4 rack r3",
        expect![[r#"
            n1 1, n2 1, n3 2, n4 2
            no place for 6-6: n1 (max_per) n2 (max_per) n3 (max_per) n4 (max_per)"#]],
    );
}

#[test]
fn preferences_rank_and_an_aversion_ranks_down() {
    let mut fleet = Fleet::new("n1 disk-kind ssd\nn2 disk-kind hdd\nn3");
    fleet.put(
        r#""name":"web","placement":{"prefer":[
            {"attribute":"node.labels.disk-kind","value":"ssd","weight":60},
            {"attribute":"node.name","value":"n3","weight":-40}]}"#,
    );
    explain(
        &mut fleet,
        expect![[r#"
        n1: 8893 {"base": 9787, "prefer": 7999}
        n2: 7446 {"base": 9893, "prefer": 5000}
        n3: 6446 {"base": 9893, "prefer": 3000}
    "#]],
    );
}

#[test]
fn hard_affinity_waits_for_the_other_and_then_follows_it() {
    let mut fleet = Fleet::new("n1 zone a\nn2 zone b\nn3 zone b");
    fleet.put(r#""name":"web","placement":{"affinity":{"workload":"cache","scope":"zone"}}"#);
    fleet.settle();
    assert_eq!(fleet.counts(), "n1 0, n2 0, n3 0");
    fleet.put(r#""name":"cache","placement":{"node":"n3"}"#);
    fleet.settle();
    assert_eq!(fleet.counts(), "n1 0, n2 1, n3 1");
}

#[test]
fn a_full_node_frees_room_and_the_waiting_slot_is_filled() {
    let mut fleet = Fleet::new("n1 cpu 1000");
    fleet.put(r#""name":"a","resources":{"cpu":800}"#);
    fleet.settle();
    fleet.put(r#""name":"b","resources":{"cpu":800}"#);
    fleet.settle();
    assert_eq!(fleet.counts(), "n1 1");
    fleet.scale("a", 0);
    fleet.settle();
    assert_eq!(fleet.show(), "b/0@1 n1 run running ready\n");
}

#[test]
fn the_more_important_goes_first_when_room_is_scarce() {
    let mut fleet = Fleet::new("n1 cpu 1000");
    fleet.put(r#""name":"a","priority":10,"resources":{"cpu":800}"#);
    fleet.put(r#""name":"b","priority":90,"resources":{"cpu":800}"#);
    fleet.settle();
    assert_eq!(fleet.show(), "b/0@1 n1 run running ready\n");
}
