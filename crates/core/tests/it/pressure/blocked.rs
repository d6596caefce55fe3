//! Work that waits: woken by what could help it, and by nothing else.

use ostler_core::id::NodeName;
use ostler_core::node::{Admin, Heartbeat, Use};
use ostler_core::reconcile::{Decision, Event, Plan};

use crate::fleet::Fleet;

#[derive(Clone, Copy)]
enum Then {
    /// It has a place now.
    Placed,
    /// Nothing was even looked at.
    Nothing,
}

/// A pool, what waits in it, what happens, and what comes of it.
struct Case {
    what: &'static str,
    nodes: &'static str,
    others: &'static [&'static str],
    waits: &'static str,
    happens: fn(&mut Fleet),
    then: Then,
}

fn check(case: &Case) {
    let what = case.what;
    let mut fleet = Fleet::new(case.nodes);
    for other in case.others {
        fleet.put(other);
        fleet.settle();
    }
    fleet.put(case.waits);
    fleet.settle();
    let waits = |fleet: &Fleet| {
        let key = crate::fleet::workload(case.waits).key();
        fleet.engine.status(&key).is_some_and(|status| status.unplaced > 0)
    };
    assert!(waits(&fleet), "{what}: it should wait first");
    (case.happens)(&mut fleet);
    match case.then {
        Then::Placed => {
            fleet.settle();
            assert!(!waits(&fleet), "{what}: {}", fleet.show());
        }
        Then::Nothing => {
            let plan = fleet.engine.plan(fleet.now);
            assert_eq!(plan, Plan::default(), "{what}");
        }
    }
}

fn beat(fleet: &mut Fleet, memory: u64) {
    let node: NodeName = "n1".parse().expect("a name");
    let epoch = fleet.executors[&node].node.epoch;
    let used = Use { cpu: 0, memory, disk: 0, network: 0 };
    let now = fleet.now;
    fleet.tell(Event::Heartbeat(Heartbeat {
        node,
        epoch,
        applied: ostler_core::id::Revision(0),
        used,
        load: [0; 3],
        instances: 0,
        clock: now,
        server: String::new(),
        battery: false,
        bid: None,
    }));
}

const WAITS: &str = r#""name":"big","resources":{"cpu":3000,"memory":"1GiB"}"#;

