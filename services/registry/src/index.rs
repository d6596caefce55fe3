//! The live index: everything in the buckets, in memory, from which lists are answered.
//!
//! Written by one task a bucket, read under a lock that is never held across an await. It is a view:
//! a value that cannot be read leaves it as it was, and nothing is decided from what it lacks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use ostler_bus::{Bus, Horizon, ReadError};
use ostler_core::id::Revision;
use ostler_schemas::bucket::Bucket;
use ostler_service::clock;
use prometheus::IntCounter;
use tokio::sync::{mpsc, watch};

mod artifacts;
mod asked;
mod endpoints;
mod fact;
mod filter;
mod follow;
mod list;
mod page;
mod picture;
mod placements;
mod read;
mod row;
mod table;
mod tally;
mod view;

pub use endpoints::EndpointFilter;
pub use fact::{Fact, Learned};
pub use filter::{InstanceFilter, NodeFilter, WorkloadFilter};
pub use page::limit;
pub use picture::Picture;
pub use read::{Census, Whereabouts};
pub use view::{command_view, rfc3339};

/// How far the index is in one bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Reached {
    revision: Revision,
    caught_up: bool,
}

#[derive(Debug)]
struct Shared {
    picture: RwLock<Picture>,
    reached: BTreeMap<Bucket, watch::Sender<Reached>>,
    /// Where records of nodes are told besides.
    nodes: mpsc::Sender<Learned>,
    unreadable: IntCounter,
    /// Keys that were removed and whose markers may be there still, and when that was heard.
    removed: Mutex<BTreeMap<(Bucket, String), Instant>>,
}

/// The live index. Cheap to clone; all clones are the same one.
#[derive(Debug, Clone)]
pub struct Index {
    shared: Arc<Shared>,
}

/// At most so many removed keys are remembered; what is more is heard of after the next start.
const MOST_REMOVED: usize = 200_000;

/// How long an answer waits for the index to see what was just written.
const CATCH_UP: Duration = Duration::from_secs(1);

impl Index {
    /// An index that follows every bucket which the registry answers from. Records of nodes are
    /// told to `nodes` besides.
    pub async fn follow(bus: &Bus, nodes: mpsc::Sender<Learned>) -> Result<Self, ReadError> {
        let mut buckets = vec![
            Bucket::Workloads,
            Bucket::Nodes,
            Bucket::Reports,
            Bucket::Commands,
            Bucket::Artifacts,
            Bucket::Accounts,
        ];
        buckets.extend(bus.config().pools.iter().cloned().map(Bucket::Placements));
        let channel = |bucket: &Bucket| (bucket.clone(), watch::Sender::default());
        let index = Self {
            shared: Arc::new(Shared {
                picture: RwLock::default(),
                reached: buckets.iter().map(channel).collect(),
                nodes,
                unreadable: unreadable(bus),
                removed: Mutex::default(),
            }),
        };
        for bucket in buckets {
            follow::follow(bus, bucket, &index).await?;
        }
        Ok(index)
    }

    /// Reads the picture.
    pub fn read<T>(&self, read: impl FnOnce(&Picture) -> T) -> T {
        read(&self.shared.picture.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes in one fact.
    pub fn learn(&self, learned: Learned) {
        self.shared.picture.write().unwrap_or_else(PoisonError::into_inner).learn(learned);
    }

    async fn tell(&self, learned: Learned) {
        let node = matches!(learned.fact, Fact::Node(..)).then(|| learned.clone());
        self.learn(learned);
        if let Some(node) = node {
            // Nobody listens any more when the program stops.
            drop(self.shared.nodes.send(node).await);
        }
    }

    fn reach(&self, bucket: &Bucket, revision: Revision, caught_up: bool) {
        if let Some(reached) = self.shared.reached.get(bucket) {
            reached.send_modify(|reached| {
                reached.revision = reached.revision.max(revision);
                reached.caught_up |= caught_up;
            });
        }
    }

    /// Waits until everything that was in the buckets at the start has been told.
    pub async fn caught_up(&self) {
        for reached in self.shared.reached.values() {
            // The sender lives as long as `self`.
            drop(reached.subscribe().wait_for(|reached| reached.caught_up).await);
        }
    }

    /// Waits until this revision of a bucket has been told, but no longer than a second: then
    /// lists show what was just written.
    pub async fn wait_for(&self, bucket: &Bucket, revision: Revision) {
        let Some(reached) = self.shared.reached.get(bucket) else { return };
        let mut reached = reached.subscribe();
        let there = reached.wait_for(|reached| reached.revision >= revision);
        // The write stands whether or not the index is late.
        drop(tokio::time::timeout(CATCH_UP, there).await);
    }

    /// How far the index is in a bucket.
    #[must_use]
    pub fn revision(&self, bucket: &Bucket) -> Revision {
        self.shared.reached.get(bucket).map_or(Revision(0), |reached| reached.borrow().revision)
    }

    /// Waits until it is so far in every bucket, but no longer than a second in all.
    async fn wait_for_all(self, horizon: Horizon) {
        let all = async {
            for (bucket, reached) in &self.shared.reached {
                let wanted = horizon.of(bucket);
                // The sender lives as long as `self`.
                drop(reached.subscribe().wait_for(|reached| reached.revision >= wanted).await);
            }
        };
        drop(tokio::time::timeout(CATCH_UP, all).await);
    }

    /// A key was removed: its marker is swept some day. Those of nodes stay, those of commands age.
    fn note_removed(&self, bucket: &Bucket, key: &str) {
        if matches!(bucket, Bucket::Nodes | Bucket::Commands) {
            return;
        }
        let mut removed = self.removed();
        if removed.len() < MOST_REMOVED {
            removed.insert((bucket.clone(), key.to_owned()), clock::instant());
        }
    }

    /// Keys whose removal was heard so long ago.
    #[must_use]
    pub fn removed_before(&self, now: Instant, ago: Duration) -> Vec<(Bucket, String)> {
        let removed = self.removed();
        let old = removed.iter().filter(|(_, at)| now.saturating_duration_since(**at) >= ago);
        old.map(|(key, _)| key.clone()).collect()
    }

    /// The marker is gone, or the key was written again.
    pub fn forget_removed(&self, bucket: Bucket, key: String) {
        self.removed().remove(&(bucket, key));
    }

    fn removed(&self) -> MutexGuard<'_, BTreeMap<(Bucket, String), Instant>> {
        self.shared.removed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count_unreadable(&self) {
        self.shared.unreadable.inc();
    }

    /// How many values could not be read.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        self.shared.unreadable.get()
    }
}

impl ostler_bus::Picture for Index {
    fn reached(&self) -> Horizon {
        let mut horizon = Horizon::default();
        for (bucket, reached) in &self.shared.reached {
            horizon.set(bucket, reached.borrow().revision);
        }
        horizon
    }

    fn until(&self, horizon: Horizon) -> BoxFuture<'static, ()> {
        Box::pin(self.clone().wait_for_all(horizon))
    }
}

fn unreadable(bus: &Bus) -> IntCounter {
    let counter = IntCounter::new(
        "ostler_registry_unreadable_values_total",
        "values in the buckets that could not be read",
    )
    .expect("the name and the help are right");
    // A second registry in one program counts for itself.
    drop(bus.program().metrics.register(Box::new(counter.clone())));
    counter
}
