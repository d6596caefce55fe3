//! The hot paths of the engine, each by itself: `cargo bench --package ostler-core`.
//!
//! How cost grows is read off the sizes; what all cases of `targets.md` take in one go is told by
//! `ostler-loadtest engine` and by the example `engine`.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use ostler_core::id::{NodeName, Revision, Term};
use ostler_core::instance::{Desired, Observed, Report, Status, Usage};
use ostler_core::reconcile::{Engine, Event};
use ostler_core::tuning::{Level, Tuning};

#[path = "../examples/engine/fleet.rs"]
mod fleet;

use fleet::{NOW, ask, fleet, node, put};

const SIZES: [u32; 4] = [100, 1_000, 5_000, 10_000];

fn main() {
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    placements(&mut criterion);
    rules(&mut criterion);
    evictions(&mut criterion);
    intake(&mut criterion);
    questions(&mut criterion);
    criterion.final_summary();
}

fn plan(engine: &mut Engine) {
    while engine.plan(NOW).more {}
}

/// A fleet on each of whose nodes ten run.
fn busy(nodes: u32) -> Engine {
    let mut engine = fleet(nodes);
    put(&mut engine, "others", nodes * 10, 10, "");
    plan(&mut engine);
    engine
}

/// A thousand more where ten are on each node.
fn placements(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("place 1,000");
    group.throughput(Throughput::Elements(1_000));
    for nodes in SIZES {
        let mut engine = busy(nodes);
        put(&mut engine, "more", 1_000, 10, "");
        group.bench_function(BenchmarkId::from_parameter(nodes), |bench| {
            bench.iter_batched_ref(|| engine.clone(), plan, BatchSize::PerIteration);
        });
    }
    group.finish();
}

/// Five hundred under rules that look at more than one node.
fn rules(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("place 500 on 10,000");
    group.throughput(Throughput::Elements(500));
    for (name, rules) in [
        ("spread over 100 racks", r#""spread":{"attribute":"node.labels.rack"}"#),
        ("apart", r#""anti_affinity":{"group":"g"}"#),
        ("at most 10 a rack", r#""max_per":{"node.labels.rack":10}"#),
        ("in turn", r#""strategy":"round_robin""#),
    ] {
        let mut engine = fleet(10_000);
        put(&mut engine, "web", 500, 10, rules);
        group.bench_function(name, |bench| {
            bench.iter_batched_ref(|| engine.clone(), plan, BatchSize::PerIteration);
        });
    }
    group.finish();
}

/// Every node is full of less important work; a tenth as many more important ones come.
fn evictions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("evict for a tenth of the nodes");
    for nodes in SIZES {
        let mut engine = fleet(nodes);
        let settings = Tuning { preemption: Some(true), ..Tuning::default() };
        engine.observe(Event::Tuning(Level::Fleet, Box::new(settings)), NOW);
        ask(&mut engine, "low", (nodes * 10, 6_400, 10), "");
        plan(&mut engine);
        ask(&mut engine, "high", (nodes / 10, 6_400, 90), "");
        group.throughput(Throughput::Elements(u64::from(nodes / 10)));
        group.bench_function(BenchmarkId::from_parameter(nodes), |bench| {
            bench.iter_batched_ref(|| engine.clone(), plan, BatchSize::PerIteration);
        });
    }
    group.finish();
}

/// A report of a node with ten instances, and the plan that follows from it.
fn intake(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("take in one report");
    for nodes in SIZES {
        let mut engine = busy(nodes);
        let (name, report) = report(&mut engine);
        group.bench_function(BenchmarkId::from_parameter(nodes), |bench| {
            bench.iter(|| {
                engine.observe(Event::Report(name.clone(), Box::new(report.clone())), NOW);
                plan(&mut engine);
            });
        });
    }
    group.finish();
}

fn report(engine: &mut Engine) -> (NodeName, Report) {
    let name = node(7).name;
    let (term, applied) = (Term(1), Revision(1));
    engine.committed(&name, term, applied);
    let there = engine.instances().filter(|one| *one.node == name && one.desired == Desired::Run);
    let status = |one: ostler_core::reconcile::InstanceView<'_>| Status {
        id: one.id,
        generation: ostler_core::id::Generation(1),
        observed: Observed::Running,
        ready: true,
        proven: false,
        since: NOW,
        ready_at: None,
        proven_at: None,
        restarts: 0,
        exit: None,
        reason: String::new(),
        pid: None,
        version: one.version,
        usage: Usage::default(),
    };
    let statuses = there.map(status).collect();
    let report = Report { epoch: node(7).epoch, term, applied, statuses, ..Report::default() };
    (name, report)
}

/// Why a workload is as it is, by every node.
fn questions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("explain a blocked workload");
    for nodes in SIZES {
        let mut engine = busy(nodes);
        put(&mut engine, "huge", 1, 1_000_000, "");
        plan(&mut engine);
        let key = "default/huge".parse().expect("a key");
        group.bench_function(BenchmarkId::from_parameter(nodes), |bench| {
            bench.iter(|| engine.explain_workload(&key, None, NOW));
        });
    }
    group.finish();
}
