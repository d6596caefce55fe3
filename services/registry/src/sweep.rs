//! What is left of what was removed, until nobody can miss it any more: markers of keys, reports and
//! empty manifests of nodes that are gone.
//!
//! Who watches a bucket learns from the marker that a key was removed, and whoever was away for
//! longer is told everything anew. Markers of nodes stay: what a hello signs follows from them.

use std::time::Duration;

use futures::StreamExt as _;
use ostler_bus::keys::Swept;
use ostler_bus::{ReadError, WriteError};
use ostler_core::id::{NodeName, PoolName};
use ostler_core::time::{Span, Timestamp};
use ostler_schemas::bucket::{Bucket, ManifestKey, PlacementKey, ReportKey};
use ostler_service::{Backoff, clock};
use tracing::{debug, info};

use crate::app::{App, Shared};

/// Between two rounds, at most.
const LONGEST: Duration = Duration::from_secs(1_200);
/// So many keys are looked at a time.
const AT_ONCE: usize = 16;

/// Begins the rounds, for as long as the program runs.
pub fn begin(app: &Shared) {
    let app = app.clone();
    let tasks = app.bus.program().tasks.clone();
    let stop = tasks.stop_token();
    tasks.spawn("sweep", async move {
        let mut pause = Backoff::steady(Duration::from(app.markers_kept_for).min(LONGEST));
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok::<(), &str>(()),
                () = pause.wait() => {}
            }
            if app.lead.holds()
                && let Err(error) = app.sweep().await
            {
                debug!(%error, "the rest of what was removed is swept later: {error}");
            }
        }
    });
}

impl App {
    async fn sweep(&self) -> Result<(), ReadError> {
        let kept_for = self.markers_kept_for;
        let removed = self.index.removed_before(clock::instant(), kept_for.into());
        let look = |(bucket, key): (Bucket, String)| async move {
            (self.bus.sweep(&bucket, &key, kept_for).await, bucket, key)
        };
        let mut swept = futures::stream::iter(removed).map(look).buffer_unordered(AT_ONCE);
        let mut gone = 0;
        while let Some((result, bucket, key)) = swept.next().await {
            match result? {
                Swept::Gone | Swept::Written => {
                    self.index.forget_removed(bucket, key);
                    gone += 1;
                }
                Swept::Young => {}
            }
        }
        if gone > 0 {
            info!("{gone} keys that were removed are forgotten for good");
        }
        self.sweep_reports().await?;
        for pool in &self.bus.config().pools {
            self.sweep_manifests(pool).await?;
        }
        Ok(())
    }

    /// The names among these keys that no node has.
    fn of_nobody(&self, keys: Vec<String>) -> Vec<NodeName> {
        let names: Vec<NodeName> = keys.iter().filter_map(|key| key.parse().ok()).collect();
        self.index
            .read(|picture| names.into_iter().filter(|name| picture.node(name).is_none()).collect())
    }

    /// Whether nobody has had the name for long enough.
    async fn is_long_gone(&self, name: &NodeName, at: Timestamp) -> Result<bool, ReadError> {
        let kept_for: Span = self.markers_kept_for;
        if self.now().since(at) < kept_for {
            return Ok(false);
        }
        let (_, node) = self.bus.get_last(&ostler_schemas::bucket::NodeKey(name.clone())).await?;
        Ok(node.is_none())
    }

    async fn sweep_reports(&self) -> Result<(), ReadError> {
        for name in self.of_nobody(self.bus.keys(&Bucket::Reports, "*").await?) {
            let key = ReportKey(name.clone());
            let Ok(Some(entry)) = self.bus.get(&key).await else { continue };
            if self.is_long_gone(&name, entry.at).await? {
                // With a marker: the index learns of it. Its executor may report again.
                self.swept(&name, "report", self.bus.delete(&key, entry.revision).await);
            }
        }
        Ok(())
    }

    /// Empty ones only: what is ordered of a node that is gone is for its leader to settle.
    async fn sweep_manifests(&self, pool: &PoolName) -> Result<(), ReadError> {
        let bucket = Bucket::Placements(pool.clone());
        let keys = self.bus.keys(&bucket, "*").await?;
        let manifest =
            |key: &String| matches!(PlacementKey::read(key), Some(PlacementKey::Manifest(_)));
        for name in self.of_nobody(keys.into_iter().filter(manifest).collect()) {
            let key = ManifestKey { pool: pool.clone(), node: name.clone() };
            let Ok(Some(entry)) = self.bus.get(&key).await else { continue };
            if entry.value.groups.is_empty() && self.is_long_gone(&name, entry.at).await? {
                // No write: the leader's pen goes on where it was.
                let erased = self.bus.erase(&bucket, name.as_str(), entry.revision).await;
                self.swept(&name, "manifest", erased);
            }
        }
        Ok(())
    }

    fn swept(&self, name: &NodeName, what: &str, result: Result<(), WriteError>) {
        match result {
            Ok(()) => info!(node = %name, "the {what} of node {name}, which is gone, is forgotten"),
            Err(error) => debug!(node = %name, %error, "the {what} stays for now: {error}"),
        }
    }
}
