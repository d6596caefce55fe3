//! Evening out the nodes' use, by order and by itself.

use ostler_core::command::{Order, Verdict};
use ostler_core::node::Admin;
use ostler_core::reconcile::{Rebalancing, Settings};

use crate::fleet::Fleet;

fn even_out(fleet: &mut Fleet, max_moves: u32) -> usize {
    fleet.decisions();
    let id = fleet.order(Order::Rebalance { max_moves });
    fleet.settle();
    assert_eq!(fleet.outcome(&id).verdict, Verdict::Done);
    moves(&fleet.decisions())
}

fn moves(decided: &str) -> usize {
    decided
        .lines()
        .filter(|line| line.ends_with(": rebalance") && line.starts_with("place"))
        .count()
}

/// Ten instances on `n1`, then `n2` joins.
fn lopsided(more: &str) -> Fleet {
    let mut fleet = Fleet::new("n1");
    fleet.put(&format!(
        r#""name":"web","count":10,"resources":{{"cpu":200,"memory":"256MiB"}}{more}"#
    ));
    fleet.advance(10);
    fleet.join("n2");
    fleet.settle();
    fleet
}

#[test]
fn a_new_node_gets_its_share_and_a_second_run_finds_nothing() {
    let mut fleet = lopsided("");
    assert_eq!(even_out(&mut fleet, 100), 5);
    assert_eq!(fleet.counts(), "n1 5, n2 5");
    assert_eq!(even_out(&mut fleet, 100), 0);
    fleet.advance(600);
    assert_eq!(even_out(&mut fleet, 100), 0);
}

#[test]
fn at_most_so_many_are_moved() {
    let mut fleet = lopsided("");
    assert_eq!(even_out(&mut fleet, 2), 2);
    assert_eq!(fleet.counts(), "n1 8, n2 2");
}

#[test]
fn the_new_one_is_ready_before_the_old_one_ends() {
    let mut fleet = lopsided("");
    fleet.executor("n2").unready.insert("web".to_owned());
    let id = fleet.order(Order::Rebalance { max_moves: 1 });
    fleet.settle();
    assert_eq!(fleet.counts(), "n1 10, n2 1");
    assert_eq!(fleet.outcome(&id).verdict, Verdict::Running);
    assert_eq!(fleet.outcome(&id).reason, "1 being moved");
    fleet.executor("n2").unready.clear();
    fleet.act();
    fleet.settle();
    assert_eq!(fleet.counts(), "n1 9, n2 1");
    assert_eq!(fleet.outcome(&id).verdict, Verdict::Done);
}

#[test]
fn a_plan_says_what_would_be_moved_and_moves_nothing() {
    let mut fleet = lopsided("");
    let plan = fleet.engine.evening(3, fleet.now);
    assert_eq!(plan.moves.len(), 3);
    assert!(plan.moves.iter().all(|one| one.from.as_str() == "n1" && one.to.as_str() == "n2"));
    assert_eq!((plan.before, plan.after), (25, 10));
    assert_eq!(fleet.counts(), "n1 10, n2 0");
}

