//! A new leader knows only what is on the bus.

use ostler_core::id::{Epoch, Revision, Term};
use ostler_core::instance::Report;
use ostler_core::reconcile::{Event, Plan};

use crate::fleet::{Fleet, Reverse};

#[test]
fn a_new_leader_changes_nothing_when_all_is_well_whatever_comes_first() {
    let mut fleet = Fleet::new("n1 zone a\nn2 zone b\nn3 zone a");
    fleet.put(r#""name":"web","count":5,"ports":[{"name":"http"}],"placement":{"spread":{"attribute":"node.zone"}}"#);
    fleet.put(r#""name":"db","placement":{"node":"n2"},"ports":[{"name":"sql","static":5432}]"#);
    fleet.put(r#""name":"agent","kind":"system""#);
    fleet.put(r#""name":"huge","resources":{"cpu":99999}"#);
    fleet.advance(60);
    for reverse in [Reverse::Yes, Reverse::No] {
        let mut next = fleet.takeover(reverse);
        assert_eq!(next.engine.plan(next.now), Plan::default(), "{reverse:?}");
        assert_eq!(next.show(), fleet.show());
        for name in fleet.executors.keys() {
            assert_eq!(next.engine.manifest(name), fleet.engine.manifest(name));
        }
    }
}

#[test]
fn a_workload_whose_head_is_not_known_is_left_alone() {
    let mut fleet = Fleet::new("n1");
    fleet.put(r#""name":"web","count":2"#);
    fleet.advance(10);
    fleet.heads.clear();
    let mut next = fleet.takeover(Reverse::No);
    next.advance(1000);
    assert_eq!(next.counts(), "n1 2");
    assert!(next.plans.iter().all(|plan| plan.manifests.is_empty()));
}

#[test]
fn a_report_of_an_older_epoch_changes_nothing() {
    let mut fleet = Fleet::new("n1");
    fleet.put(r#""name":"web""#);
    fleet.advance(10);
    fleet.edit("n1", |node| node.epoch = node.epoch.next());
    let mut report = fleet.executor("n1").report();
    report.epoch = crate::fleet::FIRST;
    report.statuses.clear();
    fleet.tell(Event::Report("n1".parse().expect("a name"), Box::new(report)));
    fleet.settle();
    assert_eq!(fleet.show(), "web/0@1 n1 run running ready\n");
}

#[test]
fn a_report_from_before_an_instance_was_named_does_not_end_it() {
    let mut fleet = Fleet::new("n1");
    fleet.put(r#""name":"a""#);
    fleet.settle();
    let old = fleet.executor("n1").report();
    fleet.put(r#""name":"b""#);
    let plan = fleet.engine.plan(fleet.now);
    fleet.commit(plan);
    fleet.tell(Event::Report("n1".parse().expect("a name"), Box::new(old)));
    assert_eq!(fleet.engine.plan(fleet.now), Plan::default());
}

#[test]
fn a_node_that_returns_to_a_new_leader_is_settled_and_takes_work_again() {
    let mut fleet = Fleet::new("n1\nn2");
    fleet.put(r#""name":"web","count":2,"placement":{"strategy":"first_fit"}"#);
    fleet.advance(10);
    fleet.lose("n1");
    fleet.settle();
    for reverse in [Reverse::Yes, Reverse::No] {
        let mut next = fleet.takeover(reverse);
        next.find("n1");
        next.settle();
        assert_eq!(next.counts(), "n1 0, n2 2");
        next.put(r#""name":"db","placement":{"node":"n1"}"#);
        next.settle();
        assert_eq!(next.counts(), "n1 1, n2 2");
    }
}

#[test]
fn what_was_applied_in_an_earlier_life_of_the_fleet_ends_nothing_of_this_one() {
    let mut fleet = Fleet::new("n1");
    fleet.engine = fleet.engine.clone().in_life(7);
    fleet.put(r#""name":"web""#);
    let plan = fleet.engine.plan(fleet.now);
    fleet.commit(plan);
    let (term, applied) = (Term(1_000), Revision(1_000));
    let report = Report { epoch: Epoch(9), incarnation: 6, term, applied, ..Report::default() };
    fleet.tell(Event::Report("n1".parse().expect("a name"), Box::new(report)));
    assert_eq!(fleet.engine.plan(fleet.now), Plan::default());
    assert_eq!(fleet.engine.instances().count(), 1);
}

#[test]
fn what_was_waited_for_is_waited_for_no_longer_because_of_a_new_leader() {
    let rules = r#""placement":{"strategy":"first_fit"},"reschedule":{"disconnected_for":"30s"}"#;
    let mut fleet = Fleet::new("n1\nn2\nn3\nn4");
    fleet.put(&format!(r#""name":"web",{rules}"#));
    fleet.advance(10);
    fleet.lose("n1");
    for _ in 0..5 {
        fleet.advance(5);
        fleet = fleet.takeover(Reverse::No);
    }
    fleet.advance(4);
    assert_eq!(fleet.counts(), "n1 1, n2 0, n3 0, n4 0");
    fleet.advance(1);
    assert_eq!(fleet.counts(), "n1 0, n2 1, n3 0, n4 0");
}

#[test]
fn a_new_leader_knows_that_the_brake_is_on_and_for_how_long() {
    let mut fleet = Fleet::new("n1\nn2\nn3\nn4\nn5\nn6");
    fleet.put(r#""name":"web","count":6"#);
    fleet.advance(10);
    ["n1", "n2", "n3"].into_iter().for_each(|node| fleet.lose(node));
    fleet.advance(30);
    let mut next = fleet.takeover(Reverse::Yes);
    next.advance(29);
    assert_eq!(next.counts(), "n1 1, n2 1, n3 1, n4 1, n5 1, n6 1");
    next.advance(1);
    assert_eq!(next.counts(), "n1 0, n2 0, n3 0, n4 2, n5 2, n6 2");
}

#[test]
fn an_update_has_no_more_time_and_a_back_off_is_no_shorter_because_of_a_new_leader() {
    let mut fleet = Fleet::new("n1\nn2\nn3");
    fleet.put(r#""name":"web","count":3"#);
    fleet.advance(10);
    ["n1", "n2", "n3"].into_iter().for_each(|node| {
        fleet.executor(node).unready.insert("web".to_owned());
    });
    fleet.put(r#""name":"web","count":3,"resources":{"cpu":200}"#);
    for _ in 0..5 {
        fleet.advance(59);
        assert!(!fleet.decisions().contains("failed"));
        fleet = fleet.takeover(Reverse::No);
    }
    fleet.advance(5);
    assert!(fleet.decisions().contains("update of web to 2 failed"));

    let mut fleet = Fleet::new("n1");
    fleet.executor("n1").fails.insert("web".to_owned());
    fleet.put(r#""name":"web""#);
    fleet.advance(200);
    let tries = fleet.decisions().matches("place web/0").count();
    let mut next = fleet.takeover(Reverse::Yes);
    next.advance(90);
    assert_eq!((tries, next.decisions().matches("place web/0").count()), (1, 0));
}