#[test]
fn room_that_is_free_again_wakes_what_waits() {
    for case in [
        Case {
            what: "cpu is free again",
            nodes: "n1",
            others: &[r#""name":"half","resources":{"cpu":2000,"memory":"1MiB"}"#],
            waits: WAITS,
            happens: |fleet| fleet.scale("default/half", 0),
            then: Then::Placed,
        },
        Case {
            what: "memory is free again",
            nodes: "n1",
            others: &[r#""name":"half","resources":{"cpu":1,"memory":"8GiB"}"#],
            waits: WAITS,
            happens: |fleet| fleet.scale("default/half", 0),
            then: Then::Placed,
        },
        Case {
            what: "a port is free again",
            nodes: "n1",
            others: &[r#""name":"half","ports":[{"name":"a","static":80}]"#],
            waits: r#""name":"big","ports":[{"name":"a","static":80}]"#,
            happens: |fleet| fleet.scale("default/half", 0),
            then: Then::Placed,
        },
        Case {
            what: "one less of those that a node takes",
            nodes: "n1 max 1",
            others: &[r#""name":"half""#],
            waits: r#""name":"big""#,
            happens: |fleet| fleet.scale("default/half", 0),
            then: Then::Placed,
        },
    ] {
        check(&case);
    }
}

#[test]
fn what_changes_of_a_node_wakes_what_waits() {
    for case in [
        Case {
            what: "a node joins",
            nodes: "n1 cpu 10",
            others: &[],
            waits: WAITS,
            happens: |fleet| fleet.join("n2"),
            then: Then::Placed,
        },
        Case {
            what: "a node takes work again",
            nodes: "n1 cordoned",
            others: &[],
            waits: WAITS,
            happens: |fleet| fleet.admin("n1", Admin::Active),
            then: Then::Placed,
        },
        Case {
            what: "a node is back",
            nodes: "n1 offline",
            others: &[],
            waits: WAITS,
            happens: |fleet| fleet.find("n1"),
            then: Then::Placed,
        },
        Case {
            what: "a node gets a label",
            nodes: "n1",
            others: &[],
            waits: r#""name":"big","placement":{"require":["node.labels.gpu == yes"]}"#,
            happens: |fleet| {
                fleet.edit("n1", |node| {
                    node.facts.labels.insert("gpu".to_owned(), "yes".to_owned());
                });
            },
            then: Then::Placed,
        },
    ] {
        check(&case);
    }
}

#[test]
fn what_changes_of_workloads_wakes_what_waits() {
    for case in [
        Case {
            what: "a new version asks for less",
            nodes: "n1 cpu 1000",
            others: &[],
            waits: WAITS,
            happens: |fleet| fleet.put(r#""name":"big","resources":{"cpu":500,"memory":"1GiB"}"#),
            then: Then::Placed,
        },
        Case {
            what: "what it wants to be near is there",
            nodes: "n1",
            others: &[],
            waits: r#""name":"big","placement":{"affinity":{"workload":"cache"}}"#,
            happens: |fleet| fleet.put(r#""name":"cache""#),
            then: Then::Placed,
        },
        Case {
            what: "the other of its group has gone",
            nodes: "n1",
            others: &[r#""name":"half","placement":{"anti_affinity":{"group":"g"}}"#],
            waits: r#""name":"big","placement":{"anti_affinity":{"group":"g"}}"#,
            happens: |fleet| fleet.scale("default/half", 0),
            then: Then::Placed,
        },
        Case {
            what: "the other of its group has gone from the zone",
            nodes: "n1 zone a cpu 100\nn2 zone a",
            others: &[
                r#""name":"half","resources":{"cpu":100,"memory":"1MiB"},"placement":{"node":"n1","anti_affinity":{"group":"g","scope":"zone"}}"#,
            ],
            waits: r#""name":"big","resources":{"cpu":3000,"memory":"1MiB"},"placement":{"anti_affinity":{"group":"g","scope":"zone"}}"#,
            happens: |fleet| fleet.scale("default/half", 0),
            then: Then::Placed,
        },
        Case {
            what: "the other of its group is lost with its node",
            nodes: "n1 zone a cpu 100\nn2 zone a\nn3 zone b cpu 100\nn4 zone b cpu 100",
            others: &[
                r#""name":"half","resources":{"cpu":100,"memory":"1MiB"},"placement":{"node":"n1","anti_affinity":{"group":"g","scope":"zone"}}"#,
            ],
            waits: r#""name":"big","resources":{"cpu":3000,"memory":"1MiB"},"placement":{"anti_affinity":{"group":"g","scope":"zone"}}"#,
            happens: |fleet| fleet.lose("n1"),
            then: Then::Placed,
        },
        Case {
            what: "the host uses less of its own",
            nodes: "n1",
            others: &[],
            waits: r#""name":"big","resources":{"cpu":1,"memory":"9GiB"}"#,
            happens: |fleet| {
                fleet.edit("n1", |node| {
                    node.facts.capacity.memory = ostler_core::resources::Bytes::from_mib(16 << 10);
                })
            },
            then: Then::Placed,
        },
    ] {
        check(&case);
    }
}

#[test]
fn what_could_not_help_wakes_nobody() {
    for case in [
        Case {
            what: "too little is free again",
            nodes: "n1\nn2 cpu 100",
            others: &[r#""name":"half","count":2,"resources":{"cpu":1500,"memory":"1MiB"}"#],
            waits: r#""name":"big","resources":{"cpu":9000,"memory":"1MiB"}"#,
            happens: |fleet| {
                fleet.scale("default/half", 1);
                let plan = fleet.engine.plan(fleet.now);
                fleet.commit(plan);
                fleet.act();
                let plan = fleet.engine.plan(fleet.now);
                assert!(!plan.decisions.iter().any(|one| matches!(one, Decision::Unplaced { .. })));
                fleet.commit(plan);
            },
            then: Then::Nothing,
        },
        Case {
            what: "a label that it does not ask for",
            nodes: "n1 cpu 100",
            others: &[],
            waits: WAITS,
            happens: |fleet| {
                fleet.edit("n1", |node| {
                    node.facts.labels.insert("x".to_owned(), "y".to_owned());
                });
            },
            then: Then::Nothing,
        },
        Case {
            what: "more of what it does not lack",
            nodes: "n1 cpu 100",
            others: &[],
            waits: WAITS,
            happens: |fleet| {
                beat(fleet, 5 << 30);
                beat(fleet, 1 << 30);
            },
            then: Then::Nothing,
        },
        Case {
            what: "a node that is too small",
            nodes: "n1 cpu 100",
            others: &[],
            waits: WAITS,
            happens: |fleet| fleet.join("n2 cpu 200"),
            then: Then::Nothing,
        },
    ] {
        check(&case);
    }
}

#[test]
fn relieved_live_use_wakes_what_waits_for_memory() {
    let mut fleet = Fleet::new("n1");
    fleet.settle();
    beat(&mut fleet, 7680 << 20);
    fleet.put(WAITS);
    fleet.settle();
    assert_eq!(fleet.show(), "");
    beat(&mut fleet, 7600 << 20);
    assert_eq!(fleet.engine.plan(fleet.now), Plan::default(), "that is not enough");
    beat(&mut fleet, 1 << 30);
    fleet.settle();
    assert_eq!(fleet.show(), "big/0@1 n1 run running ready\n");
}

#[test]
fn of_many_that_wait_for_the_same_as_many_are_placed_as_fit_the_important_first() {
    let mut fleet = Fleet::new("n1 cpu 10");
    for number in 0..20u32 {
        let priority = if number % 2 == 0 { 40 } else { 60 };
        fleet.put(&format!(
            r#""name":"w{number:02}","priority":{priority},"resources":{{"cpu":1000,"memory":"1MiB"}}"#
        ));
    }
    fleet.settle();
    fleet.decisions();
    fleet.join("n2 cpu 3000");
    fleet.settle();
    let placed: Vec<String> = fleet.decisions().lines().map(str::to_owned).collect();
    assert_eq!(placed, ["place w01/0@1 on n2", "place w03/0@1 on n2", "place w05/0@1 on n2"]);
    fleet.join("n3 cpu 99000");
    fleet.settle();
    assert_eq!(fleet.engine.instances().count(), 20);
}

#[test]
fn what_has_to_be_near_its_own_goes_anywhere_once_its_own_are_gone() {
    let mut fleet = Fleet::new("n1 cpu 2000\nn2 cpu 1500");
    fleet.executor("n1").declines.insert("web".to_owned());
    fleet.put(
        r#""name":"web","count":3,"resources":{"cpu":1000},"placement":{"affinity":{"workload":"web"}}"#,
    );
    // Two are declined on n1 and wait; the third could not be there and is not bound to it now.
    fleet.settle();
    assert_eq!(fleet.counts(), "n1 0, n2 1", "{}", fleet.decisions());
}

#[test]
fn equal_reasons_are_noted_once_for_all_slots() {
    let mut fleet = Fleet::new("n1 cpu 1000\nn2 cpu 1000");
    fleet.put(r#""name":"web","count":9,"resources":{"cpu":500,"memory":"1MiB"}"#);
    fleet.settle();
    let unplaced =
        fleet.engine.progress(&"default/web".parse().expect("a key")).expect("known").unplaced;
    assert_eq!(unplaced.len(), 1);
    assert_eq!((unplaced[0].count(), unplaced[0].runs.len()), (5, 0));
}

#[test]
fn a_system_workloads_nodes_that_say_the_same_are_noted_once() {
    let mut fleet = Fleet::new("n1 cpu 10\nn2 cpu 10\nn3\nn4 cpu 10 max 0");
    fleet.put(r#""name":"agent","kind":"system""#);
    fleet.settle();
    let unplaced =
        fleet.engine.progress(&"default/agent".parse().expect("a key")).expect("known").unplaced;
    let counts: Vec<u32> = unplaced.iter().map(|one| one.count()).collect();
    assert_eq!((counts.iter().sum::<u32>(), unplaced.len()), (3, 2));
}

/// How many bytes of memory this process holds.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("it is told");
    let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("it is there");
    let kib = line.split_whitespace().nth(1).expect("a number");
    kib.parse::<u64>().expect("a number") * 1024
}

#[test]
fn a_million_slots_that_have_no_place_neither_spin_nor_take_a_hundred_bytes_each() {
    for (workloads, count) in [(1u32, 1_000_000u32), (10_000, 100)] {
        let mut fleet = Fleet::new("n1\nn2\nn3");
        for number in 0..workloads {
            let text = format!(r#""name":"w{number}","count":{count},"resources":{{"cpu":90000}}"#);
            fleet.put(&text);
        }
        let before = resident();
        while fleet.engine.plan(fleet.now).more {}
        let each = resident().saturating_sub(before) / u64::from(workloads * count);
        println!("{workloads} x {count}: {each} bytes each");
        assert!(each <= 100, "{workloads} x {count}: {each} bytes each");
        for round in 0..100 {
            let name = format!("n{}", round % 3 + 1);
            fleet.edit(&name, |node| node.facts.version = round.to_string());
            assert_eq!(fleet.engine.plan(fleet.now), ostler_core::reconcile::Plan::default());
            assert_eq!(fleet.engine.wake_at(), None, "nobody looks again by time alone");
        }
        let unplaced = |name: &str| {
            let key = format!("default/{name}").parse().expect("a key");
            fleet.engine.status(&key).expect("known").unplaced
        };
        assert_eq!(unplaced("w0"), count);
    }
}
