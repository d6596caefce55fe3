//! The node's own time: begins at the wall clock and then never jumps.

use std::time::{Duration, Instant};

use ostler_core::time::{Span, Timestamp};
use ostler_service::clock;

/// Wall time at the executor's start and monotonic time since: nothing that is decided by it is
/// changed by a clock that is set.
#[derive(Debug, Clone, Copy)]
pub struct Timeline {
    origin: Instant,
    wall: Timestamp,
}

impl Default for Timeline {
    fn default() -> Self {
        Self { origin: clock::instant(), wall: Timestamp::from_millis(clock::wall_ms()) }
    }
}

impl Timeline {
    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let since = u64::try_from(clock::since(self.origin).as_millis()).unwrap_or(u64::MAX);
        self.wall.plus(Span::from_millis(since))
    }

    /// When that is, for a timer. A millisecond late rather than early.
    #[must_use]
    pub fn instant(&self, at: Timestamp) -> Instant {
        self.origin + Duration::from(at.since(self.wall)) + Duration::from_millis(1)
    }
}
