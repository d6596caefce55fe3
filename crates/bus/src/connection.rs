//! One connection: reconnects for ever with jitter, counts what goes wrong, tells pool time.

mod clock;
mod options;
mod signals;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use async_nats::connection::State;
use async_nats::jetstream;
use futures::StreamExt as _;
use ostler_core::time::Timestamp;
use ostler_service::{Program, clock as time};
use thiserror::Error;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Pings};
use crate::events::Queue;
use crate::horizon::Told;
use crate::root::Root;
use clock::PoolClock;
pub(crate) use signals::Signals;

/// A connection to NATS. Cheap to clone; all clones are the same connection.
#[derive(Clone)]
pub struct Bus {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    js: jetstream::Context,
    config: Config,
    root: Root,
    name: String,
    program: Program,
    signals: Arc<Signals>,
    clock: PoolClock,
    events: Queue,
    told: Told,
    closed: CancellationToken,
}

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

/// How long `connect` waits for the first round trip.
const CONNECT_WITHIN: Duration = Duration::from_secs(30);
/// How long `drain` waits for the server to let go.
const DRAIN_WITHIN: Duration = Duration::from_secs(3);

impl Bus {
    /// Connects, and waits until a message to one's own inbox came back (30 s at most). `name` is
    /// shown by the server. Counts disconnects, slow-consumer drops and permission errors in the
    /// program's metrics and sets its health part `bus` (`bus-heartbeat` for a connection with
    /// [`Pings::Heartbeat`]).
    pub async fn connect(
        config: &Config,
        name: &str,
        pings: Pings,
        program: &Program,
    ) -> Result<Self, ConnectError> {
        let root = Root::new(&config.root).map_err(ConnectError::Config)?;
        let signals = Arc::new(Signals::new(name, pings, program));
        let client = options::connect(config, name, pings, &signals).await?;
        let mut js = jetstream::new(client.clone());
        js.set_timeout(config.request_timeout.into());
        let bus = Self {
            inner: Arc::new(Inner {
                client,
                js,
                config: config.clone(),
                root,
                name: name.to_owned(),
                program: program.clone(),
                clock: PoolClock::default(),
                events: Queue::default(),
                told: Told::default(),
                closed: CancellationToken::new(),
                signals,
            }),
        };
        bus.reach().await?;
        bus.start_events();
        Ok(bus)
    }

    /// Another connection with the same settings.
    pub async fn another(&self, name: &str, pings: Pings) -> Result<Self, ConnectError> {
        Self::connect(self.config(), name, pings, self.program()).await
    }

    /// The first round trip, and a look at the server.
    async fn reach(&self) -> Result<(), ConnectError> {
        if self.round_trip(CONNECT_WITHIN).await.is_none() {
            let url = self.config().url.clone();
            let cause = format!("no answer within {} s", CONNECT_WITHIN.as_secs());
            return Err(ConnectError::Unreachable { url, cause });
        }
        // The callback runs in a task of the client, which may be behind.
        self.inner.signals.up_once();
        if !self.inner.client.is_server_compatible(2, 12, 0) {
            return Err(ConnectError::TooOld { found: self.inner.client.server_info().version });
        }
        self.learn_time().await;
        Ok(())
    }

    /// The settings it was made with.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// The program it belongs to: tasks, health, metrics.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.inner.program
    }

    /// Whether it is up, with every change.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<ConnectionState> {
        self.inner.signals.state()
    }

    /// Pool time: the latest time of a server seen by any read, write or watch of this
    /// connection, and monotonic time since. Never steps back. Before any was seen, the wall
    /// clock.
    #[must_use]
    pub fn pool_time(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// How long a message to one's own inbox takes to come back.
    pub async fn round_trip(&self, timeout: Duration) -> Option<Duration> {
        let inbox = self.inner.client.new_inbox();
        let begun = time::instant();
        let trip = async {
            let mut back = self.inner.client.subscribe(inbox.clone()).await.ok()?;
            self.inner.client.publish(inbox, bytes::Bytes::new()).await.ok()?;
            back.next().await
        };
        tokio::time::timeout(timeout, trip).await.ok()??;
        Some(time::since(begun))
    }

    /// Waits for queued events and acks, flushes and closes. Stop accepting and finish replies
    /// before.
    pub async fn drain(self) {
        let queue = &self.inner.events;
        let quiet = tokio::time::timeout(DRAIN_WITHIN, queue.empty()).await;
        if quiet.is_err() {
            tracing::warn!(events = queue.len(), "closing the bus with events unsent");
        }
        self.inner.closed.cancel();
        let mut state = self.state();
        let close = async {
            self.inner.client.flush().await.ok();
            self.inner.client.drain().await.ok();
            // Closing ends in a disconnect.
            state.wait_for(|state| !state.up).await.ok();
        };
        // A server that does not answer loses nothing by our leaving.
        tokio::time::timeout(DRAIN_WITHIN, close).await.ok();
    }

    pub(crate) fn client(&self) -> &Client {
        &self.inner.client
    }

    pub(crate) fn js(&self) -> &jetstream::Context {
        &self.inner.js
    }

    pub(crate) fn root(&self) -> &Root {
        &self.inner.root
    }

    pub(crate) fn name(&self) -> &str {
        &self.inner.name
    }

    pub(crate) fn signals(&self) -> &Signals {
        &self.inner.signals
    }

    pub(crate) fn events(&self) -> &Queue {
        &self.inner.events
    }

    /// How far those that answered had seen.
    pub(crate) fn told(&self) -> &Told {
        &self.inner.told
    }

    /// Cancelled when the connection was drained.
    pub(crate) fn closed(&self) -> &CancellationToken {
        &self.inner.closed
    }

    /// A server said that it is this late.
    pub(crate) fn saw(&self, at: Timestamp) {
        self.inner.clock.saw(at);
    }

    /// Whether it is up at this moment.
    pub(crate) fn is_up(&self) -> bool {
        self.inner.client.connection_state() == State::Connected
    }

    /// Waits until it is up; false when it was not in time.
    pub(crate) async fn until_up(&self, timeout: Duration) -> bool {
        if self.is_up() {
            return true;
        }
        let mut state = self.state();
        let up = state.wait_for(|state| state.up);
        matches!(tokio::time::timeout(timeout, up).await, Ok(Ok(_)))
    }

    /// How long a request may take.
    pub(crate) fn patience(&self) -> Duration {
        self.inner.config.request_timeout.into()
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus").field("name", &self.inner.name).finish_non_exhaustive()
    }
}
