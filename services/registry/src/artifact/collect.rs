//! What no version names any more, and uploads that got no name, go after a while.
//!
//! By age and compare-and-set: whoever pushes the same content just now makes it young first, and
//! then the removal fails.

use ostler_bus::{ObjectError, Store, WriteError};
use ostler_core::time::Span;
use ostler_schemas::bucket::BlobKey;
use tracing::{info, warn};

use crate::app::{App, Shared};

const STORE: Store = Store::Artifacts;

/// Begins the rounds, for as long as the program runs: four in the time that things are kept.
pub fn begin(app: &Shared, keep: Span) {
    let app = app.clone();
    let tasks = app.bus.program().tasks.clone();
    let stop = tasks.stop_token();
    let round = Span::from_millis((keep.as_millis() / 4).max(100));
    tasks.spawn("artifact.collect", async move {
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok::<(), &str>(()),
                () = tokio::time::sleep(round.into()) => {}
            }
            if app.lead.holds()
                && let Err(error) = app.collect(keep).await
            {
                warn!(%error, "old artifacts are collected later: {error}");
            }
        }
    });
}

impl App {
    async fn collect(&self, keep: Span) -> Result<(), ObjectError> {
        let now = self.now();
        for (blob, revision) in self.index.read(crate::index::Picture::unnamed_blobs) {
            if now.since(blob.named_at) < keep {
                continue;
            }
            match self.bus.delete(&BlobKey(blob.sha256), revision).await {
                Ok(()) => self.bus.purge_upload(STORE, &blob.upload).await?,
                // It was named again just now, or it is done in the next round.
                Err(WriteError::Conflict { .. } | WriteError::Unknown { .. }) => continue,
                Err(error @ WriteError::Refused { .. }) => {
                    return Err(ObjectError::Refused(error.to_string()));
                }
            }
            info!(size = blob.size, "content {} had no name any more", blob.sha256);
        }
        self.collect_uploads(keep).await
    }

    /// Chunks that belong to nothing: the upload broke off, or its content was there already.
    async fn collect_uploads(&self, keep: Span) -> Result<(), ObjectError> {
        let uploads = self.bus.uploads(STORE).await?;
        let known = self.index.read(crate::index::Picture::blob_uploads);
        for (upload, chunks) in uploads.iter().filter(|(upload, _)| !known.contains(*upload)) {
            let last = self.bus.upload_time(STORE, upload).await?;
            if last.is_some_and(|last| self.now().since(last) >= keep) {
                self.bus.purge_upload(STORE, upload).await?;
                info!(chunks, "upload {upload} was given up");
            }
        }
        Ok(())
    }
}
