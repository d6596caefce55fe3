//! The life of one instance as a table: what happens, and what is done about it.

use std::sync::Arc;

use ostler_core::id::{Generation, InstanceId, Slot, SpecHash, Version};
use ostler_core::instance::{Desired, Exit};
use ostler_core::resources::Resources;
use ostler_core::time::{Span, Timestamp};
use ostler_executor::driver::Run;
use ostler_executor::supervise::{Blame, Effect, Event, Life, Order, Readiness};

use crate::rig::spec;

const HASH: SpecHash = SpecHash([1; 32]);

fn order(desired: Desired, generation: u64) -> Order {
    Order {
        key: "default/web".parse().expect("a key"),
        version: Version(1),
        spec: HASH,
        slot: Slot(0),
        desired,
        generation: Generation(generation),
        ports: Vec::new(),
        ask: Resources::default(),
    }
}

/// One word for each event, with the number of the run where it speaks of one.
fn event(word: &str, runs: u64) -> Event {
    let code = |code| Event::Exited(runs, Exit::Code(code));
    match word {
        "run" => Event::Ordered(order(Desired::Run, 1)),
        "run-2" => Event::Ordered(order(Desired::Run, 2)),
        "keep-2" => Event::Ordered(order(Desired::Keep, 2)),
        "keep" => Event::Ordered(order(Desired::Keep, 1)),
        "stop" => Event::Ordered(order(Desired::Stop, 1)),
        "prepared" => Event::Prepared(runs),
        "started" => Event::Started(runs, Run::default(), Readiness::AtOnce),
        "started-unready" => Event::Started(runs, Run::default(), Readiness::ByChecks),
        "passing" => Event::Passing(runs),
        "failing" => Event::Failing(runs, "no answer".into()),
        "broken" => Event::NotStarted(runs, "no such file".into(), Blame::Instance),
        "no-port" => Event::NotStarted(runs, "ports".into(), Blame::Node),
        "exit-0" => code(0),
        "exit-1" => code(1),
        "exit-26" => code(26),
        "old-exit" => Event::Exited(runs - 1, Exit::Code(1)),
        "removed" => Event::Removed,
        "settled" => Event::Settled,
        "halt" => Event::Halt,
        "tick" => Event::Tick,
        other => panic!("`{other}` is no event"),
    }
}

fn show(effect: &Effect) -> String {
    match effect {
        Effect::Launch => "launch".into(),
        Effect::Signal(signal) => signal.clone(),
        Effect::Kill => "kill".into(),
        Effect::Check => "check".into(),
        Effect::Uncheck => "uncheck".into(),
        Effect::Remove => "remove".into(),
        Effect::Hook(point) => point.as_str().into(),
        Effect::Tell(told) => format!("<{}>", told.kind().trim_start_matches("instance.")),
    }
}

/// Each line: how long after the line before, an event, and after `|` what is done and the state.
#[track_caller]
fn check(toml: &str, story: &str) {
    let spec = Arc::new(spec(toml));
    let mut now = Timestamp::from_millis(1_000_000);
    let mut life = Life::new(InstanceId::from_bits(1), order(Desired::Run, 1), now);
    for line in story.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (given, want) = line.split_once('|').expect("a `|`");
        let mut words = given.split_whitespace();
        let wait: Span = words.next().expect("a wait").parse().expect("a wait");
        now = now.plus(wait);
        let word = words.next().expect("an event");
        let event = match word {
            "spec" => Event::Spec(HASH, Version(1), Arc::clone(&spec)),
            word => event(word, life.runs),
        };
        let mut done: Vec<String> = life.react(event, now).iter().map(show).collect();
        let ready = if life.ready { "+" } else { "" };
        done.push(format!("{}{ready}", life.observed().as_str()));
        let want: Vec<&str> = want.split_whitespace().collect();
        assert_eq!(done, want, "after `{}`: {life:#?}", given.trim());
    }
}

#[test]
fn an_instance_starts_when_its_specification_is_there_and_is_ready_and_then_proven() {
    check(
        "update.min_ready = \"5s\"",
        "
        0s run             | accepted
        0s spec            | launch preparing
        0s prepared        | starting
        0s started         | <started> check <ready> running+
        4s tick            | running+
        1s tick            | <proven> running+
        1s tick            | running+",
    );
}

