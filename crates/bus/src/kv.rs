//! Single keys: reads from the stream's leader or from any replica, writes by compare-and-set.

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{DirectGetErrorKind, LastRawMessageErrorKind, Stream};
use async_nats::{HeaderMap, HeaderValue};
use bytes::Bytes;
use ostler_core::id::Revision;
use ostler_core::time::Timestamp;
use ostler_schemas::bucket::{Bucket, Key};
use ostler_schemas::wire::{Format, Wire, WireError};
use thiserror::Error;

use crate::connection::Bus;
use crate::jetstream::AskError;

/// A value as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<V> {
    /// The value.
    pub value: V,
    /// The stream sequence it was written at.
    pub revision: Revision,
    /// When it was written, by the server's clock.
    pub at: Timestamp,
}

/// Why a key could not be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// What is there cannot be understood. It is not an order and not an absence.
    #[error("`{bucket}/{key}` cannot be read")]
    Value {
        /// In which bucket.
        bucket: String,
        /// Which key.
        key: String,
        /// Where it was written: its only writer may write over it, and raises an alarm.
        revision: Revision,
        /// Why not.
        #[source]
        source: WireError,
    },
    /// No answer in time, or no connection.
    #[error("no answer for `{bucket}/{key}`: {cause}")]
    Unavailable {
        /// In which bucket.
        bucket: String,
        /// Which key.
        key: String,
        /// What the client says.
        cause: String,
    },
}

/// Why a key was not written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// It is not at the revision that was expected (codes 10071 and 10164). Nothing was changed.
    #[error("`{bucket}/{key}` is not at revision {expected}")]
    Conflict {
        /// In which bucket.
        bucket: String,
        /// Which key.
        key: String,
        /// What was expected; 0: absent.
        expected: Revision,
    },
    /// No answer: whether it was written is not known. Read it from the leader and compare the
    /// operation id in the value.
    #[error("no answer to a write of `{bucket}/{key}`: {cause}")]
    Unknown {
        /// In which bucket.
        bucket: String,
        /// Which key.
        key: String,
        /// What the client says.
        cause: String,
    },
    /// The server refused it (full, too large). Nothing was changed.
    #[error("the server refused `{bucket}/{key}`: {cause}")]
    Refused {
        /// In which bucket.
        bucket: String,
        /// Which key.
        key: String,
        /// What the server says.
        cause: String,
    },
}

/// What an operation on a key is, in its marker.
pub(crate) const OPERATION: &str = "KV-Operation";
/// Why the server put a marker.
const MARKER: &str = "Nats-Marker-Reason";
/// Compare-and-set on a subject.
pub(crate) const EXPECTED_SUBJECT: &str = "Nats-Expected-Last-Subject-Sequence";
/// Compare-and-set on all subjects that match this one instead.
const EXPECTED_FILTER: &str = "Nats-Expected-Last-Subject-Sequence-Subject";

/// Keys that are written by compare-and-set together: nobody may have written any of them since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// The keys, such as `shop.*`.
    pub keys: String,
    /// The last revision at which one of them was written or removed; 0: never.
    pub at: Revision,
}

/// Whether a message tells that its key is gone.
pub(crate) fn is_marker(headers: &HeaderMap) -> bool {
    let removed = |operation: &HeaderValue| matches!(operation.as_str(), "DEL" | "PURGE");
    headers.get(OPERATION).is_some_and(removed) || headers.get(MARKER).is_some()
}

/// The headers of a value of this format.
pub(crate) fn value_headers(format: Format) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("Content-Type", format.content_type());
    headers
}

/// The headers of a removal.
pub(crate) fn purge_headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(OPERATION, "PURGE");
    headers.insert("Nats-Rollup", "sub");
    headers
}

/// The format that a message says, else the usual one.
pub(crate) fn format_of(headers: &HeaderMap, usual: Format) -> Format {
    let said = headers.get("Content-Type");
    said.and_then(|value| Format::from_content_type(value.as_str())).unwrap_or(usual)
}

/// A message of a key, as it is in the stream.
pub(crate) struct Raw {
    pub(crate) payload: Bytes,
    pub(crate) headers: HeaderMap,
    pub(crate) revision: Revision,
    pub(crate) at: Timestamp,
}

impl Raw {
    fn new(message: StreamMessage) -> Self {
        let ms = message.time.unix_timestamp_nanos() / 1_000_000;
        Self {
            payload: message.payload,
            headers: message.headers,
            revision: Revision(message.sequence),
            at: Timestamp::from_millis(u64::try_from(ms).unwrap_or(0)),
        }
    }
}

