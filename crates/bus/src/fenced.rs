//! The placement log: atomic batches that name the stream sequence they follow.

use ostler_core::id::{PoolName, Revision};
use ostler_schemas::bucket::Key;
use thiserror::Error;

use crate::connection::Bus;

/// At most so many messages in a batch.
pub const MAX_MESSAGES: usize = 200;
/// At most so many bytes in a batch.
pub const MAX_BYTES: usize = 4 << 20;

/// Writes that are committed together or not at all.
#[derive(Debug, Clone, Default)]
pub struct Batch {}

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

    /// Adds a write.
    pub fn put<K: Key>(&mut self, key: &K, value: &K::Value) -> Result<(), Full> {
        let _ = (key, value);
        unimplemented!()
    }

    /// Adds the removal of a key.
    pub fn delete<K: Key>(&mut self, key: &K) -> Result<(), Full> {
        let _ = key;
        unimplemented!()
    }

    /// How many writes are in it. The write at index `i` (from 0) is committed at revision
    /// `after + 1 + i`.
    #[must_use]
    pub fn len(&self) -> usize {
        unimplemented!()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Bus {
    /// Commits to `placements-<pool>` if its last revision is `after`. Returns the new last
    /// revision, `after + batch.len()`.
    pub async fn commit(
        &self,
        pool: &PoolName,
        batch: Batch,
        after: Revision,
    ) -> Result<Revision, CommitError> {
        let _ = (pool, batch, after);
        unimplemented!()
    }
}
