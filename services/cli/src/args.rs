//! What may be said on the command line, and the help that teaches it.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};

use crate::output::Format;

mod artifact;
mod dev;
mod limits;
mod node;
mod question;
mod workload;

pub use artifact::{ArtifactCommand, EndpointArgs, EndpointForm};
pub use dev::{DevArgs, DevCommand};
pub use limits::{QuotaCommand, RebalanceArgs, SettingsCommand};
pub use node::NodeCommand;
pub use question::{ExplainArgs, PlanArgs, SimulateArgs};
pub use workload::{CreateArgs, DeleteArgs, ExecArgs, LogsArgs, RunArgs};

const AFTER: &str = "\
Try it:
  ostler dev                    a fleet of three nodes on this machine
  ostler run examples/web.toml  run something there and see it become ready
  ostler ps                     what runs where
  ostler explain web            why it is where it is

Exit codes: 0 done, 1 failed, 2 usage, 3 refused (policy, conflict, capacity), 4 unreachable,
5 partly done.";

/// Runs work on a fleet of machines: you say what and how many; Ostler decides where, starts it,
/// keeps it running, and explains every decision.
#[derive(Debug, Parser)]
#[command(name = "ostler", version, after_help = AFTER, max_term_width = 100)]
pub struct Args {
    /// The gateway; that of the context if absent.
    #[arg(long, global = true, env = "OSTLER_SERVER", value_name = "URL")]
    pub server: Option<String>,
    /// A fleet by the name that `~/.config/ostler/config.toml` gives it; its `current` if absent.
    #[arg(long, global = true, env = "OSTLER_CONTEXT", value_name = "NAME")]
    pub context: Option<String>,
    /// How results are printed.
    #[arg(long, short, global = true, value_enum, default_value_t)]
    pub output: Format,
    /// Do not ask before anything destructive.
    #[arg(long, short, global = true)]
    pub yes: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// A workload by name, as `web` or `shop/web`.
#[derive(Debug, ClapArgs)]
pub struct Workload {
    /// `web`, or `shop/web` in another namespace than `default`.
    pub workload: String,
}

/// An instance.
#[derive(Debug, ClapArgs)]
pub struct Instance {
    /// Its id, a unique beginning of it, or `web/0`.
    pub instance: String,
}

/// Everything that can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// NATS, all five services and some nodes on this machine, to try things out.
    #[command(long_about = dev::LONG)]
    Dev(DevArgs),
    /// Apply workload files, then follow until everything is ready.
    Run(RunArgs),
    /// What would happen if files were applied, nodes lost, drained or added. Changes nothing.
    #[command(long_about = question::PLAN)]
    Plan(PlanArgs),
    /// Create a workload from flags instead of a file.
    Create(CreateArgs),
    /// What runs where: instances, newest state first.
    Ps {
        /// Also those that have ended.
        #[arg(long, short)]
        all: bool,
        /// Print again every two seconds.
        #[arg(long, short)]
        watch: bool,
    },
    /// The workloads.
    Workloads {
        /// Print again every two seconds.
        #[arg(long, short)]
        watch: bool,
    },
    /// One workload: text in force, status, slots.
    Show(Workload),
    /// The versions of a workload, and what was decided about it.
    History {
        /// `web` or `shop/web`.
        workload: String,
        /// Only what was decided, newest last: each with its terms, runners-up and reasons.
        #[arg(long, conflicts_with = "watch")]
        decisions: bool,
        /// Print the list again and again.
        #[arg(long, short)]
        watch: bool,
    },
    /// Change how many instances run, and follow until they do.
    Scale {
        /// `web` or `shop/web`.
        workload: String,
        /// How many.
        count: u32,
        /// Do not follow.
        #[arg(long)]
        detach: bool,
    },
    /// Restart all instances of a workload, a few at a time.
    Restart(Workload),
    /// Let an instance, or all of a workload, read its settings again (SIGHUP unless it says).
    Reload {
        /// A workload, or an instance (id, unique beginning, `web/0`).
        what: String,
    },
    /// Take the canaries' version for all instances.
    Promote(Workload),
    /// Go back to an older version, as a new one.
    Rollback {
        /// `web` or `shop/web`.
        workload: String,
        /// Which; the one before if absent.
        version: Option<u32>,
    },
    /// Stop all instances and keep the workload.
    Stop(Workload),
    /// Start a stopped workload again.
    Start(Workload),
    /// Stop and remove a workload.
    Delete(DeleteArgs),
    /// Instances, of one workload or of all.
    Instances {
        /// `web` or `shop/web`.
        workload: Option<String>,
        /// Only on this node.
        #[arg(long)]
        node: Option<String>,
        /// Only in this state, such as `running`.
        #[arg(long)]
        state: Option<String>,
        /// Print the list again and again.
        #[arg(long, short)]
        watch: bool,
    },
    /// One instance in full.
    Inspect(Instance),
    /// What an instance, or all instances of a workload, wrote.
    Logs(LogsArgs),
    /// Run a command inside an instance; its exit code is the command's.
    ///
    /// With a terminal if there is one here: `ostler exec web/0 -- sh`.
    Exec(ExecArgs),
    /// Send a running instance a signal.
    Signal {
        /// Its id, a unique beginning of it, or `web/0`.
        instance: String,
        /// Such as `SIGUSR1`, or `usr1`.
        signal: String,
    },
    /// Start an instance elsewhere, then stop it here.
    Move {
        /// Its id, a unique beginning of it, or `web/0`.
        instance: String,
        /// To this node; anywhere else if absent.
        node: Option<String>,
    },
    /// Why it is there, why not elsewhere, what would unblock it.
    #[command(long_about = question::EXPLAIN)]
    Explain(ExplainArgs),
    /// The nodes, and what is wanted of them.
    #[command(subcommand)]
    Nodes(NodeCommand),
    /// Packages, trees and images, every version kept.
    #[command(subcommand)]
    Artifacts(ArtifactCommand),
    /// Who may be asked for what: addresses of instances that are ready, by workload and port.
    Endpoints(EndpointArgs),
    /// Even out the use of the nodes, and follow until it is done.
    Rebalance(RebalanceArgs),
    /// What namespaces may ask for in all.
    #[command(subcommand)]
    Quotas(QuotaCommand),
    /// How the fleet and its pools decide, changed while they run.
    #[command(subcommand)]
    Settings(SettingsCommand),
    /// Services and their leaders, nodes and workloads by state, warnings.
    Status,
    /// The nodes by use, printed again every two seconds.
    Top,
    /// Use and series of the fleet or of a node.
    Metrics {
        /// Of this node instead of the fleet.
        #[arg(long)]
        node: Option<String>,
        /// How far back.
        #[arg(long, default_value = "15m")]
        range: String,
    },
    /// What happened.
    Events {
        /// Go on as things happen.
        #[arg(long, short)]
        follow: bool,
        /// Only this kind, such as `instance.placed`.
        #[arg(long)]
        kind: Option<String>,
        /// Only of this workload.
        #[arg(long)]
        workload: Option<String>,
        /// Only of this node.
        #[arg(long)]
        node: Option<String>,
        /// The last so many.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Orders of the last day and what became of them.
    Commands {
        /// Print the list again and again.
        #[arg(long, short)]
        watch: bool,
    },
    /// Run a scenario in simulated time: no bus, no network.
    #[command(long_about = question::SIMULATE)]
    Simulate(SimulateArgs),
    /// Check and show settings.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Check this machine and the connection to the fleet.
    Doctor,
    /// Streams and buckets on NATS.
    #[command(subcommand)]
    Bus(BusCommand),
    /// Copy all that the fleet knows into one file: every workload and version, where everything
    /// was placed, nodes, accounts, artifacts, events. The fleet goes on meanwhile. History in SQL
    /// is filled again from the events.
    Backup {
        /// The file to write.
        file: PathBuf,
        /// Which fleet.
        #[command(flatten)]
        target: BusTarget,
    },
    /// Make a fleet of such a file, on NATS servers that have none yet, before its services are
    /// started. Executors that still run their instances are adopted, nothing is restarted.
    Restore {
        /// The file to read.
        file: PathBuf,
        /// Where.
        #[command(flatten)]
        target: BusTarget,
    },
    /// Write the manual pages: `ostler manual /usr/local/share/man/man1`.
    Manual {
        /// Where; it is made if it is not there.
        folder: PathBuf,
    },
    /// Print a completion script for a shell.
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
    },
}

/// Settings.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Report every error of a file at once.
    Validate {
        /// The file.
        file: PathBuf,
    },
    /// Print the settings in force.
    Show {
        /// The file; /etc/ostler/ostler.toml if it is there.
        #[arg(long)]
        config: Option<PathBuf>,
        /// Say where each comes from.
        #[arg(long)]
        origin: bool,
    },
}

/// Which bus, and what to do with it.
#[derive(Debug, ClapArgs)]
pub struct BusTarget {
    /// NATS servers.
    #[arg(long, alias = "url", default_value = "nats://127.0.0.1:4222", env = "OSTLER_BUS__URL")]
    pub nats: String,
    /// The fleet's pools.
    #[arg(long = "pool", default_value = "default")]
    pub pools: Vec<String>,
    /// The first token of every subject.
    #[arg(long, default_value = "ostler")]
    pub root: String,
}

/// Streams and buckets.
#[derive(Debug, Subcommand)]
pub enum BusCommand {
    /// Make what is missing; change nothing that is there.
    Provision(BusTarget),
    /// Compare every stream with what it should be.
    Check(BusTarget),
}
