//! `footprint`: what everything takes when nothing happens.

use std::time::Duration;

use clap::Args as ClapArgs;

use crate::args::Servers;
use crate::fleet::{Fleet, Setup};
use crate::report::Report;
use crate::scenario::window::{Window, rest};

/// What is measured.
#[derive(Debug, Clone, ClapArgs)]
pub struct Args {
    /// How many nodes; each is an executor of its own process, as it is deployed.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub nodes: u32,
    /// How long it settles, in seconds.
    #[arg(long, default_value_t = 60)]
    pub settle: u64,
    /// How long it is measured, in seconds.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(10..=3_600))]
    pub seconds: u64,
    /// Which NATS.
    #[command(flatten)]
    pub servers: Servers,
}

/// Measures what was asked for.
pub async fn measure(args: &Args) -> anyhow::Result<Report> {
    let mut report = Report::new("footprint");
    report.setup("nodes", args.nodes);
    report.setup("measured for", format!("{} s, after {} s", args.seconds, args.settle));
    let setup = Setup {
        real: args.nodes,
        metrics: true,
        servers: args.servers.clone(),
        ..Setup::default()
    };
    let measure = async |fleet: &mut Fleet, report: &mut Report| {
        rest("seconds to settle", Duration::from_secs(args.settle)).await;
        let window = Window::open(fleet);
        rest("seconds of nothing", Duration::from_secs(args.seconds)).await;
        window.close(fleet, report);
        Ok(())
    };
    Fleet::with(&setup, &mut report, measure).await?;
    report.note("each process runs the code of one service from the load test's binary");
    Ok(report)
}
