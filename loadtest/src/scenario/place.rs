//! `place`: from the REST request to every instance reported running by its executor, over the whole
//! path, and back to nothing; beside it the bare bus with the same bytes.

use std::time::Duration;

use indicatif::ProgressBar;
use ostler_core::id::PoolName;
use ostler_schemas::bucket::Bucket;
use ostler_service::clock;
use serde_json::json;

use crate::args::Place as Args;
use crate::fleet::{Fleet, Load, Setup, bare};
use crate::report::growth::{Row, sizes};
use crate::report::{Report, Values, count};
use crate::scenario::slots;
use crate::scenario::tally::{Goal, Reached, Tally};

/// How long the end of everything may take.
const END_WITHIN: Duration = Duration::from_secs(120);
/// What is shown at each size.
const GROWING: [&str; 5] =
    ["instances per second", "an instance takes", "p99", "share of the bare", "peak memory"];

/// Measures what was asked for.
pub async fn measure(args: &Args) -> anyhow::Result<Report> {
    let (mut rows, mut last) = (Vec::new(), Report::new("place"));
    for nodes in sizes(args.nodes, 10, args.alone) {
        let instances = u64::from(args.instances) * u64::from(nodes) / u64::from(args.nodes);
        let instances = u32::try_from(instances)?;
        last = one(&Args { nodes, instances, ..args.clone() }).await?;
        rows.push(Row::of(nodes, &last, &GROWING));
    }
    Ok(Report { growth: rows, ..last })
}

async fn one(args: &Args) -> anyhow::Result<Report> {
    let mut report = Report::new("place");
    report.setup("nodes", args.nodes);
    report.setup("instances", args.instances);
    let setup = Setup {
        servers: args.servers.clone(),
        nodes: args.nodes,
        connections: args.connections,
        batch: args.batch,
        ..Setup::default()
    };
    let measure = async |fleet: &mut Fleet, report: &mut Report| run(args, fleet, report).await;
    let (took, load) = Fleet::with(&setup, &mut report, measure).await?;
    let bare = bare(&args.servers, load).await?;
    report.took("the bare bus with the same bytes", bare);
    let share = bare.as_secs_f64() / took.as_secs_f64().max(f64::MIN_POSITIVE);
    report.figure("share of the bare bus", share * 100.0, "%");
    report.note(
        "services are children, one process each; all executors share the process of the client",
    );
    if args.servers.nats.is_none() {
        report.note("private nats-servers sync every write to disk (`sync_interval: always`)");
    }
    report.note(
        "the bare bus: fenced batches, hints, direct gets and reports of these sizes, nobody deciding",
    );
    report.note("everything, the simulated hosts and the client included, shares these cores");
    Ok(report)
}

/// How long it took until all ran, and what was sent for it.
async fn run(args: &Args, fleet: &Fleet, report: &mut Report) -> anyhow::Result<(Duration, Load)> {
    let mut tally = Tally::begin(&fleet.bus).await?;
    let before = fleet.placement_revision().await?;
    let began = clock::instant();
    fleet.put("load", &sim(args.instances)).await?;
    let accepted = clock::since(began);
    let bar = ProgressBar::new(args.instances.into()).with_message("running");
    let goal = Goal { running: args.instances, began, within: Duration::from_secs(args.within) };
    let reached = tally.until(goal, &bar).await?;
    bar.finish_and_clear();
    tell(args, &reached, report);
    report.took("REST: request accepted after", accepted);
    phases(fleet, fleet.placement_revision().await? - before, report).await;
    report.percentiles("age of reports when heard,", &tally.ages(), "ms");
    distribution(&tally, report);
    report.histogram("request to running", &reached.times(), "ms");
    let load = load(args, fleet).await?;
    let began = clock::instant();
    fleet.remove("load").await?;
    let bar = ProgressBar::new(args.instances.into()).with_message("left to end");
    tally.until(Goal { running: 0, began, within: END_WITHIN }, &bar).await?;
    bar.finish_and_clear();
    report.took("DELETE: none running any more after", clock::since(began));
    Ok((reached.share(1.0), load))
}

/// The sizes of what is on the bus now.
async fn load(args: &Args, fleet: &Fleet) -> anyhow::Result<Load> {
    let nodes = usize::try_from(args.nodes)?;
    let each = async |bucket: Bucket| -> anyhow::Result<usize> {
        let values = slots::all(&fleet.bus, &bucket).await?;
        let ours = values.iter().filter(|(key, _)| crate::fleet::is_ours(key));
        Ok(ours.map(|(_, value)| value.len()).sum::<usize>() / nodes)
    };
    let down = each(Bucket::Placements(PoolName::default())).await?;
    let up = each(Bucket::Reports).await?;
    Ok(Load { nodes: args.nodes, connections: args.connections, down, up })
}

fn tell(args: &Args, reached: &Reached, report: &mut Report) {
    let last = reached.share(1.0).as_secs_f64().max(f64::MIN_POSITIVE);
    report.figure("instances per second", f64::from(args.instances) / last, "/s");
    report.figure("an instance takes", last * 1e6 / f64::from(args.instances), "µs");
    for (name, share) in
        [("first", 0.0), ("p10", 0.1), ("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("last", 1.0)]
    {
        report.took(name, reached.share(share));
    }
}

/// What the scheduler itself measured.
async fn phases(fleet: &Fleet, messages: u64, report: &mut Report) {
    for (name, metric, scale, unit) in [
        ("scheduler: plans", "ostler_scheduler_plan_seconds_count", 1.0, "plans"),
        ("scheduler: planning, in all", "ostler_scheduler_plan_seconds_sum", 1000.0, "ms"),
        ("scheduler: batches", "ostler_scheduler_commit_seconds_count", 1.0, "batches"),
        ("scheduler: committing, in all", "ostler_scheduler_commit_seconds_sum", 1000.0, "ms"),
    ] {
        if let Some(value) = fleet.scheduler_metric(metric).await {
            report.figure(name, value * scale, unit);
        }
    }
    let messages = u32::try_from(messages).unwrap_or(u32::MAX);
    report.figure("scheduler: messages committed", f64::from(messages), "messages");
}

fn distribution(tally: &Tally, report: &mut Report) {
    let per_node = Values::of(tally.per_node().map(f64::from));
    report.figure("nodes that run some", count(tally.per_node().count()), "nodes");
    report.figure("per node, least", per_node.percentile(0.0), "instances");
    report.figure("per node, mean", per_node.mean(), "instances");
    report.figure("per node, most", per_node.percentile(1.0), "instances");
    report.figure("per node, standard deviation", per_node.deviation(), "instances");
}

/// A workload of simulated instances.
pub fn sim(instances: u32) -> serde_json::Value {
    json!({ "driver": "sim", "count": instances, "resources": { "cpu": 10, "memory": "8MiB" } })
}
