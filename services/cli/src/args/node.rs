//! Arguments of `ostler nodes`.

use clap::Subcommand;

/// The nodes, and what is wanted of them.
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// All nodes.
    List {
        /// Print again every two seconds.
        #[arg(long, short)]
        watch: bool,
    },
    /// One node in full.
    Show {
        /// Its name.
        node: String,
    },
    /// What runs there for us though no record says so, as after a lost journal.
    Leftovers {
        /// Its name.
        node: String,
        /// End all of it.
        #[arg(long)]
        clean: bool,
    },
    /// What runs there that is not ours, as workload files that would run the same.
    #[command(
        after_help = "Nothing is taken over or stopped: look the files over, `ostler run` them, \
                            then end what was there. Environments are printed as they are."
    )]
    Import {
        /// Its name.
        node: String,
        /// Only report; there is nothing else yet.
        #[arg(long, required = true)]
        dry_run: bool,
    },
    /// Give it no new work.
    Cordon {
        /// Its name.
        node: String,
    },
    /// Let it take work again; also ends a drain.
    Uncordon {
        /// Its name.
        node: String,
    },
    /// Move everything away, and follow until it is empty.
    Drain {
        /// Its name.
        node: String,
        /// How long jobs may still take.
        #[arg(long, default_value = "1h")]
        deadline: String,
        /// Do not wait for replacements, nor for jobs.
        #[arg(long)]
        force: bool,
        /// Do not follow.
        #[arg(long)]
        detach: bool,
    },
    /// Drain it and keep it empty, also over restarts.
    Maintenance {
        /// Its name.
        node: String,
    },
    /// End maintenance.
    Activate {
        /// Its name.
        node: String,
    },
    /// Set labels; an empty value removes one.
    Label {
        /// Its name.
        node: String,
        /// `key=value`, repeatable.
        #[arg(required = true)]
        labels: Vec<String>,
    },
    /// Forget a node. Refused while instances are there, unless forced.
    Remove {
        /// Its name.
        node: String,
        /// Place its instances elsewhere first.
        #[arg(long)]
        force: bool,
    },
}
