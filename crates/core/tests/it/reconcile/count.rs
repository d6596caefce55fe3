//! Slots: filled, kept, shrunk from the highest, ended.

use expect_test::expect;

use crate::fleet::Fleet;

#[test]
fn scaling_down_stops_the_highest_slots_and_up_again_fills_only_those() {
    let mut fleet = Fleet::new("n1\nn2");
    fleet.put(r#""name":"web","count":4"#);
    fleet.settle();
    let before = fleet.show();
    fleet.decisions();
    fleet.scale("web", 2);
    fleet.settle();
    expect![[r#"
        stop web/2 on n1: scaled
        stop web/3 on n2: scaled
    "#]]
    .assert_eq(&fleet.decisions());
    fleet.scale("web", 4);
    fleet.settle();
    expect![[r#"
        place web/2@3 on n1
        place web/3@3 on n2
    "#]]
    .assert_eq(&fleet.decisions());
    assert_eq!(fleet.show().replace("@3", "@1"), before);
}

#[test]
fn a_stopping_instance_occupies_its_node_until_its_end_is_confirmed() {
    let mut fleet = Fleet::new("n1 cpu 1000");
    fleet.put(r#""name":"a","resources":{"cpu":800}"#);
    fleet.settle();
    fleet.executor("n1").slow_to_stop = true;
    fleet.scale("a", 0);
    fleet.put(r#""name":"b","resources":{"cpu":800}"#);
    fleet.settle();
    expect![[r#"
        a/0@1 n1 stop stopping
    "#]]
    .assert_eq(&fleet.show());
    fleet.executor("n1").slow_to_stop = false;
    fleet.settle();
    expect![[r#"
        b/0@1 n1 run running ready
    "#]]
    .assert_eq(&fleet.show());
}

#[test]
fn a_deleted_workload_is_forgotten_only_when_nothing_of_it_is_left() {
    let mut fleet = Fleet::new("n1\nn2");
    fleet.put(r#""name":"web","count":2"#);
    fleet.settle();
    fleet.lose("n2");
    fleet.change("web", |head| head.deleted = true);
    fleet.settle();
    assert!(fleet.plans.iter().all(|plan| plan.ended.is_empty()), "n2 has not said so");
    fleet.find("n2");
    fleet.settle();
    assert_eq!(fleet.show(), "");
    assert_eq!(fleet.plans.iter().map(|plan| plan.ended.len()).sum::<usize>(), 1);
    assert!(fleet.records.is_empty());
}

#[test]
fn a_workload_created_again_under_an_old_name_runs_its_own_text() {
    let mut fleet = Fleet::new("n1");
    fleet.put(r#""name":"web""#);
    fleet.settle();
    fleet.change("web", |head| head.deleted = true);
    fleet.settle();
    fleet.change("web", |head| {
        head.deleted = false;
        head.spec_hash = ostler_core::id::SpecHash([9; 32]);
    });
    fleet.settle();
    let manifest = fleet.engine.manifest(&"n1".parse().expect("a name")).expect("it runs");
    assert_eq!(manifest.groups[0].spec, ostler_core::id::SpecHash([9; 32]));
}

#[test]
fn a_stopped_workload_is_wanted_with_no_instances() {
    let mut fleet = Fleet::new("n1");
    fleet.put(r#""name":"web","count":2"#);
    fleet.settle();
    fleet.change("web", |head| head.stopped = true);
    fleet.settle();
    assert_eq!(fleet.show(), "");
    fleet.change("web", |head| head.stopped = false);
    fleet.settle();
    assert_eq!(fleet.counts(), "n1 2");
}

#[test]
fn system_work_is_on_every_eligible_node_and_on_those_that_join_later() {
    let mut fleet = Fleet::new("n1\nn2 arch arm64\nn3 cordoned");
    fleet.put(r#""name":"agent","kind":"system","placement":{"require":["node.arch == amd64"]}"#);
    fleet.settle();
    assert_eq!(fleet.counts(), "n1 1, n2 0, n3 0");
    fleet.join("n4");
    fleet.admin("n3", ostler_core::node::Admin::Active);
    fleet.settle();
    assert_eq!(fleet.counts(), "n1 1, n2 0, n3 1, n4 1");
}

#[test]
fn a_change_that_needs_no_new_instance_is_taken_in_place() {
    let mut fleet = Fleet::new("n1");
    fleet.put(r#""name":"web""#);
    fleet.settle();
    let id = fleet.engine.instances().next().expect("one").id;
    fleet.put(r#""name":"web","restart":{"attempts":9}"#);
    fleet.settle();
    let one = fleet.engine.instances().next().expect("one");
    assert_eq!((one.id, one.version.0), (id, 2));
    let manifest = fleet.engine.manifest(&"n1".parse().expect("a name")).expect("entries");
    assert_eq!(manifest.groups[0].spec, fleet.heads.values().next().expect("one").spec_hash);
    assert_eq!(manifest.groups[0].entries[0].generation.0, 1);
}
