//! What the replica says of itself: the health part `scheduler`, over all its pools.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use ostler_core::id::PoolName;
use ostler_service::Health;
use tokio::sync::Notify;

/// How each pool stands. Cheap to clone; all clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    health: Health,
    wrong: Arc<Mutex<BTreeMap<PoolName, String>>>,
    right: Arc<Notify>,
}

impl Standing {
    /// All pools are starting.
    pub fn new(health: Health, pools: &[PoolName]) -> Self {
        let wrong = pools.iter().map(|pool| (pool.clone(), "starting".to_owned())).collect();
        let standing = Self { health, wrong: Arc::new(Mutex::new(wrong)), right: Arc::default() };
        standing.tell(&standing.wrong.lock().unwrap_or_else(PoisonError::into_inner));
        standing
    }

    /// The pool is led by this replica, or this replica could lead it at any moment.
    pub fn usable(&self, pool: &PoolName) {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        wrong.remove(pool);
        self.tell(&wrong);
    }

    /// The pool could not be led by this replica now.
    pub fn unusable(&self, pool: &PoolName, why: &str) {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        wrong.insert(pool.clone(), why.to_owned());
        self.tell(&wrong);
    }

    /// Resolves when every pool can be led.
    pub async fn all_usable(&self) {
        loop {
            let mut changed = std::pin::pin!(self.right.notified());
            changed.as_mut().enable();
            if self.wrong.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
                return;
            }
            changed.await;
        }
    }

    fn tell(&self, wrong: &BTreeMap<PoolName, String>) {
        let all: Vec<String> = wrong.iter().map(|(pool, why)| format!("{pool}: {why}")).collect();
        let state = if all.is_empty() { Ok(()) } else { Err(all.join("; ")) };
        if state.is_ok() {
            self.right.notify_waiters();
        }
        self.health.set("scheduler", state);
    }
}
