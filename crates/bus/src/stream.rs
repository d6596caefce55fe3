//! Reads the stream `EVENTS` in order, from any place in it, and goes on for as long as it is asked.

use std::time::Duration;

use async_nats::jetstream::{self, consumer::DeliverPolicy, consumer::pull};
use futures::StreamExt as _;
use ostler_core::id::Revision;
use ostler_core::time::Timestamp;
use ostler_schemas::pb;
use ostler_schemas::wire::{Format, Wire, WireError};
use rand::Rng as _;
use tokio::sync::mpsc;
use tracing::debug;

use crate::connection::Bus;
use crate::kv::ReadError;

/// Events that wait for the reader.
const QUEUE: usize = 1_024;
/// Between two tries to go on, in milliseconds.
const RETRY_MS: std::ops::Range<u64> = 50..1_000;
/// The stream, as the table calls it.
const STREAM: &str = "EVENTS";

/// An event with its place in the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct EventEntry {
    /// Its sequence: pass it as `after` to go on behind it.
    pub sequence: Revision,
    /// When it was stored, by the server's clock.
    pub at: Timestamp,
    /// How many followed it in the stream when it was delivered; 0: it was the newest.
    pub pending: u64,
    /// The event, or why it cannot be read.
    pub event: Result<pb::Event, WireError>,
}

/// A reader of events, in the order of the stream and without gaps. Dropping it ends it.
#[derive(Debug)]
pub struct EventReader {
    events: mpsc::Receiver<EventEntry>,
}

impl EventReader {
    /// The next event; waits for it. `None` when the program stops or the connection was drained.
    pub async fn next(&mut self) -> Option<EventEntry> {
        self.events.recv().await
    }

    /// The next event if it is there already.
    pub fn try_next(&mut self) -> Option<EventEntry> {
        self.events.try_recv().ok()
    }
}

impl Bus {
    /// Reads the events after this sequence, then what follows, for ever: reconnects and lost
    /// consumers leave no gap and repeat nothing. What the stream has dropped by age is passed
    /// over. `Revision(0)`: from the beginning; [`Bus::last_event`]: only what is new.
    #[must_use]
    pub fn events_from(&self, after: Revision) -> EventReader {
        let (sender, events) = mpsc::channel(QUEUE);
        let follower = Follower { bus: self.clone(), last: after.0, sender };
        let stop = self.program().tasks.stop_token();
        let closed = self.closed().clone();
        self.program().tasks.spawn_brief(async move {
            tokio::select! {
                () = follower.follow() => {}
                () = stop.cancelled() => {}
                () = closed.cancelled() => {}
            }
        });
        EventReader { events }
    }

    /// The sequence of the newest event, from the stream's leader; 0 when there never was one.
    pub async fn last_event(&self) -> Result<Revision, ReadError> {
        let stream = self.root().stream(STREAM);
        let info = self.stream_info(&stream).await.map_err(|error| ReadError::Unavailable {
            bucket: STREAM.to_owned(),
            key: ">".to_owned(),
            cause: error.to_string(),
        })?;
        Ok(Revision(info["state"]["last_seq"].as_u64().unwrap_or(0)))
    }
}

/// Keeps one reader going: one ordered consumer after the other.
struct Follower {
    bus: Bus,
    /// The last sequence that was told.
    last: u64,
    sender: mpsc::Sender<EventEntry>,
}

impl Follower {
    async fn follow(mut self) {
        while !self.sender.is_closed() {
            let why = match self.open().await {
                Ok(messages) => self.tell(messages).await,
                Err(cause) => cause,
            };
            debug!(after = self.last, "reading events anew: {why}");
            let pause = rand::rng().random_range(RETRY_MS);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn open(&self) -> Result<pull::Ordered, String> {
        let stream = self.bus.root().stream(STREAM);
        let name = format!("events-{:016x}", rand::rng().random::<u64>());
        let config = pull::OrderedConfig {
            name: Some(name),
            filter_subject: self.bus.root().subject("ostler.v1.event.>"),
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: self.last + 1 },
            ..Default::default()
        };
        let stream = self.bus.js().get_stream_no_info(stream).await;
        let stream = stream.map_err(|error| error.to_string())?;
        let consumer = stream.create_consumer(config).await.map_err(|error| error.to_string())?;
        consumer.messages().await.map_err(|error| error.to_string())
    }

    /// Tells what comes until the consumer breaks, and says why it did.
    async fn tell(&mut self, mut messages: pull::Ordered) -> String {
        loop {
            let message = tokio::select! {
                () = self.sender.closed() => return "nobody reads".to_owned(),
                message = messages.next() => message,
            };
            let entry = match message {
                None => return "the consumer ended".to_owned(),
                Some(Err(error)) => return error.to_string(),
                Some(Ok(message)) => entry(&message),
            };
            let Some(entry) = entry else { continue };
            if entry.sequence.0 <= self.last {
                continue;
            }
            self.bus.saw(entry.at);
            self.last = entry.sequence.0;
            if self.sender.send(entry).await.is_err() {
                return "nobody reads".to_owned();
            }
        }
    }
}

fn entry(message: &jetstream::Message) -> Option<EventEntry> {
    let info = message.info().ok()?;
    let ms = info.published.unix_timestamp_nanos() / 1_000_000;
    let content_type = message.headers.as_ref().and_then(|headers| headers.get("Content-Type"));
    let format = content_type.and_then(|value| Format::from_content_type(value.as_str()));
    let format = format.unwrap_or(pb::Event::FORMAT);
    Some(EventEntry {
        sequence: Revision(info.stream_sequence),
        at: Timestamp::from_millis(u64::try_from(ms).unwrap_or(0)),
        pending: info.pending,
        event: pb::Event::decode(&message.payload, format),
    })
}
