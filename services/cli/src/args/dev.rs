//! Arguments of `ostler dev`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

pub const LONG: &str = "\
NATS, all five services and some nodes on this machine, to try things out.

nats-server is started as a child (from PATH, or .tools/bin), with its data in --data. When all is
ready it prints where to look. Ctrl-C stops all instances and leaves no process behind, unless
--keep; starting again with the same --data carries on where it was.";

/// `ostler dev`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct DevArgs {
    /// One part of a running dev fleet.
    #[command(subcommand)]
    pub command: Option<DevCommand>,
    /// How many nodes; they are `node-1` … and share this machine's capacity.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub nodes: u16,
    /// How many scheduler replicas.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=9))]
    pub schedulers: u16,
    /// Where everything is kept.
    #[arg(long, default_value = ".dev")]
    pub data: PathBuf,
    /// Where the gateway listens.
    #[arg(long, default_value = "127.0.0.1:8000")]
    pub listen: SocketAddr,
    /// Where NATS listens; the first free port from 4222 on if absent.
    #[arg(long)]
    pub nats_port: Option<u16>,
    /// Each service and each node as a process of its own, so that faults can be tried.
    #[arg(long)]
    pub processes: bool,
    /// Write where things are, as JSON, when all is ready.
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
    /// Leave the instances running when this ends.
    #[arg(long)]
    pub keep: bool,
}

/// One part of a dev fleet.
#[derive(Debug, Subcommand)]
pub enum DevCommand {
    /// Start one executor again, as the next epoch of that node.
    Node(DevNodeArgs),
    /// One service (used by `--processes`).
    #[command(hide = true)]
    Service {
        /// registry, scheduler, gateway or metrics.
        service: String,
        /// The data folder of the dev fleet.
        #[arg(long)]
        data: PathBuf,
        /// Which replica.
        #[arg(long, default_value_t = 1)]
        replica: u16,
        /// The process that it ends with.
        #[arg(long)]
        parent: u32,
    },
    /// Another program that ends with us, such as nats-server.
    #[command(hide = true)]
    Exec {
        /// The process that it ends with.
        #[arg(long)]
        parent: u32,
        /// Program and arguments.
        #[arg(required = true, last = true)]
        command: Vec<std::ffi::OsString>,
    },
}

/// `ostler dev node`.
#[derive(Debug, Args)]
pub struct DevNodeArgs {
    /// Its name, such as `node-1`.
    pub node: String,
    /// The data folder of the dev fleet.
    #[arg(long, default_value = ".dev")]
    pub data: PathBuf,
    /// The process that it ends with.
    #[arg(long, hide = true)]
    pub parent: Option<u32>,
}
