//! What all handlers share: the bus, the limits, what is counted.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ostler_bus::Bus;
use ostler_service::Program;
use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGauge, Opts};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Config;
use crate::room::{Full, Place, Room};
use crate::tail::Tail;

/// Shared by all handlers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: Config,
    bus: Bus,
    program: Program,
    room: Arc<Room>,
    streams: Arc<Semaphore>,
    counts: Counts,
    tail: Tail,
}

/// What the gateway counts.
#[derive(Debug)]
pub struct Counts {
    /// Requests by method and status class.
    pub requests: IntCounterVec,
    /// How long they took until the head of the answer.
    pub seconds: Histogram,
    /// Followed streams.
    pub streams: IntGauge,
    /// Streams that were ended because their reader was too slow.
    pub dropped: prometheus::IntCounter,
}

impl Counts {
    fn register(metrics: &prometheus::Registry) -> Result<Self, prometheus::Error> {
        let requests = Opts::new("ostler_gateway_requests_total", "requests that were answered");
        let seconds = HistogramOpts::new(
            "ostler_gateway_request_duration_seconds",
            "time until the head of the answer",
        );
        let counts = Self {
            requests: IntCounterVec::new(requests, &["method", "class"])?,
            seconds: Histogram::with_opts(seconds)?,
            streams: IntGauge::new("ostler_gateway_streams_open", "followed events and logs")?,
            dropped: prometheus::IntCounter::new(
                "ostler_gateway_streams_dropped_total",
                "streams that were ended because their reader was too slow",
            )?,
        };
        metrics.register(Box::new(counts.requests.clone()))?;
        metrics.register(Box::new(counts.seconds.clone()))?;
        metrics.register(Box::new(counts.streams.clone()))?;
        metrics.register(Box::new(counts.dropped.clone()))?;
        Ok(counts)
    }
}

impl App {
    /// With these limits, on this bus.
    pub fn new(config: Config, bus: Bus, program: Program) -> Result<Self, prometheus::Error> {
        let permits = |limit: u32| {
            let limit = usize::try_from(limit).unwrap_or(Semaphore::MAX_PERMITS);
            Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS)))
        };
        let counts = Counts::register(&program.metrics)?;
        Ok(Self(Arc::new(Shared {
            room: Arc::new(Room::new(&config, &program.metrics)?),
            streams: permits(config.max_streams),
            config,
            bus,
            program,
            counts,
            tail: Tail::new(),
        })))
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The bus.
    #[must_use]
    pub fn bus(&self) -> &Bus {
        &self.0.bus
    }

    /// Tasks, health, metrics.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.0.program
    }

    /// What is counted.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.0.counts
    }

    /// The newest events, read once for all who follow.
    #[must_use]
    pub fn tail(&self) -> &Tail {
        &self.0.tail
    }

    /// How long a request to a service may take.
    #[must_use]
    pub fn request_timeout(&self) -> Duration {
        self.0.config.request_timeout.into()
    }

    /// Room for one more request of this client.
    pub fn admit_request(&self, client: IpAddr) -> Result<Place, Full> {
        self.0.room.admit(client)
    }

    /// Room for one more stream; `None` when there is none.
    #[must_use]
    pub fn admit_stream(&self) -> Option<OwnedSemaphorePermit> {
        let permit = Arc::clone(&self.0.streams).try_acquire_owned();
        permit.inspect_err(|_| self.0.room.refuse("max_streams")).ok()
    }

    /// Starts the task that reads new events for all who follow them.
    pub fn follow_events(&self) {
        let app = self.clone();
        self.0.program.tasks.spawn("event tail", async move {
            crate::tail::follow(&app).await;
            Ok::<(), std::convert::Infallible>(())
        });
    }
}
