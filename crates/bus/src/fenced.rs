//! The placement log: atomic batches that name the stream sequence they follow.

use async_nats::HeaderMap;
use bytes::Bytes;
use ostler_core::id::{PoolName, Revision, Term};
use ostler_schemas::bucket::{Bucket, Key};
use ostler_schemas::wire::Wire as _;
use thiserror::Error;

use crate::connection::Bus;
use crate::jetstream::AskError;
use crate::kv::{purge_headers, value_headers};

/// At most so many messages in a batch.
pub const MAX_MESSAGES: usize = 200;
/// At most so many bytes in a batch.
pub const MAX_BYTES: usize = 4 << 20;

/// Writes that are committed together or not at all.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    writes: Vec<Write>,
    bytes: usize,
    term: Option<Term>,
}

#[derive(Debug, Clone)]
struct Write {
    bucket: Bucket,
    key: String,
    headers: HeaderMap,
    payload: Bytes,
}

/// The batch has no room for this; commit it and begin another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the batch is full")]
pub struct Full;

/// Why a batch was not committed.
#[derive(Debug, Error)]
pub enum CommitError {
    /// Somebody else wrote first (codes 10071 and 10164). Nothing of the batch is visible.
    #[error("the placements of pool `{pool}` are past revision {after}")]
    Conflict {
        /// Which pool.
        pool: PoolName,
        /// The revision that the batch followed.
        after: Revision,
    },
    /// No answer: whether it was committed is not known. Read last revision and `_term` from the
    /// leader before anything else; it may still be stored later.
    #[error("no answer to a batch after revision {after}: {cause}")]
    Unknown {
        /// The revision that the batch followed.
        after: Revision,
        /// What the client says.
        cause: String,
    },
    /// One write is larger than the server takes. Nothing was sent.
    #[error("`{bucket}/{key}` has {bytes} bytes, the server takes {limit}")]
    TooLarge {
        /// In which bucket.
        bucket: String,
        /// Which key.
        key: String,
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        limit: usize,
    },
    /// The server refused it. Nothing of the batch is visible.
    #[error("the server refused a batch: {0}")]
    Refused(String),
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty batch of a reign: each of its writes says which, also in the hint that the server
    /// makes of it.
    #[must_use]
    pub fn of(term: Term) -> Self {
        Self { term: Some(term), ..Self::default() }
    }

    /// Adds a write. An empty batch takes one of any size; `commit` refuses what the server would.
    pub fn put<K: Key>(&mut self, key: &K, value: &K::Value) -> Result<(), Full> {
        let format = K::Value::FORMAT;
        self.add(key, value_headers(format), value.encode(format).into())
    }

    /// Adds the removal of a key.
    pub fn delete<K: Key>(&mut self, key: &K) -> Result<(), Full> {
        self.add(key, purge_headers(), Bytes::new())
    }

    fn add<K: Key>(&mut self, key: &K, mut headers: HeaderMap, payload: Bytes) -> Result<(), Full> {
        let bytes = self.bytes + payload.len();
        if !self.is_empty() && (self.len() >= MAX_MESSAGES || bytes > MAX_BYTES) {
            return Err(Full);
        }
        self.bytes = bytes;
        if let Some(term) = self.term {
            headers.insert(TERM, term.to_string());
        }
        self.writes.push(Write { bucket: key.bucket(), key: key.to_string(), headers, payload });
        Ok(())
    }

