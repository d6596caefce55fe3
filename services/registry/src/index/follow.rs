//! One watch a bucket, told to the index: what cannot be read is counted and changes nothing.

use std::collections::BTreeSet;

use ostler_bus::{Bus, ReadError, Watch, WatchEvent};
use ostler_core::id::Revision;
use ostler_schemas::bucket::Bucket;
use tracing::{info, warn};

use super::Index;
use super::fact::{self, Fact, Learned};

/// The place of a watch: which keys there are, and which were not told again since it began anew.
struct Follow {
    index: Index,
    bucket: Bucket,
    known: BTreeSet<String>,
    stale: BTreeSet<String>,
}

/// Begins a watch whose task then keeps the index up to date for as long as the program runs.
pub(super) async fn follow(bus: &Bus, bucket: Bucket, index: &Index) -> Result<(), ReadError> {
    let watch = bus.watch(&bucket).await?;
    let follow =
        Follow { index: index.clone(), bucket, known: BTreeSet::new(), stale: BTreeSet::new() };
    bus.program().tasks.spawn("follow", async move {
        follow.run(watch).await;
        Ok::<(), &str>(())
    });
    Ok(())
}

impl Follow {
    async fn run(mut self, mut watch: Watch) {
        while let Some(event) = watch.next().await {
            let (revision, caught_up) = match &event {
                WatchEvent::Put { revision, .. } | WatchEvent::Gone { revision, .. } => {
                    (*revision, false)
                }
                WatchEvent::CaughtUp { revision } => (*revision, true),
                WatchEvent::Resync => (Revision(0), false),
            };
            for learned in self.take(event) {
                self.index.tell(learned).await;
            }
            self.index.reach(&self.bucket, revision, caught_up);
        }
    }

    fn take(&mut self, event: WatchEvent) -> Vec<Learned> {
        match event {
            WatchEvent::Put { key, value, revision, .. } => {
                let learned = self.read(&key, Some(&value), revision);
                self.stale.remove(&key);
                self.known.insert(key);
                learned.into_iter().collect()
            }
            WatchEvent::Gone { key, revision } => {
                self.index.note_removed(&self.bucket, &key);
                self.known.remove(&key);
                self.stale.remove(&key);
                self.read(&key, None, revision).into_iter().collect()
            }
            WatchEvent::Resync => {
                info!(bucket = %self.bucket, "a watch begins anew");
                self.stale = self.known.clone();
                Vec::new()
            }
            WatchEvent::CaughtUp { revision } => {
                let gone = std::mem::take(&mut self.stale);
                self.known.retain(|key| !gone.contains(key));
                gone.iter().filter_map(|key| self.read(key, None, revision)).collect()
            }
        }
    }

    fn read(&self, key: &str, value: Option<&[u8]>, revision: Revision) -> Option<Learned> {
        match fact::read(&self.bucket, key, value) {
            Ok(fact) => fact.map(|fact: Fact| Learned { fact, revision }),
            Err(cause) => {
                let bucket = &self.bucket;
                warn!(%bucket, key, error = %cause, "`{bucket}/{key}` cannot be read, it is left as it was");
                self.index.count_unreadable();
                None
            }
        }
    }
}
