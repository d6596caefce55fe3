//! Blocked work is placed as soon as it could be: an engine that looks at everything anew at any
//! moment finds nothing more to place, nor to end for more important work.

use ostler_core::node::Admin;
use ostler_core::reconcile::{Decision, Settings};
use proptest::prelude::*;

use crate::fleet::{Fleet, Reverse};

#[derive(Debug, Clone)]
enum Happens {
    Put(usize, u32, u32),
    Scale(usize, u32),
    Admin(usize, bool),
    Lose(usize),
    Find(usize),
    Label(usize, u32),
    Join(u32),
    Declines(usize, usize),
    Advance(u64),
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        (0usize..6, 0u32..8, 0u32..8).prop_map(|(a, b, c)| Happens::Put(a, b, c)),
        (0usize..6, 0u32..8).prop_map(|(a, b)| Happens::Scale(a, b)),
        (0usize..4, any::<bool>()).prop_map(|(a, b)| Happens::Admin(a, b)),
        // Fewer than are a mass.
        (0usize..2).prop_map(Happens::Lose),
        (0usize..2).prop_map(Happens::Find),
        (0usize..4, 0u32..3).prop_map(|(a, b)| Happens::Label(a, b)),
        (0u32..6).prop_map(Happens::Join),
        (0usize..4, 0usize..6).prop_map(|(a, b)| Happens::Declines(a, b)),
        prop_oneof![Just(1), Just(30), Just(301)].prop_map(Happens::Advance),
    ]
}

const RULES: [&str; 8] = [
    "",
    r#""anti_affinity":{"group":"g"}"#,
    r#""anti_affinity":{"group":"g","scope":"zone"}"#,
    r#""max_per":{"node.zone":2}"#,
    r#""affinity":{"workload":"w0"}"#,
    r#""require":["node.labels.gpu == g1"]"#,
    r#""spread":{"attribute":"node.zone"}"#,
    r#""node":"n1""#,
];

