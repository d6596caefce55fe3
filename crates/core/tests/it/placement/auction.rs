//! Strategy `auction`: standing bids decide.

use expect_test::expect;
use ostler_core::node::{Bid, Refusal};
use ostler_core::reconcile::Event;
use ostler_core::workload::DriverKind;

use super::explain;
use crate::fleet::{FIRST, Fleet};

/// A bid as `n1 5`, `n1 5 refuses vm: hot` or `n1 5 refuses: hot`.
fn bid(fleet: &mut Fleet, line: &str) {
    let (bid, refusal) = match line.split_once(" refuses") {
        Some((bid, refusal)) => (bid, Some(refusal.split_once(": ").expect("a reason"))),
        None => (line, None),
    };
    let (node, price) = bid.split_once(' ').expect("a node and a price");
    let refusal = refusal.map(|(kinds, why)| {
        let named = |kind: &DriverKind| kinds.trim() == kind.as_str();
        Refusal { kinds: DriverKind::ALL.into_iter().filter(named).collect(), why: why.to_owned() }
    });
    let price = price.parse().expect("a price");
    let bid = Bid { price, refusals: refusal.into_iter().collect() };
    fleet.tell(Event::Bid(node.parse().expect("a node"), FIRST, bid));
}

fn fleet(bids: &[&str]) -> Fleet {
    let mut fleet = Fleet::new("n1\nn2 cpu 64000\nn3");
    bids.iter().for_each(|line| bid(&mut fleet, line));
    fleet
}

fn auction(count: u32) -> String {
    format!(r#""name":"web","count":{count},"placement":{{"strategy":"auction"}}"#)
}

#[test]
fn the_lowest_price_wins_and_then_the_lowest_count() {
    let mut fleet = fleet(&["n1 5", "n2 9", "n3 5"]);
    fleet.put(&auction(5));
    fleet.settle();
    expect!["n1 3, n2 0, n3 2"].assert_eq(&fleet.counts());
}

#[test]
fn the_next_price_is_taken_when_the_lowest_is_full() {
    let mut fleet = fleet(&["n1 7", "n2 9", "n3 5"]);
    fleet.edit("n3", |node| node.facts.max_instances = 2);
    fleet.edit("n1", |node| node.facts.max_instances = 1);
    fleet.put(&auction(5));
    fleet.settle();
    expect!["n1 1, n2 2, n3 2"].assert_eq(&fleet.counts());
}

#[test]
fn what_others_run_on_a_node_counts() {
    let mut fleet = fleet(&["n1 5", "n2 5", "n3 5"]);
    fleet.put(r#""name":"db","count":2,"placement":{"node":"n1"}"#);
    fleet.put(&auction(4));
    fleet.settle();
    expect!["n1 2, n2 2, n3 2"].assert_eq(&fleet.counts());
}

#[test]
fn silence_is_no_and_a_refusal_is_told_with_its_reason() {
    let mut fleet = fleet(&["n1 0 refuses: quiet hours 22:00-07:00", "n2 1 refuses vm: no kvm"]);
    fleet.put(&auction(1));
    explain(
        &mut fleet,
        expect![[r#"
            n1: no, [Declined] (quiet hours 22:00-07:00)
            n2: 5000 {"base": 5000}
            n3: no, [Declined] (no standing bid)
        "#]],
    );
    let node = fleet.engine.explain_node(&"n1".parse().expect("a node"), fleet.now);
    let bid = node.and_then(|node| node.bid).expect("a bid");
    assert_eq!(bid.refusal(DriverKind::Sim), Some("quiet hours 22:00-07:00"));
}

#[test]
fn a_bid_older_than_two_beats_is_no_and_a_new_one_wakes_what_waits() {
    let mut fleet = fleet(&["n1 5"]);
    fleet.advance(2);
    fleet.put(&auction(1));
    fleet.settle();
    assert_eq!(fleet.counts(), "n1 1, n2 0, n3 0");
    fleet.advance(1);
    fleet.put(&auction(2));
    fleet.settle();
    assert_eq!(fleet.counts(), "n1 1, n2 0, n3 0");
    bid(&mut fleet, "n3 8");
    fleet.settle();
    assert_eq!(fleet.counts(), "n1 1, n2 0, n3 1");
}

#[test]
fn a_refusal_that_is_taken_back_wakes_what_waits() {
    let mut fleet = fleet(&["n1 5 refuses sim: on battery"]);
    fleet.put(&auction(1));
    fleet.settle();
    assert_eq!(fleet.counts(), "n1 0, n2 0, n3 0");
    bid(&mut fleet, "n1 5");
    fleet.settle();
    assert_eq!(fleet.counts(), "n1 1, n2 0, n3 0");
}

#[test]
fn a_refusal_counts_for_every_strategy_and_a_missing_bid_for_auctions_only() {
    let mut fleet = fleet(&["n1 0 refuses sim: on battery"]);
    fleet.put(r#""name":"web","count":3,"placement":{"strategy":"least_instances"}"#);
    fleet.settle();
    expect!["n1 0, n2 2, n3 1"].assert_eq(&fleet.counts());
}

#[test]
fn a_bid_of_an_earlier_life_of_the_executor_is_passed_over() {
    let mut fleet = fleet(&[]);
    fleet.lose("n1");
    fleet.find("n1");
    bid(&mut fleet, "n1 1");
    fleet.put(&auction(1));
    fleet.settle();
    assert_eq!(fleet.counts(), "n1 0, n2 0, n3 0");
}
