//! Reads the node's manifest: on connect, on hint, on request, and every minute or so.
//!
//! A hint says "look" and nothing else. What is absent or cannot be read changes nothing.
//!
//! A node that is given to another pool obeys the old one until nothing is left that it named: its
//! leader alone can say what becomes of that.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ostler_bus::{Bus, ReadError};
use ostler_core::id::{NodeName, PoolName, Revision, SpecHash};
use ostler_core::instance::{Manifest, Spec};
use ostler_schemas::bucket::{ManifestKey, SpecKey};
use rand::Rng;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::agent::{Message, Snapshot};
use crate::fence::Fence;
use crate::journal::Applied;
use crate::shared::Shared;

/// Where the manifest is read and where it goes.
#[derive(Debug)]
pub struct Reader {
    bus: Bus,
    key: ManifestKey,
    agent: mpsc::Sender<Message>,
    shared: Arc<Shared>,
    fence: Arc<Fence>,
    specs: HashMap<SpecHash, Arc<Spec>>,
    missing: Vec<SpecHash>,
    last: Applied,
    hinted: Revision,
    pool: watch::Receiver<PoolName>,
    /// Nothing of this pool was read yet: what a replica says may be older than what was applied.
    by_leader: bool,
}

impl Reader {
    /// Reads the manifest of `node` in the pool that it is in.
    #[must_use]
    pub fn new(
        bus: Bus,
        pool: watch::Receiver<PoolName>,
        node: NodeName,
        agent: mpsc::Sender<Message>,
        (shared, fence): (Arc<Shared>, Arc<Fence>),
    ) -> Self {
        let key = ManifestKey { pool: pool.borrow().clone(), node };
        Self {
            bus,
            key,
            agent,
            shared,
            fence,
            specs: HashMap::new(),
            missing: Vec::new(),
            last: Applied::default(),
            hinted: Revision(0),
            pool,
            by_leader: false,
        }
    }

