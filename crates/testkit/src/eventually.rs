//! Waiting for something to become true, with one deadline for all tests.

use std::future::Future;
use std::time::Duration;

/// How long anything may take that a test waits for.
pub const DEADLINE: Duration = Duration::from_secs(30);

const POLL: Duration = Duration::from_millis(20);

/// Waits until `condition` is true, 30 s at most. Panics with `what` when it never is.
#[track_caller]
pub fn eventually<F, Fut>(what: &str, condition: F) -> impl Future<Output = ()>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    eventually_within(DEADLINE, what, condition)
}

/// As [`eventually`], with another deadline: for what is promised within a time.
#[track_caller]
pub fn eventually_within<F, Fut>(
    deadline: Duration,
    what: &str,
    mut condition: F,
) -> impl Future<Output = ()>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let place = std::panic::Location::caller();
    let what = what.to_owned();
    async move {
        let wait = async {
            while !condition().await {
                tokio::time::sleep(POLL).await;
            }
        };
        assert!(
            tokio::time::timeout(deadline, wait).await.is_ok(),
            "{place}: not within {deadline:?}: {what}"
        );
    }
}