/// One key by its names, for errors.
struct Place {
    bucket: String,
    key: String,
}

impl Place {
    fn of<K: Key>(key: &K) -> Self {
        Self { bucket: key.bucket().to_string(), key: key.to_string() }
    }

    fn silent(self, cause: String) -> ReadError {
        ReadError::Unavailable { bucket: self.bucket, key: self.key, cause }
    }
}

impl Bus {
    /// Reads from the stream's leader. `None`: absent or removed.
    pub async fn get<K: Key>(&self, key: &K) -> Result<Option<Entry<K::Value>>, ReadError> {
        let raw = self.raw_from_leader(&key.bucket(), &key.to_string()).await;
        self.entry(key, raw)
    }

    /// Reads from the stream's leader at which revision the key was last written or removed (0:
    /// never), and what is there.
    pub async fn get_last<K: Key>(
        &self,
        key: &K,
    ) -> Result<(Revision, Option<Entry<K::Value>>), ReadError> {
        let raw = self.raw_from_leader(&key.bucket(), &key.to_string()).await;
        let last = raw.as_ref().ok().and_then(|raw| raw.as_ref()).map(|raw| raw.revision);
        Ok((last.unwrap_or_default(), self.entry(key, raw)?))
    }

    /// Reads from any replica by direct get; may be stale.
    pub async fn get_direct<K: Key>(&self, key: &K) -> Result<Option<Entry<K::Value>>, ReadError> {
        let raw = self.raw_direct(&key.bucket(), &key.to_string()).await;
        self.entry(key, raw)
    }

    /// Writes if the key is at `expected`; `Revision(0)`: if it is absent or removed.
    pub async fn update<K: Key>(
        &self,
        key: &K,
        value: &K::Value,
        expected: Revision,
    ) -> Result<Revision, WriteError> {
        let wrote = self.write(key, Some(value), Some(expected)).await;
        if expected != Revision(0) || !matches!(wrote, Err(WriteError::Conflict { .. })) {
            return wrote;
        }
        // A key that was removed is absent for us, but not for the server: its marker is there.
        match self.raw_from_leader(&key.bucket(), &key.to_string()).await {
            Ok(Some(raw)) if is_marker(&raw.headers) => {
                let again = self.write(key, Some(value), Some(raw.revision)).await;
                again.map_err(|error| error.of_revision(expected))
            }
            _ => wrote,
        }
    }

    /// Where the keys that match `keys`, such as `shop.*`, stand now, from the stream's leader.
    pub async fn fence(&self, bucket: &Bucket, keys: &str) -> Result<Fence, ReadError> {
        let last = self.raw_from_leader(bucket, keys).await.map_err(|cause| {
            Place { bucket: bucket.to_string(), key: keys.to_owned() }.silent(cause)
        })?;
        let at = last.map_or(Revision(0), |raw| raw.revision);
        Ok(Fence { keys: keys.to_owned(), at })
    }

    /// Writes the key if none of the fence's keys, of which it is one, was written since.
    pub async fn update_within<K: Key>(
        &self,
        key: &K,
        value: &K::Value,
        fence: &Fence,
    ) -> Result<Revision, WriteError> {
        let format = K::Value::FORMAT;
        let mut headers = value_headers(format);
        headers.insert(EXPECTED_SUBJECT, fence.at.to_string());
        headers.insert(EXPECTED_FILTER, self.root().key(&key.bucket(), &fence.keys));
        self.send(key, headers, value.encode(format), fence.at).await
    }

    /// Writes whatever is there; for immutable, content-addressed values.
    pub async fn put<K: Key>(&self, key: &K, value: &K::Value) -> Result<Revision, WriteError> {
        self.write(key, Some(value), None).await
    }

    /// Purges the key (a marker stays) if it is at `expected`.
    pub async fn delete<K: Key>(&self, key: &K, expected: Revision) -> Result<(), WriteError> {
        self.write(key, None, Some(expected)).await.map(drop)
    }

    /// The last revision of a bucket's stream, from its leader.
    pub async fn last_revision(&self, bucket: &Bucket) -> Result<Revision, ReadError> {
        let info = self.stream_info(&self.root().bucket_stream(bucket)).await;
        let last = info.map(|info| info["state"]["last_seq"].as_u64());
        last.map_err(|error| error.to_string())
            .and_then(|last| last.ok_or_else(|| "an answer without `last_seq`".to_owned()))
            .map(Revision)
            .map_err(|cause| {
                Place { bucket: bucket.to_string(), key: ">".to_owned() }.silent(cause)
            })
    }

