//! Instances that fail or are declined, and jobs that complete.

use expect_test::expect;
use ostler_core::instance::Observed;

use crate::fleet::Fleet;

#[test]
fn what_failed_goes_to_the_next_node_after_the_back_off() {
    let mut fleet = Fleet::new("n1\nn2\nn3");
    fleet.executor("n1").fails.insert("web".to_owned());
    fleet.executor("n2").declines.insert("web".to_owned());
    fleet.put(r#""name":"web","placement":{"strategy":"first_fit"}"#);
    fleet.settle();
    expect![[r#"
        place web/0@1 on n1
    "#]]
    .assert_eq(&fleet.decisions());
    fleet.advance(1);
    expect![[r#"
        place web/0@1 on n2 instead of n1: failed
    "#]]
    .assert_eq(&fleet.decisions());
    fleet.advance(1);
    assert_eq!(fleet.decisions(), "");
    fleet.advance(1);
    expect![[r#"
        place web/0@1 on n3 instead of n2: declined
    "#]]
    .assert_eq(&fleet.decisions());
    assert_eq!(fleet.show(), "web/0@1 n3 run running ready\n");
}

#[test]
fn when_no_node_is_left_the_slot_waits_for_an_exclusion_to_end() {
    let mut fleet = Fleet::new("n1");
    fleet.executor("n1").declines.insert("web".to_owned());
    fleet.put(r#""name":"web""#);
    fleet.advance(10);
    expect![[r#"
        place web/0@1 on n1
        no place for web/0-0: {Declined: 1}
    "#]]
    .assert_eq(&fleet.decisions());
    fleet.executor("n1").declines.clear();
    fleet.advance(289);
    assert_eq!(fleet.show(), "");
    fleet.advance(1);
    assert_eq!(fleet.show(), "web/0@1 n1 run running ready\n");
}

#[test]
fn each_failure_doubles_the_exclusion_up_to_an_hour() {
    let mut fleet = Fleet::new("n1");
    fleet.executor("n1").fails.insert("web".to_owned());
    fleet.put(r#""name":"web""#);
    let mut at = Vec::new();
    for _ in 0..5 * 3600 {
        fleet.advance(1);
        let placed = fleet.decisions().lines().filter(|line| line.starts_with("place")).count();
        if placed > 0 {
            at.push(fleet.now.as_millis() / 1000 - 1000);
        }
    }
    let gaps: Vec<u64> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    expect!["[299, 600, 1200, 2400, 3600, 3600, 3600]"].assert_eq(&format!("{gaps:?}"));
}

#[test]
fn a_completed_slot_of_a_job_is_never_run_again() {
    let mut fleet = Fleet::new("n1\nn2");
    fleet.put(r#""name":"batch","kind":"job","count":2"#);
    fleet.settle();
    complete(&mut fleet, "n1");
    fleet.advance(1000);
    assert_eq!(fleet.show(), "batch/1@1 n2 run running ready\n");
    fleet.put(r#""name":"batch","kind":"job","count":2,"labels":{"a":"b"}"#);
    fleet.advance(10);
    assert_eq!(fleet.show(), "batch/1@2 n2 run running ready\n");
    fleet.put(r#""name":"batch","kind":"job","count":2,"resources":{"cpu":1}"#);
    fleet.advance(1000);
    assert_eq!(fleet.engine.instances().count(), 2, "a destructive change runs all again");
}

#[test]
fn a_late_completed_from_a_lost_node_stops_the_replacement() {
    let mut fleet = Fleet::new("n1\nn2");
    fleet.put(r#""name":"batch","kind":"job","placement":{"strategy":"first_fit"}"#);
    fleet.settle();
    fleet.lose("n1");
    fleet.settle();
    fleet.decisions();
    complete(&mut fleet, "n1");
    fleet.find("n1");
    fleet.settle();
    expect![[r#"
        stop batch/0 on n2: completed
    "#]]
    .assert_eq(&fleet.decisions());
    assert_eq!(fleet.show(), "");
}

/// All jobs on the node exit with 0.
fn complete(fleet: &mut Fleet, node: &str) {
    let executor = fleet.executor(node);
    for status in executor.statuses.values_mut() {
        (status.observed, status.ready) = (Observed::Completed, false);
    }
    if executor.alive {
        let report = executor.report();
        let name = node.parse().expect("a name");
        fleet.tell(ostler_core::reconcile::Event::Report(name, Box::new(report)));
    }
}

#[test]
fn a_workload_of_which_everything_fails_everywhere_stays_small() {
    let mut fleet =
        Fleet::new("n1 max 3000 cpu 900000\nn2 max 3000 cpu 900000\nn3 max 3000 cpu 900000");
    for node in ["n1", "n2", "n3"] {
        fleet.executor(node).fails.insert("web".to_owned());
    }
    fleet.put(r#""name":"web","count":9000,"resources":{"cpu":1,"memory":"0B"}"#);
    fleet.advance(7200);
    let progress = fleet.engine.progress(&"default/web".parse().expect("a key")).expect("known");
    assert!(progress.waiting.len() <= 4097, "{}", progress.waiting.len());
    assert_eq!(progress.excluded.len(), 3);
    let placed = fleet.decisions().lines().filter(|line| line.starts_with("place")).count();
    // Each node is tried after 5, 10, 20, 40 and 60 minutes, with all at once.
    assert!((9000..=9000 * 6).contains(&placed), "{placed}");
    for node in ["n1", "n2", "n3"] {
        fleet.executor(node).fails.clear();
    }
    fleet.advance(7200);
    assert_eq!(fleet.engine.instances().filter(|one| one.ready).count(), 9000);
    let progress = fleet.engine.progress(&"default/web".parse().expect("a key")).expect("known");
    assert_eq!(progress.waiting.len(), 0, "all is forgiven");
}
