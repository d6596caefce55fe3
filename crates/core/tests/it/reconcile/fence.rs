//! At most one alive, whatever happens: replacements of fenced instances on silent nodes.

use expect_test::expect;
use ostler_core::instance::Observed;
use ostler_core::reconcile::Event;

use crate::fleet::{Fleet, Reverse};

const WEB: &str =
    r#""name":"web","placement":{"strategy":"first_fit"},"reschedule":{"on_node_loss":"fence"}"#;

fn web_on_n1() -> Fleet {
    let mut fleet = Fleet::new("n1\nn2\nn3");
    fleet.put(WEB);
    fleet.advance(10);
    fleet.decisions();
    fleet
}

#[test]
fn a_look_that_began_before_the_instance_was_to_be_kept_says_nothing() {
    let mut fleet = web_on_n1();
    let n1 = "n1".parse().expect("a name");
    // The node may not have taken its first lease yet: nobody may conclude anything from that.
    let since = fleet.executor("n1").manifest.revision;
    fleet.tell(Event::NodeLeaseGone { node: n1, since: (ostler_core::id::Term(1), since) });
    assert!(!fleet.look_for_leases(), "a node that can be heard is not looked for");
    fleet.lose("n1");
    let n1 = "n1".parse().expect("a name");
    fleet.tell(Event::NodeLeaseGone { node: n1, since: (ostler_core::id::Term(1), since) });
    fleet.advance(100);
    assert_eq!(fleet.decisions(), "lost web/0 on n1\n");
    assert!(fleet.look_for_leases());
    assert!(!fleet.look_for_leases(), "once is enough");
    fleet.advance(2);
    assert_eq!(fleet.decisions(), "place web/0@1 on n2 instead of n1: node_lost\n");
}

#[test]
fn one_that_never_got_to_run_is_replaced_too_since_no_lease_is_needed_for_that() {
    let mut fleet = Fleet::new("n1\nn2");
    fleet.executor("n1").alive = false;
    fleet.put(WEB);
    fleet.settle();
    assert_eq!(fleet.show(), "web/0@1 n1 run -\n");
    fleet.lose("n1");
    fleet.settle();
    assert!(fleet.look_for_leases());
    fleet.advance(2);
    assert_eq!(fleet.counts(), "n1 0, n2 1");
}

#[test]
fn the_original_is_not_started_again_while_its_replacement_may_be_alive() {
    let mut fleet = web_on_n1();
    fleet.executor("n2").unready.insert("web".to_owned());
    fleet.lose("n1");
    fleet.settle();
    fleet.look_for_leases();
    fleet.advance(2);
    fleet.decisions();
    // Its guardian killed it meanwhile; the node would start it again if it were told to run it.
    fleet.find("n1");
    fleet.settle();
    assert_eq!(fleet.decisions(), "stop web/0 on n1: replaced\n");
    assert_eq!(fleet.show(), "web/0@1 n2 run running\n");
}

#[test]
fn the_original_is_not_started_again_while_its_replacement_is_lost_too() {
    let mut fleet = web_on_n1();
    fleet.lose("n1");
    fleet.settle();
    fleet.look_for_leases();
    fleet.advance(2);
    // The replacement runs on n2, unseen.
    fleet.lose("n2");
    fleet.settle();
    fleet.decisions();
    fleet.find("n1");
    fleet.advance(10);
    assert_eq!(fleet.decisions(), "stop web/0 on n1: replaced\n");
    assert_eq!(fleet.show(), "web/0@1 n2 keep running ready\n");
    // It is back first: it is the one that may be alive.
    fleet.find("n2");
    fleet.settle();
    assert_eq!(fleet.show(), "web/0@1 n2 run running ready\n");
}

#[test]
fn an_original_that_was_not_replaced_goes_on_when_its_node_is_back() {
    let mut fleet = web_on_n1();
    fleet.lose("n1");
    fleet.advance(100);
    fleet.find("n1");
    fleet.settle();
    assert_eq!(fleet.show(), "web/0@1 n1 run running ready\n");
    assert_eq!(fleet.decisions(), "lost web/0 on n1\n");
}

#[test]
fn a_new_leader_looks_for_the_lease_itself() {
    let mut fleet = web_on_n1();
    fleet.lose("n1");
    fleet.settle();
    let mut next = fleet.takeover(Reverse::No);
    next.advance(100);
    assert_eq!(next.counts(), "n1 0, n2 0, n3 0");
    assert!(next.look_for_leases());
    next.advance(2);
    assert_eq!(next.counts(), "n1 0, n2 1, n3 0");
}

#[test]
fn what_was_told_to_stop_there_is_waited_for_in_the_same_way() {
    let mut fleet = web_on_n1();
    fleet.executor("n1").slow_to_stop = true;
    let instance = fleet.engine.instances().next().expect("one").id;
    fleet.order(ostler_core::command::Order::StopInstance { instance });
    fleet.settle();
    fleet.lose("n1");
    fleet.advance(100);
    assert_eq!(fleet.counts(), "n1 0, n2 0, n3 0");
    assert!(fleet.look_for_leases());
    fleet.advance(2);
    assert_eq!(fleet.counts(), "n1 0, n2 1, n3 0");
}

#[test]
fn a_removed_node_is_waited_for_until_its_lease_has_run_out() {
    let mut fleet = web_on_n1();
    fleet.executor("n1").alive = false;
    fleet.tell(Event::NodeGone("n1".parse().expect("a name")));
    fleet.advance(100);
    assert_eq!(fleet.counts(), "n1 0, n2 0, n3 0");
    assert!(fleet.look_for_leases());
    fleet.advance(2);
    assert_eq!(fleet.show(), "web/0@1 n2 run running ready\n");
}

#[test]
fn a_fenced_one_that_must_move_and_has_no_place_is_listed_and_moves_when_there_is_one() {
    let mut fleet = Fleet::new("n1\nn2 cpu 50");
    fleet.put(WEB);
    fleet.advance(10);
    fleet.decisions();
    fleet.admin("n1", ostler_core::node::Admin::Draining);
    let node = "n1".parse().expect("a name");
    let order = fleet.order(ostler_core::command::Order::Drain { node, force: false });
    fleet.advance(10);
    expect!["1 left; default/web has no other place: admin 1, cpu 1"]
        .assert_eq(&fleet.outcome(&order).reason);
    fleet.join("n3");
    fleet.settle();
    expect![[r#"
        stop web/0 on n1: drain
        place web/0@1 on n3 instead of n1: drain
        n1 is empty
    "#]]
    .assert_eq(&fleet.decisions());
}

#[test]
fn one_that_failed_after_its_replacement_is_not_said_to_move_from_the_lost_node() {
    let mut fleet = Fleet::new("n1\nn2\nn3");
    fleet.put(r#""name":"web","placement":{"strategy":"first_fit"}"#);
    fleet.advance(10);
    fleet.lose("n1");
    fleet.settle();
    fleet.decisions();
    let on_n2 = |fleet: &Fleet| {
        fleet.engine.instances().find(|one| one.node.as_str() == "n2").expect("one").id
    };
    let instance = on_n2(&fleet);
    fleet.order(ostler_core::command::Order::StopInstance { instance });
    fleet.settle();
    expect![[r#"
        stop web/0 on n2: command
        place web/0@1 on n2
    "#]]
    .assert_eq(&fleet.decisions());
    fleet.end("n2", "web", Observed::Failed);
    fleet.advance(1);
    expect![[r#"
        place web/0@1 on n3 instead of n2: failed
    "#]]
    .assert_eq(&fleet.decisions());
}
