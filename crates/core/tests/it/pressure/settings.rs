//! Settings that operators change while the fleet runs.

use ostler_core::reconcile::{Event, Settings};
use ostler_core::tuning::{Level, Tuning};

use crate::fleet::Fleet;

/// What is said at each level, and what is in force then.
fn in_force(said: &[(Level, &str)]) -> Settings {
    let mut fleet = Fleet::new("n1");
    for (level, text) in said {
        let tuning = Tuning::from_json(text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
        fleet.tell(Event::Tuning(*level, Box::new(tuning)));
    }
    fleet.engine.settings().clone()
}

#[test]
fn the_pools_word_counts_before_the_fleets_and_what_is_unsaid_stays() {
    let (fleet, pool) = (Level::Fleet, Level::Pool);
    let both = in_force(&[
        (pool, r#"{"preemption":false,"rebalance":{"threshold":30}}"#),
        (
            fleet,
            r#"{"preemption":true,"rebalance":{"threshold":10,"max_moves":3},"terms":{"prefer":20}}"#,
        ),
    ]);
    assert!(!both.preemption);
    assert_eq!((both.rebalance.threshold, both.rebalance.max_moves), (30, 3));
    assert_eq!((both.terms.prefer, both.terms.base), (20, 10));
    assert_eq!(both.weights, Settings::default().weights);
}

#[test]
fn what_is_taken_back_is_as_it_was() {
    let said = [(Level::Pool, r#"{"preemption":true}"#), (Level::Pool, "{}")];
    assert_eq!(in_force(&said), Settings::default());
}

#[test]
fn weights_of_the_pool_decide_where_the_next_goes_and_those_of_a_workload_before_them() {
    // n1 has more cpu left, n2 more memory.
    for (pool, own, node) in [
        (r#"{"weights":{"cpu":100}}"#, "", "n1"),
        (r#"{"weights":{"memory":100}}"#, "", "n2"),
        (r#"{"weights":{"memory":100}}"#, r#""placement":{"weights":{"cpu":100}}"#, "n1"),
    ] {
        let mut fleet = Fleet::new("n1 cpu 8000 mem 2GiB\nn2 cpu 2000 mem 64GiB");
        let tuning = Tuning::from_json(pool).expect("it is right");
        fleet.tell(Event::Tuning(Level::Pool, Box::new(tuning)));
        let comma = if own.is_empty() { "" } else { "," };
        fleet.put(&format!(
            r#""name":"web","resources":{{"cpu":1000,"memory":"1GiB"}}{comma}{own}"#
        ));
        fleet.settle();
        assert_eq!(fleet.show(), format!("web/0@1 {node} run running ready\n"), "{pool} {own}");
    }
}

#[test]
fn a_change_of_weights_moves_nothing() {
    let mut fleet = Fleet::new("n1\nn2");
    fleet.put(r#""name":"web","count":4"#);
    fleet.settle();
    let before = fleet.show();
    let tuning = Tuning::from_json(r#"{"weights":{"disk":100},"terms":{"own_workload":0}}"#);
    fleet.tell(Event::Tuning(Level::Fleet, Box::new(tuning.expect("it is right"))));
    fleet.advance(600);
    assert_eq!(fleet.show(), before);
}

/// What each step of a scenario did: placed, refused.
fn steps(text: &str) -> Vec<(usize, Option<String>)> {
    let scenario = ostler_core::sim::read(text).expect("it is right");
    let mut steps = Vec::new();
    let result = ostler_core::sim::run(scenario, |step| {
        steps.push((step.placed.len(), step.refused));
    });
    assert_eq!(result.exit_code(), 0, "{result:?}");
    steps
}

#[test]
fn a_scenario_may_set_quotas_and_preemption() {
    let told = steps(
        r#"{ "preemption": true, "quotas": { "default": { "instances": 3 } },
        "nodes": [ { "name": "n1", "capacity": { "cpu": 1100 } } ], "steps": [
        { "apply": { "name": "low", "driver": "sim", "count": 2, "priority": 10, "resources": { "cpu": 500 } } },
        { "scale": { "workload": "low", "count": 4 } },
        { "apply": { "name": "high", "driver": "sim", "priority": 90, "resources": { "cpu": 500 } } },
        { "apply": { "name": "more", "driver": "sim" } },
        { "scale": { "workload": "low", "count": 1 } },
        { "apply": { "name": "more", "driver": "sim" } } ] }"#,
    );
    let over = |instances| {
        format!(
            "the quota of namespace `default` would be passed: `instances`: {instances} of 3, 1 too many"
        )
    };
    let placed: Vec<usize> = told.iter().map(|(placed, _)| *placed).collect();
    assert_eq!(placed, [2, 0, 1, 0, 0, 1]);
    let refused: Vec<Option<String>> = told.into_iter().map(|(_, refused)| refused).collect();
    assert_eq!(refused, [None, Some(over(4)), None, Some(over(4)), None, None]);
}