    /// How many writes are in it. The write at index `i` (from 0) is committed at revision
    /// `after + 1 + i`.
    #[must_use]
    pub fn len(&self) -> usize {
        self.writes.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The stream's last sequence that the whole batch follows.
const EXPECTED_LAST: &str = "Nats-Expected-Last-Sequence";
/// The headers of a write take no more than this out of the server's `max_payload`.
const HEADERS: usize = 1024;
/// The reign in which it was written.
const TERM: &str = "Ostler-Term";
const BATCH_ID: &str = "Nats-Batch-Id";
const BATCH_SEQUENCE: &str = "Nats-Batch-Sequence";
const BATCH_COMMIT: &str = "Nats-Batch-Commit";

impl Bus {
    /// Commits to `placements-<pool>` if its last revision is `after`. Returns the new last
    /// revision, `after + batch.len()`. An empty batch changes nothing and is not checked. A key
    /// of another bucket is refused. One commit at a time for each pool.
    pub async fn commit(
        &self,
        pool: &PoolName,
        batch: Batch,
        after: Revision,
    ) -> Result<Revision, CommitError> {
        let bucket = Bucket::Placements(pool.clone());
        if let Some(stray) = batch.writes.iter().find(|write| write.bucket != bucket) {
            let Write { bucket: other, key, .. } = stray;
            return Err(CommitError::Refused(format!("`{other}/{key}` is not in `{bucket}`")));
        }
        self.fits(&batch)?;
        let Ok(size) = u64::try_from(batch.len()) else { unreachable!("it has a limit") };
        if size == 0 {
            return Ok(after);
        }
        let last = self.send_batch(batch, after).await;
        let last = last.map_err(|error| CommitError::new(error, pool, after))?;
        if last == after.0 + size {
            return Ok(Revision(last));
        }
        // Not seen; a server that does this breaks its promise, and nothing can be relied upon.
        let cause = format!("acknowledged at {last}, should be {}", after.0 + size);
        Err(CommitError::Unknown { after, cause })
    }

    /// Whether the server takes each of the writes.
    fn fits(&self, batch: &Batch) -> Result<(), CommitError> {
        let limit = self.client().server_info().max_payload.saturating_sub(HEADERS);
        match batch.writes.iter().find(|write| write.payload.len() > limit) {
            None => Ok(()),
            Some(Write { bucket, key, payload, .. }) => Err(CommitError::TooLarge {
                bucket: bucket.to_string(),
                key: key.clone(),
                bytes: payload.len(),
                limit,
            }),
        }
    }

    /// The sequence of the last message. A batch of one is a plain publish.
    async fn send_batch(&self, batch: Batch, after: Revision) -> Result<u64, AskError> {
        let id = crate::op_id();
        let last = batch.len() - 1;
        for (index, write) in batch.writes.into_iter().enumerate() {
            let Write { bucket, key, mut headers, payload } = write;
            let subject = self.root().key(&bucket, &key);
            if index == 0 {
                headers.insert(EXPECTED_LAST, after.to_string());
            }
            if last > 0 {
                headers.insert(BATCH_ID, id.as_str());
                headers.insert(BATCH_SEQUENCE, (index + 1).to_string());
            }
            if last > 0 && index == last {
                headers.insert(BATCH_COMMIT, "1");
            }
            if index == 0 || index == last {
                // Where the first is refused, nothing else is sent.
                let ack = self.publish_acked(subject, headers, payload, self.patience()).await?;
                if index == last {
                    return Ok(ack);
                }
            } else {
                self.send_part(subject, headers, payload).await?;
            }
        }
        Err(AskError::Unsent("an empty batch".to_owned()))
    }

    /// A message in the middle: not acknowledged by itself; without it the commit is refused.
    async fn send_part(
        &self,
        subject: String,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<(), AskError> {
        let send = self.client().publish_with_headers(subject, headers, payload);
        match tokio::time::timeout(self.patience(), send).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(AskError::Unsent(error.to_string())),
            Err(_) => Err(AskError::Silence("the connection takes no more".to_owned())),
        }
    }
}

impl CommitError {
    fn new(error: AskError, pool: &PoolName, after: Revision) -> Self {
        match error {
            AskError::Fault(fault) if fault.is_conflict() => {
                Self::Conflict { pool: pool.clone(), after }
            }
            AskError::Fault(fault) => Self::Refused(fault.to_string()),
            AskError::Unsent(cause) => Self::Refused(cause),
            AskError::Silence(cause) => Self::Unknown { after, cause },
        }
    }
}