#[test]
fn what_was_ready_is_no_endpoint_for_a_while_before_it_is_asked_to_end() {
    check(
        "[stop]\ndrain = \"10s\"\ngrace = \"5s\"\n[hooks]\nbefore_stop = { publish = \"x\" }",
        "
        0s run      | accepted
        0s spec     | launch preparing
        0s started  | <started> check <ready> running+
        1s stop     | uncheck stopping
        5s stop     | stopping
        4s tick     | stopping
        1s tick     | before_stop stopping
        0s exit-0   | remove stopping
        0s removed  | <stopped> stopped",
    );
    check(
        "stop = { drain = \"10s\", grace = \"2s\" }",
        "
        0s run      | accepted
        0s spec     | launch preparing
        0s started  | <started> check <ready> running+
        0s run-2    | uncheck stopping
        10s tick    | SIGTERM stopping
        1s tick     | stopping
        1s tick     | kill stopping
        0s exit-1   | <restarted> launch preparing",
    );
}

#[test]
fn checks_say_when_it_is_ready_and_when_it_is_not() {
    check(
        "",
        "
        0s run             | accepted
        0s spec            | launch preparing
        0s started-unready | <started> check running
        0s passing         | <ready> running+
        0s failing         | running
        0s passing         | <ready> running+",
    );
}

#[test]
fn backoff_doubles_until_attempts_are_spent_and_then_it_has_failed() {
    check(
        "restart.attempts = 2",
        "
        0s run      | accepted
        0s spec     | launch preparing
        0s started  | <started> check <ready> running+
        0s exit-1   | uncheck <exited> starting
        900ms tick   | starting
        100ms tick   | <restarted> launch preparing
        0s started  | <started> check <ready> running+
        0s exit-1   | uncheck <exited> starting
        1900ms tick   | starting
        100ms tick   | <restarted> launch preparing
        0s started  | <started> check <ready> running+
        0s exit-1   | uncheck <exited> remove stopping
        0s removed  | <failed> failed
        0s run      | failed",
    );
}

#[test]
fn backoff_is_forgotten_when_it_was_proven_and_attempts_with_the_window() {
    check(
        "restart.attempts = 1\nrestart.window = \"1m\"\nupdate.min_ready = \"2s\"",
        "
        0s run      | accepted
        0s spec     | launch preparing
        0s started  | <started> check <ready> running+
        0s exit-1   | uncheck <exited> starting
        1s tick     | <restarted> launch preparing
        0s started  | <started> check <ready> running+
        2s tick     | <proven> running+
        60s exit-1  | uncheck <exited> starting
        1s tick     | <restarted> launch preparing",
    );
}

#[test]
fn a_job_that_exits_0_is_completed_and_one_that_does_not_is_tried_again() {
    check(
        "kind = \"job\"",
        "
        0s run      | accepted
        0s spec     | launch preparing
        0s started  | <started> check <ready> running+
        0s exit-1   | uncheck <exited> starting
        1s tick     | <restarted> launch preparing
        0s started  | <started> check <ready> running+
        0s exit-0   | uncheck <exited> remove stopping
        0s removed  | <completed> completed",
    );
}

#[test]
fn some_exit_codes_are_never_restarted() {
    check(
        "",
        "
        0s run      | accepted
        0s spec     | launch preparing
        0s started  | <started> check <ready> running+
        0s exit-26  | uncheck <exited> remove stopping
        0s removed  | <completed> completed",
    );
}

#[test]
fn a_stop_is_a_signal_then_a_kill_then_again_a_kill_until_it_is_gone() {
    check(
        "stop.signal = \"SIGINT\"\nstop.grace = \"10s\"",
        "
        0s run      | accepted
        0s spec     | launch preparing
        0s started  | <started> check <ready> running+
        0s stop     | uncheck SIGINT stopping
        0s stop     | stopping
        9s tick     | stopping
        1s tick     | kill stopping
        1s tick     | kill stopping
        0s exit-0   | remove stopping
        0s removed  | <stopped> stopped
        0s run      | stopped",
    );
}

