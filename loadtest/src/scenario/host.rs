//! `host`: what one host does for its instances beside processes: containers through the whole path
//! against `docker run` in a loop, and a command inside an instance, from the request to its exit.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Args as ClapArgs;
use futures::StreamExt as _;
use indicatif::ProgressBar;
use ostler_service::clock;
use ostler_testkit::Dockerd;
use ostler_testkit::docker::IMAGE;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::args::Servers;
use crate::fleet::{Fleet, Setup};
use crate::report::{Report, Values};
use crate::scenario::tally::{Goal, Tally};

/// How long all starts, or all ends, may take.
const WITHIN: Duration = Duration::from_secs(300);
/// What a container does.
const NOTHING: [&str; 2] = ["sleep", "86400"];

/// What is measured.
#[derive(Debug, Clone, ClapArgs)]
pub struct Args {
    /// How many containers.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub containers: u32,
    /// How many commands, one after the other.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub commands: u32,
    /// Which NATS.
    #[command(flatten)]
    pub servers: Servers,
}

/// Measures what was asked for.
pub async fn measure(args: &Args) -> anyhow::Result<Report> {
    let mut report = Report::new("host");
    report.setup("containers", args.containers);
    report.setup("commands", args.commands);
    let dockerd = Dockerd::start().await;
    let bare = docker_loop(&dockerd, args.containers)?;
    let socket = PathBuf::from(dockerd.socket().trim_start_matches("unix://"));
    let setup =
        Setup { real: 1, docker: Some(socket), servers: args.servers.clone(), ..Setup::default() };
    let measure =
        async |fleet: &mut Fleet, report: &mut Report| run(args, fleet, bare, report).await;
    Fleet::with(&setup, &mut report, measure).await?;
    report.note("containers of a private dockerd: busybox, `sleep`, no network, nothing is pulled");
    report.note("the loop is `docker run --detach`, one after the other, of the same image");
    report.note("a command is `true`: a WebSocket to the gateway, the bus, the executor, and back");
    Ok(report)
}

async fn run(args: &Args, fleet: &Fleet, bare: f64, report: &mut Report) -> anyhow::Result<()> {
    let mut tally = Tally::begin(&fleet.bus).await?;
    let rate = containers(args.containers, fleet, &mut tally, report).await?;
    report.figure("docker run in a loop, containers per second", bare, "/s");
    report.figure("share of that loop", rate / bare * 100.0, "%");
    commands(args.commands, fleet, &mut tally, report).await
}

async fn containers(
    count: u32,
    fleet: &Fleet,
    tally: &mut Tally,
    report: &mut Report,
) -> anyhow::Result<f64> {
    let workload = json!({
        "driver": "docker", "count": count,
        "docker": { "image": IMAGE, "pull": "never", "network": "none", "command": NOTHING },
        "resources": { "cpu": 1, "memory": "16MiB" },
        "stop": { "grace": "1s" },
    });
    let began = clock::instant();
    fleet.put("boxes", &workload).await?;
    until(count, tally).await?;
    let took = clock::since(began);
    let rate = f64::from(count) / took.as_secs_f64();
    report.figure("containers per second", rate, "/s");
    report.took("request to all containers running", took);
    let began = clock::instant();
    fleet.remove("boxes").await?;
    until(0, tally).await?;
    report.took("request to no container left", clock::since(began));
    Ok(rate)
}

async fn until(running: u32, tally: &mut Tally) -> anyhow::Result<()> {
    let bar = ProgressBar::new(running.into()).with_message("running");
    let goal = Goal { running, began: clock::instant(), within: WITHIN };
    tally.until(goal, &bar).await?;
    bar.finish_and_clear();
    Ok(())
}

async fn commands(
    count: u32,
    fleet: &Fleet,
    tally: &mut Tally,
    report: &mut Report,
) -> anyhow::Result<()> {
    let workload = json!({
        "driver": "process", "count": 1, "process": { "command": NOTHING },
        "resources": { "cpu": 1, "memory": "16MiB" },
    });
    fleet.put("one", &workload).await?;
    until(1, tally).await?;
    let id = instance_of(fleet, "one").await?;
    let url = format!("{}/v1/instances/{id}/exec?command=true", fleet.api);
    let url = url.replacen("http://", "ws://", 1);
    let bar = ProgressBar::new(count.into()).with_message("commands");
    let (mut took, mut alone) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let began = clock::instant();
        command(&url).await?;
        took.push(clock::since(began).as_secs_f64() * 1000.0);
        let began = clock::instant();
        let status = tokio::process::Command::new("true").status().await?;
        alone.push(clock::since(began).as_secs_f64() * 1000.0);
        ensure!(status.success(), "`true` failed");
        bar.inc(1);
    }
    bar.finish_and_clear();
    report.percentiles("a command inside,", &Values::of(took), "ms");
    report.percentiles("the same program started here,", &Values::of(alone), "ms");
    fleet.remove("one").await?;
    until(0, tally).await
}

/// The id of the only instance; lists may lag behind reports.
async fn instance_of(fleet: &Fleet, workload: &str) -> anyhow::Result<String> {
    let path = format!("/v1/instances?workload={workload}&state=running");
    let began = clock::instant();
    while clock::since(began) < WITHIN {
        let page = fleet.get(&path).await?;
        if let Some(id) = page["items"][0]["id"].as_str() {
            return Ok(id.to_owned());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    anyhow::bail!("no instance of `{workload}` is listed")
}

/// Runs it; it has to exit with 0.
async fn command(url: &str) -> anyhow::Result<()> {
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await?;
    while let Some(message) = socket.next().await {
        if let Message::Text(text) = message? {
            let last: Value = serde_json::from_str(&text)?;
            ensure!(last["exit_code"] == 0, "the command ended otherwise: {last}");
            return Ok(());
        }
    }
    anyhow::bail!("the connection was closed")
}

/// Containers per second, started one after the other. None is left.
fn docker_loop(dockerd: &Dockerd, count: u32) -> anyhow::Result<f64> {
    let docker = |args: &[&str]| {
        let mut command = Command::new("docker");
        command.args(args).env("DOCKER_HOST", dockerd.socket()).stdout(Stdio::null());
        let status = command.status().context("the command line of Docker is installed")?;
        ensure!(status.success(), "docker {args:?} failed");
        Ok(())
    };
    let names: Vec<String> = (0..count).map(|number| format!("bare-{number}")).collect();
    let began = clock::instant();
    for name in &names {
        let options = ["run", "--detach", "--network", "none", "--name", name.as_str(), IMAGE];
        docker(&[options.as_slice(), NOTHING.as_slice()].concat())?;
    }
    let took = clock::since(began);
    let all = names.iter().map(String::as_str);
    docker(&["rm", "--force"].into_iter().chain(all).collect::<Vec<_>>())?;
    Ok(f64::from(count) / took.as_secs_f64())
}
