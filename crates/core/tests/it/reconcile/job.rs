//! Work that runs to completion.

use ostler_core::instance::Observed;

use crate::fleet::{Fleet, Reverse};

const JOB: &str = r#""name":"batch","kind":"job","count":2,"placement":{"strategy":"first_fit","anti_affinity":{"group":"g"}}"#;

fn batch_on_n1_and_n2() -> Fleet {
    let mut fleet = Fleet::new("n1\nn2\nn3\nn4\nn5\nn6\nn7");
    fleet.put(JOB);
    fleet.advance(10);
    assert_eq!(fleet.counts(), "n1 1, n2 1, n3 0, n4 0, n5 0, n6 0, n7 0");
    fleet.decisions();
    fleet
}

#[test]
fn a_completed_slot_is_not_run_again_whatever_becomes_of_its_node() {
    let mut fleet = batch_on_n1_and_n2();
    fleet.end("n1", "batch", Observed::Completed);
    fleet.lose("n1");
    fleet.advance(1000);
    fleet.tell(ostler_core::reconcile::Event::NodeGone("n1".parse().expect("a name")));
    fleet.advance(1000);
    assert_eq!(fleet.decisions(), "");
    let mut next = fleet.takeover(Reverse::No);
    next.advance(1000);
    assert_eq!(next.show(), "batch/1@1 n2 run running ready\n");
}

#[test]
fn what_a_lost_node_completed_stops_the_replacement_when_it_is_heard() {
    let mut fleet = batch_on_n1_and_n2();
    fleet.lose("n1");
    fleet.advance(10);
    assert!(fleet.decisions().contains("place batch/0@1 on n3 instead of n1: node_lost"));
    fleet.end("n1", "batch", Observed::Completed);
    fleet.find("n1");
    fleet.settle();
    assert_eq!(fleet.decisions(), "stop batch/0 on n3: completed\n");
    fleet.advance(1000);
    assert_eq!(fleet.show(), "batch/1@1 n2 run running ready\n");
}

#[test]
fn a_change_that_needs_no_restart_runs_nothing_again_and_a_new_text_runs_all() {
    let mut fleet = batch_on_n1_and_n2();
    fleet.end("n1", "batch", Observed::Completed);
    fleet.end("n2", "batch", Observed::Completed);
    fleet.put(&format!(r#"{JOB},"priority":60"#));
    fleet.advance(100);
    assert_eq!(fleet.decisions(), "");
    fleet.put(&format!(r#"{JOB},"resources":{{"cpu":200}}"#));
    fleet.advance(100);
    assert_eq!(fleet.decisions(), "place batch/0@3 on n1\nplace batch/1@3 on n2\n");
}

#[test]
fn a_group_that_fails_everywhere_is_tried_less_and_less_often() {
    let mut fleet = Fleet::new("n1\nn2\nn3");
    for node in ["n1", "n2", "n3"] {
        fleet.executor(node).fails.insert("batch".to_owned());
    }
    fleet.put(r#""name":"batch","kind":"job","count":3"#);
    fleet.advance(3600);
    let tries = fleet.decisions().lines().filter(|line| line.starts_with("place")).count();
    assert!((9..40).contains(&tries), "{tries} tries in an hour");
}

#[test]
fn jobs_stay_on_a_draining_node_until_its_deadline_and_then_go() {
    let mut fleet = batch_on_n1_and_n2();
    let deadline = fleet.now.plus(ostler_core::time::Span::from_secs(3600));
    fleet.edit("n1", |node| {
        (node.admin, node.drain_deadline) = (ostler_core::node::Admin::Draining, Some(deadline));
    });
    let node = "n1".parse().expect("a name");
    let order = fleet.order(ostler_core::command::Order::Drain { node, force: false });
    fleet.advance(3599);
    assert_eq!(
        fleet.outcome(&order).reason,
        "1 left; default/batch is a job and may finish until the deadline"
    );
    fleet.advance(1);
    assert_eq!(
        fleet.decisions(),
        "stop batch/0 on n1: drain\nplace batch/0@1 on n3 instead of n1: drain\nn1 is empty\n"
    );
}

#[test]
fn what_ended_by_its_own_choice_is_run_nowhere_else_until_somebody_asks_for_it() {
    let service = r#""name":"web","count":2,"placement":{"strategy":"first_fit","anti_affinity":{"group":"g"}}"#;
    let mut fleet = Fleet::new("n1\nn2\nn3");
    fleet.put(service);
    fleet.advance(10);
    fleet.decisions();
    fleet.end("n1", "web", Observed::Completed);
    fleet.advance(1000);
    assert_eq!(fleet.decisions(), "");
    let mut fleet = fleet.takeover(Reverse::No);
    fleet.advance(1000);
    assert_eq!(fleet.show(), "web/1@1 n2 run running ready\n");
    fleet.change("web", |head| head.restart_generation = head.restart_generation.next());
    fleet.advance(1000);
    assert!(fleet.show().contains("web/0@1"), "{}", fleet.show());
}
