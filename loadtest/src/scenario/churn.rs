//! `churn`: instances are replaced all the time, and nothing may grow.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args as ClapArgs;
use indicatif::ProgressBar;
use ostler_bus::Bus;
use ostler_core::id::PoolName;
use ostler_schemas::bucket::Bucket;
use ostler_service::clock;
use serde_json::{Value, json};

use crate::args::Servers;
use crate::fleet::{Fleet, Setup};
use crate::machine;
use crate::report::{Report, count};
use crate::scenario::slots;
use crate::scenario::tally::{Goal, Tally};

/// How many workloads share the instances: one of them is renewed at a time.
const WORKLOADS: u32 = 20;
/// Memory before this is not compared with: caches fill.
const WARM: Duration = Duration::from_secs(60);

/// What is measured.
#[derive(Debug, Clone, ClapArgs)]
pub struct Args {
    /// How many simulated nodes there are.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub nodes: u32,
    /// How many instances run.
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(20..=1_000_000))]
    pub instances: u32,
    /// Every so many seconds a twentieth of them is replaced.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub every: u64,
    /// For how many seconds.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(70..=86_400))]
    pub seconds: u64,
    /// Which NATS.
    #[command(flatten)]
    pub servers: Servers,
}

/// Measures what was asked for.
pub async fn measure(args: &Args) -> anyhow::Result<Report> {
    let mut report = Report::new("churn");
    report.setup("nodes", args.nodes);
    report.setup("instances", args.instances);
    report.setup("replaced", format!("{} every {} s", args.instances / WORKLOADS, args.every));
    report.setup("seconds", args.seconds);
    let setup = Setup { nodes: args.nodes, servers: args.servers.clone(), ..Setup::default() };
    Fleet::with(&setup, &mut report, async |fleet, report| run(args, fleet, report).await).await?;
    report.note("checked: exactly the wanted instances run afterwards, each slot once");
    Ok(report)
}

/// The `round`th text of a workload: another one needs new instances.
fn text(args: &Args, round: u64) -> Value {
    json!({
        "driver": "sim", "count": args.instances / WORKLOADS,
        "sim": { "ready_after": format!("{}ms", round % 7) },
        "resources": { "cpu": 10 + round % 2, "memory": "8MiB" },
        "update": { "max_parallel": 0, "min_ready": "0s" },
    })
}

async fn run(args: &Args, fleet: &Fleet, report: &mut Report) -> anyhow::Result<()> {
    let wanted = args.instances / WORKLOADS * WORKLOADS;
    let mut tally = Tally::begin(&fleet.bus).await?;
    for number in 0..WORKLOADS {
        fleet.put(&format!("load-{number}"), &text(args, 0)).await?;
    }
    let bar = ProgressBar::new(wanted.into()).with_message("running");
    let within = Duration::from_secs(120);
    tally.until(Goal { running: wanted, began: clock::instant(), within }, &bar).await?;
    bar.finish_and_clear();
    let mut memory: BTreeMap<String, Vec<(Duration, f64)>> = BTreeMap::new();
    let keys = keys(&fleet.bus).await?;
    let began = clock::instant();
    let bar = ProgressBar::new(args.seconds).with_message("seconds of churn");
    let mut tick = tokio::time::interval(Duration::from_secs(args.every));
    let mut rounds = 0u64;
    while clock::since(began) < Duration::from_secs(args.seconds) {
        tick.tick().await;
        let number = rounds % u64::from(WORKLOADS);
        fleet.put(&format!("load-{number}"), &text(args, rounds + 1)).await?;
        rounds += 1;
        let passed = clock::since(began);
        bar.set_position(passed.as_secs());
        for (name, pid) in fleet.processes() {
            let sample = machine::rss_mib(pid).map(|mib| (passed, mib));
            memory.entry(name).or_default().extend(sample);
        }
    }
    bar.finish_and_clear();
    settle(&mut tally, wanted).await?;
    slots::Slots::read(&fleet.bus, &std::collections::BTreeSet::new()).await?.exactly(wanted)?;
    let replaced = u32::try_from(rounds)? * (args.instances / WORKLOADS);
    report.figure("replaced in all", f64::from(replaced), "instances");
    for (name, samples) in &memory {
        let warm = samples.iter().find(|(at, _)| *at >= WARM).map(|(_, mib)| *mib);
        if let (Some(warm), Some((_, last))) = (warm, samples.last()) {
            report.figure(&format!("memory after a minute, {name}"), warm, "MiB");
            report.figure(&format!("memory at the end, {name}"), *last, "MiB");
            report.figure(&format!("growth, {name}"), (last / warm - 1.0) * 100.0, "%");
        }
    }
    for (bucket, now) in self::keys(&fleet.bus).await? {
        let before = keys.get(&bucket).copied().unwrap_or_default();
        report.figure(&format!("keys before, {bucket}"), count(before), "keys");
        report.figure(&format!("keys after, {bucket}"), count(now), "keys");
    }
    Ok(())
}

/// Waits until the last replacement is through: nothing has changed for five seconds and all run.
async fn settle(tally: &mut Tally, wanted: u32) -> anyhow::Result<()> {
    let goal =
        || Goal { running: wanted, began: clock::instant(), within: Duration::from_secs(120) };
    let bar = ProgressBar::hidden();
    loop {
        tally.until(goal(), &bar).await?;
        if !tally.changes_within(Duration::from_secs(5)).await? {
            return Ok(());
        }
    }
}

/// How many keys the buckets have.
async fn keys(bus: &Bus) -> anyhow::Result<BTreeMap<String, usize>> {
    let pool = PoolName::default();
    let mut counts = BTreeMap::new();
    for bucket in [Bucket::Workloads, Bucket::Specs, Bucket::Reports, Bucket::Placements(pool)] {
        counts.insert(bucket.to_string(), slots::all(bus, &bucket).await?.len());
    }
    Ok(counts)
}
