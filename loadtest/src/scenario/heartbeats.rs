//! `heartbeats`: many nodes beat, and nothing else happens.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args as ClapArgs;
use indicatif::ProgressBar;
use ostler_bus::WatchEvent;
use ostler_core::node::{Liveness, Node};
use ostler_schemas::bucket::Bucket;
use ostler_service::clock;

use crate::args::Servers;
use crate::fleet::{Fleet, Setup};
use crate::report::Report;
use crate::scenario::window::Window;

/// What is measured.
#[derive(Debug, Clone, ClapArgs)]
pub struct Args {
    /// How many simulated nodes there are.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub nodes: u32,
    /// For how many seconds.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(10..=86_400))]
    pub seconds: u64,
    /// Which NATS.
    #[command(flatten)]
    pub servers: Servers,
}

/// Measures what was asked for.
pub async fn measure(args: &Args) -> anyhow::Result<Report> {
    let mut report = Report::new("heartbeats");
    report.setup("nodes", args.nodes);
    report.setup("seconds", args.seconds);
    let setup = Setup {
        nodes: args.nodes,
        metrics: true,
        servers: args.servers.clone(),
        ..Setup::default()
    };
    Fleet::with(&setup, &mut report, async |fleet, report| run(args, fleet, report).await).await?;
    report.note("all simulated hosts share the process `executors and client`");
    Ok(report)
}

async fn run(args: &Args, fleet: &Fleet, report: &mut Report) -> anyhow::Result<()> {
    let mut watch = fleet.bus.watch(&Bucket::Nodes).await?;
    let mut liveness = BTreeMap::new();
    let mut doubted = 0u32;
    let window = Window::open(fleet);
    let began = clock::instant();
    let bar = ProgressBar::new(args.seconds).with_message("seconds of nothing but beats");
    let time = Duration::from_secs(args.seconds);
    while clock::since(began) < time {
        bar.set_position(clock::since(began).as_secs());
        let left = time.saturating_sub(clock::since(began)).min(Duration::from_secs(1));
        let Ok(event) = tokio::time::timeout(left, watch.next()).await else { continue };
        match event {
            Some(WatchEvent::Put { key, value, .. }) => {
                let node: Node = WatchEvent::decode(&value)?;
                let before = liveness.insert(key, node.liveness);
                doubted += u32::from(
                    before == Some(Liveness::Online) && node.liveness != Liveness::Online,
                );
            }
            Some(_) => {}
            None => anyhow::bail!("the program stops"),
        }
    }
    bar.finish_and_clear();
    window.close(fleet, report);
    report.figure("nodes suspected though they beat", f64::from(doubted), "nodes");
    Ok(())
}
