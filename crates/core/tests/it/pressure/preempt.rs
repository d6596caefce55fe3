//! More important work has less important work ended where the pool allows it.

use expect_test::expect;
use ostler_core::explain::Supposition;
use ostler_core::reconcile::{Event, Settings};
use ostler_core::tuning::{Level, Tuning};

use crate::fleet::{Fleet, Reverse};

fn pool(nodes: &str) -> Fleet {
    Fleet::with(nodes, Settings { preemption: true, ..Settings::default() })
}

/// `low 10 1000 x3` …: name, priority, cpu, count; settled one after the other.
fn run(fleet: &mut Fleet, lines: &[(&str, u8, u64, u32)]) {
    for (name, priority, cpu, count) in lines {
        put(fleet, (name, *priority, *cpu, *count), "");
        fleet.settle();
    }
}

fn put(fleet: &mut Fleet, (name, priority, cpu, count): (&str, u8, u64, u32), more: &str) {
    fleet.put(&format!(
        r#""name":"{name}","priority":{priority},"count":{count},"resources":{{"cpu":{cpu},"memory":"1MiB"}}{more}"#
    ));
}

fn decisions_of(mut fleet: Fleet, line: (&str, u8, u64, u32), more: &str) -> String {
    fleet.decisions();
    put(&mut fleet, line, more);
    fleet.settle();
    fleet.decisions()
}

