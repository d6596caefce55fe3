//! `leader`: the leading scheduler dies in the middle of a large placement.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args as ClapArgs;
use indicatif::ProgressBar;
use ostler_service::clock;

use crate::args::Servers;
use crate::fleet::{Fleet, Setup};
use crate::report::{Report, Values};
use crate::scenario::latency::ms;
use crate::scenario::place::sim;
use crate::scenario::slots::Slots;
use crate::scenario::tally::{Goal, Tally};

/// What is measured.
#[derive(Debug, Clone, ClapArgs)]
pub struct Args {
    /// How many simulated nodes there are.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub nodes: u32,
    /// How many instances run before.
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub running: u32,
    /// How many are being placed when the leader dies.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub instances: u32,
    /// The leader dies when this share of them runs, in percent.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=99))]
    pub at: u32,
    /// How many placements the scheduler makes in one plan: few, so that it dies between two.
    #[arg(long, default_value_t = 1_000)]
    pub batch: usize,
    /// Give up after so many seconds.
    #[arg(long, default_value_t = 300)]
    pub within: u64,
    /// Which NATS.
    #[command(flatten)]
    pub servers: Servers,
}

/// Measures what was asked for.
pub async fn measure(args: &Args) -> anyhow::Result<Report> {
    let mut report = Report::new("leader");
    report.setup("nodes", args.nodes);
    report.setup("running before", args.running);
    report.setup("instances", args.instances);
    report.setup("killed at", format!("{} %", args.at));
    let setup = Setup {
        nodes: args.nodes,
        replicas_of_services: 2,
        batch: Some(args.batch),
        servers: args.servers.clone(),
        ..Setup::default()
    };
    Fleet::with(&setup, &mut report, async |fleet, report| run(args, fleet, report).await).await?;
    report.note("checked: exactly the wanted instances run afterwards, each slot once, none twice");
    Ok(report)
}

async fn run(args: &Args, fleet: &mut Fleet, report: &mut Report) -> anyhow::Result<()> {
    let within = Duration::from_secs(args.within);
    let mut tally = Tally::begin(&fleet.bus).await?;
    let bar = ProgressBar::new((args.running + args.instances).into()).with_message("running");
    if args.running > 0 {
        fleet.put("before", &sim(args.running)).await?;
        let began = clock::instant();
        tally.until(Goal { running: args.running, began, within }, &bar).await?;
    }
    let began = clock::instant();
    fleet.put("load", &sim(args.instances)).await?;
    let part = args.running + args.instances * args.at / 100;
    let before = tally.until_at_least(Goal { running: part, began, within }, &bar).await?;
    let leader = fleet.holder("scheduler-default").await?;
    fleet.kill(&leader)?;
    let killed = clock::since(began);
    let all = args.running + args.instances;
    let after = tally.until(Goal { running: all, began, within }, &bar).await?;
    bar.finish_and_clear();
    let mut heard: Vec<Duration> =
        before.steps.iter().chain(&after.steps).map(|(at, _)| *at).collect();
    heard.sort();
    let gaps = heard.windows(2).map(|pair| ms(pair[1].saturating_sub(pair[0])));
    let gaps = Values::of(gaps);
    report.took("killed after", killed);
    report.figure("pause", gaps.percentile(1.0), "ms");
    let last = heard.last().copied().unwrap_or_default();
    report.took("all running after", last);
    Slots::read(&fleet.bus, &BTreeSet::new()).await?.exactly(all)
}
