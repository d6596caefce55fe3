//! Leases: one holder at a time, by compare-and-set and the server's clock.

use std::time::Duration;

use crate::connection::Bus;
use crate::kv::WriteError;

/// A lease that is held and renewed every third of its time to live by a task of its own. The
/// holder stops acting when two thirds have passed since the *sending* of its last confirmed
/// renewal.
#[derive(Debug)]
pub struct Lease {}

impl Lease {
    /// Waits until the lease is ours: takes it when it is free, watches it otherwise. Dropping the
    /// future gives up. `purpose` such as `scheduler-default`; `ttl` in whole seconds, 3 s for
    /// leaders.
    pub async fn acquire(
        bus: &Bus,
        purpose: &str,
        holder: &str,
        ttl: Duration,
    ) -> Result<Self, WriteError> {
        let _ = (bus, purpose, holder, ttl);
        unimplemented!()
    }

    /// Whether it may still be acted upon.
    #[must_use]
    pub fn holds(&self) -> bool {
        unimplemented!()
    }

    /// Resolves when it may not be acted upon any more.
    pub async fn lost(&self) {
        unimplemented!()
    }

    /// Gives it up, so that another can take it at once.
    pub async fn release(self) {
        unimplemented!()
    }
}
