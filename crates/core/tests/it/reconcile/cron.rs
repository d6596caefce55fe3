//! Work on a schedule. Tests begin at 00:16:40.

use expect_test::expect;
use ostler_core::instance::Observed;

use crate::fleet::{Fleet, Reverse};

/// Every five minutes.
fn report(rest: &str) -> String {
    let first_fit = r#""placement":{"strategy":"first_fit"}"#;
    format!(
        r#""name":"report","kind":"cron",{first_fit},"cron":{{"schedule":"*/5 * * * *"{rest}}}"#
    )
}

fn waiting(rest: &str) -> Fleet {
    let mut fleet = Fleet::new("n1\nn2");
    fleet.put(&report(rest));
    fleet.settle();
    assert_eq!(fleet.decisions(), "");
    fleet
}

/// Until the next run is due.
fn to_next(fleet: &mut Fleet) {
    let due = fleet.engine.wake_at().expect("it has a schedule");
    let ms = due.since(fleet.now).as_millis();
    fleet.advance(ms / 1000);
}

#[test]
fn it_runs_when_due_and_again_when_due_next() {
    let mut fleet = waiting("");
    let said = |fleet: &Fleet| {
        let status = fleet.engine.status(&"report".parse().expect("a key")).expect("known");
        (status.wanted, status.reason)
    };
    assert_eq!(said(&fleet), (0, "its next run is due at 1970-01-01T00:20:00Z".to_owned()));
    fleet.advance(199);
    assert_eq!(fleet.decisions(), "");
    fleet.advance(1);
    expect![[r#"
        report: a run began
        place report/0@1 on n1
    "#]]
    .assert_eq(&fleet.decisions());
    assert_eq!(said(&fleet), (1, String::new()));
    fleet.end("n1", "report", Observed::Completed);
    expect![[r#"
        report: a run ended: completed
    "#]]
    .assert_eq(&fleet.decisions());
    assert_eq!(said(&fleet).1, "its next run is due at 1970-01-01T00:25:00Z");
    fleet.advance(299);
    assert_eq!(fleet.decisions(), "");
    fleet.advance(1);
    assert_eq!(fleet.decisions(), "report: a run began\nplace report/0@1 on n1\n");
}

#[test]
fn a_run_that_is_not_over_keeps_the_next_from_beginning() {
    let mut fleet = waiting("");
    to_next(&mut fleet);
    fleet.decisions();
    fleet.advance(600);
    expect![[r#"
        report: a run was skipped: the last run is not over
        report: a run was skipped: the last run is not over
    "#]]
    .assert_eq(&fleet.decisions());
    fleet.end("n1", "report", Observed::Completed);
    fleet.advance(300);
    expect![[r#"
        report: a run ended: completed
        report: a run began
        place report/0@1 on n1
    "#]]
    .assert_eq(&fleet.decisions());
}

#[test]
fn a_run_has_as_many_slots_as_it_counts_and_each_is_completed_once() {
    let mut fleet = Fleet::new("n1\nn2\nn3");
    let text = report("").replace(r#""first_fit""#, r#""first_fit","anti_affinity":{"group":"g"}"#);
    fleet.put(&format!(r#"{text},"count":2"#));
    fleet.advance(200);
    fleet.decisions();
    fleet.end("n1", "report", Observed::Completed);
    fleet.end("n2", "report", Observed::Failed);
    fleet.advance(1);
    expect![[r#"
        place report/1@1 on n1 instead of n2: failed
    "#]]
    .assert_eq(&fleet.decisions());
    fleet.end("n1", "report", Observed::Completed);
    assert_eq!(fleet.decisions(), "report: a run ended: completed\n");
}

#[test]
fn a_run_that_takes_too_long_is_ended_and_the_next_waits_until_it_is_gone() {
    let mut fleet = waiting(r#","time_limit":"5m""#);
    to_next(&mut fleet);
    fleet.decisions();
    fleet.executor("n1").slow_to_stop = true;
    fleet.advance(310);
    expect![[r#"
        report: a run ended: time_limit
        stop report/0 on n1: time_limit
    "#]]
    .assert_eq(&fleet.decisions());
    fleet.executor("n1").slow_to_stop = false;
    fleet.settle();
    assert_eq!(fleet.decisions(), "report: a run began\nplace report/0@1 on n1\n");
}

#[test]
fn what_only_fails_gives_way_to_the_next_run() {
    let mut fleet = waiting("");
    for node in ["n1", "n2"] {
        fleet.executor(node).fails.insert("report".to_owned());
    }
    to_next(&mut fleet);
    fleet.advance(299);
    assert!(fleet.decisions().starts_with("report: a run began\nplace report/0@1 on n1\n"));
    fleet.advance(1);
    assert!(fleet.decisions().starts_with("report: a run ended: failed\nreport: a run began\n"));
}

#[test]
fn another_leader_neither_repeats_a_run_nor_leaves_one_out() {
    let mut fleet = waiting("");
    to_next(&mut fleet);
    fleet.end("n1", "report", Observed::Completed);
    fleet.decisions();
    let mut next = fleet.takeover(Reverse::No);
    next.advance(299);
    assert_eq!(next.decisions(), "", "it was done");
    // This one died just before it was due, and the next took half a minute.
    let mut next = next.takeover(Reverse::Yes);
    next.now = next.now.plus(ostler_core::time::Span::from_secs(30));
    next.settle();
    assert_eq!(next.decisions(), "report: a run began\nplace report/0@1 on n1\n");
    // And while it is under way.
    let mut next = next.takeover(Reverse::No);
    next.advance(60);
    assert_eq!(next.decisions(), "");
    assert_eq!(next.show(), "report/0@1 n1 run running ready\n");
}

#[test]
fn what_was_missed_is_left_out_or_made_up_for_once() {
    for (policy, want) in [
        ("skip", "report: a run was skipped: it could not begin in time\n"),
        ("run", "report: a run began\nplace report/0@1 on n1\n"),
    ] {
        let mut fleet = waiting(&format!(r#","missed":"{policy}""#));
        // 00:42: nobody led for 25 minutes.
        fleet.now = fleet.now.plus(ostler_core::time::Span::from_secs(1520));
        let mut next = fleet.takeover(Reverse::No);
        next.settle();
        assert_eq!(next.decisions(), want, "{policy}");
        next.end("n1", "report", Observed::Completed);
        next.decisions();
        to_next(&mut next);
        assert_eq!(next.decisions(), "report: a run began\nplace report/0@1 on n1\n");
    }
}

#[test]
fn nothing_is_due_while_it_is_stopped_and_nothing_is_made_up_for() {
    let mut fleet = waiting(r#","missed":"run""#);
    fleet.change("report", |head| head.stopped = true);
    fleet.advance(1000);
    assert_eq!(fleet.decisions(), "");
    fleet.change("report", |head| head.stopped = false);
    fleet.settle();
    assert_eq!(fleet.decisions(), "");
    to_next(&mut fleet);
    assert_eq!(fleet.decisions(), "report: a run began\nplace report/0@1 on n1\n");
}

#[test]
fn a_run_goes_on_with_the_text_that_it_began_with() {
    let mut fleet = waiting("");
    to_next(&mut fleet);
    fleet.decisions();
    fleet.put(&format!(r#"{},"resources":{{"cpu":200}}"#, report("")));
    fleet.advance(10);
    assert_eq!(fleet.decisions(), "");
    fleet.end("n1", "report", Observed::Completed);
    fleet.decisions();
    to_next(&mut fleet);
    assert_eq!(fleet.decisions(), "report: a run began\nplace report/0@2 on n1\n");
}

#[test]
fn what_a_lost_node_completed_of_an_earlier_run_does_not_count_for_this_one() {
    let mut fleet = waiting("");
    to_next(&mut fleet);
    fleet.lose("n1");
    fleet.settle();
    fleet.end("n2", "report", Observed::Completed);
    fleet.end("n1", "report", Observed::Completed);
    to_next(&mut fleet);
    fleet.decisions();
    fleet.find("n1");
    fleet.settle();
    assert_eq!(fleet.decisions(), "");
    assert_eq!(fleet.show(), "report/0@1 n2 run running ready\n");
}

#[test]
fn a_new_schedule_makes_up_for_nothing_that_was_before_it() {
    let mut fleet = waiting(r#","missed":"run""#);
    fleet.advance(100);
    fleet.change("report", |head| {
        let cron = head.spec.cron.as_mut().expect("a schedule");
        // Every minute; it is 00:18:20.
        cron.schedule = "* * * * *".to_owned();
    });
    let now = fleet.now;
    fleet.change("report", |head| head.updated_at = now);
    fleet.settle();
    assert_eq!(fleet.decisions(), "");
    fleet.advance(40);
    assert_eq!(fleet.decisions(), "report: a run began\nplace report/0@1 on n1\n");
}
