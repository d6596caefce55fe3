//! `ostler-loadtest SCENARIO`: measures, prints what it measured, and leaves nothing behind.

mod args;
mod baseline;
mod fleet;
mod machine;
mod report;
mod scenario;

use clap::Parser as _;
use ostler_service::telemetry;

fn main() -> anyhow::Result<()> {
    ostler_executor::guardian::stand_if_asked();
    let args = args::Args::parse();
    if !matches!(args.scenario, args::Scenario::Serve(_)) {
        let filter = "warn,async_nats=error".to_owned();
        telemetry::start(&telemetry::Config { filter, ..telemetry::Config::default() });
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(scenario::run(args))
}
