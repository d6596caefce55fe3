//! What every program of ours has: tasks, health, metrics; and how each begins and ends.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::health::{self, Health};
use crate::tasks::Tasks;

/// How long a program may take to stop.
const GRACE: Duration = Duration::from_secs(20);

/// One running program, or one part of `ostler dev`. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// Its tasks.
    pub tasks: Tasks,
    /// What must be usable for it to be ready.
    pub health: Health,
    /// What it counts; names are `ostler_<service>_<noun>_<unit>[_total]`.
    pub metrics: prometheus::Registry,
}

impl Program {
    /// A program that does nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Serves `/healthz`, `/readyz` and `/metrics` until the program stops, and says where.
    pub async fn serve_health(&self, listen: SocketAddr) -> std::io::Result<SocketAddr> {
        let routes = health::routes(self.health.clone(), self.metrics.clone());
        let bound = health::serve(listen, routes, &self.tasks).await?;
        tracing::info!(%bound, "health and metrics are served on {bound}");
        Ok(bound)
    }

    /// Stops every task and waits for them. The error says why the program stopped, if a task
    /// failed, or that tasks had to be left behind.
    pub async fn finish(self) -> Result<(), String> {
        let end = self.tasks.shut_down(GRACE).await;
        match (end.failure, end.left) {
            (Some(failure), _) => Err(failure),
            (None, 0) => Ok(()),
            (None, left) => Err(format!("{left} tasks did not end within {GRACE:?}")),
        }
    }
}

/// The file that `--config FILE` or `--config=FILE` names on the command line.
#[must_use]
pub fn config_path_from_args() -> Option<PathBuf> {
    config_path(std::env::args().skip(1))
}

fn config_path(mut arguments: impl Iterator<Item = String>) -> Option<PathBuf> {
    while let Some(argument) = arguments.next() {
        if argument == "--config" {
            return arguments.next().map(PathBuf::from);
        }
        if let Some(path) = argument.strip_prefix("--config=") {
            return Some(PathBuf::from(path));
        }
    }
    None
}

/// Waits for SIGTERM, SIGINT or SIGHUP (the terminal is gone), or until the program stops of itself; then every task was asked to
/// end.
pub async fn until_signal(program: &Program) {
    let stop = program.tasks.stop_token();
    let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
    match kinds.map(signal) {
        [Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)] => tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
            () = stop.cancelled() => {}
        },
        // Without handlers the signals end the process by themselves.
        _ => stop.cancelled().await,
    }
    program.tasks.stop();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_file_is_found_in_both_spellings() {
        let path = |words: &[&str]| config_path(words.iter().map(ToString::to_string));
        assert_eq!(path(&["--config", "a.toml"]), Some("a.toml".into()));
        assert_eq!(path(&["x", "--config=b.toml"]), Some("b.toml".into()));
        assert_eq!(path(&["--config"]), None);
    }
}
