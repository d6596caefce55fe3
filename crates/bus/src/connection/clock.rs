//! Pool time: what a server's clock said, and monotonic time since.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ostler_core::time::Timestamp;
use ostler_service::clock;

/// Never steps back once a server's time was seen.
#[derive(Debug, Default)]
pub(super) struct PoolClock {
    seen: Mutex<Option<(Timestamp, Instant)>>,
}

fn after(base: Timestamp, span: Duration) -> Timestamp {
    let ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    Timestamp::from_millis(base.as_millis().saturating_add(ms))
}

impl PoolClock {
    /// Takes a server's time; one that is in the past, as of a message read long after it was
    /// written, changes nothing.
    pub(super) fn saw(&self, at: Timestamp) {
        let now = clock::instant();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let behind = seen.is_none_or(|(base, when)| after(base, now - when) < at);
        if behind {
            *seen = Some((at, now));
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen {
            Some((base, when)) => after(base, clock::since(when)),
            None => Timestamp::from_millis(clock::wall_ms()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_messages_do_not_turn_it_back() {
        let clock = PoolClock::default();
        clock.saw(Timestamp::from_millis(5_000));
        clock.saw(Timestamp::from_millis(1_000));
        assert!(clock.now().as_millis() >= 5_000);
        clock.saw(Timestamp::from_millis(9_000));
        assert!(clock.now().as_millis() >= 9_000);
        assert!(clock.now().as_millis() < 15_000);
    }
}
