//! How fast the engine decides, with nothing around it: `cargo run --release --example engine`.
//!
//! Prints figures, judges nothing. One line for each case of `targets.md` that the core alone has.
#![expect(clippy::disallowed_methods, reason = "it measures")]

use std::time::Instant;

use ostler_core::explain::Supposition;
use ostler_core::reconcile::{Decision, Engine, Event};

#[path = "engine/fleet.rs"]
mod fleet;

use fleet::{NOW, ask, fleet, node, put};

fn main() {
    plain("5,000 nodes, 50,000 instances, one workload", 5_000, 1, 50_000, "");
    plain("5,000 nodes, 50,000 instances, 500 workloads", 5_000, 500, 100, "");
    plain("5,000 nodes, 5,000 workloads of one", 5_000, 5_000, 1, "");
    let turns = r#""strategy":"round_robin""#;
    plain("5,000 nodes, 5,000 workloads of one, in turn", 5_000, 5_000, 1, turns);
    for nodes in [100, 1_000, 5_000, 10_000] {
        plain(&format!("{nodes} nodes, ten each"), nodes, 1, nodes * 10, "");
    }
    plain("10,000 nodes, 1,000,000 instances", 10_000, 10, 100_000, "");
    let rack = r#""spread":{"attribute":"node.labels.rack"}"#;
    plain("10,000 nodes, 500 instances over 100 racks", 10_000, 1, 500, rack);
    plain("5,000 nodes, 3,000 apart", 5_000, 1, 3_000, r#""anti_affinity":{"group":"g"}"#);
    blocked();
    waiting("1,000,000 slots of one workload wait", 1, 1_000_000);
    waiting("10,000 workloads wait for the same", 10_000, 1);
    preempted(5_000);
    println!("peak memory: {}", peak());
}

/// Places `workloads` workloads of `count` instances and prints how long it took.
fn plain(what: &str, nodes: u32, workloads: u32, count: u32, rules: &str) {
    let mut engine = fleet(nodes);
    for number in 0..workloads {
        put(&mut engine, &format!("w{number}"), count, 10, rules);
    }
    let (start, before) = (Instant::now(), on_cpu());
    let mut placed = 0;
    loop {
        let plan = engine.plan(NOW);
        placed += plan.decisions.len();
        if !plan.more {
            break;
        }
    }
    let took = start.elapsed();
    let cpu = on_cpu() - before;
    let rate = u128::try_from(placed).expect("fits") * 1_000_000_000 / cpu.max(1);
    let (took, cpu) = (took.as_millis(), cpu / 1_000_000);
    println!("{what}: {placed} in {took} ms, {cpu} ms of them on a core: {rate}/s of a core");
    let start = Instant::now();
    let again = engine.plan(NOW);
    println!(
        "    again: {} decisions in {} us",
        again.decisions.len(),
        start.elapsed().as_micros()
    );
    asked(&mut engine);
}

/// What questions cost: why a workload and an instance, and a copy for what-if.
fn asked(engine: &mut Engine) {
    let key = "w0".parse().expect("a key");
    let id = engine.instances().next().expect("placed").id;
    let start = Instant::now();
    let workload = engine.explain_workload(&key, None, NOW).expect("known");
    let why = start.elapsed();
    let start = Instant::now();
    let instance = engine.clone().explain_instance(id, None, NOW).expect("known");
    let why_instance = start.elapsed();
    let start = Instant::now();
    let copy = engine.clone();
    let copied = start.elapsed();
    let supposed = Supposition {
        lose: vec!["node=n00001".parse().expect("a selector")],
        ..Supposition::default()
    };
    let start = Instant::now();
    let what_if = copy.what_if(&supposed, NOW, &mut || true);
    println!(
        "    asked: why a workload ({} nodes) {} us, why an instance ({}) {} us, a copy {} ms, \
         the loss of a node {} ms: {}",
        workload.verdicts.asked,
        why.as_micros(),
        instance.verdicts.fitting,
        why_instance.as_micros(),
        copied.as_millis(),
        start.elapsed().as_millis(),
        what_if.summary
    );
}

fn blocked() {
    let mut engine = fleet(10_000);
    put(&mut engine, "huge", 1, 1_000_000, "");
    let before = on_cpu();
    let plan = engine.plan(NOW);
    let took = (on_cpu() - before) / 1000;
    println!("10,000 nodes, blocked: {} in {took} us of a core", plan.decisions.len());
    let before = on_cpu();
    let key = "huge".parse().expect("a key");
    let explained = engine.explain_workload(&key, None, NOW).expect("known");
    let took = (on_cpu() - before) / 1000;
    println!("    explained: {} nodes in {took} us of a core", explained.verdicts.asked);
}

/// Work that has no place: what it costs to find that out, to keep it, and to be told of things that
/// do not help.
fn waiting(what: &str, workloads: u32, count: u32) {
    let mut engine = fleet(1_000);
    engine.plan(NOW);
    for number in 0..workloads {
        put(&mut engine, &format!("w{number:05}"), count, 1_000_000, "");
    }
    let before = resident();
    let start = Instant::now();
    while engine.plan(NOW).more {}
    let first = start.elapsed();
    let each = (resident().saturating_sub(before)) * 1024 / u64::from(workloads * count);
    let start = Instant::now();
    for round in 0..1_000 {
        label(&mut engine, round % 1_000, round);
        engine.plan(NOW);
    }
    let idle = start.elapsed().as_micros() / 1_000;
    println!("{what}: {} ms, {each} bytes each, then {idle} us an event", first.as_millis());
}

/// A node changes in a way that helps nobody.
fn label(engine: &mut Engine, number: u32, round: u32) {
    let mut node = node(number);
    node.facts.labels.insert("round".to_owned(), round.to_string());
    engine.observe(Event::Node(Box::new(node)), NOW);
}

/// Every node is full of less important work; as many more important ones come.
fn preempted(nodes: u32) {
    let mut engine = fleet(nodes);
    let settings = ostler_core::tuning::Tuning { preemption: Some(true), ..Default::default() };
    engine.observe(Event::Tuning(ostler_core::tuning::Level::Fleet, Box::new(settings)), NOW);
    ask(&mut engine, "low", (nodes * 10, 6_400, 10), "");
    while engine.plan(NOW).more {}
    ask(&mut engine, "high", (nodes, 6_400, 90), "");
    let start = Instant::now();
    let mut evicted = 0;
    loop {
        let plan = engine.plan(NOW);
        let victims = plan.decisions.iter().filter(|one| matches!(one, Decision::Preempt { .. }));
        evicted += victims.count();
        if !plan.more {
            break;
        }
    }
    let took = start.elapsed();
    let rate = u128::try_from(evicted).expect("fits") * 1_000_000 / took.as_micros().max(1);
    println!("{nodes} full nodes: {evicted} evictions in {} ms, {rate}/s", took.as_millis());
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}

/// Nanoseconds that this process was on a core: others on the machine do not count.
fn on_cpu() -> u128 {
    let said = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    said.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(0)
}

fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("unknown");
    line.to_owned()
}
