//! Ordered watches of a bucket that survive everything: reconnects, lost consumers, resyncs.

mod follower;
mod source;

use ostler_core::id::Revision;
use ostler_core::time::Timestamp;
use ostler_schemas::bucket::Bucket;
use ostler_schemas::wire::{Wire, WireError};
use tokio::sync::mpsc;

use crate::connection::Bus;
use crate::kv::ReadError;
use follower::Follower;

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
/// into a bounded queue (4,096), so that a slow reader holds up only this watch. Dropping it ends
/// it.
#[derive(Debug)]
pub struct Watch {
    events: mpsc::Receiver<WatchEvent>,
}

/// Events that wait for the reader.
const QUEUE: usize = 4_096;

impl Watch {
    /// What comes next. `None` when the program stops or the connection was drained.
    pub async fn next(&mut self) -> Option<WatchEvent> {
        self.events.recv().await
    }
}

impl Bus {
    /// Watches a bucket with a named, ordered consumer (`<program>-<bucket>-<random>`). Does not
    /// end when NATS goes away: after every reconnect, and whenever a message or a sign of life of
    /// the consumer is missing, it begins anew with [`WatchEvent::Resync`], so that no deletion is
    /// missed whose marker has gone. An error means that it could not even begin.
    pub async fn watch(&self, bucket: &Bucket) -> Result<Watch, ReadError> {
        let mut follower = Follower::new(self.clone(), bucket);
        let connects = self.state().borrow().connects;
        let source = follower.open().await.map_err(|error| ReadError::Unavailable {
            bucket: bucket.to_string(),
            key: ">".to_owned(),
            cause: error.to_string(),
        })?;
        let (sender, events) = mpsc::channel(QUEUE);
        let stop = self.program().tasks.stop_token();
        let closed = self.closed().clone();
        self.program().tasks.spawn_brief(async move {
            tokio::select! {
                () = follower.follow(source, connects, &sender) => {}
                () = stop.cancelled() => {}
                () = closed.cancelled() => {}
            }
            follower.forget().await;
        });
        Ok(Watch { events })
    }
}
