//! `spawn`: many real processes on one node through the whole path, against a bare fork/exec loop of
//! the same program in the same run; and what their executor takes with none, few and all of them.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args as ClapArgs;
use indicatif::ProgressBar;
use ostler_service::clock;
use serde_json::json;

use crate::args::Servers;
use crate::fleet::{Fleet, Setup};
use crate::machine;
use crate::report::Report;
use crate::scenario::tally::{Goal, Tally};
use crate::scenario::window::rest;

/// How long all starts, or all ends, may take.
const WITHIN: Duration = Duration::from_secs(300);
/// So many are few.
const FEW: u32 = 100;

/// What is measured.
#[derive(Debug, Clone, ClapArgs)]
pub struct Args {
    /// How many processes.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(100..=3_500))]
    pub instances: u32,
    /// How long the executor's memory and processor time are watched each time, in seconds.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,
    /// Which NATS.
    #[command(flatten)]
    pub servers: Servers,
}

/// Measures what was asked for.
pub async fn measure(args: &Args) -> anyhow::Result<Report> {
    let mut report = Report::new("spawn");
    report.setup("instances", args.instances);
    report.setup("executor watched for", format!("{} s each time", args.seconds));
    let bare = bare_loop(args.instances)?;
    let setup = Setup { real: 1, servers: args.servers.clone(), ..Setup::default() };
    let measure =
        async |fleet: &mut Fleet, report: &mut Report| run(args, fleet, bare, report).await;
    Fleet::with(&setup, &mut report, measure).await?;
    report
        .note("each instance is a real process (`sleep`) with its own session, groups and output");
    report.note("the bare loop forks and executes the same program, one after the other, no more");
    Ok(report)
}

async fn run(args: &Args, fleet: &Fleet, bare: f64, report: &mut Report) -> anyhow::Result<()> {
    let seconds = Duration::from_secs(args.seconds);
    let mut tally = Tally::begin(&fleet.bus).await?;
    footprint(fleet, 0, seconds, report).await?;
    start(fleet, &mut tally, "few", FEW).await?;
    footprint(fleet, FEW, seconds, report).await?;
    end(fleet, &mut tally, "few").await?;
    let took = start(fleet, &mut tally, "many", args.instances).await?;
    let rate = f64::from(args.instances) / took.as_secs_f64();
    footprint(fleet, args.instances, seconds, report).await?;
    let ended = end(fleet, &mut tally, "many").await?;
    report.figure("instances per second", rate, "/s");
    report.figure("request to all running", took.as_secs_f64() * 1000.0, "ms");
    report.figure("request to none left", ended.as_secs_f64() * 1000.0, "ms");
    report.figure("bare loop, processes per second", bare, "/s");
    report.figure("share of the bare loop", rate / bare * 100.0, "%");
    Ok(())
}

async fn start(
    fleet: &Fleet,
    tally: &mut Tally,
    name: &str,
    count: u32,
) -> anyhow::Result<Duration> {
    let workload = json!({
        "driver": "process", "count": count,
        "process": { "command": ["sleep", "86400"] },
        "resources": { "cpu": 1, "memory": "8MiB" },
    });
    let began = clock::instant();
    fleet.put(name, &workload).await?;
    let bar = ProgressBar::new(count.into()).with_message("running");
    tally.until(Goal { running: count, began, within: WITHIN }, &bar).await?;
    bar.finish_and_clear();
    Ok(clock::since(began))
}

async fn end(fleet: &Fleet, tally: &mut Tally, name: &str) -> anyhow::Result<Duration> {
    let began = clock::instant();
    fleet.remove(name).await?;
    let hidden = ProgressBar::hidden();
    tally.until(Goal { running: 0, began, within: WITHIN }, &hidden).await?;
    Ok(clock::since(began))
}

/// What the executor takes while so many run and nothing happens.
async fn footprint(
    fleet: &Fleet,
    running: u32,
    seconds: Duration,
    report: &mut Report,
) -> anyhow::Result<()> {
    let processes = fleet.processes();
    let node = processes.iter().find(|(name, _)| name.starts_with("node"));
    let (_, pid) = *node.as_ref().context("there is no executor")?;
    rest("seconds to settle", Duration::from_secs(5)).await;
    let before = machine::cpu_ms(*pid).context("the executor is gone")?;
    let began = clock::instant();
    rest("seconds of nothing", seconds).await;
    let used = machine::cpu_ms(*pid).context("the executor is gone")?.saturating_sub(before);
    let share = f64::from(u32::try_from(used)?) / 1000.0 / clock::since(began).as_secs_f64();
    report.figure(&format!("executor's processor with {running} instances"), share * 100.0, "%");
    let memory = machine::rss_mib(*pid).context("the executor is gone")?;
    report.figure(&format!("executor's memory with {running} instances"), memory, "MiB");
    Ok(())
}

/// Processes per second, forked and executed one after the other. None is left.
fn bare_loop(count: u32) -> anyhow::Result<f64> {
    let mut children: Vec<Child> = Vec::new();
    let began = clock::instant();
    let mut failed = None;
    for _ in 0..count {
        let mut command = Command::new("sleep");
        command.arg("86400").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        match command.spawn() {
            Ok(child) => children.push(child),
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    let took = clock::since(began);
    for child in &mut children {
        child.kill()?;
        child.wait()?;
    }
    match failed {
        Some(error) => Err(error).context("the bare loop"),
        None => Ok(f64::from(count) / took.as_secs_f64()),
    }
}
