//! Nodes that fall silent, and that come back.

use expect_test::expect;
use ostler_core::node::Liveness;
use ostler_core::reconcile::Event;

use crate::fleet::{Fleet, Reverse};

fn web_on_n1(rest: &str) -> Fleet {
    let mut fleet = Fleet::new("n1\nn2\nn3\nn4\nn5");
    fleet.put(&format!(r#""name":"web","placement":{{"strategy":"first_fit"}}{rest}"#));
    fleet.advance(10);
    fleet.decisions();
    fleet
}

#[test]
fn an_instance_of_a_lost_node_is_kept_there_and_started_elsewhere() {
    let mut fleet = web_on_n1("");
    fleet.lose("n1");
    fleet.settle();
    expect![[r#"
        lost web/0 on n1
        place web/0@1 on n2 instead of n1: node_lost
    "#]]
    .assert_eq(&fleet.decisions());
    fleet.find("n1");
    fleet.settle();
    expect![[r#"
        stop web/0 on n1: replaced
    "#]]
    .assert_eq(&fleet.decisions());
    assert_eq!(fleet.show(), "web/0@1 n2 run running ready\n");
}

#[test]
fn the_original_runs_on_if_its_replacement_is_not_ready() {
    let mut fleet = web_on_n1("");
    fleet.executor("n2").unready.insert("web".to_owned());
    fleet.lose("n1");
    fleet.settle();
    fleet.decisions();
    fleet.find("n1");
    fleet.settle();
    expect![[r#"
        stop web/0 on n2: returned
    "#]]
    .assert_eq(&fleet.decisions());
    assert_eq!(fleet.show(), "web/0@1 n1 run running ready\n");
}

#[test]
fn what_died_while_its_node_was_away_is_forgotten() {
    let mut fleet = web_on_n1("");
    fleet.lose("n1");
    fleet.settle();
    fleet.executor("n1").statuses.clear();
    fleet.find("n1");
    fleet.settle();
    assert_eq!(fleet.show(), "web/0@1 n2 run running ready\n");
}

#[test]
fn disconnected_for_is_waited_and_wait_waits_for_ever() {
    let mut fleet = web_on_n1(r#","reschedule":{"disconnected_for":"30s"}"#);
    fleet.lose("n1");
    fleet.advance(29);
    assert_eq!(fleet.decisions(), "");
    fleet.advance(1);
    assert!(fleet.decisions().contains("place web/0@1 on n2"));
    let mut fleet = web_on_n1(r#","reschedule":{"on_node_loss":"wait"}"#);
    fleet.lose("n1");
    fleet.advance(100_000);
    assert_eq!(fleet.decisions(), "");
}

#[test]
fn a_fenced_instance_is_replaced_only_when_its_node_has_surely_killed_it() {
    let mut fleet = web_on_n1(r#","reschedule":{"on_node_loss":"fence"}"#);
    fleet.lose("n1");
    fleet.advance(1000);
    expect![[r#"
        lost web/0 on n1
    "#]]
    .assert_eq(&fleet.decisions());
    assert!(fleet.look_for_leases());
    fleet.advance(1);
    assert_eq!(fleet.decisions(), "");
    fleet.advance(1);
    expect![[r#"
        place web/0@1 on n2 instead of n1: node_lost
    "#]]
    .assert_eq(&fleet.decisions());
}

#[test]
fn a_node_that_left_is_waited_for_unless_it_left_empty() {
    let mut fleet = web_on_n1("");
    let now = fleet.now;
    fleet.executor("n1").alive = false;
    fleet.edit("n1", |node| (node.liveness, node.liveness_since) = (Liveness::Left, now));
    fleet.advance(299);
    assert_eq!(fleet.decisions(), "");
    fleet.edit("n1", |node| node.left_empty = true);
    fleet.settle();
    assert!(fleet.decisions().contains("place web/0@1 on n2"));
}

#[test]
fn a_suspect_node_keeps_what_it_has_and_gets_nothing_new() {
    let mut fleet = web_on_n1("");
    fleet.edit("n1", |node| node.liveness = Liveness::Suspect);
    fleet.scale("web", 2);
    fleet.settle();
    assert_eq!(fleet.counts(), "n1 1, n2 1, n3 0, n4 0, n5 0");
}

#[test]
fn many_nodes_lost_at_once_move_nothing_for_a_minute() {
    let mut fleet = Fleet::new("n1\nn2\nn3\nn4\nn5\nn6");
    fleet.put(r#""name":"web","count":6"#);
    fleet.advance(10);
    fleet.decisions();
    for node in ["n1", "n2", "n3"] {
        fleet.lose(node);
    }
    fleet.advance(30);
    fleet.put(r#""name":"other","placement":{"node":"n6"}"#);
    fleet.settle();
    expect![[r#"
        3 of 6 nodes lost at once
        place other/0@1 on n6
    "#]]
    .assert_eq(&fleet.decisions());
    fleet.find("n1");
    fleet.advance(29);
    assert_eq!(fleet.decisions(), "");
    fleet.advance(1);
    expect![[r#"
        lost web/1 on n2
        lost web/2 on n3
        place web/1@1 on n1 instead of n2: node_lost
        place web/2@1 on n4 instead of n3: node_lost
    "#]]
    .assert_eq(&fleet.decisions());
}

#[test]
fn the_brake_stays_on_when_the_leader_changes_and_some_of_the_lost_are_back() {
    let mut fleet = Fleet::new("n1\nn2\nn3\nn4\nn5\nn6");
    fleet.put(r#""name":"web","count":6"#);
    fleet.advance(10);
    ["n1", "n2", "n3"].into_iter().for_each(|node| fleet.lose(node));
    fleet.advance(20);
    fleet.find("n1");
    fleet.advance(1);
    let mut next = fleet.takeover(Reverse::No);
    next.settle();
    next.decisions();
    next.advance(38);
    assert_eq!(next.decisions(), "", "two of six are no mass, but a minute is not over");
    next.advance(2);
    assert!(next.decisions().contains("place web/1@1 on n1 instead of n2: node_lost"));
    // What is over does not brake the next one.
    let mut later = next.takeover(Reverse::Yes);
    later.settle();
    assert_eq!(later.engine.brake_until(), None);
}

#[test]
fn a_removed_node_is_forgotten_once_its_work_is_ready_elsewhere() {
    let mut fleet = web_on_n1("");
    fleet.executor("n1").alive = false;
    fleet.tell(Event::NodeGone("n1".parse().expect("a name")));
    fleet.settle();
    assert_eq!(fleet.show(), "web/0@1 n2 run running ready\n");
    assert_eq!(fleet.engine.manifest(&"n1".parse().expect("a name")), None);
}

#[test]
fn system_work_of_a_removed_node_is_forgotten_with_it_since_nothing_takes_its_place() {
    let mut fleet = Fleet::new("n1\nn2");
    fleet.put(r#""name":"agent","kind":"system""#);
    fleet.advance(10);
    fleet.executor("n1").alive = false;
    fleet.tell(Event::NodeGone("n1".parse().expect("a name")));
    fleet.settle();
    assert_eq!(fleet.show(), "agent/1@1 n2 run running ready\n");
    assert_eq!(fleet.engine.manifest(&"n1".parse().expect("a name")), None);
}

#[test]
fn while_many_nodes_are_lost_all_other_work_goes_on() {
    let mut fleet = Fleet::new("n1\nn2\nn3\nn4\nn5\nn6\nn7");
    fleet.put(r#""name":"web","count":7,"placement":{"strategy":"least_instances"}"#);
    fleet.advance(10);
    ["n1", "n2", "n3"].iter().for_each(|node| fleet.lose(node));
    fleet.settle();
    fleet.decisions();
    // Something new is placed, what is not wanted ends, a node is drained, one is moved.
    fleet.put(r#""name":"new","count":2"#);
    fleet.settle();
    fleet.scale("default/web", 6);
    fleet.settle();
    fleet.admin("n6", ostler_core::node::Admin::Draining);
    fleet.settle();
    let decided = fleet.decisions();
    assert_eq!(decided.lines().filter(|line| line.starts_with("place new/")).count(), 2);
    assert!(decided.contains("stop web/6 on n7: scaled"), "{decided}");
    assert!(decided.contains("instead of n6: drain"), "{decided}");
    assert!(!decided.contains("lost"), "{decided}");
    fleet.advance(59);
    assert!(!fleet.decisions().contains("lost"), "nothing is moved because of loss");
    fleet.advance(1);
    assert_eq!(fleet.decisions().lines().filter(|line| line.starts_with("lost web/")).count(), 3);
}
