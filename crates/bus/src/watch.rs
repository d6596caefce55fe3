//! Ordered watches of a bucket that survive everything: reconnects, lost consumers, resyncs.

use ostler_core::id::Revision;
use ostler_core::time::Timestamp;
use ostler_schemas::bucket::Bucket;
use ostler_schemas::wire::{Wire, WireError};

use crate::connection::Bus;
use crate::kv::ReadError;

/// What a watch tells, in the order of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchEvent {
    /// A key was written.
    Put {
        /// Which.
        key: String,
        /// The bytes; see [`WatchEvent::decode`].
        value: bytes::Bytes,
        /// At which stream sequence.
        revision: Revision,
        /// When, by the server's clock.
        at: Timestamp,
    },
    /// A key was removed, purged or has expired. Never an order.
    Gone {
        /// Which.
        key: String,
        /// At which stream sequence.
        revision: Revision,
    },
    /// Everything that was in the stream when the watch began (or began anew) has been told: the
    /// watch has reached the last sequence, read from the stream's leader.
    CaughtUp {
        /// That sequence.
        revision: Revision,
    },
    /// The watch begins anew: what is not told again before the next `CaughtUp` is gone.
    Resync,
}

impl WatchEvent {
    /// Reads a value of a [`Key`](ostler_schemas::bucket::Key)'s type.
    pub fn decode<V: Wire>(value: &[u8]) -> Result<V, WireError> {
        V::decode(value, V::FORMAT)
    }
}

/// A watch of a bucket: the last value of each key, then every change. Polled by a task of its own
/// into a bounded queue (4,096), so that a slow reader holds up only this watch.
#[derive(Debug)]
pub struct Watch {}

impl Watch {
    /// What comes next. `None` when the program stops.
    pub async fn next(&mut self) -> Option<WatchEvent> {
        unimplemented!()
    }
}

impl Bus {
    /// Watches a bucket with a named, ordered consumer (`<program>-<bucket>-<random>`). Does not
    /// end when NATS goes away: it goes on from the last sequence, or begins anew.
    pub async fn watch(&self, bucket: &Bucket) -> Result<Watch, ReadError> {
        let _ = bucket;
        unimplemented!()
    }
}