#[test]
fn a_stop_during_a_start_waits_for_the_start() {
    check(
        "",
        "
        0s run      | accepted
        0s spec     | launch preparing
        0s stop     | preparing
        0s started  | <started> uncheck SIGTERM stopping
        0s exit-0   | remove stopping
        0s removed  | <stopped> stopped",
    );
}

#[test]
fn a_restart_in_place_waits_for_no_backoff_and_is_begun_once() {
    check(
        "",
        "
        0s run      | accepted
        0s spec     | launch preparing
        0s started  | <started> check <ready> running+
        0s run-2    | uncheck SIGTERM stopping
        0s run-2    | stopping
        0s exit-0   | <restarted> launch preparing
        0s run-2    | preparing
        0s started  | <started> check <ready> running+
        0s run-2    | running+
        0s run      | running+",
    );
    check(
        "",
        "
        0s run      | accepted
        0s spec     | launch preparing
        0s broken   | starting
        0s run-2    | <restarted> launch preparing",
    );
}

/// Its generation was never begun, so it counted as starting for ever.
#[test]
fn a_restart_that_is_ordered_during_a_start_is_made_when_that_start_is_done() {
    check(
        "",
        "
        0s run      | accepted
        0s spec     | launch preparing
        0s run-2    | preparing
        0s started  | <started> uncheck SIGTERM stopping
        0s exit-0   | <restarted> launch preparing
        0s started  | <started> check <ready> running+
        0s run-2    | running+",
    );
}

#[test]
fn keep_starts_nothing_and_stops_nothing() {
    check(
        "",
        "
        0s run      | accepted
        0s keep     | accepted
        0s spec     | accepted
        0s run      | launch preparing
        0s started  | <started> check <ready> running+
        0s keep     | running+
        0s exit-1   | uncheck <exited> starting
        900s tick   | starting
        0s run      | starting
        0s tick     | <restarted> launch preparing",
    );
}

#[test]
fn keep_does_not_begin_again_what_was_just_stopped_for_a_restart() {
    check(
        "",
        "
        0s run      | accepted
        0s spec     | launch preparing
        0s started  | <started> check <ready> running+
        0s run-2    | uncheck SIGTERM stopping
        0s keep-2   | stopping
        0s exit-0   | starting
        0s settled  | starting
        0s run-2    | starting
        0s settled  | launch preparing",
    );
}

#[test]
fn what_has_its_checks_taken_away_is_ready_without_them() {
    let now = Timestamp::from_millis(1_000_000);
    let checked = "[[ports]]\nname = \"http\"\n[[checks]]\ntype = \"tcp\"\nport = \"http\"";
    let mut life = Life::new(InstanceId::from_bits(1), order(Desired::Run, 1), now);
    life.react(Event::Spec(HASH, Version(1), Arc::new(spec(checked))), now);
    life.react(event("started-unready", 1), now);
    assert!(!life.ready);
    life.react(Event::Spec(HASH, Version(1), Arc::new(spec(""))), now);
    assert!(life.ready);
}

#[test]
fn what_the_node_cannot_take_at_first_is_declined_and_later_tried_again() {
    check(
        "",
        "
        0s run      | accepted
        0s spec     | launch preparing
        0s no-port  | remove stopping
        0s removed  | <declined> declined",
    );
    check(
        "",
        "
        0s run      | accepted
        0s spec     | launch preparing
        0s started  | <started> check <ready> running+
        0s exit-1   | uncheck <exited> starting
        1s tick     | <restarted> launch preparing
        0s no-port  | starting",
    );
}

#[test]
fn news_of_an_earlier_run_is_passed_over() {
    check(
        "",
        "
        0s run      | accepted
        0s spec     | launch preparing
        0s started  | <started> check <ready> running+
        0s exit-1   | uncheck <exited> starting
        1s tick     | <restarted> launch preparing
        0s started  | <started> check <ready> running+
        0s old-exit | running+",
    );
}

#[test]
fn an_order_to_stop_what_never_was_here_is_answered_at_once() {
    check("", "0s stop | stopped");
}

#[test]
fn a_halt_stops_what_runs_and_starts_nothing_more() {
    check(
        "",
        "
        0s run      | accepted
        0s spec     | launch preparing
        0s halt     | preparing
        0s started  | <started> uncheck SIGTERM stopping
        0s exit-0   | starting
        9s tick     | starting
        0s settled  | starting",
    );
}
