//! Workloads that sleep until the fleet can carry them.

use expect_test::expect;

use crate::fleet::{Fleet, Reverse};

/// A workload that wants this of the fleet.
fn when(name: &str, priority: u8, condition: &str) -> String {
    format!(
        r#""name":"{name}","priority":{priority},"placement":{{"feasible_when":"{condition}"}}"#
    )
}

fn reason(fleet: &Fleet, name: &str) -> String {
    fleet.engine.status(&name.parse().expect("a key")).expect("known").reason
}

#[test]
fn it_is_judged_at_once_when_applied_and_begun_when_it_held_for_ten_seconds() {
    let mut fleet = Fleet::new("n1\nn2");
    fleet.put(&when("web", 50, "nodes(online) >= 2"));
    fleet.put(&when("big", 50, "nodes(online) >= 3"));
    fleet.settle();
    expect![[r#"
        big: infeasible: nodes(online) >= 3
        place web/0@1 on n1
    "#]]
    .assert_eq(&fleet.decisions());
    assert_eq!(
        reason(&fleet, "big"),
        "the fleet cannot carry it: `nodes(online) >= 3` does not hold"
    );
    fleet.join("n3");
    fleet.advance(9);
    assert_eq!(fleet.decisions(), "");
    fleet.advance(1);
    expect![[r#"
        big: feasible
        place big/0@1 on n2
    "#]]
    .assert_eq(&fleet.decisions());
}

#[test]
fn it_is_withdrawn_when_it_did_not_hold_for_a_minute_and_a_blip_is_forgotten() {
    let mut fleet = Fleet::new("n1\nn2\nn3");
    fleet.put(&when("web", 50, "nodes(online) >= 3"));
    fleet.advance(10);
    fleet.decisions();
    fleet.lose("n3");
    fleet.advance(59);
    fleet.find("n3");
    fleet.advance(100);
    assert_eq!(fleet.decisions(), "");
    fleet.lose("n3");
    fleet.advance(59);
    let mut next = fleet.takeover(Reverse::Yes);
    next.advance(1);
    expect![[r#"
        web: infeasible: nodes(online) >= 3
        stop web/0 on n1: infeasible
    "#]]
    .assert_eq(&next.decisions());
    next.advance(1000);
    assert_eq!(next.decisions(), "");
}

#[test]
fn the_least_important_is_withdrawn_first_and_others_only_if_that_was_not_enough() {
    let mut fleet = Fleet::new("n1 cpu 1000\nn2 cpu 1000");
    for (name, priority) in [("a", 70), ("b", 30), ("c", 50)] {
        let text = when(name, priority, "sum(free.cpu) >= 900");
        fleet.put(&format!(r#"{text},"resources":{{"cpu":300}}"#));
    }
    fleet.advance(10);
    fleet.decisions();
    fleet.lose("n2");
    fleet.advance(60);
    // 1000 less what the two others have: too little; without b it is enough for both.
    let told = fleet.decisions();
    let withdrawn: Vec<&str> = told.lines().filter(|line| line.contains("infeasible:")).collect();
    assert_eq!(
        withdrawn,
        ["b: infeasible: sum(free.cpu) >= 900", "c: infeasible: sum(free.cpu) >= 900"]
    );
    assert!(fleet.show().contains("a/0@1 n1 run running ready"));
}

#[test]
fn one_that_takes_its_time_to_end_is_waited_for_before_the_next_is_withdrawn() {
    let mut fleet = Fleet::new("n1\nn2");
    fleet.put(&when("a", 70, "nodes(online) >= 2"));
    fleet.put(&when("b", 30, "nodes(online) >= 2"));
    fleet.advance(10);
    fleet.executor("n1").slow_to_stop = true;
    fleet.executor("n2").slow_to_stop = true;
    fleet.decisions();
    fleet.edit("n2", |node| node.admin = ostler_core::node::Admin::Maintenance);
    fleet.advance(100);
    assert_eq!(fleet.decisions().matches("infeasible:").count(), 1);
    fleet.executor("n1").slow_to_stop = false;
    fleet.executor("n2").slow_to_stop = false;
    fleet.advance(1);
    assert_eq!(fleet.decisions().matches("infeasible:").count(), 1);
    assert_eq!(fleet.counts(), "n1 0, n2 0");
}

#[test]
fn what_it_uses_itself_counts_as_free() {
    let mut fleet = Fleet::new("n1 cpu 1000");
    let text = when("web", 50, "sum(free.cpu) >= 1000");
    fleet.put(&format!(r#"{text},"resources":{{"cpu":900}}"#));
    fleet.advance(1000);
    assert_eq!(fleet.show(), "web/0@1 n1 run running ready\n");
    fleet.put(&format!(r#"{text},"resources":{{"cpu":800}}"#));
    fleet.advance(1000);
    assert_eq!(fleet.show(), "web/0@2 n1 run running ready\n");
}

#[test]
fn nothing_is_withdrawn_while_the_brake_is_on() {
    let mut fleet = Fleet::new("n1\nn2\nn3\nn4\nn5\nn6");
    fleet.put(&when("web", 50, "nodes(online) >= 4"));
    fleet.advance(10);
    fleet.decisions();
    for node in ["n4", "n5", "n6"] {
        fleet.lose(node);
    }
    fleet.advance(59);
    assert_eq!(fleet.decisions(), "3 of 6 nodes lost at once\n");
    fleet.advance(1);
    assert!(fleet.decisions().contains("stop web/0 on n1: infeasible"));
}

#[test]
fn another_condition_is_judged_at_once() {
    let mut fleet = Fleet::new("n1");
    fleet.put(&when("web", 50, "nodes(online) >= 1"));
    fleet.advance(10);
    fleet.decisions();
    fleet.put(&when("web", 50, "any(node.labels.gpu is_set)"));
    fleet.settle();
    assert_eq!(
        fleet.decisions(),
        "web: infeasible: any(node.labels.gpu is_set)\nstop web/0 on n1: infeasible\n"
    );
    fleet.put(r#""name":"web""#);
    fleet.settle();
    assert_eq!(fleet.decisions(), "place web/0@3 on n1\n");
}
