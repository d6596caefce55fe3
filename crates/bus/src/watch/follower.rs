//! Keeps a watch going: one consumer after the other.

use std::time::Duration;

use ostler_schemas::bucket::Bucket;
use rand::Rng as _;
use tokio::sync::mpsc::Sender;
use tracing::{debug, info};

use super::WatchEvent;
use super::source::{Source, Step};
use crate::connection::Bus;
use crate::jetstream::AskError;

/// Without a sign of life for so long (a heartbeat is due every second), a consumer is given up.
const SILENCE: Duration = Duration::from_secs(3);
/// Between two tries to begin anew, in milliseconds; the most doubles up to the bound.
const RETRY_MS: (u64, u64, u64) = (20, 200, 5_000);

pub(super) struct Follower {
    bus: Bus,
    stream: String,
    filter: String,
    /// The part of the names of all its consumers.
    name: String,
    begun: u64,
    current: Option<String>,
}

enum End {
    /// Begin anew.
    Lost(&'static str),
    /// Nobody reads any more.
    Unread,
}

impl Follower {
    pub(super) fn new(bus: Bus, bucket: &Bucket) -> Self {
        let plain = |char: char| if char.is_ascii_alphanumeric() { char } else { '-' };
        let program: String = bus.name().chars().map(plain).collect();
        let random: u32 = rand::rng().random();
        Self {
            stream: bus.root().bucket_stream(bucket),
            filter: bus.root().key(bucket, ">"),
            name: format!("{program}-{bucket}-{random:08x}"),
            begun: 0,
            current: None,
            bus,
        }
    }

    /// A new consumer from the beginning.
    pub(super) async fn open(&mut self) -> Result<Source, AskError> {
        self.forget().await;
        self.begun += 1;
        let name = format!("{}_{}", self.name, self.begun);
        self.current = Some(name.clone());
        Source::open(&self.bus, &self.stream, &self.filter, &name).await
    }

    /// Deletes the consumer without waiting for an answer: without interest it goes by itself.
    pub(super) async fn forget(&mut self) {
        let Some(name) = self.current.take() else { return };
        if self.bus.is_up() {
            let subject = format!("$JS.API.CONSUMER.DELETE.{}.{name}", self.stream);
            self.bus.client().publish(subject, bytes::Bytes::new()).await.ok();
        }
    }

    /// Tells everything until nobody reads any more.
    pub(super) async fn follow(
        &mut self,
        mut source: Source,
        mut connects: u64,
        events: &Sender<WatchEvent>,
    ) {
        loop {
            match self.tell(&mut source, connects, events).await {
                End::Unread => return,
                End::Lost(why) => {
                    debug!(stream = %self.stream, "a watch begins anew: {why}");
                }
            }
            drop(source);
            (source, connects) = self.reopen().await;
            self.bus.signals().resyncs.inc();
            info!(stream = %self.stream, "watching stream {} anew", self.stream);
            if events.send(WatchEvent::Resync).await.is_err() {
                return;
            }
        }
    }

    async fn reopen(&mut self) -> (Source, u64) {
        let (least, mut most, bound) = RETRY_MS;
        let mut state = self.bus.state();
        loop {
            // Without a connection there is nothing to try.
            let up = state.wait_for(|state| state.up).await.map(|state| state.connects);
            match (up, self.open().await) {
                (Ok(connects), Ok(source)) => return (source, connects),
                (Err(_), _) => std::future::pending().await,
                (_, Err(error)) => {
                    debug!(stream = %self.stream, %error, "cannot watch yet: {error}");
                    let pause = rand::rng().random_range(least..most);
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                    most = (most * 2).min(bound);
                }
            }
        }
    }

    async fn tell(&self, source: &mut Source, connects: u64, events: &Sender<WatchEvent>) -> End {
        let mut state = self.bus.state();
        if let Some(event) = source.caught_up()
            && events.send(event).await.is_err()
        {
            return End::Unread;
        }
        loop {
            let step = tokio::select! {
                biased;
                () = events.closed() => return End::Unread,
                _ = state.wait_for(|state| state.up && state.connects != connects) => {
                    return End::Lost("reconnected");
                }
                step = tokio::time::timeout(SILENCE, source.next()) => step,
            };
            let told = match step {
                Err(_) => return End::Lost("no sign of life"),
                Ok(Step::Lost(why)) => return End::Lost(why),
                Ok(Step::Nothing) => None,
                Ok(Step::Event(event)) => Some(event),
            };
            for event in told.into_iter().chain(source.caught_up()) {
                if events.send(event).await.is_err() {
                    return End::Unread;
                }
            }
        }
    }
}
