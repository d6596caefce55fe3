//! What is told of decisions: why, why not, and what would help.

use expect_test::{Expect, expect};
use ostler_core::explain::NodeVerdict;

use crate::fleet::Fleet;

mod necessary;
mod suppose;

/// A fleet in which this workload was put.
fn fleet(nodes: &str, workload: &str) -> Fleet {
    let mut fleet = Fleet::new(nodes);
    fleet.put(&format!("\"name\":\"web\",{workload}"));
    fleet.settle();
    fleet
}

/// What stands against one more instance of `web`, node by node, and what would help.
#[track_caller]
fn check(fleet: &mut Fleet, want: Expect) {
    let key = "web".parse().expect("a key");
    let said = fleet.engine.explain_workload(&key, None, fleet.now).expect("known");
    let verdicts = said.verdicts;
    let mut text = format!("{} of {} fit\n", verdicts.fitting, verdicts.asked);
    for name in &verdicts.nearest {
        let NodeVerdict::Rejected { obstacles, .. } = &verdicts.nodes[name] else {
            panic!("{name} is near, and fits");
        };
        let told: Vec<&str> = obstacles.iter().map(|told| told.text.as_str()).collect();
        text += &format!("{name}: {}\n", told.join("; "));
    }
    for way in &verdicts.unblock {
        text += &format!("or: {} ({})\n", way.changes.join(" and "), way.nodes);
    }
    want.assert_eq(&text);
}

