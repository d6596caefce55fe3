//! `api`: readers of lists at a large fleet.

use std::time::Duration;

use anyhow::Context as _;
use clap::Args as ClapArgs;
use futures::future::try_join_all;
use indicatif::ProgressBar;
use ostler_service::clock;

use crate::args::Servers;
use crate::fleet::{Fleet, Setup};
use crate::report::{Report, Values, count};
use crate::scenario::latency::ms;
use crate::scenario::place::sim;
use crate::scenario::tally::{Goal, Tally};

/// What is measured.
#[derive(Debug, Clone, ClapArgs)]
pub struct Args {
    /// How many simulated nodes there are.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub nodes: u32,
    /// How many instances run.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub instances: u32,
    /// How many readers ask at once.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub readers: u32,
    /// For how many seconds each kind of request is measured.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,
    /// Which NATS.
    #[command(flatten)]
    pub servers: Servers,
}

/// Measures what was asked for.
pub async fn measure(args: &Args) -> anyhow::Result<Report> {
    let mut report = Report::new("api");
    report.setup("nodes", args.nodes);
    report.setup("instances", args.instances);
    report.setup("readers", args.readers);
    let setup = Setup { nodes: args.nodes, servers: args.servers.clone(), ..Setup::default() };
    Fleet::with(&setup, &mut report, async |fleet, report| run(args, fleet, report).await).await?;
    Ok(report)
}

async fn run(args: &Args, fleet: &Fleet, report: &mut Report) -> anyhow::Result<()> {
    let mut tally = Tally::begin(&fleet.bus).await?;
    fleet.put("load", &sim(args.instances)).await?;
    let bar = ProgressBar::new(args.instances.into()).with_message("running");
    let goal =
        Goal { running: args.instances, began: clock::instant(), within: Duration::from_secs(300) };
    tally.until(goal, &bar).await?;
    bar.finish_and_clear();
    drop(tally);
    let page = fleet.get("/v1/instances?limit=100").await?;
    let id = page["items"][0]["id"].as_str().context("an instance has an id")?.to_owned();
    let cursor = page["next_cursor"].as_str().unwrap_or_default();
    for (what, path) in [
        ("first page of 100 instances", "/v1/instances?limit=100".to_owned()),
        ("second page", format!("/v1/instances?limit=100&cursor={cursor}")),
        ("instances of a node", "/v1/instances?limit=100&node=load-00001".to_owned()),
        ("one instance", format!("/v1/instances/{id}")),
        ("one workload", "/v1/workloads/default/load".to_owned()),
        ("page of 100 nodes", "/v1/nodes?limit=100".to_owned()),
    ] {
        let times = ask(args, fleet, &path).await?;
        let seconds = f64::from(u32::try_from(args.seconds)?);
        report.figure(&format!("{what}, requests"), count(times.len()) / seconds, "/s");
        report.percentiles(&format!("{what},"), &times, "ms");
    }
    Ok(())
}

/// Asks for one path with all readers, for the time that was asked for.
async fn ask(args: &Args, fleet: &Fleet, path: &str) -> anyhow::Result<Values> {
    let began = clock::instant();
    let time = Duration::from_secs(args.seconds);
    let reader = || async {
        let mut times = Vec::new();
        while clock::since(began) < time {
            let asked = clock::instant();
            fleet.read(path).await?;
            times.push(ms(clock::since(asked)));
        }
        anyhow::Ok(times)
    };
    let times = try_join_all((0..args.readers).map(|_| reader())).await?;
    Ok(Values::of(times.into_iter().flatten()))
}
