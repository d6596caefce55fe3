//! `ostler`: the command line of a fleet.

use std::process::ExitCode;

use clap::Parser as _;

mod args;
mod client;
mod command;
mod contexts;
mod dev;
mod failure;
mod follow;
mod output;
mod session;

fn main() -> ExitCode {
    // Executors of `ostler dev` run in this program.
    ostler_executor::guardian::stand_if_asked();
    let args = args::Args::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failure::Failure::failed(error).report(),
    };
    match runtime.block_on(command::run(args)) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => failure.report(),
    }
}
