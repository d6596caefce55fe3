//! Pools spread over the replicas: who leads two more than another gives one away.
//!
//! A lease goes to whoever is first, so the replica that starts first leads all pools. Each replica
//! therefore looks now and then at who else stands ready, and at who leads what, and resigns from
//! one pool if another that stands for it leads at least two fewer. The busier a replica, the longer
//! it hesitates to take a lease that is free.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ostler_bus::{Bus, FoundService};
use ostler_core::id::PoolName;
use ostler_schemas::bucket::LeaseKey;
use ostler_service::Backoff;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::pool::Context;

/// How often it is looked, at most.
const EVERY: Duration = Duration::from_secs(6);
/// How long answers are waited for.
const WAIT: Duration = Duration::from_millis(300);
/// For each pool that a replica leads it hesitates so long, up to a limit.
const HESITATE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));

/// The purpose of a pool's lease.
pub(crate) fn purpose(pool: &PoolName) -> String {
    format!("scheduler-{pool}")
}

/// What this replica leads. Cheap to clone; all clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Share {
    led: Arc<Mutex<BTreeMap<PoolName, CancellationToken>>>,
}

/// Held while a pool is led.
#[derive(Debug)]
pub(crate) struct Led {
    share: Share,
    pool: PoolName,
    /// Cancelled when the pool is to be given to another.
    pub resign: CancellationToken,
}

impl Drop for Led {
    fn drop(&mut self) {
        self.share.lock().remove(&self.pool);
    }
}

impl Share {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<PoolName, CancellationToken>> {
        self.led.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The replica leads this pool from now on.
    pub fn lead(&self, pool: &PoolName) -> Led {
        let resign = CancellationToken::new();
        self.lock().insert(pool.clone(), resign.clone());
        Led { share: self.clone(), pool: pool.clone(), resign }
    }

    /// How long to leave a lease that is free to others.
    pub fn hesitation(&self) -> Duration {
        let led = u32::try_from(self.lock().len()).unwrap_or(u32::MAX);
        HESITATE.0.saturating_mul(led).min(HESITATE.1)
    }

    fn pools(&self) -> BTreeSet<PoolName> {
        self.lock().keys().cloned().collect()
    }

    fn resign(&self, pool: &PoolName) {
        if let Some(resign) = self.lock().get(pool) {
            resign.cancel();
        }
    }
}

/// Looks again and again, for as long as the program runs.
pub(crate) async fn even_out(context: Arc<Context>) {
    let mut pause = Backoff::steady(EVERY);
    loop {
        tokio::select! {
            () = context.program.tasks.stopped() => return,
            () = pause.wait() => {}
        }
        let ours = context.share.pools();
        if ours.len() < 2 {
            continue;
        }
        let others = context.bus.services(&[SERVICE], WAIT).await;
        let mut led = BTreeMap::new();
        for pool in context.bus.config().pools.iter().chain(&ours).collect::<BTreeSet<_>>() {
            *led.entry(holder(&context.bus, pool).await).or_default() += 1;
        }
        if let Some(pool) = surplus(&ours, &standing(&others, &context), &led) {
            info!(pool = %pool, replica = context.replica, "another leads fewer: resigning from pool {pool}");
            context.share.resign(&pool);
        }
    }
}

/// Under this name replicas that stand ready answer a ping.
const SERVICE: &str = "scheduler";

/// Answers pings: this replica stands ready for these pools.
pub(crate) async fn announce(context: &Context, pools: &[PoolName]) {
    let pools: Vec<_> = pools.iter().map(PoolName::as_str).collect();
    let server = context.bus.serve(SERVICE, &context.replica).with("pools", &pools.join(","));
    if let Err(error) = server.start().await {
        debug!(%error, "other replicas cannot see this one: {error}");
    }
}

/// Who holds a pool's lease; nobody where that cannot be read.
async fn holder(bus: &Bus, pool: &PoolName) -> String {
    let lease = bus.get(&LeaseKey(purpose(pool))).await.ok().flatten();
    lease.map(|lease| lease.value.holder).unwrap_or_default()
}

/// The other replicas, each with the pools that it stands for.
fn standing(found: &[FoundService], context: &Context) -> BTreeMap<String, BTreeSet<PoolName>> {
    let mut standing = BTreeMap::new();
    for service in found {
        let said = |key: &str| service.metadata.get(key).map(String::as_str).unwrap_or_default();
        let pools: BTreeSet<PoolName> =
            said("pools").split(',').filter_map(|pool| pool.parse().ok()).collect();
        let ours = said("root") == context.bus.config().root;
        if ours && !pools.is_empty() && said("replica") != context.replica {
            standing.insert(said("replica").to_owned(), pools);
        }
    }
    standing
}

/// The pool to resign from: one for which a replica stands that leads at least two fewer.
fn surplus(
    ours: &BTreeSet<PoolName>,
    others: &BTreeMap<String, BTreeSet<PoolName>>,
    led: &BTreeMap<String, usize>,
) -> Option<PoolName> {
    let idle = others.iter().filter(|(replica, _)| {
        let leads = led.get(*replica).copied().unwrap_or_default();
        leads + 2 <= ours.len()
    });
    idle.flat_map(|(_, pools)| pools.intersection(ours)).max().cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pools(names: &str) -> BTreeSet<PoolName> {
        names.split_whitespace().map(|name| name.parse().expect("a name")).collect()
    }

    /// What is resigned from by who leads `ours`, when others stand for and lead so much.
    fn resigned(ours: &str, others: &[(&str, &str, usize)]) -> String {
        let stand = |(name, stands, _): &(&str, &str, usize)| ((*name).to_owned(), pools(stands));
        let standing = others.iter().map(stand).collect();
        let led = others.iter().map(|(name, _, led)| ((*name).to_owned(), *led)).collect();
        surplus(&pools(ours), &standing, &led).map(|pool| pool.to_string()).unwrap_or_default()
    }

    #[test]
    fn all_pools_stayed_with_the_replica_that_started_first() {
        assert_eq!(resigned("a b", &[("two", "a b", 0)]), "b");
        assert_eq!(resigned("a b c", &[("two", "a b c d", 1)]), "c");
    }

    #[test]
    fn nobody_resigns_where_that_would_only_change_sides_or_leave_a_pool_alone() {
        assert_eq!(resigned("a b", &[("two", "a b c", 1)]), "");
        assert_eq!(resigned("a b", &[("two", "c", 0)]), "", "it does not stand for ours");
        assert_eq!(resigned("a b", &[]), "");
        assert_eq!(resigned("a b", &[("two", "a", 0)]), "a");
    }
}