    /// The last message of a key from the stream's leader, marker or not.
    pub(crate) async fn raw_from_leader(
        &self,
        bucket: &Bucket,
        key: &str,
    ) -> Result<Option<Raw>, String> {
        let (stream, subject) = self.place(bucket, key).await?;
        match stream.get_last_raw_message_by_subject(&subject).await {
            Ok(message) => Ok(Some(self.seen(message))),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(chain(&error)),
        }
    }

    async fn raw_direct(&self, bucket: &Bucket, key: &str) -> Result<Option<Raw>, String> {
        let (stream, subject) = self.place(bucket, key).await?;
        match stream.direct_get_last_for_subject(subject).await {
            Ok(message) => Ok(Some(self.seen(message))),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
            Err(error) => Err(chain(&error)),
        }
    }

    async fn place(&self, bucket: &Bucket, key: &str) -> Result<(Stream<()>, String), String> {
        if !self.until_up(self.patience()).await {
            return Err("not connected".to_owned());
        }
        let name = self.root().bucket_stream(bucket);
        // Asks nothing.
        let stream = self.js().get_stream_no_info(name).await.map_err(|error| chain(&error))?;
        Ok((stream, self.root().key(bucket, key)))
    }

    fn seen(&self, message: StreamMessage) -> Raw {
        let raw = Raw::new(message);
        self.saw(raw.at);
        raw
    }

    fn entry<K: Key>(
        &self,
        key: &K,
        raw: Result<Option<Raw>, String>,
    ) -> Result<Option<Entry<K::Value>>, ReadError> {
        let place = Place::of(key);
        let Some(raw) = raw.map_err(|cause| Place::of(key).silent(cause))? else {
            return Ok(None);
        };
        if is_marker(&raw.headers) {
            return Ok(None);
        }
        let Raw { payload, headers, revision, at } = raw;
        match K::Value::decode(&payload, format_of(&headers, K::Value::FORMAT)) {
            Ok(value) => Ok(Some(Entry { value, revision, at })),
            Err(source) => {
                let Place { bucket, key } = place;
                Err(ReadError::Value { bucket, key, revision, source })
            }
        }
    }

    /// Writes a value, or removes it where there is none.
    async fn write<K: Key>(
        &self,
        key: &K,
        value: Option<&K::Value>,
        expected: Option<Revision>,
    ) -> Result<Revision, WriteError> {
        let format = K::Value::FORMAT;
        let (mut headers, payload) = match value {
            Some(value) => (value_headers(format), value.encode(format)),
            None => (purge_headers(), Vec::new()),
        };
        if let Some(expected) = expected {
            headers.insert(EXPECTED_SUBJECT, expected.to_string());
        }
        self.send(key, headers, payload, expected.unwrap_or_default()).await
    }

    async fn send<K: Key>(
        &self,
        key: &K,
        headers: HeaderMap,
        payload: Vec<u8>,
        expected: Revision,
    ) -> Result<Revision, WriteError> {
        let subject = self.root().key(&key.bucket(), &key.to_string());
        let ack = self.publish_acked(subject, headers, payload.into(), self.patience()).await;
        ack.map(Revision)
            .map_err(|error| WriteError::new(error, &key.bucket(), &key.to_string(), expected))
    }
}

impl WriteError {
    pub(crate) fn new(error: AskError, bucket: &Bucket, key: &str, expected: Revision) -> Self {
        let (bucket, key) = (bucket.to_string(), key.to_owned());
        match error {
            AskError::Fault(fault) if fault.is_conflict() => {
                Self::Conflict { bucket, key, expected }
            }
            AskError::Fault(fault) => Self::Refused { bucket, key, cause: fault.to_string() },
            AskError::Unsent(cause) => Self::Refused { bucket, key, cause },
            AskError::Silence(cause) => Self::Unknown { bucket, key, cause },
        }
    }

    fn of_revision(self, revision: Revision) -> Self {
        match self {
            Self::Conflict { bucket, key, .. } => {
                Self::Conflict { bucket, key, expected: revision }
            }
            other => other,
        }
    }
}

/// An error of the client with its causes, which it does not tell by itself.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
