//! What shared fields pick is what looking at every node picks, for any fleet and any rules.
//!
//! In tests every pick is held against a field of its own (`Engine::must_be_best`); here are the
//! fleets for it.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::head::Head;
use crate::id::{Epoch, Generation, PoolName, Revision, SpecHash, Term, Version};
use crate::instance::{Observed, Report, Status, Usage};
use crate::node::{Bid, Node, Refusal};
use crate::reconcile::{Engine, Event, Settings};
use crate::time::{Span, Timestamp};

#[path = "../../../tests/it/placement/any.rs"]
mod any;

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

fn engine(nodes: &[Value]) -> Engine {
    let mut engine = Engine::new(PoolName::default(), Settings::default(), 1);
    for (number, node) in nodes.iter().enumerate() {
        let node: Node = serde_json::from_value(node.clone()).expect("a node");
        engine.observe(Event::Node(Box::new(node)), NOW);
        bid(&mut engine, number, NOW);
    }
    engine
}

/// Prices of 0 to 3; some refuse, some do not bid.
fn bid(engine: &mut Engine, number: usize, now: Timestamp) {
    let price = u32::try_from(number % 4).expect("small");
    let refusal = Refusal { kinds: Vec::new(), why: "busy".to_owned() };
    let refusals = if number % 7 == 3 { vec![refusal] } else { Vec::new() };
    let name = format!("n{number:03}").parse().expect("a name");
    if number % 5 != 4 {
        engine.observe(Event::Bid(name, Epoch(1), Bid { price, refusals }), now);
    }
}

fn put(engine: &mut Engine, spec: &Value, version: u32) {
    let spec = serde_json::from_value(spec.clone()).expect("a workload");
    let head = Head {
        spec,
        version: Version(version),
        compatible_since: Version(version),
        spec_hash: SpecHash([u8::try_from(version).expect("small"); 32]),
        restart_generation: Generation(0),
        reload_generation: Generation(0),
        stopped: false,
        deleted: false,
        purge: false,
        updated_at: NOW,
        op_id: String::new(),
        earlier: Vec::new(),
    };
    engine.observe(Event::Workload(Box::new(head)), NOW);
}

/// Plans, commits, and has every order obeyed at once, until nothing is left to do.
fn settle(engine: &mut Engine, now: Timestamp) {
    for round in 1..200 {
        let plan = engine.plan(now);
        if plan.decisions.is_empty() && plan.manifests.is_empty() && !plan.more {
            return;
        }
        for name in plan.manifests {
            let manifest = engine.manifest(&name).unwrap_or_default();
            engine.committed(&name, Term(1), Revision(round));
            let entries =
                manifest.groups.iter().flat_map(|g| g.entries.iter().map(|e| (g.version, e)));
            let statuses = entries.map(|(version, entry)| {
                let running = entry.desired == crate::instance::Desired::Run;
                Status {
                    id: entry.id,
                    generation: entry.generation,
                    observed: if running { Observed::Running } else { Observed::Stopped },
                    ready: running,
                    proven: running,
                    since: now,
                    ready_at: None,
                    proven_at: None,
                    restarts: 0,
                    exit: None,
                    reason: String::new(),
                    pid: None,
                    version,
                    usage: Usage::default(),
                }
            });
            let statuses = statuses.collect();
            let applied = Revision(round);
            let report =
                Report { epoch: Epoch(1), term: Term(1), applied, statuses, ..Report::default() };
            engine.observe(Event::Report(name, Box::new(report)), now);
        }
    }
}

fn check(nodes: &[Value], workloads: &[Value], lost: usize) {
    let mut engine = engine(nodes);
    for spec in workloads {
        put(&mut engine, spec, 1);
    }
    settle(&mut engine, NOW);
    // A new version of every other one, a node that is gone, and one that is drained.
    for (number, spec) in workloads.iter().enumerate().filter(|(number, _)| number % 2 == 0) {
        let mut spec = spec.clone();
        spec["resources"]["cpu"] = json!(50 * number);
        put(&mut engine, &spec, 2);
    }
    for (number, what) in [(lost, "offline"), (lost + 1, "draining")] {
        let mut node = nodes[number % nodes.len()].clone();
        match what {
            "offline" => node["liveness"] = json!(what),
            _ => node["admin"] = json!(what),
        }
        let node: Node = serde_json::from_value(node).expect("a node");
        engine.observe(Event::Node(Box::new(node)), NOW);
    }
    for seconds in 0..40 {
        let now = NOW.plus(Span::from_secs(seconds * 2));
        (0..nodes.len()).for_each(|number| bid(&mut engine, number, now));
        settle(&mut engine, now);
    }
    assert!(engine.fields.kept.is_empty() && engine.fields.changed.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn shared_fields_pick_what_looking_at_every_node_picks(
        nodes in any::nodes(24),
        workloads in any::workloads(),
        lost in 0usize..24,
    ) {
        check(&nodes, &workloads, lost);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, ..ProptestConfig::default() })]

    #[test]
    fn and_so_they_do_in_a_fleet_of_two_hundred(
        nodes in any::nodes(200),
        workloads in any::workloads(),
        lost in 0usize..200,
    ) {
        check(&nodes, &workloads, lost);
    }
}
