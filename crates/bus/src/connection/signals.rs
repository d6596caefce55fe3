//! What the client tells of the connection: counted, logged, and turned into health.

use std::collections::HashMap;

use async_nats::{Event, ServerError};
use ostler_service::{Health, Program};
use prometheus::{IntCounter, Opts};
use tokio::sync::watch;
use tracing::{debug, info, warn};

use super::ConnectionState;
use crate::config::Pings;

/// State and counters of one connection.
#[derive(Debug)]
pub(crate) struct Signals {
    state: watch::Sender<ConnectionState>,
    health: Health,
    part: &'static str,
    name: String,
    disconnects: IntCounter,
    dropped: IntCounter,
    refused: IntCounter,
    errors: IntCounter,
    /// Events that were dropped because the queue was full.
    pub(crate) events_dropped: IntCounter,
    /// Watches that began anew.
    pub(crate) resyncs: IntCounter,
}

impl Signals {
    pub(super) fn new(name: &str, pings: Pings, program: &Program) -> Self {
        let counter = |metric: &str, help: &str| counter(program, name, metric, help);
        let part = match pings {
            Pings::Usual => "bus",
            Pings::Heartbeat => "bus-heartbeat",
        };
        program.health.set(part, Err("not connected yet".to_owned()));
        Self {
            state: watch::Sender::default(),
            health: program.health.clone(),
            part,
            name: name.to_owned(),
            disconnects: counter("disconnects", "How often the connection was lost."),
            dropped: counter("slow_consumers", "How often a full subscription dropped messages."),
            refused: counter("permission_violations", "What the server did not let us do."),
            errors: counter("errors", "Other errors that the server or the client told."),
            events_dropped: counter("events_dropped", "Events dropped from a full queue."),
            resyncs: counter("resyncs", "How often a watch began anew."),
        }
    }

    pub(super) fn state(&self) -> watch::Receiver<ConnectionState> {
        self.state.subscribe()
    }

    /// It is up, as a round trip has shown; the first event may not have come yet.
    pub(super) fn up_once(&self) {
        self.state.send_if_modified(|state| {
            let first = state.connects == 0;
            if first {
                *state = ConnectionState { up: true, connects: 1 };
            }
            first
        });
        self.health.set(self.part, Ok(()));
    }

    pub(super) fn on(&self, event: &Event) {
        let name = &self.name;
        match event {
            Event::Connected => self.up(),
            Event::Disconnected => self.down("disconnected"),
            Event::Closed => self.closed(),
            Event::SlowConsumer(_) => {
                self.dropped.inc();
                warn!(connection = %name, "a subscription is full, messages were dropped");
            }
            Event::ServerError(ServerError::SlowConsumer(_)) => {
                self.dropped.inc();
                warn!(connection = %name, "the server dropped messages, we read too slowly");
            }
            Event::ServerError(ServerError::AuthorizationViolation) => {
                self.refused.inc();
                warn!(connection = %name, "the server does not accept our credentials");
            }
            Event::ServerError(ServerError::Other(text))
                if text.to_lowercase().contains("permissions violation") =>
            {
                self.refused.inc();
                warn!(connection = %name, error = %text, "the server does not permit: {text}");
            }
            Event::ServerError(error) => {
                self.errors.inc();
                warn!(connection = %name, %error, "the server says: {error}");
            }
            Event::ClientError(error) => {
                self.errors.inc();
                debug!(connection = %name, %error, "the client says: {error}");
            }
            Event::LameDuckMode => info!(connection = %name, "the NATS server is about to leave"),
            Event::Draining => debug!(connection = %name, "draining"),
        }
    }

    fn up(&self) {
        let mut again = false;
        self.state.send_modify(|state| {
            // The first event may come after `up_once`.
            if !state.up {
                *state = ConnectionState { up: true, connects: state.connects + 1 };
                again = state.connects > 1;
            }
        });
        self.health.set(self.part, Ok(()));
        if again {
            info!(connection = %self.name, "connected to NATS again");
        }
    }

    /// By ourselves: for anything else it would be tried again.
    fn closed(&self) {
        self.state.send_if_modified(|state| std::mem::take(&mut state.up));
        self.health.set(self.part, Err("closed".to_owned()));
        debug!(connection = %self.name, "closed");
    }

    fn down(&self, how: &str) {
        let was_up = self.state.send_if_modified(|state| std::mem::take(&mut state.up));
        self.health.set(self.part, Err(how.to_owned()));
        if was_up {
            self.disconnects.inc();
            warn!(connection = %self.name, "NATS is {how}, running on");
        }
    }
}

/// A counter of this connection. Where one of that name is counted already, this one is not shown.
fn counter(program: &Program, connection: &str, metric: &str, help: &str) -> IntCounter {
    let labels = HashMap::from([("connection".to_owned(), connection.to_owned())]);
    let opts = Opts::new(format!("ostler_bus_{metric}_total"), help).const_labels(labels);
    let counter = IntCounter::with_opts(opts).expect("the name is a metric name");
    if let Err(error) = program.metrics.register(Box::new(counter.clone())) {
        debug!(connection, metric, %error, "not shown in the metrics");
    }
    counter
}
