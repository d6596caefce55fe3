//! The other side of a child: one service, until standard input is closed.

use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use ostler_bus::{Bus, Pings};
use ostler_service::{Program, telemetry};

use super::child::ready_file;
use super::executors::{self, Executors};
use crate::args::{Means, Serve, Service};

/// Connections that the nodes of one child share.
const CONNECTIONS: u32 = 4;

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Serves until standard input is closed.
pub async fn serve(args: Serve) -> anyhow::Result<()> {
    telemetry::start(&telemetry::Config::default());
    let program = Program::new();
    let (url, root) = (args.nats.clone(), args.root.clone());
    let config = ostler_bus::Config { url, root, ..ostler_bus::Config::default() };
    if args.service == Service::Executors {
        return executors(&args, &config, &program).await;
    }
    let bus = Bus::connect(&config, args.service.as_str(), Pings::Usual, &program).await?;
    let address = start(&args, bus, &program).await?;
    stop_with_stdin(&program);
    tell_when_ready(&program, &args, address).await?;
    program.tasks.stopped().await;
    program.finish().await.map_err(anyhow::Error::msg)
}

/// Some nodes: thousands of simulated ones, or one that runs real processes.
async fn executors(
    args: &Serve,
    config: &ostler_bus::Config,
    program: &Program,
) -> anyhow::Result<()> {
    match args.means {
        Means::Sim => {
            let some = Executors::connect(config, CONNECTIONS.min(args.count).max(1)).await?;
            some.start(args.first, args.count)?;
            // Each has a program of its own; whether they are online the registry says.
            program.health.set("executors", Ok(()));
            stop_with_stdin(program);
            tell_when_ready(program, args, LOOPBACK).await?;
            program.tasks.stopped().await;
            some.stop().await;
        }
        Means::Process => {
            let bus = Bus::connect(config, "executor", Pings::Usual, program).await?;
            let own = executors::real(args.first, &args.home, args.docker.as_deref())?;
            program.tasks.spawn("executor", ostler_executor::run(own, bus, program.clone()));
            stop_with_stdin(program);
            tell_when_ready(program, args, LOOPBACK).await?;
            program.tasks.stopped().await;
        }
    }
    program.clone().finish().await.map_err(anyhow::Error::msg)
}

/// Starts the service; says where it can be reached.
async fn start(args: &Serve, bus: Bus, program: &Program) -> anyhow::Result<SocketAddr> {
    let own = program.clone();
    match args.service {
        Service::Registry => {
            let database = format!("sqlite:{}/{}.db", args.home.display(), args.name);
            let replica = args.name.clone();
            let config = ostler_registry::Config { database, replica, ..Default::default() };
            program.tasks.spawn("registry", ostler_registry::run(config, bus, own));
        }
        Service::Scheduler => {
            let mut config =
                ostler_scheduler::Config { id: args.name.clone(), ..Default::default() };
            config.batch = args.batch.unwrap_or(config.batch);
            program.tasks.spawn("scheduler", ostler_scheduler::run(config, bus, own));
        }
        Service::Metrics => {
            let config = ostler_metrics::Config::default();
            program.tasks.spawn("metrics", ostler_metrics::run(config, bus, own));
        }
        Service::Gateway => {
            let config = ostler_gateway::Config { listen: LOOPBACK, ..Default::default() };
            let bound = ostler_gateway::bind(config).await?;
            let address = bound.address();
            program.tasks.spawn("gateway", bound.run(bus, own));
            return Ok(address);
        }
        Service::Executors => anyhow::bail!("executors are started otherwise"),
    }
    Ok(program.serve_health(LOOPBACK).await?)
}

/// A thread, because standard input has no other way; it ends with the process.
fn stop_with_stdin(program: &Program) {
    let tasks = program.tasks.clone();
    std::thread::spawn(move || {
        let mut nothing = Vec::new();
        // Whatever comes, it is over when nothing more comes.
        std::io::stdin().read_to_end(&mut nothing).ok();
        tasks.stop();
    });
}

async fn tell_when_ready(
    program: &Program,
    args: &Serve,
    address: SocketAddr,
) -> anyhow::Result<()> {
    let stop = program.tasks.stop_token();
    while program.health.ready().is_err() && !stop.is_cancelled() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let file = ready_file(&args.home, &args.name);
    let part = file.with_extension("part");
    std::fs::write(&part, address.to_string())?;
    Ok(std::fs::rename(part, file)?)
}
