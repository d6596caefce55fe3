//! Arguments of commands about workloads and their instances.

use std::path::PathBuf;

use clap::Args;

/// `ostler run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Workload files, TOML or JSON; `-` for standard input.
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Do not follow.
    #[arg(long)]
    pub detach: bool,
    /// Give up following after so long.
    #[arg(long, default_value = "5m")]
    pub timeout: String,
}

/// `ostler create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// How it is run: process, docker, sim …
    #[arg(long, default_value = "process")]
    pub driver: String,
    /// The image, for drivers that have one.
    #[arg(long)]
    pub image: Option<String>,
    /// Its name; made from the command if absent.
    #[arg(long)]
    pub name: Option<String>,
    /// Whose it is.
    #[arg(long, default_value = "default")]
    pub namespace: String,
    /// How many.
    #[arg(long, default_value_t = 1)]
    pub count: u32,
    /// Requested thousandths of a core.
    #[arg(long)]
    pub cpu: Option<u64>,
    /// Requested memory, such as `64MiB`; also the limit.
    #[arg(long)]
    pub memory: Option<String>,
    /// Preferably on this node.
    #[arg(long, value_name = "NODE")]
    pub node_preference: Option<String>,
    /// On this node or nowhere.
    #[arg(long)]
    pub node: Option<String>,
    /// Members of this group never share a node.
    #[arg(long, value_name = "GROUP")]
    pub anti_affinity_group: Option<String>,
    /// A port, as `http` (dynamic) or `http:8080` (that very one). Repeatable.
    #[arg(long = "port", value_name = "NAME[:PORT]")]
    pub ports: Vec<String>,
    /// An environment variable. Repeatable.
    #[arg(long = "env", value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Do not follow.
    #[arg(long)]
    pub detach: bool,
    /// The command, after `--`.
    #[arg(last = true)]
    pub command: Vec<String>,
}

/// `ostler delete`.
#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// `web` or `shop/web`. Several may be named.
    #[arg(required = true)]
    pub workloads: Vec<String>,
    /// Remove data and snapshots too.
    #[arg(long)]
    pub purge: bool,
    /// Do not wait until everything has ended.
    #[arg(long)]
    pub detach: bool,
}

/// `ostler logs`.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// An instance (id, unique beginning, `web/0`) or a workload.
    pub what: String,
    /// Go on as it is written.
    #[arg(long, short)]
    pub follow: bool,
    /// The last so many lines of each instance; 100, or all that fit with `--since`.
    #[arg(long, short = 'n', value_name = "LINES")]
    pub tail: Option<u32>,
    /// Only what was written in the last so long, such as `10m`.
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// With the time of each line, to within 5 s of when it was written.
    #[arg(long)]
    pub times: bool,
    /// Only `stdout` or `stderr`.
    #[arg(long)]
    pub stream: Option<String>,
    /// Only lines that hold this text.
    #[arg(long, value_name = "TEXT")]
    pub grep: Option<String>,
}

/// What to run inside which instance.
#[derive(Debug, Args)]
pub struct ExecArgs {
    /// Its id, a unique beginning of it, or `web/0`.
    pub instance: String,
    /// With a terminal, also if there is none here.
    #[arg(long, short, conflicts_with = "no_tty")]
    pub tty: bool,
    /// Without a terminal, also if there is one here.
    #[arg(long)]
    pub no_tty: bool,
    /// Its standard input is empty; what is typed here stays here.
    #[arg(long)]
    pub no_stdin: bool,
    /// Program and arguments.
    #[arg(required = true, last = true)]
    pub command: Vec<String>,
}