#[test]
fn the_least_important_go_first_and_the_place_is_taken_when_they_have_ended() {
    let mut fleet = pool("n1 cpu 4000");
    run(&mut fleet, &[("low", 10, 1000, 2), ("mid", 60, 1000, 2)]);
    fleet.executor("n1").slow_to_stop = true;
    fleet.decisions();
    run(&mut fleet, &[("high", 90, 1000, 1)]);
    expect![[r#"
        evict low/1 on n1 for high/0
        stop low/1 on n1: preempted
    "#]]
    .assert_eq(&fleet.decisions());
    fleet.executor("n1").slow_to_stop = false;
    fleet.act();
    fleet.settle();
    expect![[r#"
        place high/0@1 on n1
        no place for low/1-1: {Cpu: 1}
    "#]]
    .assert_eq(&fleet.decisions());
}

#[test]
fn nobody_goes_where_it_is_not_allowed_or_the_difference_is_less_than_ten() {
    let mut fleet = Fleet::new("n1 cpu 1000");
    run(&mut fleet, &[("low", 10, 1000, 1)]);
    expect![[r#"
        no place for high/0-0: {Cpu: 1}
    "#]]
    .assert_eq(&decisions_of(fleet, ("high", 90, 1000, 1), ""));
    for (priority, evicts) in [(59, false), (60, true), (50, false), (49, false)] {
        let mut fleet = pool("n1 cpu 1000");
        run(&mut fleet, &[("low", 50, 1000, 1)]);
        let decided = decisions_of(fleet, ("high", priority, 1000, 1), "");
        assert_eq!(decided.contains("evict"), evicts, "{priority}: {decided}");
    }
}

#[test]
fn priority_10_and_90_do_not_look_alike() {
    // Ninety small ones of priority 10 against one of 85: the sum must not hide the highest.
    let mut fleet = pool("n1 cpu 900 max 100\nn2 cpu 900");
    put(&mut fleet, ("dear", 85, 900, 1), r#","placement":{"node":"n2"}"#);
    put(&mut fleet, ("cheap", 10, 10, 90), r#","placement":{"node":"n1"}"#);
    fleet.settle();
    let decided = decisions_of(fleet, ("high", 95, 900, 1), "");
    assert_eq!(decided.lines().filter(|line| line.starts_with("evict cheap")).count(), 90);
    assert!(decided.contains("place high/0@1 on n1"), "{decided}");
    assert!(!decided.contains("dear"), "{decided}");
}

#[test]
fn of_equally_important_ones_the_fewest_go() {
    let mut fleet = pool("n1 cpu 4000\nn2 cpu 4000");
    put(&mut fleet, ("many", 10, 1000, 4), r#","placement":{"node":"n1"}"#);
    put(&mut fleet, ("one", 10, 4000, 1), r#","placement":{"node":"n2"}"#);
    fleet.settle();
    expect![[r#"
        evict one/0 on n2 for high/0
        stop one/0 on n2: preempted
        place high/0@1 on n2
        no place for one/0-0: {Pin: 1, Cpu: 2}
    "#]]
    .assert_eq(&decisions_of(fleet, ("high", 90, 3000, 1), ""));
}

#[test]
fn nobody_goes_in_vain() {
    for (nodes, more) in [
        // Even the empty node would be too small, or of another kind.
        ("n1 cpu 2000", ""),
        ("n1 cpu 8000", r#","placement":{"require":["node.arch == arm64"]}"#),
        ("n1 cpu 8000 max 4", r#","placement":{"node":"n9"}"#),
        ("n1 cpu 8000 ports 100-101", r#","ports":[{"name":"a","count":3}]"#),
    ] {
        let mut fleet = pool(nodes);
        run(&mut fleet, &[("low", 10, 2000, 4)]);
        let decided = decisions_of(fleet, ("high", 90, 4000, 1), more);
        assert!(!decided.contains("evict"), "{nodes} {more}: {decided}");
    }
}

#[test]
fn who_ends_anyway_is_waited_for() {
    let mut fleet = pool("n1 cpu 2000");
    run(&mut fleet, &[("low", 10, 1000, 2)]);
    fleet.executor("n1").slow_to_stop = true;
    fleet.scale("default/low", 1);
    fleet.settle();
    fleet.decisions();
    run(&mut fleet, &[("high", 90, 1000, 1)]);
    assert_eq!(fleet.decisions(), "", "the one that is ending makes room enough");
    fleet.executor("n1").slow_to_stop = false;
    fleet.act();
    fleet.settle();
    expect![[r#"
        place high/0@1 on n1
    "#]]
    .assert_eq(&fleet.decisions());
}

#[test]
fn ports_groups_and_the_number_of_instances_make_victims_too() {
    for (what, nodes, low, high) in [
        (
            "ports",
            "n1",
            r#","ports":[{"name":"a","static":80}]"#,
            r#","ports":[{"name":"b","static":80}]"#,
        ),
        (
            "dynamic ports",
            "n1 ports 100-102",
            r#","ports":[{"name":"a","count":2}]"#,
            r#","ports":[{"name":"b","count":2}]"#,
        ),
        ("max", "n1 max 1", "", ""),
        (
            "group",
            "n1",
            r#","placement":{"anti_affinity":{"group":"g"}}"#,
            r#","placement":{"anti_affinity":{"group":"g"}}"#,
        ),
        (
            "zone",
            "n1 zone a\nn2 zone a cpu 1",
            r#","placement":{"node":"n1","anti_affinity":{"group":"g","scope":"zone"}}"#,
            r#","placement":{"anti_affinity":{"group":"g","scope":"zone"}}"#,
        ),
    ] {
        let mut fleet = pool(nodes);
        put(&mut fleet, ("low", 10, 10, 1), low);
        fleet.settle();
        let decided = decisions_of(fleet, ("high", 90, 10, 1), high);
        assert!(decided.starts_with("evict low/0 on n1 for high/0"), "{what}: {decided}");
        assert!(decided.contains("place high/0@1 on n1"), "{what}: {decided}");
    }
}

#[test]
fn whom_it_has_to_be_near_does_not_go() {
    let mut fleet = pool("n1 cpu 1000");
    run(&mut fleet, &[("cache", 10, 1000, 1)]);
    let near = r#","placement":{"affinity":{"workload":"cache"}}"#;
    let decided = decisions_of(fleet, ("high", 90, 1000, 1), near);
    assert!(!decided.contains("evict"), "{decided}");
}

#[test]
fn a_member_of_the_group_that_is_important_bars_the_node() {
    let mut fleet = pool("n1");
    let group = r#","placement":{"anti_affinity":{"group":"g"}}"#;
    put(&mut fleet, ("low", 10, 3000, 1), "");
    put(&mut fleet, ("peer", 85, 10, 1), group);
    fleet.settle();
    let decided = decisions_of(fleet, ("high", 90, 4000, 1), group);
    assert!(!decided.contains("evict"), "{decided}");
}

#[test]
fn the_place_is_kept_from_others_until_it_is_taken() {
    let mut fleet = pool("n1 cpu 2000");
    run(&mut fleet, &[("low", 10, 1000, 2)]);
    fleet.executor("n1").slow_to_stop = true;
    run(&mut fleet, &[("high", 90, 2000, 1)]);
    // One of two has ended: what it left is not free for others.
    let executor = fleet.executor("n1");
    let first = *executor.statuses.keys().next().expect("there are two");
    executor.statuses.get_mut(&first).expect("it is there").observed =
        ostler_core::instance::Observed::Stopped;
    let report = executor.report();
    fleet.tell(Event::Report("n1".parse().expect("a name"), Box::new(report)));
    fleet.decisions();
    run(&mut fleet, &[("quick", 85, 1000, 1)]);
    assert!(!fleet.decisions().contains("@"), "{}", fleet.show());
    let mut next = fleet.takeover(Reverse::Yes);
    next.settle();
    assert!(!next.decisions().contains("@"), "the next leader keeps it too");
    for fleet in [&mut fleet, &mut next] {
        fleet.executor("n1").slow_to_stop = false;
        fleet.act();
        fleet.settle();
        assert_eq!(fleet.show(), "high/0@1 n1 run running ready\n");
    }
}

#[test]
fn a_place_is_given_up_when_its_node_is_lost_or_the_work_is_not_wanted_any_more() {
    let mut lost = pool("n1 cpu 1000\nn2 cpu 1000 cordoned");
    run(&mut lost, &[("low", 10, 1000, 1)]);
    lost.executor("n1").slow_to_stop = true;
    run(&mut lost, &[("high", 90, 1000, 1)]);
    let mut gone = lost.clone();
    lost.lose("n1");
    lost.admin("n2", ostler_core::node::Admin::Active);
    lost.settle();
    assert!(lost.show().contains("high/0@1 n2 run running"), "{}", lost.show());
    gone.scale("default/high", 0);
    gone.executor("n1").slow_to_stop = false;
    gone.act();
    gone.settle();
    assert_eq!(gone.show(), "low/0@1 n1 run running ready\n", "it may come back");
}

#[test]
fn victims_go_elsewhere_where_they_can() {
    let mut fleet = pool("n1 cpu 2000 ssd yes\nn2 cpu 1000");
    put(
        &mut fleet,
        ("low", 10, 1000, 1),
        r#","placement":{"prefer":[{"attribute":"node.name","value":"n1","weight":100}]}"#,
    );
    fleet.settle();
    expect![[r#"
        evict low/0 on n1 for high/0
        stop low/0 on n1: preempted
        place high/0@1 on n1
        place low/0@1 on n2 instead of n1: preempted
    "#]]
    .assert_eq(&decisions_of(
        fleet,
        ("high", 90, 2000, 1),
        r#","placement":{"require":["node.labels.ssd == yes"]}"#,
    ));
}

#[test]
fn system_work_has_less_important_work_ended_on_each_node() {
    let mut fleet = pool("n1 cpu 1000\nn2 cpu 1000");
    run(&mut fleet, &[("low", 10, 500, 4)]);
    let decided = decisions_of(fleet, ("agent", 80, 600, 1), r#","kind":"system""#);
    assert_eq!(decided.lines().filter(|line| line.starts_with("evict low")).count(), 4);
    assert_eq!(decided.lines().filter(|line| line.starts_with("place agent")).count(), 2);
}

#[test]
fn a_plan_shows_who_would_have_to_go_and_changes_nothing() {
    let mut fleet = pool("n1 cpu 1000");
    run(&mut fleet, &[("low", 10, 1000, 1)]);
    let high = crate::fleet::workload(
        r#""name":"high","priority":90,"resources":{"cpu":1000,"memory":"1MiB"}"#,
    );
    let supposed = Supposition { workloads: vec![high], ..Supposition::default() };
    let what_if = fleet.engine.clone().what_if(&supposed, fleet.now, &mut || true);
    let evicted: Vec<String> = what_if
        .evictions
        .iter()
        .map(|one| format!("{}/{} on {} for {}", one.workload, one.slot, one.node, one.by))
        .collect();
    assert_eq!(evicted, ["default/low/0 on n1 for default/high"]);
    let placed: Vec<String> = what_if.placements.iter().map(|p| p.workload.to_string()).collect();
    assert_eq!(placed, ["default/high"]);
    let without: Vec<String> = what_if.unplaced.keys().map(ToString::to_string).collect();
    assert_eq!(without, ["default/low"], "nowhere else is room for who has to go");
    assert_eq!(fleet.show(), "low/0@1 n1 run running ready\n");
}

#[test]
fn switching_it_on_helps_who_waits_already() {
    let mut fleet = Fleet::new("n1 cpu 1000");
    run(&mut fleet, &[("low", 10, 1000, 1), ("high", 90, 1000, 1)]);
    assert!(fleet.show().starts_with("low"));
    let on = Tuning { preemption: Some(true), ..Tuning::default() };
    fleet.tell(Event::Tuning(Level::Fleet, Box::new(on)));
    fleet.settle();
    assert_eq!(fleet.show(), "high/0@1 n1 run running ready\n");
}

#[test]
fn making_a_workload_less_important_helps_who_waits_for_its_place() {
    let mut fleet = pool("n1 cpu 1000");
    run(&mut fleet, &[("low", 85, 1000, 1), ("high", 90, 1000, 1)]);
    assert!(fleet.show().starts_with("low"));
    run(&mut fleet, &[("low", 10, 1000, 1)]);
    assert_eq!(fleet.show(), "high/0@1 n1 run running ready\n");
}

#[test]
fn a_place_that_was_kept_for_what_has_become_unimportant_goes_to_who_waits() {
    let mut fleet = pool("n1 cpu 1000");
    run(&mut fleet, &[("low", 10, 1000, 1)]);
    fleet.executor("n1").slow_to_stop = true;
    run(&mut fleet, &[("mid", 90, 1000, 1)]);
    run(&mut fleet, &[("mid", 20, 1000, 1), ("high", 60, 1000, 1)]);
    fleet.executor("n1").slow_to_stop = false;
    fleet.act();
    fleet.settle();
    assert_eq!(fleet.show(), "high/0@1 n1 run running ready\n");
}

#[test]
fn what_waits_for_a_kept_place_keeps_its_ports_while_it_waits() {
    // Two that need the same port have one node each; both wait there for who is slow to stop.
    let mut fleet = pool("n1 cpu 1000\nn2 cpu 1000");
    put(&mut fleet, ("old", 10, 500, 2), r#","ports":[{"name":"a","static":80}]"#);
    put(&mut fleet, ("other", 10, 500, 2), "");
    fleet.settle();
    fleet.executor("n1").slow_to_stop = true;
    fleet.executor("n2").slow_to_stop = true;
    put(&mut fleet, ("high", 90, 100, 3), r#","ports":[{"name":"a","static":80}]"#);
    fleet.settle();
    // Whatever happens there, each looks again.
    for name in ["n1", "n2"] {
        fleet.end(name, "old", ostler_core::instance::Observed::Stopped);
        fleet.edit(name, |node| node.facts.version.push('x'));
        fleet.advance(1);
    }
    fleet.advance(400);
    for (name, executor) in &fleet.executors {
        let entries = executor.manifest.groups.iter().flat_map(|group| &group.entries);
        let ports: Vec<u16> = entries.flat_map(|one| &one.ports).map(|port| port.first).collect();
        assert_eq!(ports, [80], "{name}: {}", fleet.show());
    }
    let evictions = fleet.decisions().lines().filter(|line| line.starts_with("evict")).count();
    assert_eq!(evictions, 2, "nobody ends for the third, which no node could take");
}
