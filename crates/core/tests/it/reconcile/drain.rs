//! Nodes that are emptied.

use expect_test::expect;
use ostler_core::command::{Order, Verdict};
use ostler_core::node::Admin;

use crate::fleet::Fleet;

fn drain(fleet: &mut Fleet, node: &str) -> String {
    fleet.admin(node, Admin::Draining);
    fleet.order(Order::Drain { node: node.parse().expect("a name"), force: false })
}

#[test]
fn a_single_instance_is_replaced_before_it_is_stopped() {
    let mut fleet = Fleet::new("n1\nn2");
    fleet.put(r#""name":"web""#);
    fleet.advance(10);
    fleet.decisions();
    let id = drain(&mut fleet, "n1");
    fleet.settle();
    expect![[r#"
        place web/0@1 on n2 instead of n1: drain
        stop web/0 on n1: drain
        n1 is empty
    "#]]
    .assert_eq(&fleet.decisions());
    assert_eq!(fleet.outcome(&id).verdict, Verdict::Done);
}

/// The node's record and the order are heard one after the other, in either order.
#[test]
fn a_forced_drain_that_is_heard_after_it_was_taken_back_ends_no_last_copy() {
    let mut fleet = Fleet::new("n1\nn2");
    fleet.put(r#""name":"web","placement":{"strategy":"first_fit"}"#);
    fleet.advance(10);
    fleet.decisions();
    fleet.order(Order::Drain { node: "n1".parse().expect("a name"), force: true });
    let instance = fleet.engine.instances().next().expect("it is there").id;
    fleet.order(Order::MoveInstance { instance, node: None });
    fleet.settle();
    let decided = fleet.decisions();
    assert!(decided.starts_with("place web/0"), "the replacement comes first: {decided}");
}

#[test]
fn a_forced_drain_that_was_taken_back_forces_nothing_later() {
    let mut fleet = Fleet::new("n1\nn2");
    fleet.put(r#""name":"web","placement":{"node":"n1"}"#);
    fleet.advance(10);
    fleet.executor("n1").slow_to_stop = true;
    fleet.admin("n1", Admin::Draining);
    let node = "n1".parse().expect("a name");
    let forced = fleet.order(Order::Drain { node, force: true });
    fleet.settle();
    fleet.admin("n1", Admin::Active);
    fleet.executor("n1").slow_to_stop = false;
    fleet.advance(70);
    assert_eq!(fleet.counts(), "n1 1, n2 0");
    assert_eq!(fleet.outcome(&forced).verdict, Verdict::Refused);
    let gentle = drain(&mut fleet, "n1");
    fleet.advance(10);
    assert_eq!(fleet.outcome(&gentle).verdict, Verdict::Running);
    assert_eq!(fleet.counts(), "n1 1, n2 0");
}

#[test]
fn a_drain_is_done_only_when_every_end_is_confirmed() {
    let mut fleet = Fleet::new("n1\nn2");
    fleet.put(r#""name":"web","count":2"#);
    fleet.advance(10);
    fleet.executor("n1").slow_to_stop = true;
    let id = drain(&mut fleet, "n1");
    fleet.advance(30);
    assert_eq!(fleet.outcome(&id).verdict, Verdict::Running);
    fleet.executor("n1").slow_to_stop = false;
    fleet.settle();
    assert_eq!(fleet.outcome(&id).verdict, Verdict::Done);
    assert_eq!(fleet.counts(), "n1 0, n2 2");
}

#[test]
fn what_cannot_be_moved_stays_and_is_listed_with_its_reasons() {
    let mut fleet = Fleet::new("n1\nn2");
    fleet.put(r#""name":"web","placement":{"node":"n1"}"#);
    fleet.advance(10);
    let id = drain(&mut fleet, "n1");
    fleet.advance(10);
    expect!["1 left; default/web has no other place: admin 1, pin 1"]
        .assert_eq(&fleet.outcome(&id).reason);
    assert_eq!(fleet.counts(), "n1 1, n2 0");
    fleet.edit("n1", |node| node.drain_deadline = Some(node.liveness_since));
    fleet.settle();
    assert_eq!(fleet.outcome(&id).verdict, Verdict::Done);
}

#[test]
fn a_forced_drain_waits_for_nothing() {
    let mut fleet = Fleet::new("n1\nn2");
    fleet.put(r#""name":"web","placement":{"node":"n1"}"#);
    fleet.put(r#""name":"batch","kind":"job","placement":{"strategy":"first_fit"}"#);
    fleet.advance(10);
    assert_eq!(fleet.counts(), "n1 2, n2 0");
    fleet.admin("n1", Admin::Draining);
    fleet.advance(100);
    assert_eq!(fleet.counts(), "n1 2, n2 0");
    fleet.order(Order::Drain { node: "n1".parse().expect("a name"), force: true });
    fleet.advance(10);
    assert_eq!(fleet.counts(), "n1 0, n2 1");
}

#[test]
fn no_more_than_max_parallel_of_a_workload_move_at_a_time() {
    let mut fleet = Fleet::new("n1\nn2\nn3");
    fleet.put(r#""name":"web","count":4,"placement":{"node":"n1"}"#);
    fleet.advance(10);
    fleet.put(r#""name":"web","count":4"#);
    fleet.settle();
    for node in ["n2", "n3"] {
        fleet.executor(node).unready.insert("web".to_owned());
    }
    fleet.decisions();
    drain(&mut fleet, "n1");
    fleet.advance(30);
    expect![[r#"
        place web/0@2 on n2 instead of n1: drain
    "#]]
    .assert_eq(&fleet.decisions());
    for node in ["n2", "n3"] {
        fleet.executor(node).unready.clear();
    }
    fleet.advance(30);
    assert_eq!(fleet.counts(), "n1 0, n2 2, n3 2");
}

#[test]
fn system_work_goes_last() {
    let mut fleet = Fleet::new("n1\nn2");
    fleet.put(r#""name":"agent","kind":"system""#);
    fleet.put(r#""name":"web","placement":{"strategy":"first_fit"}"#);
    fleet.advance(10);
    fleet.decisions();
    let id = drain(&mut fleet, "n1");
    fleet.advance(10);
    expect![[r#"
        place web/0@1 on n2 instead of n1: drain
        stop web/0 on n1: drain
        stop agent/0 on n1: drain
        n1 is empty
    "#]]
    .assert_eq(&fleet.decisions());
    assert_eq!(fleet.outcome(&id).verdict, Verdict::Done);
}

#[test]
fn of_two_that_have_to_go_the_one_that_has_time_is_kept() {
    let mut fleet = Fleet::new("n1 max 1\nn2 max 1");
    fleet.put(r#""name":"web","update":{"min_ready":"5s"}"#);
    fleet.advance(10);
    let first = fleet.counts();
    let (old, new) = if first.starts_with("n1 1") { ("n1", "n2") } else { ("n2", "n1") };
    fleet.executor(new).unready.insert("web".to_owned());
    drain(&mut fleet, old);
    fleet.settle();
    assert_eq!(fleet.counts(), "n1 1, n2 1");
    // Its replacement has to go from where it is, too, and becomes ready just when the time of the
    // first is over.
    drain(&mut fleet, new);
    fleet.executor(new).unready.clear();
    fleet.edit(old, |node| node.drain_deadline = Some(node.liveness_since));
    fleet.act();
    fleet.settle();
    let ready: Vec<String> = fleet.show().lines().map(str::to_owned).collect();
    assert!(ready.iter().any(|line| line.contains(new) && line.contains("run")), "{ready:?}");
}

#[test]
fn no_step_of_an_update_is_made_beside_what_a_deadline_ends() {
    let text = r#""name":"web","count":4,"update":{"min_ready":"1s"}"#;
    let mut fleet = Fleet::new("n1 max 1\nn2 max 1\nn3 max 1\nn4 max 1");
    fleet.put(text);
    fleet.advance(10);
    drain(&mut fleet, "n1");
    fleet.advance(10);
    fleet.decisions();
    fleet.edit("n1", |node| node.drain_deadline = Some(node.liveness_since));
    fleet.put(&format!(r#"{text},"resources":{{"cpu":200}}"#));
    fleet.settle();
    expect![[r#"
        stop web/0 on n1: drain
        no place for web/0-0: {Admin: 1, MaxInstances: 3}
        n1 is empty
    "#]]
    .assert_eq(&fleet.decisions());
}
