//! Arguments of `ostler artifacts` and `ostler endpoints`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Packages, trees and images, every version kept.
#[derive(Debug, Subcommand)]
pub enum ArtifactCommand {
    /// Upload a file, or a folder packed as tar.gz, as a new version.
    ///
    /// The same folder always packs to the same bytes: owners and times are left out.
    Push {
        /// What it is called.
        name: String,
        /// The file or folder; `-` for standard input.
        path: PathBuf,
    },
    /// The newest version of each artifact.
    List {
        /// Print again every two seconds.
        #[arg(long, short)]
        watch: bool,
    },
    /// The versions of an artifact, and who uses them.
    Show {
        /// What it is called.
        name: String,
    },
    /// Download an artifact: `site`, or `site@3`.
    Get {
        /// What it is called, with or without a version.
        name: String,
        /// Where to; `-` for standard output.
        path: PathBuf,
    },
    /// Remove a version, as `site@3`, or all of them.
    Remove {
        /// What it is called, with or without a version.
        name: String,
        /// Though workloads name it.
        #[arg(long)]
        force: bool,
    },
}

/// What endpoints are written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EndpointForm {
    /// Targets for the HTTP service discovery of Prometheus.
    Prometheus,
    /// `upstream` blocks for nginx.
    Nginx,
    /// `backend` blocks for `HAProxy`.
    Haproxy,
}

/// Which endpoints, and how.
#[derive(Debug, Args)]
pub struct EndpointArgs {
    /// `web`, `web.http`, or either after `shop/`; all if absent.
    pub name: Option<String>,
    /// Also those that are not ready.
    #[arg(long, short)]
    pub all: bool,
    /// Print again whenever something changes.
    #[arg(long, short)]
    pub watch: bool,
    /// Print them for a proxy or for Prometheus.
    #[arg(long, value_enum, conflicts_with = "watch")]
    pub format: Option<EndpointForm>,
}
