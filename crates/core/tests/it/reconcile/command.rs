//! Orders of people.

use expect_test::expect;
use ostler_core::command::{Order, Verdict};
use ostler_core::id::InstanceId;
use ostler_core::instance::Observed;

use crate::fleet::Fleet;

fn web() -> (Fleet, InstanceId) {
    let mut fleet = Fleet::new("n1\nn2\nn3");
    fleet.put(r#""name":"web","count":2,"placement":{"strategy":"first_fit"}"#);
    fleet.advance(10);
    fleet.decisions();
    let id = fleet.engine.instances().next().expect("one").id;
    (fleet, id)
}

#[test]
fn a_stopped_instance_is_replaced_since_the_count_still_holds() {
    let (mut fleet, instance) = web();
    let order = fleet.order(Order::StopInstance { instance });
    fleet.settle();
    expect![[r#"
        stop web/0 on n1: command
        place web/0@1 on n1
    "#]]
    .assert_eq(&fleet.decisions());
    assert_eq!(fleet.outcome(&order).verdict, Verdict::Done);
}

#[test]
fn an_instance_restarts_in_place_with_the_next_generation() {
    let (mut fleet, instance) = web();
    fleet.order(Order::RestartInstance { instance });
    fleet.settle();
    expect![[r#"
        restart web on n1
    "#]]
    .assert_eq(&fleet.decisions());
    let manifest = fleet.engine.manifest(&"n1".parse().expect("a name")).expect("entries");
    assert_eq!(manifest.groups[0].entries[0].generation.0, 2);
}

#[test]
fn an_order_about_what_had_just_failed_made_its_node_forget_the_failure() {
    let orders: [fn(InstanceId) -> Order; 3] = [
        |instance| Order::RestartInstance { instance },
        |instance| Order::StopInstance { instance },
        |instance| Order::MoveInstance { instance, node: None },
    ];
    for order in orders {
        let (mut fleet, instance) = web();
        let order = fleet.order(order(instance));
        // The order and the end are heard before the next plan.
        fleet.end("n1", "web", Observed::Failed);
        let outcome = fleet.outcome(&order);
        assert_eq!(outcome.verdict, Verdict::Refused);
        assert_eq!(outcome.reason, format!("instance `{instance}` has just ended"));
        let progress = fleet.engine.progress(&"web".parse().expect("a key")).expect("known");
        let excluded: Vec<&str> = progress.excluded.iter().map(|one| one.node.as_str()).collect();
        assert_eq!(excluded, ["n1"]);
        fleet.advance(60);
        assert_eq!(fleet.counts(), "n1 0, n2 2, n3 0");
    }
}

#[test]
fn an_instance_moves_to_the_named_node_or_anywhere_else() {
    let (mut fleet, instance) = web();
    let to = Some("n3".parse().expect("a name"));
    let order = fleet.order(Order::MoveInstance { instance, node: to });
    fleet.settle();
    expect![[r#"
        place web/0@1 on n3 instead of n1: moved
        stop web/0 on n1: moved
    "#]]
    .assert_eq(&fleet.decisions());
    assert_eq!(fleet.outcome(&order).verdict, Verdict::Done);
    let instance = fleet.engine.instances().find(|one| one.slot.0 == 1).expect("one").id;
    fleet.order(Order::MoveInstance { instance, node: None });
    fleet.settle();
    expect![[r#"
        place web/1@1 on n2 instead of n1: moved
        stop web/1 on n1: moved
    "#]]
    .assert_eq(&fleet.decisions());
}

#[test]
fn what_cannot_be_obeyed_is_refused_with_a_reason() {
    let (mut fleet, _) = web();
    let instance = InstanceId::from_bits(7);
    let orders = [
        Order::StopInstance { instance },
        Order::MoveInstance { instance, node: None },
        Order::Drain { node: "n9".parse().expect("a name"), force: false },
        Order::Promote { workload: "default/none".to_owned() },
        Order::Promote { workload: "default/web".to_owned() },
    ];
    let ids: Vec<String> = orders.into_iter().map(|order| fleet.order(order)).collect();
    fleet.settle();
    let said: Vec<String> = ids.iter().map(|id| fleet.outcome(id).reason + "\n").collect();
    assert!(ids.iter().all(|id| fleet.outcome(id).verdict == Verdict::Refused));
    expect![[r#"
        there is no instance `0000000000000007`
        there is no instance `0000000000000007`
        there is no node `n9`
        there is no workload `default/none`
        `default/web` has no canaries
    "#]]
    .assert_eq(&said.concat());
}

#[test]
fn an_order_that_was_obeyed_is_not_obeyed_again_by_the_next_leader() {
    let (mut fleet, instance) = web();
    let order = Order::RestartInstance { instance };
    fleet.order(order.clone());
    fleet.settle();
    let mut next = fleet.takeover(crate::fleet::Reverse::No);
    let command = ostler_core::command::Command {
        id: format!("{:026}", 1),
        pool: ostler_core::id::PoolName::default(),
        order,
        actor: String::new(),
        at: fleet.now,
    };
    next.tell(ostler_core::reconcile::Event::Command(Box::new(command)));
    assert_eq!(next.engine.plan(next.now), ostler_core::reconcile::Plan::default());
}

#[test]
fn an_evacuated_silent_node_is_treated_as_lost_whatever_the_policy() {
    let mut fleet = Fleet::new("n1\nn2");
    let rules = r#""placement":{"strategy":"first_fit"},"reschedule":{"on_node_loss":"wait"}"#;
    fleet.put(&format!(r#""name":"web",{rules}"#));
    fleet.advance(10);
    fleet.lose("n1");
    fleet.advance(10);
    assert_eq!(fleet.counts(), "n1 1, n2 0");
    let order = fleet.order(Order::Evacuate { node: "n1".parse().expect("a name") });
    fleet.settle();
    assert_eq!(fleet.counts(), "n1 0, n2 1");
    assert_eq!(fleet.outcome(&order).verdict, Verdict::Done);
}

#[test]
fn a_node_whose_removal_is_taken_back_is_a_node_as_any_other() {
    let mut fleet = Fleet::new("n1\nn2 cpu 50");
    fleet.put(r#""name":"web","reschedule":{"on_node_loss":"wait"}"#);
    fleet.advance(10);
    fleet.admin("n1", ostler_core::node::Admin::Draining);
    let order = fleet.order(Order::Evacuate { node: "n1".parse().expect("a name") });
    fleet.advance(10);
    assert_eq!(fleet.outcome(&order).verdict, Verdict::Running);
    fleet.admin("n1", ostler_core::node::Admin::Active);
    fleet.decisions();
    fleet.advance(60);
    fleet.scale("web", 1);
    fleet.settle();
    assert_eq!(fleet.outcome(&order).verdict, Verdict::Refused);
    fleet.lose("n1");
    fleet.advance(1000);
    assert_eq!(fleet.decisions(), "", "its policy counts again: it is waited for");
}

#[test]
fn a_slot_that_is_lost_while_a_move_of_another_has_no_place_gets_one_at_once() {
    let mut fleet = Fleet::new("n1\nn2\nn3 cordoned");
    fleet.put(r#""name":"web","count":2"#);
    fleet.advance(10);
    assert_eq!(fleet.counts(), "n1 1, n2 1, n3 0");
    let on_n2 = |one: &ostler_core::reconcile::InstanceView<'_>| one.node.as_str() == "n2";
    let instance = fleet.engine.instances().find(on_n2).expect("it is there").id;
    let node = Some("n3".parse().expect("a name"));
    let order = fleet.order(Order::MoveInstance { instance, node });
    fleet.advance(10);
    assert_eq!(fleet.outcome(&order).verdict, Verdict::Running);
    fleet.lose("n1");
    fleet.advance(10);
    assert_eq!(fleet.counts(), "n1 0, n2 2, n3 0");
}
