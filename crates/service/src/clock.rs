//! The one clock: everything else takes `now` as an argument.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// How far the wall clock was set, in milliseconds.
static SET: AtomicI64 = AtomicI64::new(0);

/// Milliseconds since 1970 by this machine's wall clock; may jump. For people and for telling
/// skew, never for deciding.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    ms.saturating_add_signed(SET.load(Ordering::Relaxed))
}

/// Sets this program's wall clock so many milliseconds ahead of the machine's, or behind: for tests
/// of what depends on it, which nothing should.
pub fn set_wall(ahead_ms: i64) {
    SET.store(ahead_ms, Ordering::Relaxed);
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
