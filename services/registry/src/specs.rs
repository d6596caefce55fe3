//! Specifications that nothing names any more are collected, by the leader, after a grace.
//!
//! One is kept while a head or a manifest names it, and for a grace after it was last seen to be
//! named and last written. Whoever is about to name it writes it again before, so that a collector
//! that has looked already is refused by the revision.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use ostler_bus::{ReadError, WatchEvent, WriteError};
use ostler_core::id::{Revision, SpecHash};
use ostler_core::instance::Manifest;
use ostler_core::time::{Span, Timestamp};
use ostler_schemas::bucket::{Bucket, PlacementKey};
use ostler_service::{Backoff, clock};
use tracing::{debug, info, warn};

use crate::app::{App, Shared};

/// Between two looks, at most.
const LONGEST: Duration = Duration::from_secs(3_600);

/// Begins to look, for as long as the program runs.
pub fn begin(app: &Shared) {
    let app = app.clone();
    let tasks = app.bus.program().tasks.clone();
    let stop = tasks.stop_token();
    tasks.spawn("specs", async move {
        let grace = Duration::from(app.specs_kept_for);
        let mut pause = Backoff::steady((grace / 4).min(LONGEST));
        let mut unnamed = BTreeMap::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok::<(), &str>(()),
                () = pause.wait() => {}
            }
            if !app.lead.holds() {
                // Another looks now, and we would not know what it saw.
                unnamed.clear();
            } else if let Err(error) = app.collect_specs(&mut unnamed).await {
                warn!(%error, "specifications are collected later: {error}");
            }
        }
    });
}

/// A specification as it is kept.
struct Kept {
    hash: SpecHash,
    revision: Revision,
    at: Timestamp,
}

impl App {
    async fn collect_specs(
        &self,
        unnamed: &mut BTreeMap<SpecHash, Instant>,
    ) -> Result<(), ReadError> {
        let kept = self.kept_specs().await?;
        let named = self.named_specs().await?;
        unnamed.retain(|hash, _| !named.contains(hash));
        let (grace, now) = (self.specs_kept_for, self.now());
        for spec in kept.into_iter().filter(|spec| !named.contains(&spec.hash)) {
            let since = *unnamed.entry(spec.hash).or_insert_with(clock::instant);
            let long = clock::since(since) >= Duration::from(grace);
            let past = long && now.since(spec.at) >= grace;
            if past && self.lead.holds() {
                self.collect_spec(&spec).await;
            }
        }
        Ok(())
    }

    async fn collect_spec(&self, spec: &Kept) {
        let hash = &spec.hash;
        match self.bus.erase(&Bucket::Specs, &hash.to_string(), spec.revision).await {
            Ok(()) => info!("specification {hash} is named by nothing and was collected"),
            Err(WriteError::Conflict { .. }) => debug!("specification {hash} was written again"),
            Err(error) => warn!(%error, "specification {hash} is collected later: {error}"),
        }
    }

    async fn kept_specs(&self) -> Result<Vec<Kept>, ReadError> {
        let mut kept = Vec::new();
        self.each(&Bucket::Specs, |key, _, revision, at| {
            if let Ok(hash) = key.parse() {
                kept.push(Kept { hash, revision, at });
            }
        })
        .await?;
        Ok(kept)
    }

    /// What heads and manifests name. A manifest that cannot be read may name anything.
    async fn named_specs(&self) -> Result<BTreeSet<SpecHash>, ReadError> {
        let mut named = self.index.read(crate::index::Picture::named_specs);
        let mut unreadable = None;
        for pool in &self.bus.config().pools {
            self.each(&Bucket::Placements(pool.clone()), |key, value, revision, _| {
                if let Some(PlacementKey::Manifest(_)) = PlacementKey::read(key) {
                    match WatchEvent::decode::<Manifest>(value) {
                        Ok(manifest) => named.extend(manifest.groups.iter().map(|one| one.spec)),
                        Err(source) => {
                            unreadable = Some((pool, key.to_owned(), revision, source));
                        }
                    }
                }
            })
            .await?;
        }
        match unreadable {
            None => Ok(named),
            Some((pool, key, revision, source)) => {
                let bucket = Bucket::Placements(pool.clone()).to_string();
                Err(ReadError::Value { bucket, key, revision, source })
            }
        }
    }

    /// Looks at every value of a bucket, once.
    async fn each(
        &self,
        bucket: &Bucket,
        mut look: impl FnMut(&str, &[u8], Revision, Timestamp),
    ) -> Result<(), ReadError> {
        let mut watch = self.bus.watch(bucket).await?;
        while let Some(event) = watch.next().await {
            match event {
                WatchEvent::Put { key, value, revision, at } => look(&key, &value, revision, at),
                WatchEvent::Gone { .. } | WatchEvent::Resync => {}
                WatchEvent::CaughtUp { .. } => return Ok(()),
            }
        }
        let cause = "the program stops".to_owned();
        Err(ReadError::Unavailable { bucket: bucket.to_string(), key: ">".to_owned(), cause })
    }

    /// Whether a specification that was written then is safe from being collected before a head
    /// names it.
    pub(crate) fn is_fresh(&self, at: Timestamp) -> bool {
        let half = Span::from_millis(self.specs_kept_for.as_millis() / 2);
        self.now().since(at) < half
    }
}
