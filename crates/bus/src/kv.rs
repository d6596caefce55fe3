//! Single keys: reads from the stream's leader or from any replica, writes by compare-and-set.

use ostler_core::id::Revision;
use ostler_core::time::Timestamp;
use ostler_schemas::bucket::{Bucket, Key};
use ostler_schemas::wire::WireError;
use thiserror::Error;

use crate::connection::Bus;

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

impl Bus {
    /// Reads from the stream's leader. `None`: absent or removed.
    pub async fn get<K: Key>(&self, key: &K) -> Result<Option<Entry<K::Value>>, ReadError> {
        let _ = key;
        unimplemented!()
    }

    /// Reads from any replica by direct get; may be stale.
    pub async fn get_direct<K: Key>(&self, key: &K) -> Result<Option<Entry<K::Value>>, ReadError> {
        let _ = key;
        unimplemented!()
    }

    /// Writes if the key is at `expected`; `Revision(0)`: if it is absent or removed.
    pub async fn update<K: Key>(
        &self,
        key: &K,
        value: &K::Value,
        expected: Revision,
    ) -> Result<Revision, WriteError> {
        let _ = (key, value, expected);
        unimplemented!()
    }

    /// Writes whatever is there; for immutable, content-addressed values.
    pub async fn put<K: Key>(&self, key: &K, value: &K::Value) -> Result<Revision, WriteError> {
        let _ = (key, value);
        unimplemented!()
    }

    /// Purges the key (a marker stays) if it is at `expected`.
    pub async fn delete<K: Key>(&self, key: &K, expected: Revision) -> Result<(), WriteError> {
        let _ = (key, expected);
        unimplemented!()
    }

    /// The last revision of a bucket's stream, from its leader.
    pub async fn last_revision(&self, bucket: &Bucket) -> Result<Revision, ReadError> {
        let _ = bucket;
        unimplemented!()
    }
}