#[test]
fn what_is_lacking_is_told_in_numbers_and_the_nearest_miss_first() {
    let mut fleet = fleet(
        "n1 mem 1GiB zone west
         n7 mem 300MiB zone west
         n8 mem 8GiB zone east
         n9 cpu 100 mem 1GiB zone north",
        r#""count":3,"resources":{"memory":"512MiB","cpu":200},
           "placement":{"require":["node.zone == west"]}"#,
    );
    check(
        &mut fleet,
        expect![[r#"
            0 of 4 fit
            n7: needs 512MiB of memory, 300MiB free
            n1: needs 512MiB of memory, 0B free
            n8: needs `node.zone == west`, is `east`
            n9: needs `node.zone == west`, is `north`; needs 200 millicores of cpu, 100 free
            or: 212MiB of memory more on n7 (1)
            or: 512MiB of memory more on n1 (1)
            or: drop `node.zone == west` (1)
            or: ask for at most 300MiB of memory (1)
        "#]],
    );
}

#[test]
fn who_holds_a_port_and_who_is_in_the_way_is_named() {
    let mut fleet = Fleet::new("n1 zone a\n n2 zone a\n n3 zone b cordoned");
    let x = r#""name":"x","ports":[{"name":"http","static":8080}],"placement":{"node":"n1"}"#;
    fleet.put(x);
    fleet.put(r#""name":"y","placement":{"node":"n2","anti_affinity":{"group":"g"}}"#);
    fleet.settle();
    fleet.put(
        r#""name":"web","ports":[{"name":"http","static":8080}],
           "placement":{"anti_affinity":{"group":"g","scope":"zone"}}"#,
    );
    fleet.settle();
    check(
        &mut fleet,
        expect![[r#"
            0 of 3 fit
            n3: is cordoned
            n2: default/y/0 of group `g` is in its zone
            n1: port 8080 is held by default/x/0; default/y/0 of group `g` is in its zone
            or: `ostler nodes uncordon n3` (1)
            or: default/y/0 elsewhere than in the zone of n2 (1)
            or: leave the group `g` (1)
        "#]],
    );
}

#[test]
fn a_node_where_it_failed_says_for_how_long_it_is_passed_over() {
    let mut fleet = Fleet::new("n1\n n2 driver docker");
    fleet.executor("n1").fails.insert("web".to_owned());
    fleet.put(r#""name":"web","restart":{"attempts":0}"#);
    fleet.settle();
    fleet.advance(3);
    check(
        &mut fleet,
        expect![[r#"
            0 of 2 fit
            n1: failed there once, passed over for 4m57s more
            n2: lacks driver `sim`, has docker
            or: wait 4m57s (1)
            or: driver `sim` on n2 (1)
            or: use another driver than `sim` (1)
        "#]],
    );
}

#[test]
fn of_ten_thousand_nodes_the_nearest_are_told_and_the_others_counted() {
    let mut nodes = String::new();
    for number in 0..10_000 {
        let zone = if number % 4 == 0 { "west" } else { "east" };
        let memory = if number == 4004 { 500 } else { 100 };
        nodes += &format!("n{number:05} mem {memory}MiB zone {zone}\n");
    }
    let mut fleet = fleet(
        &nodes,
        r#""resources":{"memory":"512MiB"},"placement":{"require":["node.zone == west"]}"#,
    );
    let key = "web".parse().expect("a key");
    let said = fleet.engine.explain_workload(&key, None, fleet.now).expect("known");
    let verdicts = said.verdicts;
    assert_eq!(verdicts.nearest[0].as_str(), "n04004");
    assert_eq!((verdicts.nodes.len(), verdicts.nodes_left_out), (50, 9_950));
    let groups: Vec<String> = verdicts
        .passed_over
        .iter()
        .map(|group| format!("{} for {:?}", group.count, group.reasons))
        .collect();
    expect!["2500 for [Memory], 7500 for [Require, Memory]"].assert_eq(&groups.join(", "));
    let one: ostler_core::id::NodeName = "n09999".parse().expect("a name");
    let said = fleet.engine.explain_workload(&key, Some(&one), fleet.now).expect("known");
    assert_eq!(said.verdicts.nodes.keys().collect::<Vec<_>>(), [&one]);
}

#[test]
fn a_decision_is_kept_with_its_terms_and_its_runners_up() {
    let mut fleet = Fleet::new("n1 mem 1GiB\n n2 mem 2GiB\n n3 mem 4GiB\n n4 cordoned");
    fleet.put(r#""name":"web""#);
    fleet.settle();
    let choice = fleet.decided.iter().find_map(|decision| match decision {
        ostler_core::reconcile::Decision::Place { why, node, .. } => {
            why.clone().map(|why| (node.clone(), why))
        }
        _ => None,
    });
    let (node, why) = choice.expect("kept");
    assert_eq!(node.as_str(), "n3");
    let json = serde_json::to_string(&why).expect("a record");
    expect![[r#"{"strategy":"weighted","terms":[{"name":"base","weight":10,"value":9862}],"runners_up":[{"node":"n2","score":9799,"behind":63},{"node":"n1","score":9674,"behind":188}],"nodes":4,"fitting":3,"passed_over":{"admin":1}}"#]]
    .assert_eq(&json);
}

#[test]
fn an_instance_is_judged_as_if_it_were_placed_again_without_itself() {
    let mut fleet = fleet(
        "n1 max 1\n n2 max 1",
        r#""count":1,"ports":[{"name":"http","static":80}],
           "placement":{"anti_affinity":{"group":"g"},"max_per":{"node.name":1}}"#,
    );
    let (id, node) =
        fleet.engine.instances().map(|one| (one.id, one.node.clone())).next().expect("placed");
    let said = fleet.engine.clone().explain_instance(id, None, fleet.now).expect("known");
    assert_eq!((said.verdicts.fitting, &said.would_go_to), (2, &Some(node.clone())));
    assert_eq!(said.instance.node, node);
    assert!(!said.instance.terms.is_empty());
    fleet.join("n0 mem 64GiB");
    let said = fleet.engine.clone().explain_instance(id, None, fleet.now).expect("known");
    assert_eq!(said.would_go_to.expect("fits").as_str(), "n0");
    assert!(said.runners_up[0].behind < 0, "the better one is told: {:?}", said.runners_up);
}

#[test]
fn a_node_says_what_it_has_and_why_not_more() {
    let mut fleet = fleet("n1 mem 1GiB", r#""count":3,"resources":{"memory":"400MiB"}"#);
    let name = "n1".parse().expect("a name");
    let said = fleet.engine.explain_node(&name, fleet.now).expect("known");
    assert_eq!((said.count, said.instances.len()), (2, 2));
    let told: Vec<&str> =
        said.obstacles.values().flatten().map(|told| told.text.as_str()).collect();
    assert_eq!(told, ["needs 400MiB of memory, 224MiB free"]);
}
