//! What can be asked for on the command line.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use crate::baseline;
use crate::scenario::{
    api, churn, failover, footprint, heartbeats, host, latency, leader, pressure, spawn,
};

/// Measures Ostler on this machine: loopback only, bounded in time, and nothing is left behind.
#[derive(Debug, Parser)]
#[command(name = "ostler-loadtest", version)]
pub struct Args {
    /// What is measured.
    #[command(subcommand)]
    pub scenario: Scenario,
    /// Write the report as JSON, too.
    #[arg(long, global = true, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// What is measured.
#[derive(Debug, Subcommand)]
pub enum Scenario {
    /// The core alone: placements per second and peak memory.
    Engine(Engine),
    /// REST request to every instance reported running, by simulated executors on a real bus.
    Place(Place),
    /// One real process at a time on an idle fleet: request to reported running.
    Latency(latency::Args),
    /// Many real processes on one node, against a bare fork/exec loop.
    Spawn(spawn::Args),
    /// Containers against `docker run`, and commands inside an instance.
    Host(host::Args),
    /// Nodes die at once: last beat to every replacement running.
    Failover(failover::Args),
    /// The leading scheduler dies in the middle of its work: how long nothing is placed.
    Leader(leader::Args),
    /// Many nodes beat and nothing else happens: what that costs, and whether one is suspected.
    Heartbeats(heartbeats::Args),
    /// Instances are replaced all the time: does anything grow?
    Churn(churn::Args),
    /// Readers of lists: requests per second and how long the slowest wait.
    Api(api::Args),
    /// Something asks for far too much: how long does everybody else wait?
    Pressure(pressure::Args),
    /// Memory and processor time of everything when nothing happens.
    Footprint(footprint::Args),
    /// What was measured last beside what `--json` wrote now.
    Compare(baseline::Args),
    /// One service as a child of a scenario; ends when its standard input is closed.
    #[command(hide = true)]
    Serve(Serve),
}

/// The core alone.
#[derive(Debug, Clone, ClapArgs)]
pub struct Engine {
    /// How many nodes there are.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub nodes: u32,
    /// How many instances are placed; default: what the case asks for.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub instances: Option<u32>,
    /// What is placed.
    #[arg(long, value_enum, default_value_t = Case::Basic)]
    pub case: Case,
    /// How often it is measured.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
}

/// What the core is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Case {
    /// Instances without constraints, on top of ten a node that run already.
    Basic,
    /// Instances without constraints, on empty nodes.
    Empty,
    /// An even spread over 100 racks.
    Spread,
    /// At most one on each node, where another workload has its own already.
    AntiAffinity,
    /// Many workloads of one instance each.
    Many,
    /// One on each node, all of which are full: on each one of less priority has to end.
    Preemption,
    /// Why a workload that fits nowhere is blocked, node by node.
    Explain,
    /// A copy of the engine, as each what-if has one: so long the leader does nothing else.
    Copy,
}

/// The whole path.
#[derive(Debug, Clone, ClapArgs)]
pub struct Place {
    /// How many simulated executors there are.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub nodes: u32,
    /// How many instances are asked for.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub instances: u32,
    /// Which NATS.
    #[command(flatten)]
    pub servers: Servers,
    /// Connections that the simulated executors share.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub connections: u32,
    /// How many placements the scheduler makes in one plan; default: its own.
    #[arg(long)]
    pub batch: Option<usize>,
    /// Give up after so many seconds.
    #[arg(long, default_value_t = 300)]
    pub within: u64,
    /// Measure at this size only, not also at a tenth and a hundredth of the nodes.
    #[arg(long)]
    pub alone: bool,
}

/// Which NATS a fleet is on.
#[derive(Debug, Clone, ClapArgs)]
pub struct Servers {
    /// A NATS server of your own, where everything is under a root of its own and removed
    /// afterwards; without it a private one is started.
    #[arg(long, value_name = "URL", conflicts_with = "replicas")]
    pub nats: Option<String>,
    /// Servers of the private NATS: 1, or a cluster of 3.
    #[arg(long, default_value_t = 1, value_parser = one_or_three)]
    pub replicas: u32,
}

impl Default for Servers {
    fn default() -> Self {
        Self { nats: None, replicas: 1 }
    }
}

fn one_or_three(text: &str) -> Result<u32, String> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        _ => Err("should be 1 or 3".to_owned()),
    }
}

/// One service as a child.
#[derive(Debug, Clone, ClapArgs)]
pub struct Serve {
    /// Which.
    #[arg(value_enum)]
    pub service: Service,
    /// What this one is called.
    #[arg(long)]
    pub name: String,
    /// Its NATS server.
    #[arg(long)]
    pub nats: String,
    /// The first token of its subjects.
    #[arg(long)]
    pub root: String,
    /// The folder for what it keeps, and for where it tells its address.
    #[arg(long)]
    pub home: PathBuf,
    /// How many placements the scheduler makes in one plan.
    #[arg(long)]
    pub batch: Option<usize>,
    /// The number of the first executor.
    #[arg(long, default_value_t = 0)]
    pub first: u32,
    /// How many executors.
    #[arg(long, default_value_t = 1)]
    pub count: u32,
    /// How executors run things.
    #[arg(long, value_enum, default_value_t = Means::Sim)]
    pub means: Means,
    /// Where Docker listens, for executors that run containers, too.
    #[arg(long)]
    pub docker: Option<PathBuf>,
}

/// How executors run things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Means {
    /// Not at all.
    #[default]
    Sim,
    /// As processes.
    Process,
}

impl Means {
    /// Its name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sim => "sim",
            Self::Process => "process",
        }
    }
}

/// What a scenario starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Service {
    /// Desired state and liveness.
    Registry,
    /// Placements.
    Scheduler,
    /// REST.
    Gateway,
    /// Series.
    Metrics,
    /// Some nodes.
    Executors,
}

impl Service {
    /// Its name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Scheduler => "scheduler",
            Self::Gateway => "gateway",
            Self::Metrics => "metrics",
            Self::Executors => "executors",
        }
    }
}
