//! `latency`: one real process at a time on an idle fleet, from the request to its report.

use std::time::Duration;

use clap::Args as ClapArgs;
use indicatif::ProgressBar;
use ostler_service::clock;
use serde_json::json;

use crate::args::Servers;
use crate::fleet::{Fleet, Setup};
use crate::report::{Report, Values};
use crate::scenario::tally::{Goal, Tally};

/// How long one start or one end may take.
const WITHIN: Duration = Duration::from_secs(30);
/// Between two rounds.
const IDLE: Duration = Duration::from_millis(300);

/// What is measured.
#[derive(Debug, Clone, ClapArgs)]
pub struct Args {
    /// How many starts are measured.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rounds: u32,
    /// How many nodes there are; each is an executor of its own process.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub nodes: u32,
    /// Which NATS.
    #[command(flatten)]
    pub servers: Servers,
}

/// Measures what was asked for.
pub async fn measure(args: &Args) -> anyhow::Result<Report> {
    let mut report = Report::new("latency");
    report.setup("nodes", args.nodes);
    report.setup("rounds", args.rounds);
    let setup = Setup { real: args.nodes, servers: args.servers.clone(), ..Setup::default() };
    Fleet::with(&setup, &mut report, async |fleet, report| run(args, fleet, report).await).await?;
    report.note(
        "each instance is a real process (`sleep`); the next is asked for when the last has ended",
    );
    report.note("the private nats-server syncs every write to disk (`sync_interval: always`)");
    Ok(report)
}

async fn run(args: &Args, fleet: &Fleet, report: &mut Report) -> anyhow::Result<()> {
    let mut tally = Tally::begin(&fleet.bus).await?;
    let bar = ProgressBar::new(args.rounds.into()).with_message("started and ended");
    let hidden = ProgressBar::hidden();
    let (mut accepted, mut running, mut ended) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..args.rounds {
        let name = format!("one-{round}");
        let workload = json!({
            "driver": "process", "count": 1,
            "process": { "command": ["sleep", "86400"] },
            "resources": { "cpu": 10, "memory": "8MiB" },
        });
        let began = clock::instant();
        fleet.put(&name, &workload).await?;
        accepted.push(ms(clock::since(began)));
        tally.until(Goal { running: 1, began, within: WITHIN }, &hidden).await?;
        running.push(ms(clock::since(began)));
        let began = clock::instant();
        fleet.remove(&name).await?;
        tally.until(Goal { running: 0, began, within: WITHIN }, &hidden).await?;
        ended.push(ms(clock::since(began)));
        bar.inc(1);
        // The fleet is idle again, and its executors may report at once.
        tokio::time::sleep(IDLE).await;
    }
    bar.finish_and_clear();
    let running = Values::of(running);
    for (key, share) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)] {
        report.figure(key, running.percentile(share), "ms");
    }
    report.percentiles("request accepted,", &Values::of(accepted), "ms");
    report.percentiles("request to no longer running,", &Values::of(ended), "ms");
    report.histogram("request to running", &running, "ms");
    Ok(())
}

/// As a figure.
pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
