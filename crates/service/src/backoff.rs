//! How long to wait before the next try: full jitter under a bound that doubles.

use std::time::Duration;

use rand::Rng as _;

/// Never less than this, so that a loop cannot spin.
const FLOOR: Duration = Duration::from_millis(5);

/// Waits for tries that follow each other. Nobody's tries fall together with others': each wait is
/// drawn from everything up to the bound.
#[derive(Debug, Clone)]
pub struct Backoff {
    least: Duration,
    most: Duration,
    bound: Duration,
}

impl Backoff {
    /// The first wait is at most `least`; the bound doubles up to `most`.
    #[must_use]
    pub const fn new(least: Duration, most: Duration) -> Self {
        Self { least, most, bound: least }
    }

    /// The same bound for every wait.
    #[must_use]
    pub const fn steady(bound: Duration) -> Self {
        Self::new(bound, bound)
    }

    /// How long to wait before the next try.
    pub fn next_wait(&mut self) -> Duration {
        let bound = self.bound.max(FLOOR);
        self.bound = (self.bound * 2).min(self.most);
        rand::rng().random_range(FLOOR..=bound)
    }

    /// Waits before the next try.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.next_wait()).await;
    }

    /// It went well: the next wait is a first one.
    pub const fn reset(&mut self) {
        self.bound = self.least;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_stay_under_a_bound_that_doubles_and_begin_anew() {
        let (least, most) = (Duration::from_millis(100), Duration::from_millis(350));
        let mut backoff = Backoff::new(least, most);
        for bound in [100, 200, 350, 350] {
            let wait = backoff.next_wait();
            assert!((5..=bound).contains(&wait.as_millis()), "{wait:?} of {bound} ms");
        }
        backoff.reset();
        assert!(backoff.next_wait() <= least);
    }

    #[test]
    fn two_that_fail_together_do_not_try_together() {
        let mut waits = |_| Backoff::steady(Duration::from_secs(1)).next_wait();
        let drawn: std::collections::BTreeSet<_> = (0..100).map(&mut waits).collect();
        assert!(drawn.len() > 90, "{drawn:?}");
    }
}
