//! Large content in chunks: each chunk is the last message of a subject of its own.
//!
//! So a chunk can be put twice, in any order and by way of any replica, and a part from the middle
//! is one direct get (`docs/adr/`, "artifacts in chunks of their own subject").

use std::collections::BTreeMap;

use async_nats::HeaderMap;
use async_nats::jetstream::stream::{DirectGetErrorKind, LastRawMessageErrorKind};
use bytes::Bytes;
use ostler_core::time::Timestamp;
use serde_json::json;
use thiserror::Error;

use crate::connection::Bus;
use crate::jetstream::AskError;

/// How long a chunk is, in bytes: one message each, well below the least that servers take.
pub const CHUNK: u32 = 512 * 1024;

/// Which store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// Packages, trees and images.
    Artifacts,
    /// What is left of hibernated instances.
    Snapshots,
}

impl Store {
    const fn name(self) -> &'static str {
        match self {
            Self::Artifacts => "artifacts",
            Self::Snapshots => "snapshots",
        }
    }
}

/// Why a chunk was not read or written.
#[derive(Debug, Error)]
pub enum ObjectError {
    /// There is no such chunk.
    #[error("chunk {index} of `{upload}` is not there")]
    Missing {
        /// Under which upload.
        upload: String,
        /// Which chunk of it.
        index: u64,
    },
    /// The server refused it, because the store is full for instance. Nothing was changed.
    #[error("the server refused it: {0}")]
    Refused(String),
    /// No answer. What was to be written may be there; putting it again is safe.
    #[error("no answer: {0}")]
    Unavailable(String),
}

impl ObjectError {
    fn of(error: AskError) -> Self {
        match error {
            AskError::Fault(fault) => Self::Refused(fault.to_string()),
            AskError::Unsent(why) => Self::Refused(why),
            AskError::Silence(why) => Self::Unavailable(why),
        }
    }
}

impl Bus {
    fn chunk_subject(&self, store: Store, upload: &str, index: &str) -> String {
        self.root().subject(&format!("$O.{}.C.{upload}.{index}", store.name()))
    }

    fn object_stream(&self, store: Store) -> String {
        self.root().stream(&format!("OBJ_{}", store.name()))
    }

    /// Writes one chunk. Twice is once.
    pub async fn put_chunk(
        &self,
        store: Store,
        upload: &str,
        index: u64,
        data: Bytes,
    ) -> Result<(), ObjectError> {
        let subject = self.chunk_subject(store, upload, &index.to_string());
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Rollup", "sub");
        let put = self.publish_acked(subject, headers, data, self.patience()).await;
        put.map(drop).map_err(ObjectError::of)
    }

    /// Reads one chunk: from any replica, or from the leader where that has not heard of it yet.
    pub async fn get_chunk(
        &self,
        store: Store,
        upload: &str,
        index: u64,
    ) -> Result<Bytes, ObjectError> {
        let unavailable = |cause: String| ObjectError::Unavailable(cause);
        if !self.until_up(self.patience()).await {
            return Err(unavailable("not connected".to_owned()));
        }
        let subject = self.chunk_subject(store, upload, &index.to_string());
        let stream = self.js().get_stream_no_info(self.object_stream(store)).await;
        let stream = stream.map_err(|error| unavailable(error.to_string()))?;
        match stream.direct_get_last_for_subject(subject.as_str()).await {
            Ok(message) => return Ok(message.payload),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => {}
            Err(error) => return Err(unavailable(error.to_string())),
        }
        match stream.get_last_raw_message_by_subject(&subject).await {
            Ok(message) => Ok(message.payload),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {
                Err(ObjectError::Missing { upload: upload.to_owned(), index })
            }
            Err(error) => Err(unavailable(error.to_string())),
        }
    }

    /// When the newest chunk of an upload was written, by the server's clock; `None`: never.
    pub async fn upload_time(
        &self,
        store: Store,
        upload: &str,
    ) -> Result<Option<Timestamp>, ObjectError> {
        let subject = self.chunk_subject(store, upload, "*");
        let stream = self.object_stream(store);
        let body = json!({ "last_by_subj": subject });
        const NOT_FOUND: u64 = 10_037;
        match self.api(&format!("STREAM.MSG.GET.{stream}"), &body).await {
            Ok(answer) => {
                let time = answer["message"]["time"].as_str().unwrap_or_default();
                let time = time.parse::<jiff::Timestamp>().ok();
                let ms = time.and_then(|time| u64::try_from(time.as_millisecond()).ok());
                Ok(ms.map(Timestamp::from_millis))
            }
            Err(AskError::Fault(fault)) if fault.err_code == NOT_FOUND => Ok(None),
            Err(error) => Err(ObjectError::of(error)),
        }
    }

    /// Removes all chunks of an upload. Twice is once.
    pub async fn purge_upload(&self, store: Store, upload: &str) -> Result<(), ObjectError> {
        let filter = self.chunk_subject(store, upload, "*");
        let subject = format!("STREAM.PURGE.{}", self.object_stream(store));
        let purged = self.api(&subject, &json!({ "filter": filter })).await;
        purged.map(drop).map_err(ObjectError::of)
    }

    /// Every upload of a store, with the number of its chunks.
    pub async fn uploads(&self, store: Store) -> Result<BTreeMap<String, u64>, ObjectError> {
        let filter = self.chunk_subject(store, "*", "*");
        let subject = format!("STREAM.INFO.{}", self.object_stream(store));
        let mut found: BTreeMap<String, u64> = BTreeMap::new();
        let mut offset = 0;
        loop {
            let body = json!({ "subjects_filter": filter, "offset": offset });
            let info = self.api(&subject, &body).await.map_err(ObjectError::of)?;
            let page = info["state"]["subjects"].as_object().cloned().unwrap_or_default();
            for subject in page.keys() {
                if let Some(upload) = subject.split('.').rev().nth(1) {
                    *found.entry(upload.to_owned()).or_default() += 1;
                }
            }
            offset += page.len();
            let total = info["total"].as_u64().and_then(|total| usize::try_from(total).ok());
            if page.is_empty() || total.is_none_or(|total| offset >= total) {
                return Ok(found);
            }
        }
    }
}
