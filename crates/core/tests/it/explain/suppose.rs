//! What would happen: losses, drains, additions and texts, carried out to their end.

use expect_test::{Expect, expect};
use ostler_core::explain::{Supposition, WhatIf};

use crate::fleet::{Fleet, workload};

fn suppose(fleet: &Fleet, lose: &[&str], drain: &[&str], add: &[&str]) -> WhatIf {
    let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().expect(text)).collect();
    let supposed = Supposition {
        workloads: Vec::new(),
        lose: parse(lose),
        drain: parse(drain),
        add: add.iter().map(|text| text.parse().expect(text)).collect(),
    };
    fleet.engine.clone().what_if(&supposed, fleet.now, &mut || true)
}

#[track_caller]
fn check(found: &WhatIf, want: Expect) {
    let mut text = format!("{}\n", found.summary);
    for one in &found.moves {
        let (name, reason) = (&one.workload.name, one.reason);
        text += &format!("{name}/{} {} to {}: {reason}\n", one.slot, one.from, one.to);
    }
    for (key, runs) in &found.unplaced {
        for run in runs {
            text += &format!("{}/{}-{}: {:?}\n", key.name, run.slots.0, run.slots.1, run.reasons);
        }
    }
    want.assert_eq(&text);
}

fn three() -> Fleet {
    let mut fleet =
        Fleet::new("n1 zone east mem 1GiB\n n2 zone west mem 1GiB\n n3 zone west mem 1GiB");
    fleet.put(r#""name":"web","count":3,"resources":{"memory":"300MiB"}"#);
    fleet.settle();
    fleet
}

#[test]
fn a_zone_that_is_lost_is_survived_where_there_is_room() {
    check(
        &suppose(&three(), &["zone=east"], &[], &[]),
        expect![[r#"
            yes: 1 instance moves, all placed
            web/0 n1 to n2: node_lost
        "#]],
    );
}

#[test]
fn what_has_no_place_after_a_loss_is_told_with_its_reasons() {
    let mut fleet = three();
    fleet.put(r#""name":"db","count":2,"resources":{"memory":"600MiB"}"#);
    fleet.settle();
    check(
        &suppose(&fleet, &["zone=west"], &[], &[]),
        expect![[r#"
            no: 3 have no place
            db/1-1: {Liveness: 2, Memory: 2}
            web/1-2: {Liveness: 2, Memory: 2}
        "#]],
    );
    check(
        &suppose(&fleet, &["zone=west"], &[], &["3=n1"]),
        expect![[r#"
            yes: 3 instances move, all placed
            db/1 n2 to new-1: node_lost
            web/1 n2 to new-2: node_lost
            web/2 n3 to new-3: node_lost
        "#]],
    );
}

#[test]
fn a_drain_is_followed_to_its_end_however_few_move_at_a_time() {
    let mut fleet = Fleet::new("n1\n n2 cordoned");
    fleet.put(r#""name":"web","count":5"#);
    fleet.settle();
    fleet.admin("n2", ostler_core::node::Admin::Active);
    fleet.settle();
    let found = suppose(&fleet, &[], &["n1"], &[]);
    assert_eq!((found.moves.len(), found.survives), (5, true), "{}", found.summary);
    assert_eq!(found.load.0.instances, 5);
    assert_eq!((found.load.1.nodes, found.load.1.instances), (1, 5));
    assert_eq!(fleet.counts(), "n1 5, n2 0", "nothing has changed");
}

#[test]
fn a_drain_that_cannot_end_says_what_has_no_other_place() {
    let mut fleet = Fleet::new("n1\n n2");
    fleet.put(r#""name":"web","placement":{"node":"n1"}"#);
    fleet.settle();
    check(
        &suppose(&fleet, &[], &["node=n1"], &[]),
        expect![[r#"
            no: 1 has no place
            web/0-0: {Admin: 1, Pin: 1}
        "#]],
    );
}

#[test]
fn what_waits_for_its_lost_node_is_told() {
    let mut fleet = Fleet::new("n1\n n2 cordoned");
    fleet.put(r#""name":"web","reschedule":{"on_node_loss":"wait"}"#);
    fleet.settle();
    fleet.admin("n2", ostler_core::node::Admin::Active);
    let found = suppose(&fleet, &["n1"], &[], &[]);
    assert_eq!(found.waits.len(), 1);
    assert_eq!(found.summary, "yes: 1 waits for its lost node");
}

#[test]
fn a_text_is_rolled_out_to_its_end() {
    let mut fleet = three();
    let mut supposed = Supposition::default();
    let text = r#""name":"web","count":4,"resources":{"memory":"200MiB"}"#;
    supposed.workloads.push(workload(text));
    let found = fleet.engine.clone().what_if(&supposed, fleet.now, &mut || true);
    assert_eq!((found.placements.len(), found.stops.len()), (4, 3), "{}", found.summary);
    assert!(found.placements[0].why.is_some());
    fleet.settle();
    let same = r#""name":"web","count":3,"resources":{"memory":"300MiB"}"#;
    supposed.workloads = vec![workload(same)];
    let found = fleet.engine.clone().what_if(&supposed, fleet.now, &mut || true);
    assert_eq!(found.summary, "yes: nothing changes");
}

#[test]
fn an_answer_that_takes_too_long_is_broken_off_and_says_so() {
    let mut fleet = Fleet::new("n1\n n2 cordoned");
    fleet.put(r#""name":"web","count":40"#);
    fleet.settle();
    fleet.admin("n2", ostler_core::node::Admin::Active);
    let supposed = Supposition { drain: vec!["n1".parse().expect("n1")], ..Supposition::default() };
    let mut left = 10;
    let found = fleet.engine.clone().what_if(&supposed, fleet.now, &mut || {
        left -= 1;
        left > 0
    });
    assert!(!found.complete && !found.survives);
    assert!(found.summary.starts_with("not known"), "{}", found.summary);
}
