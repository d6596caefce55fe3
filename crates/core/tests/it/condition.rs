//! Conditions on the fleet: what holds of which, and what is refused where.

use expect_test::expect;
use ostler_core::feasible::{Condition, Muster, Standing};
use ostler_core::placement::Seat;

use crate::fleet::node;

const FLEET: &str = "n1 cpu 4000 mem 8GiB zone a gpu a100\nn2 cpu 2000 mem 4GiB zone b\nn3 cpu 1000 mem 1GiB zone b";

fn holds(text: &str) -> bool {
    let nodes: Vec<_> = FLEET.lines().map(node).collect();
    let free = |node: &ostler_core::node::Node| Seat::new(&node.facts).usable();
    let online = nodes.iter().map(|node| Standing { node, free: free(node) }).collect();
    let condition: Condition = text.parse().unwrap_or_else(|error| panic!("{error}"));
    condition.holds(&Muster { online, asleep: 1 })
}

#[test]
fn what_holds_of_three_nodes() {
    for text in [
        "nodes(online) >= 3",
        "nodes(asleep) >= 1 && nodes( online )>=2",
        "!nodes(online) >= 4",
        "count(nodes where node.zone == b) >= 2",
        "count(nodes where node.zone == b, node.cpu >= 2000) >= 1",
        "count(nodes where node.zone in a, b) >= 3",
        "count(nodes where node.cpu >= 1000, < 3000, node.zone ~ '^(b|c)$') >= 2",
        "sum(free.cpu) >= 7000",
        "sum(free.memory) >= 13GiB",
        "sum(free.memory where node.zone == b) >= 5GiB",
        "sum(free.disk where node.labels.gpu is_set, node.zone == a) >= 100GiB",
        "any(node.labels.gpu == a100)",
        "any(node.labels.gpu == ')') || any(node.zone == a)",
        "nodes(online) >= 9 || nodes(online) >= 1 && any(node.zone == a)",
        "!(nodes(online) >= 9 || !any(node.zone == a))",
        "count(nodes where node.zone == nowhere) >= 0",
    ] {
        assert!(holds(text), "{text}");
    }
}

#[test]
fn what_does_not_hold_of_them() {
    for text in [
        "nodes(online) >= 4",
        "nodes(asleep) >= 2",
        "count(nodes where node.zone == b, node.cpu >= 3000) >= 1",
        "sum(free.cpu) >= 7001",
        "sum(free.memory where node.zone == b) >= 6GiB",
        "any(node.zone == c)",
        "(nodes(online) >= 9 || nodes(online) >= 1) && any(node.zone == c)",
        "!any(node.zone == a) || !any(node.zone == b)",
    ] {
        assert!(!holds(text), "{text}");
    }
}

#[test]
fn what_is_no_condition_is_refused_with_its_place() {
    let said: Vec<String> = [
        "",
        "nodes(online) > 3",
        "nodes(online) >= many",
        "nodes(awake) >= 3",
        "nodes(online >= 3",
        "(nodes(online) >= 3",
        "nodes(online) >= 3 and any(node.zone == a)",
        "nodes(online) >= 3 && ",
        "count(node.zone == a) >= 3",
        "count(nodes where ) >= 3",
        "count(nodes where node.zone ?? a) >= 3",
        "any(node.zone == a, node.kernel >= new)",
        "any(node.zoen == a)",
        "sum(free.gpu) >= 1",
        "sum(free.memory) >= lots",
        "sum(free.memory when node.zone == a) >= 1",
        "größe(online) >= 1",
        "!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!nodes(online) >= 1",
    ]
    .iter()
    .map(|text| text.parse::<Condition>().expect_err(text).to_string() + "\n")
    .collect();
    expect![[r#"
        ``, column 1: `count(`, `nodes(`, `sum(`, `any(`, `!` or `(` is wanted here, not the end
        `nodes(online) > 3`, column 15: `>=` is wanted here, not `>`
        `nodes(online) >= many`, column 18: `many` is not a whole number
        `nodes(awake) >= 3`, column 7: `online` or `asleep` is wanted here, not `awake`
        `nodes(online >= 3`, column 6: this parenthesis is not closed
        `(nodes(online) >= 3`, column 1: this parenthesis is not closed
        `nodes(online) >= 3 and any(node.zone == a)`, column 20: `&&` or `||` is wanted here, not `and`
        `nodes(online) >= 3 && `, column 23: `count(`, `nodes(`, `sum(`, `any(`, `!` or `(` is wanted here, not the end
        `count(node.zone == a) >= 3`, column 7: `nodes` is wanted here, not `node.zone`
        `count(nodes where ) >= 3`, column 19: an attribute such as `node.arch` is missing
        `count(nodes where node.zone ?? a) >= 3`, column 29: `??` is not an operator: == != < <= > >= ~> ~ in contains contains_any is_set is_not_set semver
        `any(node.zone == a, node.kernel >= new)`, column 36: `new` is not a version
        `any(node.zoen == a)`, column 5: `node.zoen` is not an attribute of nodes
        `sum(free.gpu) >= 1`, column 5: `free.cpu`, `free.memory` or `free.disk` is wanted here, not `free.gpu`
        `sum(free.memory) >= lots`, column 21: `lots` is not a size, such as `8GiB`
        `sum(free.memory when node.zone == a) >= 1`, column 17: `where` is wanted here, not `when`
        `größe(online) >= 1`, column 1: `count(`, `nodes(`, `sum(`, `any(`, `!` or `(` is wanted here, not `größe(online)`
        `!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!nodes(online) >= 1`, column 33: more than 32 parentheses in each other
    "#]].assert_eq(&said.concat());
}
