//! The door to NATS: the only crate that knows it.
//!
//! Everything that `reference/nats.md` warns of is dealt with here once: both conflict codes, leases
//! by raw publish, batches by hand, readiness by a real round trip, unknown outcomes after a
//! time-out, bounded queues, and permission errors that look like time-outs. What others see is
//! typed: a [`Contract`](ostler_schemas::contract::Contract), a
//! [`Key`](ostler_schemas::bucket::Key), a [`Call`](ostler_schemas::api::Call).

pub mod backup;
pub mod config;
pub mod connection;
pub mod dialog;
pub mod discover;
pub mod events;
pub mod fenced;
pub mod fill;
pub mod horizon;
pub mod keys;
pub mod kv;
pub mod lease;
pub mod object;
pub mod provision;
pub mod pubsub;
pub mod rpc;
pub mod server;
pub mod stream;
pub mod watch;

mod jetstream;
mod root;

pub use config::{Config, Pings};
pub use connection::{Bus, ConnectError};
pub use dialog::Dialog;
pub use discover::FoundService;
pub use events::Untold;
pub use fenced::{Batch, CommitError};
pub use horizon::{Horizon, Picture};
pub use kv::{Entry, Fence, ReadError, WriteError};
pub use lease::Lease;
pub use object::{CHUNK, ObjectError, Store};
pub use rpc::{Caller, Server};
pub use stream::{EventEntry, EventReader};
pub use watch::{Watch, WatchEvent};

/// A fresh operation id (ULID): 26 characters, sorted by time.
#[must_use]
pub fn op_id() -> String {
    ulid::Ulid::new().to_string()
}
