//! What each command does: a request or two to the gateway, and something to look at.

use clap::CommandFactory as _;

use crate::args::{Args, Command};
use crate::client::Client;
use crate::contexts;
use crate::failure::Failure;
use crate::session::Session;

mod apply;
mod artifacts;
mod backup;
mod bus;
mod config;
mod doctor;
mod endpoints;
mod exec;
mod explain;
mod fleet;
mod import;
mod instance;
mod limits;
mod logs;
mod manual;
mod node;
mod plan;
mod simulate;
mod watch;
mod workload;

/// Does what was asked; the exit code.
pub async fn run(args: Args) -> Result<u8, Failure> {
    let server = contexts::server(args.server, args.context.as_deref())?;
    let session = Session { client: Client::new(&server)?, format: args.output, yes: args.yes };
    match args.command {
        Command::Dev(dev) => crate::dev::run(dev).await.map(|()| 0),
        Command::Plan(args) => plan::run(&session, args).await,
        Command::Completions { shell } => {
            let mut out = std::io::stdout();
            clap_complete::generate(shell, &mut Args::command(), "ostler", &mut out);
            Ok(0)
        }
        Command::Manual { folder } => manual::write(&folder).map(|()| 0),
        Command::Simulate(args) => simulate::run(&session, args).await,
        Command::Config(command) => config::run(command),
        Command::Exec(args) => exec::run(&session, args).await,
        Command::Doctor => doctor::run(&session).await,
        Command::Bus(command) => bus::run(command).await.map(|()| 0),
        Command::Backup { file, target } => backup::backup(&file, target).await.map(|()| 0),
        Command::Restore { file, target } => backup::restore(&file, target).await.map(|()| 0),
        other => fleet_command(&session, other).await.map(|()| 0),
    }
}

/// Commands that only talk to the gateway.
async fn fleet_command(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::Run(run) => apply::run(session, run).await,
        Command::Create(create) => apply::create(session, create).await,
        Command::Ps { all, watch } => watch::every(watch, || instance::ps(session, all)).await,
        Command::Workloads { watch } => watch::every(watch, || workload::list(session)).await,
        Command::Instances { workload, node, state, watch } => {
            let filters = (workload.as_deref(), node.as_deref(), state.as_deref());
            watch::every(watch, || instance::list(session, filters)).await
        }
        Command::Inspect(one) => instance::inspect(session, &one.instance).await,
        Command::Move { instance, node } => instance::relocate(session, &instance, node).await,
        Command::Signal { instance, signal } => instance::signal(session, &instance, &signal).await,
        Command::Reload { what } => instance::reload(session, &what).await,
        Command::Logs(logs) => logs::run(session, logs).await,
        Command::Explain(args) => explain::run(session, args).await,
        Command::Nodes(command) => node::run(session, command).await,
        Command::Artifacts(command) => artifacts::run(session, command).await,
        Command::Endpoints(args) => endpoints::run(session, args).await,
        Command::Rebalance(args) => limits::rebalance(session, args).await,
        Command::Quotas(command) => limits::quotas(session, command).await,
        Command::Settings(command) => limits::settings(session, command).await,
        Command::Status => fleet::status(session).await,
        Command::Top => watch::every(true, || node::top(session)).await,
        Command::Metrics { node, range } => fleet::metrics(session, node, &range).await,
        Command::Events { follow, kind, workload, node, limit } => {
            let filters = [("kind", kind), ("workload", workload), ("node", node)];
            fleet::events(session, follow, filters, limit).await
        }
        Command::Commands { watch } => watch::every(watch, || fleet::commands(session)).await,
        other => workload_command(session, other).await,
    }
}

/// Commands about one workload.
async fn workload_command(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::Show(one) => workload::show(session, &one.workload).await,
        Command::History { workload, decisions: true, .. } => {
            explain::history::of_workload(session, &workload).await
        }
        Command::History { workload, decisions: false, watch } => {
            watch::every(watch, || workload::history(session, &workload)).await
        }
        Command::Scale { workload, count, detach } => {
            workload::scale(session, &workload, count, detach).await
        }
        Command::Restart(one) => workload::act(session, &one.workload, "restart").await,
        Command::Promote(one) => workload::promote(session, &one.workload).await,
        Command::Stop(one) => workload::act(session, &one.workload, "stop").await,
        Command::Start(one) => workload::act(session, &one.workload, "start").await,
        Command::Rollback { workload, version } => {
            workload::rollback(session, &workload, version).await
        }
        Command::Delete(delete) => workload::delete(session, delete).await,
        other => Err(Failure::usage(format!("{other:?} is done elsewhere"))),
    }
}
