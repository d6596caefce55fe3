//! New versions and restarts.

use expect_test::expect;
use ostler_core::command::Order;
use ostler_core::id::Version;
use ostler_core::node::Admin;
use ostler_core::reconcile::Revert;

use crate::fleet::Fleet;

const WEB: &str = r#""name":"web","count":3,"update":{"min_ready":"5s"}"#;

fn running(text: &str) -> Fleet {
    let mut fleet = Fleet::new("n1\nn2\nn3");
    fleet.put(text);
    fleet.advance(10);
    fleet.decisions();
    fleet
}

#[test]
fn a_new_version_rolls_one_by_one_each_when_the_last_was_ready_for_long_enough() {
    let mut fleet = running(WEB);
    fleet.put(&format!(r#"{WEB},"resources":{{"cpu":200}}"#));
    fleet.settle();
    expect![[r#"
        stop web/0 on n1: updated
        place web/0@2 on n1
    "#]]
    .assert_eq(&fleet.decisions());
    fleet.advance(4);
    assert_eq!(fleet.decisions(), "");
    fleet.advance(1);
    expect![[r#"
        stop web/1 on n2: updated
        place web/1@2 on n2
    "#]]
    .assert_eq(&fleet.decisions());
    fleet.advance(20);
    expect![[r#"
        stop web/2 on n3: updated
        place web/2@2 on n3
        web is now 2
    "#]]
    .assert_eq(&fleet.decisions());
}

#[test]
fn all_at_once_stops_all_first() {
    let mut fleet = running(r#""name":"web","count":3,"update":{"max_parallel":0}"#);
    fleet.put(r#""name":"web","count":3,"update":{"max_parallel":0},"resources":{"cpu":200}"#);
    fleet.settle();
    expect![[r#"
        stop web/0 on n1: updated
        stop web/1 on n2: updated
        stop web/2 on n3: updated
        place web/0@2 on n1
        place web/1@2 on n2
        place web/2@2 on n3
    "#]]
    .assert_eq(&fleet.decisions());
}

#[test]
fn a_single_instance_is_replaced_before_it_ends() {
    let mut fleet = running(r#""name":"web""#);
    fleet.put(r#""name":"web","resources":{"cpu":200}"#);
    fleet.settle();
    expect![[r#"
        place web/0@2 on n2
    "#]]
    .assert_eq(&fleet.decisions());
    fleet.advance(5);
    expect![[r#"
        stop web/0 on n1: updated
        web is now 2
    "#]]
    .assert_eq(&fleet.decisions());
}

#[test]
fn where_both_cannot_be_at_once_the_old_one_ends_first() {
    let text = r#""name":"web","placement":{"node":"n2"},"ports":[{"name":"http","static":80}]"#;
    let mut fleet = running(text);
    fleet.put(&format!(r#"{text},"resources":{{"cpu":200}}"#));
    fleet.settle();
    expect![[r#"
        web: slot 0 stops first
        stop web/0 on n2: updated
        place web/0@2 on n2
    "#]]
    .assert_eq(&fleet.decisions());
}

#[test]
fn a_version_that_fails_stops_rolling_and_asks_once_for_the_last_good_one() {
    let mut fleet = running(WEB);
    for node in ["n1", "n2", "n3"] {
        fleet.executor(node).fails.insert("web".to_owned());
    }
    fleet.put(&format!(r#"{WEB},"resources":{{"cpu":200}}"#));
    fleet.settle();
    expect![[r#"
        stop web/0 on n1: updated
        place web/0@2 on n1
        update of web to 2 failed: slot 0 failed on `n1`: 
    "#]]
    .assert_eq(&fleet.decisions());
    for node in ["n1", "n2", "n3"] {
        fleet.executor(node).fails.clear();
    }
    fleet.advance(60);
    assert_eq!(fleet.counts(), "n1 0, n2 2, n3 1");
    let key = "web".parse().expect("a key");
    let reverts: Vec<_> = fleet.plans.iter().flat_map(|plan| plan.reverts.clone()).collect();
    assert_eq!(reverts, [Revert { workload: key, failed: Version(2), good: Version(1) }]);
    // The registry writes the old text again: what still runs of it is up to date as it is.
    fleet.decisions();
    fleet.put(WEB);
    fleet.advance(60);
    expect![[r#"
        stop web/0 on n2: updated
        place web/0@3 on n1
        stop web/1 on n3: updated
        place web/1@3 on n3
        stop web/2 on n2: updated
        place web/2@3 on n2
        web is now 3
    "#]]
    .assert_eq(&fleet.decisions());
}

#[test]
fn a_version_that_is_never_ready_fails_at_its_deadline() {
    let mut fleet = running(WEB);
    for node in ["n1", "n2", "n3"] {
        fleet.executor(node).unready.insert("web".to_owned());
    }
    // What is ready stays so in this test: only new instances are not.
    fleet.put(&format!(r#"{WEB},"resources":{{"cpu":200}}"#));
    fleet.advance(299);
    assert!(!fleet.decisions().contains("failed"));
    fleet.advance(60);
    assert!(fleet.decisions().contains("no replacement became ready within 5m"));
}

#[test]
fn an_ordered_restart_goes_one_by_one_in_place() {
    let mut fleet = running(WEB);
    fleet.change("web", |head| head.restart_generation = head.restart_generation.next());
    fleet.settle();
    expect![[r#"
        restart web on n1
    "#]]
    .assert_eq(&fleet.decisions());
    fleet.advance(5);
    fleet.advance(5);
    fleet.advance(60);
    expect![[r#"
        restart web on n2
        restart web on n3
    "#]]
    .assert_eq(&fleet.decisions());
}

/// The next one was only thought of when something else happened to the workload.
#[test]
fn an_ordered_restart_goes_on_when_an_instance_takes_its_time_to_be_ready() {
    let mut fleet = Fleet::new("n1");
    fleet.put(r#""name":"web","count":3"#);
    fleet.advance(60);
    fleet.decisions();
    for _ in 0..3 {
        fleet.executor("n1").unready.insert("web".to_owned());
        if fleet.heads.values().all(|head| head.restart_generation.0 == 0) {
            fleet.change("web", |head| head.restart_generation = head.restart_generation.next());
        }
        fleet.settle();
        fleet.executor("n1").unready.clear();
        fleet.advance(30);
    }
    assert_eq!(fleet.decisions().matches("restart web").count(), 3);
}

#[test]
fn canaries_run_beside_the_old_version_until_promoted_and_go_last() {
    let text = r#""name":"web","count":2,"update":{"canary":1,"min_ready":"1s"}"#;
    let mut fleet = running(text);
    fleet.put(&format!(r#"{text},"resources":{{"cpu":200}}"#));
    fleet.advance(600);
    expect![[r#"
        place web/2@2 on n3
    "#]]
    .assert_eq(&fleet.decisions());
    let workload = "default/web".to_owned();
    fleet.order(ostler_core::command::Order::Promote { workload });
    fleet.advance(30);
    expect![[r#"
        stop web/0 on n1: updated
        place web/0@2 on n1
        stop web/1 on n2: updated
        place web/1@2 on n2
        web is now 2
        stop web/2 on n3: scaled
    "#]]
    .assert_eq(&fleet.decisions());
}

#[test]
fn a_replacement_that_is_told_to_move_takes_the_place_before_it_goes() {
    let text = r#""name":"web","resources":{"cpu":300},"update":{"min_ready":"5s"}"#;
    let mut fleet = Fleet::new("n1 cpu 700");
    fleet.put(text);
    fleet.advance(10);
    fleet.put(&text.replace("300", "400"));
    fleet.advance(1);
    assert_eq!(fleet.counts(), "n1 2");
    let instance = fleet.engine.instances().map(|one| one.id).max().expect("two are there");
    fleet.order(Order::MoveInstance { instance, node: None });
    fleet.decisions();
    fleet.settle();
    assert_eq!(fleet.decisions(), "", "both are there until the new one has been ready for long");
    fleet.advance(5);
    assert_eq!(fleet.show(), "web/0@2 n1 run running ready\n");
    fleet.join("n2");
    fleet.settle();
    assert_eq!(fleet.show(), "web/0@2 n2 run running ready\n");
}

#[test]
fn an_old_one_that_is_down_where_it_has_to_leave_counts_as_one_less() {
    let mut fleet = running(r#""name":"web","count":4,"update":{"min_ready":"5s"}"#);
    // The one on n2 is not ready there, and n2 is being emptied; nobody else takes it yet.
    fleet.executor("n2").unready.insert("web".to_owned());
    fleet.act();
    for name in ["n1", "n3"] {
        fleet.edit(name, |node| node.facts.max_instances = 2);
    }
    fleet.admin("n2", Admin::Draining);
    fleet.settle();
    fleet.decisions();
    fleet.put(r#""name":"web","count":4,"update":{"min_ready":"5s"},"resources":{"cpu":200}"#);
    fleet.settle();
    let ready = fleet.show().lines().filter(|line| line.ends_with("ready")).count();
    assert!(ready >= 3, "{}\n{}", fleet.decisions(), fleet.show());
}
