//! `place`: from the REST request to every instance reported running by its executor, over the whole
//! path, and back to nothing.

use std::time::Duration;

use indicatif::ProgressBar;
use ostler_service::clock;
use serde_json::json;

use crate::args::Place as Args;
use crate::fleet::{Fleet, Setup};
use crate::report::{Report, Values, count};
use crate::scenario::tally::{Goal, Reached, Tally};

/// How long the end of everything may take.
const END_WITHIN: Duration = Duration::from_secs(120);

/// Measures what was asked for.
pub async fn measure(args: &Args) -> anyhow::Result<Report> {
    let mut report = Report::new("place");
    report.setup("nodes", args.nodes);
    report.setup("instances", args.instances);
    let setup = Setup {
        nats: args.nats.clone(),
        replicas: args.replicas,
        nodes: args.nodes,
        connections: args.connections,
        batch: args.batch,
        ..Setup::default()
    };
    let began = clock::instant();
    let fleet = Fleet::start(&setup).await?;
    report.took("fleet: all nodes online after", clock::since(began));
    let measured = run(args, &fleet, &mut report).await;
    if measured.is_ok() {
        fleet.describe(&mut report).await?;
    }
    fleet.stop().await;
    measured?;
    report.note(
        "services are children, one process each; all executors share the process of the client",
    );
    if args.nats.is_none() {
        report.note("the private nats-server syncs every write to disk (`sync_interval: always`)");
    }
    report.note("everything, the simulated hosts and the client included, shares these cores");
    Ok(report)
}

async fn run(args: &Args, fleet: &Fleet, report: &mut Report) -> anyhow::Result<()> {
    let mut tally = Tally::begin(&fleet.bus).await?;
    let before = fleet.placement_revision().await?;
    let began = clock::instant();
    fleet.put("load", &sim(args.instances)).await?;
    let accepted = clock::since(began);
    let bar = ProgressBar::new(args.instances.into()).with_message("running");
    let goal = Goal { running: args.instances, began, within: Duration::from_secs(args.within) };
    let reached = tally.until(goal, &bar).await?;
    bar.finish_and_clear();
    report.took("REST: request accepted after", accepted);
    tell(args, &reached, report);
    phases(fleet, fleet.placement_revision().await? - before, report).await;
    report.percentiles("age of reports when heard,", &tally.ages(), "ms");
    distribution(&tally, report);
    let began = clock::instant();
    fleet.remove("load").await?;
    let bar = ProgressBar::new(args.instances.into()).with_message("left to end");
    tally.until(Goal { running: 0, began, within: END_WITHIN }, &bar).await?;
    bar.finish_and_clear();
    report.took("DELETE: none running any more after", clock::since(began));
    Ok(())
}

fn tell(args: &Args, reached: &Reached, report: &mut Report) {
    let last = reached.share(1.0).as_secs_f64().max(f64::MIN_POSITIVE);
    report.figure("instances per second", f64::from(args.instances) / last, "/s");
    for (name, share) in
        [("first", 0.0), ("10 %", 0.1), ("50 %", 0.5), ("90 %", 0.9), ("99 %", 0.99), ("last", 1.0)]
    {
        report.took(&format!("running after, {name}"), reached.share(share));
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