    /// Runs until stopped.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut state = self.bus.state();
        let mut hints = None;
        if !self.begin().await {
            return;
        }
        loop {
            if self.follow_pool().await {
                hints = None;
            }
            if hints.is_none() {
                hints = self.bus.hints(&self.key.pool, &self.key.node).await.ok();
            }
            let again = self.read().await;
            let wait = match (again, &hints) {
                (Again::Soon | Again::Later, _) if self.is_leaving() => between(250, 750),
                (Again::Soon, _) => between(50, 200),
                (Again::Later, Some(_)) => between(30_000, 90_000),
                (Again::Later, None) => between(500, 1500),
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
                hint = next(&mut hints) => self.hinted = self.hinted.max(hint),
                () = self.shared.sync.notified() => {}
                changed = state.changed() => if changed.is_err() { return },
                moved = self.pool.changed() => match moved {
                    Ok(()) => info!(
                        "node {} was given to pool {}",
                        self.key.node,
                        *self.pool.borrow_and_update()
                    ),
                    // Nobody asks any more: the executor stops.
                    Err(_) => return,
                },
            }
        }
    }

    /// Goes on with the pool that was obeyed last if that left something. `false`: the loop ended.
    async fn begin(&mut self) -> bool {
        let Some(Snapshot { pool, named, .. }) = self.standing().await else { return false };
        match pool.filter(|pool| *pool != self.key.pool) {
            Some(pool) if named > 0 => self.key.pool = pool,
            Some(_) => self.by_leader = true,
            None => {}
        }
        self.agent.send(Message::Pool(self.key.pool.clone())).await.is_ok()
    }

    fn is_leaving(&self) -> bool {
        self.key.pool != *self.pool.borrow()
    }

    /// Goes over to the pool that the node was given to, if nothing of the old one is left; whether
    /// it went.
    async fn follow_pool(&mut self) -> bool {
        let pool = self.pool.borrow().clone();
        if pool == self.key.pool {
            return false;
        }
        let Some(Snapshot { named, .. }) = self.standing().await else { return false };
        if named > 0 {
            debug!("{named} instances of pool {} have to end first", self.key.pool);
            return false;
        }
        info!("node {} is in pool {pool} now", self.key.node);
        self.key.pool = pool.clone();
        (self.last, self.hinted, self.by_leader) = (Applied::default(), Revision(0), true);
        self.specs.clear();
        self.missing.clear();
        drop(self.agent.send(Message::Pool(pool)).await);
        self.shared.report_again();
        true
    }

    async fn standing(&self) -> Option<Snapshot> {
        let (reply, snapshot) = oneshot::channel();
        self.agent.send(Message::Snapshot(reply)).await.ok()?;
        snapshot.await.ok()
    }

    async fn read(&mut self) -> Again {
        if !self.bus.state().borrow().up {
            return Again::Later;
        }
        // The pledge stands already: what its leader says from now on is what counts.
        let period = self.fence.uncleared();
        let read = match period {
            Some(_) => self.bus.get(&self.key).await,
            None if self.by_leader => self.bus.get(&self.key).await,
            None => self.bus.get_direct(&self.key).await,
        };
        self.by_leader &= read.is_err();
        let entry = match read {
            Ok(Some(entry)) => entry,
            Ok(None) => return self.later(Revision(0)),
            Err(error @ ReadError::Value { .. }) => {
                warn!(%error, "the manifest cannot be read, nothing changes");
                return Again::Later;
            }
            Err(error @ ReadError::Unavailable { .. }) => {
                debug!(%error, "the manifest was not read");
                return Again::Soon;
            }
        };
        let manifest = entry.value;
        let Manifest { incarnation, term, revision, .. } = manifest;
        let this = Applied { incarnation, term, revision };
        if this > self.last {
            self.last = this;
            let specs = self.specs_of(&manifest).await;
            let message = Message::Manifest(Box::new(manifest), specs);
            // The loop has ended when nobody listens.
            drop(self.agent.send(message).await);
        } else if this == self.last && self.missing.is_empty() {
            drop(self.agent.send(Message::Unchanged).await);
        } else {
            self.fetch_missing().await;
        }
        if let Some(period) = period.filter(|_| this == self.last) {
            drop(self.agent.send(Message::Cleared(period, this)).await);
        }
        self.later(entry.revision)
    }

    fn later(&self, read: Revision) -> Again {
        if read < self.hinted || !self.missing.is_empty() { Again::Soon } else { Again::Later }
    }

    /// The specifications that a manifest names, each read once.
    async fn specs_of(&mut self, manifest: &Manifest) -> HashMap<SpecHash, Arc<Spec>> {
        let named: Vec<SpecHash> = manifest.groups.iter().map(|group| group.spec).collect();
        self.specs.retain(|hash, _| named.contains(hash));
        self.missing.clear();
        for hash in named {
            if !self.specs.contains_key(&hash) {
                self.fetch(hash).await;
            }
        }
        self.specs.clone()
    }

    async fn fetch(&mut self, hash: SpecHash) {
        match self.bus.get_direct(&SpecKey(hash)).await {
            Ok(Some(entry)) => {
                self.specs.insert(hash, Arc::new(entry.value));
            }
            Ok(None) => self.missing.push(hash),
            Err(error) => {
                debug!(%error, "a specification was not read");
                self.missing.push(hash);
            }
        }
    }

    async fn fetch_missing(&mut self) {
        for hash in std::mem::take(&mut self.missing) {
            self.fetch(hash).await;
        }
        drop(self.agent.send(Message::Specs(self.specs.clone())).await);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    /// A newer one was hinted at, or something is missing.
    Soon,
    /// All is read.
    Later,
}

fn between(least_ms: u64, most_ms: u64) -> Duration {
    Duration::from_millis(rand::rng().random_range(least_ms..=most_ms))
}

async fn next(hints: &mut Option<ostler_bus::pubsub::Hints>) -> Revision {
    let Some(open) = hints else { return std::future::pending().await };
    match open.next().await {
        Some(revision) => revision,
        None => {
            *hints = None;
            Revision(0)
        }
    }
}
