//! `ostler-loadtest SCENARIO`: measures, prints what it measured, and leaves nothing behind.

mod args;
mod fleet;
mod machine;
mod report;
mod scenario;

use clap::Parser as _;

fn main() -> anyhow::Result<()> {
    let args = args::Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(scenario::run(args))
}
