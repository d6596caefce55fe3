//! The one clock: everything else takes `now` as an argument.

use std::time::{Duration, Instant, SystemTime};

/// Milliseconds since 1970 by this machine's wall clock; may jump. For people and for telling
/// skew, never for deciding.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The monotonic clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn instant() -> Instant {
    Instant::now()
}

/// How long since `earlier`.
#[must_use]
pub fn since(earlier: Instant) -> Duration {
    instant().saturating_duration_since(earlier)
}