fn make(fleet: &mut Fleet, event: &Happens) {
    let name = |node: usize| format!("n{node}");
    match event {
        Happens::Put(which, size, rule) => {
            let rules = RULES[usize::try_from(*rule).expect("few")];
            let ports = if size % 3 == 0 { r#"{"name":"a","static":90}"# } else { "" };
            fleet.put(&format!(
                r#""name":"w{which}","count":{},"priority":{},"resources":{{"cpu":{},"memory":"{}MiB"}},"ports":[{ports}],"placement":{{{rules}}}"#,
                1 + size % 4, which * 15, 400 + 300 * size, 64 + 700 * (size % 3),
            ));
        }
        Happens::Scale(which, count) => {
            let key = format!("default/w{which}");
            if fleet.heads.contains_key(&key.parse().expect("a key")) {
                fleet.scale(&key, *count);
            }
        }
        Happens::Admin(node, on) => {
            let admin = if *on { Admin::Active } else { Admin::Cordoned };
            fleet.admin(&name(*node), admin);
        }
        Happens::Lose(node) => {
            if fleet.executor(&name(*node)).alive {
                fleet.lose(&name(*node));
            }
        }
        Happens::Find(node) => {
            if !fleet.executor(&name(*node)).alive {
                fleet.find(&name(*node));
            }
        }
        Happens::Label(node, value) => {
            fleet.edit(&name(*node), |node| {
                node.facts.labels.insert("gpu".to_owned(), format!("g{value}"));
            });
        }
        Happens::Join(number) => {
            let line = format!("j{number} cpu 1500 zone z{} gpu g{}", number % 3, number % 2);
            if !fleet.executors.contains_key(&format!("j{number}").parse().expect("a name")) {
                fleet.join(&line);
            }
        }
        Happens::Declines(node, which) => {
            let executor = fleet.executor(&name(*node));
            if !executor.declines.remove(&format!("w{which}")) {
                executor.declines.insert(format!("w{which}"));
            }
        }
        Happens::Advance(seconds) => fleet.advance(*seconds),
    }
}

fn acts(decision: &Decision) -> bool {
    matches!(decision, Decision::Place { .. } | Decision::Preempt { .. })
}

const NODES: &str =
    "n0 zone z0 cpu 3000\nn1 zone z1 cpu 2000 gpu g1\nn2 zone z1 mem 2GiB\nn3 zone z2 max 2";

/// After each event, an engine that looks at everything anew finds nothing to place.
fn check(events: &[Happens], preemption: bool) -> Result<(), String> {
    let mut fleet = Fleet::with(NODES, Settings { preemption, ..Settings::default() });
    for event in events {
        make(&mut fleet, event);
        fleet.settle();
        let mut anew = fleet.takeover(Reverse::No);
        let plan = anew.engine.plan(anew.now);
        let missed: Vec<_> = plan.decisions.iter().filter(|one| acts(one)).collect();
        if !missed.is_empty() {
            return Err(format!("after {event:?}: {missed:?}\n{}", fleet.show()));
        }
    }
    Ok(())
}

#[test]
fn a_node_that_refuses_the_first_in_line_is_offered_to_the_next() {
    use Happens::{Admin, Declines, Put, Scale};
    let both_want_the_same_port = [Put(4, 0, 7), Put(0, 0, 7)];
    let mut events = vec![Admin(1, false)];
    events.extend(both_want_the_same_port);
    events.extend([Declines(1, 4), Scale(4, 2), Admin(1, true)]);
    assert_eq!(check(&events, false), Ok(()));
}

/// It stood first in their line, and had no use for what it spoke for.
#[test]
fn one_of_kind_system_kept_others_from_a_node_where_it_ran_already() {
    let mut fleet = Fleet::new("n1 cpu 400\nn2 cpu 200");
    let ask = r#""resources":{"cpu":200}"#;
    for (name, node) in [("first", "n1"), ("second", "n2")] {
        fleet.put(&format!(r#""name":"{name}",{ask},"placement":{{"node":"{node}"}}"#));
    }
    fleet.settle();
    fleet.put(&format!(r#""name":"agent","kind":"system","priority":90,{ask}"#));
    fleet.settle();
    fleet.put(&format!(r#""name":"web","priority":10,{ask}"#));
    fleet.settle();
    assert_eq!(fleet.counts(), "n1 2, n2 1", "the agent has no place on n2, web none at all");
    fleet.scale("first", 0);
    fleet.settle();
    assert!(fleet.show().contains("web/0@1 n1 run"), "{}", fleet.show());
}

/// What asks for the same room as one that found no place was taken to have none either.
#[test]
fn one_without_a_bid_or_an_image_kept_others_from_a_place_that_was_theirs() {
    let text = |name: &str, platform: &str, more: &str| {
        format!(r#""name":"{name}","driver":"docker","docker":{{"image":"web"{platform}}},{more}"#)
    };
    for (platform, strategy) in [("", "auction"), (r#","platform":"arm64""#, "weighted")] {
        let mut fleet = Fleet::new("n1 driver docker");
        let placement = format!(r#""priority":90,"placement":{{"strategy":"{strategy}"}}"#);
        fleet.put(&text("first", platform, &placement));
        fleet.put(&text("second", "", r#""priority":10"#));
        fleet.settle();
        assert_eq!(fleet.counts(), "n1 1", "{platform} {strategy}");
        // It waits in a line of its own, too.
        fleet.admin("n1", ostler_core::node::Admin::Cordoned);
        fleet.scale("second", 2);
        fleet.settle();
        fleet.admin("n1", ostler_core::node::Admin::Active);
        fleet.settle();
        assert_eq!(fleet.counts(), "n1 2", "{platform} {strategy}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn whoever_looks_at_everything_anew_finds_nothing_more_to_place(
        events in prop::collection::vec(happens(), 1..40), preemption in any::<bool>(),
    ) {
        prop_assert_eq!(check(&events, preemption), Ok(()));
    }
}