#[test]
fn what_cannot_be_moved_without_harm_stays() {
    for (what, more) in [
        ("pinned", r#","placement":{"node":"n1"}"#),
        ("a job", r#","kind":"job""#),
        ("fenced", r#","reschedule":{"on_node_loss":"fence"}"#),
        ("packed", r#","placement":{"strategy":"binpack"}"#),
        ("bound to where others are", r#","placement":{"max_per":{"node.zone":99}}"#),
        (
            "preferring its node",
            r#","placement":{"prefer":[{"attribute":"node.name","value":"n1"}]}"#,
        ),
    ] {
        let mut fleet = lopsided(more);
        assert_eq!(even_out(&mut fleet, 100), 0, "{what}");
    }
}

#[test]
fn a_node_that_takes_no_work_gets_none() {
    let mut fleet = lopsided("");
    fleet.admin("n2", Admin::Cordoned);
    assert_eq!(even_out(&mut fleet, 100), 0);
}

#[test]
fn what_was_moved_rests_for_five_minutes() {
    let mut fleet = lopsided("");
    even_out(&mut fleet, 100);
    // All that stays on the full node was not moved, so only what was moved could go back.
    fleet.admin("n1", Admin::Cordoned);
    fleet.scale("default/web", 6);
    fleet.settle();
    fleet.admin("n1", Admin::Active);
    fleet.settle();
    let before = fleet.counts();
    let moved = even_out(&mut fleet, 100);
    fleet.advance(301);
    let later = even_out(&mut fleet, 100);
    assert!(moved <= later + moved, "{before}: {moved} then {later}");
}

#[test]
fn cpu_and_memory_are_two_things() {
    // n1 is full of what needs cpu, n2 of what needs memory.
    let mut fleet = Fleet::new("n1\nn2");
    fleet.put(r#""name":"cpu","count":8,"resources":{"cpu":400,"memory":"1MiB"},"placement":{"prefer":[{"attribute":"node.name","value":"n1","weight":100}]}"#);
    fleet.put(r#""name":"mem","count":6,"resources":{"cpu":1,"memory":"1GiB"},"placement":{"prefer":[{"attribute":"node.name","value":"n2","weight":100}]}"#);
    fleet.advance(10);
    fleet.put(r#""name":"cpu","count":8,"resources":{"cpu":400,"memory":"1MiB"}"#);
    fleet.put(r#""name":"mem","count":6,"resources":{"cpu":1,"memory":"1GiB"}"#);
    fleet.advance(10);
    let on = |fleet: &Fleet, name: &str, node: &str| {
        fleet.show().lines().filter(|line| line.starts_with(name) && line.contains(node)).count()
    };
    let before = (on(&fleet, "cpu", "n1"), on(&fleet, "mem", "n2"));
    even_out(&mut fleet, 100);
    let after = (on(&fleet, "cpu", "n1"), on(&fleet, "mem", "n2"));
    assert!(before.0 >= 6 && before.1 >= 5, "{before:?}");
    assert_eq!(after, (4, 3));
}

fn automatic(rebalance: Rebalancing) -> Fleet {
    let settings = Settings { rebalance, ..Settings::default() };
    let mut fleet = Fleet::with("n1", settings);
    fleet.put(r#""name":"web","count":10,"resources":{"cpu":200,"memory":"256MiB"}"#);
    fleet.advance(120);
    fleet.decisions();
    fleet.join("n2");
    fleet
}

#[test]
fn a_node_that_joins_is_filled_where_the_pool_says_so() {
    let wanted = Rebalancing { on_join: true, threshold: 0, max_moves: 2 };
    let mut fleet = automatic(wanted);
    fleet.advance(29);
    assert_eq!(fleet.counts(), "n1 10, n2 0", "it may be gone again soon");
    fleet.advance(1);
    assert_eq!(fleet.counts(), "n1 8, n2 2", "so many at a time");
    fleet.advance(300);
    assert_eq!(fleet.counts(), "n1 5, n2 5");
    fleet.decisions();
    fleet.advance(3600);
    assert_eq!(fleet.decisions(), "");
}

#[test]
fn a_full_node_is_relieved_above_the_threshold_and_left_alone_below() {
    for (threshold, then) in [(20, "n1 5, n2 5"), (30, "n1 10, n2 0"), (0, "n1 10, n2 0")] {
        let mut fleet = automatic(Rebalancing { on_join: false, threshold, max_moves: 2 });
        fleet.advance(59);
        assert_eq!(fleet.counts(), "n1 10, n2 0", "one look is not enough");
        fleet.advance(600);
        let close = fleet.counts();
        if threshold == 20 {
            assert!(["n1 6, n2 4", then].contains(&close.as_str()), "{close}");
        } else {
            assert_eq!(close, then, "{threshold}");
        }
    }
}

#[test]
fn once_begun_it_goes_on_to_half_the_threshold_and_begins_again_only_above_it() {
    let rebalance = Rebalancing { on_join: false, threshold: 20, max_moves: 2 };
    // Only cpu counts: an instance is 5 % of a node.
    let settings = Settings { rebalance, weights: [100, 0, 0, 0], ..Settings::default() };
    let mut fleet = Fleet::with("n1", settings);
    fleet.put(r#""name":"web","count":10,"resources":{"cpu":200,"memory":"1MiB"}"#);
    fleet.advance(120);
    fleet.join("n2");
    fleet.advance(600);
    assert_eq!(
        fleet.counts(),
        "n1 6, n2 4",
        "25 % too full, then 15, then 5, which is less than 10"
    );
    let more = |fleet: &mut Fleet, cpu: u32| {
        fleet.put(&format!(
            r#""name":"more","resources":{{"cpu":{cpu},"memory":"1MiB"}},"placement":{{"node":"n1"}}"#
        ));
        fleet.advance(600);
        fleet.counts()
    };
    assert_eq!(more(&mut fleet, 600), "n1 7, n2 4", "12 % too full: below the threshold");
    // 21 % too full: it begins again, until the workload would have to go where more of it are.
    assert_eq!(more(&mut fleet, 1300), "n1 5, n2 6");
}

#[test]
fn a_new_leader_takes_no_node_for_new() {
    let mut fleet = automatic(Rebalancing { on_join: true, threshold: 0, max_moves: 2 });
    fleet.executor("n2").declines.clear();
    let settings = fleet.engine.settings().clone();
    let mut next = fleet.takeover(crate::fleet::Reverse::No);
    assert_eq!(settings.rebalance.max_moves, 2);
    next.advance(600);
    assert_eq!(moves(&next.decisions()), 0);
}
