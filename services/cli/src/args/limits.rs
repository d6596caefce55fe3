//! Arguments of `ostler quotas`, `ostler settings` and `ostler rebalance`.

use clap::{Args as ClapArgs, Subcommand};

/// What namespaces may ask for in all.
#[derive(Debug, Subcommand)]
pub enum QuotaCommand {
    /// Every namespace that has a quota, and what it asks for.
    List {
        /// Print the list again and again.
        #[arg(long, short)]
        watch: bool,
    },
    /// Limit a namespace; what is not named is not limited.
    Set {
        /// The namespace.
        namespace: String,
        /// `instances=50`, `cpu=8000` (thousandths of a core), `memory=16GiB`, `disk=100GiB`,
        /// `ports=20`.
        #[arg(required = true)]
        limits: Vec<String>,
    },
    /// Take all limits off a namespace.
    Remove {
        /// The namespace.
        namespace: String,
    },
}

/// How the fleet and its pools decide, changed while they run.
#[derive(Debug, Subcommand)]
pub enum SettingsCommand {
    /// What is said, of the fleet or of a pool; all else is as the schedulers were started with.
    Show {
        /// Of this pool instead of the whole fleet.
        #[arg(long)]
        pool: Option<String>,
    },
    /// Change what is said; an empty value takes it back.
    Set {
        /// `preemption=true`, `rebalance.threshold=20`, `rebalance.on_join=true`,
        /// `rebalance.max_moves=5`, `weights.cpu=50`, `terms.prefer=20` …
        #[arg(required = true)]
        changes: Vec<String>,
        /// Of this pool instead of the whole fleet.
        #[arg(long)]
        pool: Option<String>,
    },
}

/// Even out the use of the nodes.
#[derive(Debug, ClapArgs)]
pub struct RebalanceArgs {
    /// Of this pool.
    #[arg(long, default_value = "default")]
    pub pool: String,
    /// At most so many moves.
    #[arg(long, value_name = "K")]
    pub max_moves: Option<u32>,
    /// Show what would be moved and move nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not follow.
    #[arg(long)]
    pub detach: bool,
}
