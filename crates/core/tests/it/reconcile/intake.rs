//! What of all that is heard concerns a pool.

use ostler_core::head::Head;
use ostler_core::id::{Generation, NodeName, PoolName, SpecHash, Version};
use ostler_core::instance::Manifest;
use ostler_core::reconcile::{Engine, Intake, Settings};
use ostler_core::time::Timestamp;

use crate::fleet::Fleet;

fn head(pool: &str) -> Head {
    let text = format!("name = \"web\"\ndriver = \"sim\"\npool = \"{pool}\"");
    Head {
        spec: ostler_core::workload::from_toml(&text).expect("it is right"),
        version: Version(1),
        compatible_since: Version(1),
        spec_hash: SpecHash([0; 32]),
        restart_generation: Generation(0),
        reload_generation: Generation(0),
        stopped: false,
        deleted: false,
        purge: false,
        updated_at: Timestamp::default(),
        op_id: String::new(),
        earlier: Vec::new(),
    }
}

#[test]
fn a_workload_that_goes_to_another_pool_is_told_to_the_one_it_leaves() {
    let mut intake = Intake::new(PoolName::default());
    assert_eq!(intake.on_head(head("edge")), None, "it was never ours");
    assert!(intake.on_head(head("default")).is_some());
    assert!(intake.on_head(head("edge")).is_some());
}

/// A new leader that hears of the head alone would take it for another pool's.
#[test]
fn instances_of_a_workload_that_moved_to_another_pool_are_ended_after_a_takeover_too() {
    let mut fleet = Fleet::new("n1");
    fleet.put(r#""name":"web","count":2"#);
    fleet.advance(10);
    let node: NodeName = "n1".parse().expect("a name");
    let (mut engine, mut intake) = (
        Engine::new(PoolName::default(), Settings::default(), 7),
        Intake::new(PoolName::default()),
    );
    let manifest: Manifest = fleet.engine.manifest(&node).expect("it has one");
    let record = fleet.executor("n1").node.clone();
    let events = [
        intake.on_node(record),
        Some(intake.on_manifest(node, manifest)),
        intake.on_head(head("edge")),
    ];
    for event in events.into_iter().flatten() {
        engine.observe(event, fleet.now);
    }
    let plan = engine.plan(fleet.now);
    assert_eq!(plan.decisions.len(), 2, "both are told to stop: {plan:?}");
}

/// Nobody was there to hear that it was removed: what was ordered of it would count as there for ever.
#[test]
fn instances_of_a_node_that_was_removed_while_nobody_led_are_replaced() {
    let mut fleet = Fleet::new("n1\nn2");
    fleet.put(r#""name":"web","placement":{"strategy":"first_fit"}"#);
    fleet.advance(10);
    let mut engine = Engine::new(PoolName::default(), Settings::default(), 7);
    let mut intake = Intake::new(PoolName::default());
    let node: NodeName = "n1".parse().expect("a name");
    let manifest = fleet.engine.manifest(&node).expect("it has one");
    let (record, head) = (fleet.executor("n2").node.clone(), fleet.heads.values().next().cloned());
    let mut events = vec![intake.on_node(record), Some(intake.on_manifest(node, manifest))];
    events.extend(head.map(|head| intake.on_head(head)));
    events.extend(intake.removed_meanwhile().into_iter().map(Some));
    events.into_iter().flatten().for_each(|event| engine.observe(event, fleet.now));
    engine.plan(fleet.now);
    let there: Vec<String> =
        engine.instances().map(|one| format!("{} {}", one.node, one.desired.as_str())).collect();
    assert_eq!(there, ["n1 keep", "n2 run"]);
}
