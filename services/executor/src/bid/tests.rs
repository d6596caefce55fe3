//! What a policy makes of a moment: tables.

use ostler_core::time::Span;
use ostler_core::workload::DriverKind;

use super::*;

fn policy(toml: &str) -> Policy {
    let value: serde_json::Value = serde_json::from_str(toml).expect("JSON");
    serde_json::from_value(value).expect("a policy")
}

#[track_caller]
fn check(settings: &str, (battery, minute, said): (bool, u16, Said), price: u32, refused: &[&str]) {
    let bid = decide(&policy(settings), battery, minute, &said);
    assert_eq!(bid.price, price, "{settings}");
    let whys: Vec<&str> = bid.refusals.iter().map(|one| one.why.as_str()).collect();
    assert_eq!(whys, refused, "{settings}");
}

#[test]
fn without_settings_everything_is_taken_for_nothing() {
    check("{}", (false, 0, Said::Nothing), 0, &[]);
    check("{}", (true, 1439, Said::Nothing), 0, &[]);
}

#[test]
fn battery_costs_more_or_is_a_reason_to_refuse() {
    let settings = r#"{"price":3,"battery_price":10}"#;
    check(settings, (false, 0, Said::Nothing), 3, &[]);
    check(settings, (true, 0, Said::Nothing), 13, &[]);
    let settings = r#"{"price":3,"battery_price":10,"on_battery":"refuse"}"#;
    check(settings, (false, 0, Said::Nothing), 3, &[]);
    check(settings, (true, 0, Said::Nothing), 3, &["on battery"]);
}

#[test]
fn quiet_hours_may_pass_midnight_and_end_at_their_second_time() {
    let settings = r#"{"quiet_hours":["22:00-07:00","12:00-12:30"]}"#;
    let night: &[&str] = &["quiet hours 22:00-07:00"];
    let noon: &[&str] = &["quiet hours 12:00-12:30"];
    for (minute, refused) in [
        (0, night),
        (7 * 60 - 1, night),
        (7 * 60, &[]),
        (12 * 60, noon),
        (12 * 60 + 30, &[]),
        (22 * 60 - 1, &[]),
        (22 * 60, night),
    ] {
        check(settings, (false, minute, Said::Nothing), 0, refused);
    }
    check(
        r#"{"quiet_hours":["05:00-05:00"]}"#,
        (false, 0, Said::Nothing),
        0,
        &["quiet hours 05:00-05:00"],
    );
}

#[test]
fn the_predicate_names_a_price_or_a_reason() {
    check(r#"{"price":3}"#, (false, 0, Said::Able(None)), 3, &[]);
    check(r#"{"price":3}"#, (false, 0, Said::Able(Some(9))), 9, &[]);
    let refuses = Said::Refuses("fan broken".to_owned());
    check(r#"{"price":3}"#, (false, 0, refuses), 3, &["fan broken"]);
}

#[test]
fn kinds_that_the_settings_refuse_are_refused_and_others_are_not() {
    let bid = decide(&policy(r#"{"refuse":["docker","vm"]}"#), false, 0, &Said::Nothing);
    assert!(bid.refusal(DriverKind::Docker).is_some());
    assert!(bid.refusal(DriverKind::Vm).is_some());
    assert_eq!(bid.refusal(DriverKind::Process), None);
}

#[test]
fn wrong_settings_are_refused_by_name() {
    for (settings, said) in [
        (r#"{"quiet_hours":["25:00-07:00"]}"#, "`25:00-07:00` is no part of a day"),
        (r#"{"quiet_hours":["7-8"]}"#, "`7-8` is no part of a day"),
        (r#"{"quiet_hours":["+7:00-08:00"]}"#, "is no part of a day"),
        (r#"{"time_zone":"Moon/Base"}"#, "`Moon/Base` is no time zone"),
        (r#"{"prize":1}"#, "unknown field `prize`"),
        (r#"{"on_battery":"maybe"}"#, "unknown variant `maybe`"),
    ] {
        let error = serde_json::from_str::<Policy>(settings).expect_err("wrong").to_string();
        assert!(error.contains(said), "{settings}: {error}");
    }
}

/// Runs `sh -c script` as the predicate.
async fn asked(script: &str) -> Said {
    let predicate = ["sh", "-c", script].map(str::to_owned).to_vec();
    let predicate_timeout = Span::from_millis(500);
    answer(&Policy { predicate, predicate_timeout, ..Policy::default() }).await
}

#[tokio::test]
async fn a_predicate_answers_by_its_exit_status_and_first_line() {
    assert_eq!(asked("exit 0").await, Said::Able(None));
    assert_eq!(asked("echo warm; echo price 12").await, Said::Able(Some(12)));
    assert_eq!(asked("echo price high").await, Said::Able(None));
    let refuses = |why: &str| Said::Refuses(why.to_owned());
    assert_eq!(asked("echo ' too hot '; echo more; exit 3").await, refuses("too hot"));
    assert_eq!(asked("exit 1").await, refuses("the predicate says so"));
    assert_eq!(asked("kill -9 $$").await, refuses("the predicate says so"));
}

#[tokio::test]
async fn a_predicate_that_hangs_floods_or_is_not_there_refuses_and_leaves_nothing() {
    let Said::Refuses(why) = asked("sleep 60").await else { panic!("it took work") };
    assert_eq!(why, "predicate `sh` did not answer within 500ms");
    let Said::Refuses(why) = asked("yes no; exit 1").await else { panic!("it took work") };
    assert!(!why.is_empty() && why.len() <= REASON, "{why}");
    let Said::Refuses(why) = asked("printf 'x%.0s' $(seq 1000); exit 1").await else {
        panic!("it took work")
    };
    assert_eq!(why.len(), REASON);
    let predicate = vec!["/no/such/program".to_owned()];
    let said = answer(&Policy { predicate, ..Policy::default() }).await;
    assert!(matches!(said, Said::Refuses(why) if why.contains("/no/such/program")));
}

#[test]
fn before_the_predicate_has_answered_nothing_is_taken() {
    let bidder = Bidder::new(&policy(r#"{"predicate":["true"]}"#));
    assert!(bidder.bid(false).refusal(DriverKind::Sim).is_some());
    let bidder = Bidder::new(&policy("{}"));
    assert_eq!(bidder.bid(false), Bid::default());
}
