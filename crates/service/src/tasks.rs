//! Tasks that are waited for: the only place that spawns.

use std::error::Error;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::error;

use crate::chain::Chain;

/// The tasks of one program. Cheap to clone; all clones are the same set.
#[derive(Clone, Debug)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    failure: Arc<Mutex<Option<String>>>,
}

/// How a shutdown ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shutdown {
    /// Tasks that did not end in time.
    pub left: usize,
    /// Why the program stopped, if a task failed.
    pub failure: Option<String>,
}

/// Dropped when its task ends, in whatever way.
struct Guard(CancellationToken);
impl Drop for Guard {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}

impl Tasks {
    /// An empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::under(CancellationToken::new())
    }

    /// An empty set that also stops when `stop` is cancelled.
    #[must_use]
    pub fn under(stop: CancellationToken) -> Self {
        Self { tracker: TaskTracker::new(), stop, failure: Arc::default() }
    }

    /// Cancelled when the program is to stop; pass it into loops.
    #[must_use]
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Runs a task for as long as the program runs. When it ends, by error, by panic or of its own
    /// accord, the whole program stops: one with half its loops running is worse than one that is
    /// restarted.
    pub fn spawn<F, E>(&self, name: &'static str, task: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>> + Send + 'static,
    {
        let guard = Guard(self.stop.clone());
        let failure = Arc::clone(&self.failure);
        self.tracker.spawn(async move {
            let _guard = guard;
            if let Err(cause) = task.await {
                let cause: Box<dyn Error + Send + Sync> = cause.into();
                let cause = Chain(cause.as_ref()).to_string();
                error!(task = name, error = cause, "task {name} failed, stopping");
                let mut failure = failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                failure.get_or_insert_with(|| format!("{name}: {cause}"));
            }
        });
    }

    /// Runs a task that may end before the program does: one request, one instance.
    pub fn spawn_brief<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tracker.spawn(task);
    }

    /// Resolves when the program is to stop.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Asks every task to end.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Asks every task to end and waits for them, but no longer than `grace`.
    pub async fn shut_down(self, grace: Duration) -> Shutdown {
        self.stop.cancel();
        self.tracker.close();
        // Running out of time is told by `left`.
        drop(tokio::time::timeout(grace, self.tracker.wait()).await);
        let failure =
            self.failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        Shutdown { left: self.tracker.len(), failure }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_fails_stops_the_program_and_is_named() {
        let tasks = Tasks::new();
        tasks.spawn("broken", async { Err("out of luck") });
        tasks.stopped().await;
        let end = tasks.shut_down(Duration::from_secs(5)).await;
        assert_eq!(end, Shutdown { left: 0, failure: Some("broken: out of luck".into()) });
    }

    #[tokio::test]
    async fn a_task_that_panics_stops_the_program() {
        let tasks = Tasks::new();
        tasks.spawn::<_, &str>("broken", async { panic!("as the test wants") });
        tasks.stopped().await;
        assert_eq!(tasks.shut_down(Duration::from_secs(5)).await.left, 0);
    }

    #[tokio::test]
    async fn shutting_down_waits_for_tasks_but_not_for_ever() {
        let tasks = Tasks::new();
        tasks.spawn_brief(std::future::pending());
        assert_eq!(tasks.shut_down(Duration::from_millis(10)).await.left, 1);
    }
}
