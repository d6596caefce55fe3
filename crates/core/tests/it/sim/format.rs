//! The formats of scenario files and of what is printed, which are contracts.

use expect_test::{Expect, expect};
use ostler_core::sim::{StepReport, read, render, run};

fn steps(text: &str) -> Vec<StepReport> {
    let mut steps = Vec::new();
    let result = run(read(text).expect("it is right"), |step| steps.push(step));
    assert_eq!(result.exit_code(), 0, "{result:?}");
    steps
}

const SMALL: &str = r#"{ "nodes": [ { "name": "n{1..2}", "max_instances": 1 } ],
  "steps": [ { "apply": { "name": "web", "driver": "sim", "count": 3 } }, { "advance": "1500ms" } ] }"#;

#[test]
fn a_step_is_printed_as_the_page_shows_it() {
    let steps = steps(SMALL);
    let json = serde_json::to_string(&steps[0]).expect("it has text keys");
    expect![[r#"{"step":0,"now_ms":0,"placed":[{"id":"06dndml800000001","workload":"web","slot":0,"version":1,"node":"n1","score":9927},{"id":"06dndml800000002","workload":"web","slot":1,"version":1,"node":"n2","score":9927}],"stopped":[],"moved":[],"unplaced":[{"workload":"web","slot":2,"reasons":{"max_instances":2},"nodes":{"n1":["max_instances"],"n2":["max_instances"]}}],"instances":[{"id":"06dndml800000001","workload":"web","slot":0,"version":1,"node":"n1","desired":"run","observed":"running","ready":true},{"id":"06dndml800000002","workload":"web","slot":1,"version":1,"node":"n2","desired":"run","observed":"running","ready":true}],"nodes":[{"name":"n1","admin":"active","liveness":"online","instances":1,"free":{"cpu":3800,"memory":8522825728,"disk":107374182400,"network":1000}},{"name":"n2","admin":"active","liveness":"online","instances":1,"free":{"cpu":3800,"memory":8522825728,"disk":107374182400,"network":1000}}]}"#]].assert_eq(&json);
    assert_eq!((steps[1].step, steps[1].now_ms), (1, 1500));
}

#[test]
fn people_get_a_table() {
    let text: String = steps(SMALL).iter().map(render).collect();
    expect![[r#"
        step 0 at 0s
          placed   web/0 v1 on n1 (score 9927)
          placed   web/1 v1 on n2 (score 9927)
          unplaced web/2: max_instances on 2
          NODE  STATUS  ADMIN   CPU FREE  MEMORY FREE  INSTANCES
          n1    online  active  3800m     8128MiB      1 (web v1: 0)
          n2    online  active  3800m     8128MiB      1 (web v1: 1)
        step 1 at 1500ms
          unplaced web/2: max_instances on 2
          NODE  STATUS  ADMIN   CPU FREE  MEMORY FREE  INSTANCES
          n1    online  active  3800m     8128MiB      1 (web v1: 0)
          n2    online  active  3800m     8128MiB      1 (web v1: 1)
    "#]]
    .assert_eq(&text);
}

#[test]
fn the_same_scenario_gives_the_same_answer() {
    assert_eq!(steps(SMALL), steps(SMALL));
}

/// What is wrong with this text.
#[track_caller]
fn wrong(text: &str, want: Expect) {
    let said = read(text).map_or_else(|error| error.to_string(), |_| "accepted".to_owned());
    want.assert_eq(&said);
}

#[test]
fn what_cannot_be_read_is_named_by_line_and_key() {
    wrong("", expect!["line 1: not JSON: it ends too early (column 1)"]);
    wrong("{ \"nodes\": [ }", expect!["line 1: not JSON: a value is missing (column 14)"]);
    wrong(
        "{ \"seeds\": 1,\n  \"nodes\": [ { \"nam\": \"n1\", \"capacity\": { \"cpus\": 1 } } ],\n  \"steps\": [\n    { \"aply\": {} },\n    { \"apply\": { \"name\": \"web\", \"driver\": \"sim\", \"cuont\": 3 } },\n    { \"advance\": \"30\" },\n    { \"node\": { \"name\": \"n1\", \"liveness\": \"dead\" } } ] }",
        expect![[r#"
            line 1: `seeds`: unknown key `seeds`; the nearest known key is `seed`
            line 2: `nodes[0].capacity.cpus`: unknown key `cpus`; the nearest known key is `cpu`
            line 2: `nodes[0].nam`: unknown key `nam`; the nearest known key is `name`
            line 2: `nodes[0].name`: it is required
            line 4: `steps[0]`: `aply` is none of `apply`, `scale`, `remove`, `promote`, `join`, `node`, `use`, `exit`, `advance`, `rebalance`, `expect_quiet` and `takeover`; did you mean `apply`?
            line 5: `steps[1].apply.cuont`: unknown key `cuont`; the nearest known key is `count`
            line 6: `steps[2].advance`: `30` is not a duration: a whole number and one of ms, s, m, h, d, as in `1500ms` or `5m`
            line 7: `steps[3].node.liveness`: `dead` is none of `online`, `suspect`, `offline`, `left` and `asleep`"#]],
    );
    wrong(
        "{ \"nodes\": [ { \"name\": \"n{1..2}\" }, { \"name\": \"n2\" },\n    { \"name\": \"n{\" }, { \"name\": \"n5\", \"ports\": [9, 3] } ],\n  \"steps\": [\n    { \"scale\": { \"workload\": \"web\", \"count\": 3 } },\n    { \"apply\": { \"name\": \"web\", \"driver\": \"process\" } },\n    { \"scale\": { \"workload\": \"web\", \"count\": 3000000 } },\n    { \"use\": { \"name\": \"n9\" } },\n    { \"join\": [ { \"name\": \"n1\" } ] } ] }",
        expect![[r#"
            line 1: `nodes[1].name`: node `n2` is there twice
            line 2: `nodes[2].name`: `{` without `}`
            line 2: `nodes[3].ports`: expected the first and the last port, from 1 up
            line 4: `steps[0].scale.workload`: no step before this applies `default/web`
            line 5: `steps[1].apply.process`: driver `process` needs a section `process`
            line 6: `steps[2].scale.count`: 3000000 is too many: at most 1000000
            line 7: `steps[3].use.name`: there is no node `n9`
            line 8: `steps[4].join[0].name`: node `n1` is there twice"#]],
    );
    wrong(
        "{ \"preemtion\": true,\n \"quotas\": { \"default\": { \"instanes\": 3 } } }",
        expect![[r#"
            line 1: `preemtion`: unknown key `preemtion`; the nearest known key is `preemption`
            line 2: `quotas.default.instanes`: unknown key `instanes`; the nearest known key is `instances`"#]],
    );
}

#[test]
fn a_step_that_cannot_be_made_is_told_and_the_run_goes_on() {
    let text = r#"{ "nodes": [ { "name": "n1" } ], "steps": [ { "apply": { "name": "web", "driver": "sim" } },
        { "exit": { "workload": "web", "slot": 7 } }, { "advance": "1s" } ] }"#;
    let mut refused = Vec::new();
    let result = run(read(text).expect("it is right"), |step| refused.push(step.refused));
    let why = "exit: no instance of `web` runs in slot 7".to_owned();
    assert_eq!((refused, result.exit_code()), (vec![None, Some(why), None], 0));
}

#[test]
fn what_is_on_its_way_is_not_quiet() {
    let text = r#"{ "nodes": [ { "name": "n1", "behaviour": { "start_after": "5s" } } ],
        "steps": [ { "apply": { "name": "web", "driver": "sim" } }, { "expect_quiet": {} },
        { "advance": "5s" }, { "expect_quiet": {} } ] }"#;
    let mut steps = 0;
    let result = run(read(text).expect("it is right"), |_| steps += 1);
    assert_eq!((steps, result.exit_code()), (4, 1));
    expect!["step 1: not quiet: something starts or stops on n1"]
        .assert_eq(&result.failed.join("\n"));
}
