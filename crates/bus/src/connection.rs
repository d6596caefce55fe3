//! One connection: reconnects for ever with jitter, counts what goes wrong, tells pool time.

use std::time::Duration;

use ostler_core::time::Timestamp;
use ostler_service::Program;
use thiserror::Error;
use tokio::sync::watch;

use crate::config::{Config, Pings};

/// A connection to NATS. Cheap to clone; all clones are the same connection.
#[derive(Clone, Debug)]
pub struct Bus {}

/// Whether the connection is up, and how often it came up: a change of the count means that
/// subscriptions may have missed messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConnectionState {
    /// Whether it is up now.
    pub up: bool,
    /// How often it came up.
    pub connects: u64,
}

/// Why there is no connection.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The settings make no sense.
    #[error("cannot use the bus settings: {0}")]
    Config(String),
    /// No server answered a round trip in time. `connect` may be tried again.
    #[error("no NATS server answers at `{url}`: {cause}")]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What the client says.
        cause: String,
    },
    /// The server is too old.
    #[error("NATS server {found} is too old: 2.12 or later is needed")]
    TooOld {
        /// Its version.
        found: String,
    },
}

impl Bus {
    /// Connects, and waits until a message to one's own inbox came back (30 s at most). `name` is
    /// shown by the server. Counts disconnects, slow-consumer drops and permission errors in the
    /// program's metrics and sets its health part `bus`.
    pub async fn connect(
        config: &Config,
        name: &str,
        pings: Pings,
        program: &Program,
    ) -> Result<Self, ConnectError> {
        let _ = (config, name, pings, program);
        unimplemented!()
    }

    /// Another connection with the same settings.
    pub async fn another(&self, name: &str, pings: Pings) -> Result<Self, ConnectError> {
        let _ = (name, pings);
        unimplemented!()
    }

    /// The settings it was made with.
    #[must_use]
    pub fn config(&self) -> &Config {
        unimplemented!()
    }

    /// The program it belongs to: tasks, health, metrics.
    #[must_use]
    pub fn program(&self) -> &Program {
        unimplemented!()
    }

    /// Whether it is up, with every change.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<ConnectionState> {
        unimplemented!()
    }

    /// Pool time: the last JetStream timestamp seen by any read, write or watch of this
    /// connection, and monotonic time since. Never steps back. Before any timestamp was seen, the
    /// wall clock.
    #[must_use]
    pub fn pool_time(&self) -> Timestamp {
        unimplemented!()
    }

    /// How long a message to one's own inbox takes to come back.
    pub async fn round_trip(&self, timeout: Duration) -> Option<Duration> {
        let _ = timeout;
        unimplemented!()
    }

    /// Waits for acks, flushes and closes. Stop accepting and finish replies before.
    pub async fn drain(self) {
        unimplemented!()
    }
}
