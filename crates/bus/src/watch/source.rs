//! One ordered consumer, from the last value of each key on.

use std::time::Duration;

use async_nats::jetstream;
use async_nats::{HeaderMap, Message, StatusCode, Subscriber};
use futures::StreamExt as _;
use ostler_core::id::Revision;
use ostler_core::time::Timestamp;
use serde_json::json;

use super::WatchEvent;
use crate::connection::Bus;
use crate::jetstream::AskError;
use crate::kv::is_marker;

const HEARTBEAT: Duration = Duration::from_secs(1);
/// How long the server keeps a consumer that nobody listens to.
const FORGET_AFTER: Duration = Duration::from_secs(10);

pub(super) struct Source {
    bus: Bus,
    messages: Subscriber,
    /// What is before a key in a subject.
    prefix: String,
    /// How many messages the consumer has delivered.
    delivered: u64,
    /// The last revision that was told or that the stream's leader named.
    revision: u64,
    /// The newest message there was when it began; what is told at or past it is all there was.
    until: Until,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    Sequence(u64),
    Reached,
    Told,
}

/// What came of one message.
pub(super) enum Step {
    Event(WatchEvent),
    Nothing,
    Lost(&'static str),
}

impl Source {
    /// Asks the stream's leader how far the stream is, then begins.
    pub(super) async fn open(
        bus: &Bus,
        stream: &str,
        filter: &str,
        name: &str,
    ) -> Result<Self, AskError> {
        let info = bus.stream_info(stream).await?;
        let revision = info["state"]["last_seq"].as_u64().unwrap_or(0);
        // The last sequence may be that of a message that is gone, which is never delivered.
        let newest = bus.last_sequence_of(stream, filter).await?;
        let inbox = bus.client().new_inbox();
        let messages = bus.client().subscribe(inbox.clone()).await;
        let messages = messages.map_err(|error| AskError::Unsent(error.to_string()))?;
        let nanos = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        let body = json!({
            "stream_name": stream,
            "action": "create",
            "config": {
                "name": name,
                "deliver_subject": inbox,
                "deliver_policy": "last_per_subject",
                "filter_subject": filter,
                "ack_policy": "none",
                "replay_policy": "instant",
                "max_deliver": 1,
                "flow_control": true,
                "idle_heartbeat": nanos(HEARTBEAT),
                "inactive_threshold": nanos(FORGET_AFTER),
                "num_replicas": 1,
                "mem_storage": true,
            },
        });
        let created = bus.api(&format!("CONSUMER.CREATE.{stream}.{name}.{filter}"), &body).await?;
        bus.saw_in(&created);
        Ok(Self {
            bus: bus.clone(),
            messages,
            prefix: filter.trim_end_matches('>').to_owned(),
            delivered: 0,
            revision,
            until: newest.map_or(Until::Reached, Until::Sequence),
        })
    }

    /// `CaughtUp`, once.
    pub(super) fn caught_up(&mut self) -> Option<WatchEvent> {
        if self.until != Until::Reached {
            return None;
        }
        self.until = Until::Told;
        Some(WatchEvent::CaughtUp { revision: Revision(self.revision) })
    }

    /// Waits for one message. May be dropped while it waits.
    pub(super) async fn next(&mut self) -> Step {
        match self.messages.next().await {
            None => Step::Lost("the subscription ended"),
            Some(Message { status: Some(StatusCode::IDLE_HEARTBEAT), headers, reply, .. }) => {
                let headers = headers.unwrap_or_default();
                self.signal(&headers, reply).await
            }
            Some(Message { status: Some(_), .. }) => Step::Lost("the consumer ended"),
            Some(message) => self.message(message),
        }
    }

    /// A flow-control request or a heartbeat.
    async fn signal(&mut self, headers: &HeaderMap, reply: Option<async_nats::Subject>) -> Step {
        let stalled = headers.get("Nats-Consumer-Stalled").map(|value| value.as_str().to_owned());
        let beat = reply.is_none();
        let resume = reply.map(|reply| reply.to_string()).or(stalled);
        let idle = beat && resume.is_none();
        if let Some(resume) = resume {
            // Lost with the connection, after which it begins anew anyway.
            self.bus.client().publish(resume, bytes::Bytes::new()).await.ok();
        }
        if !beat {
            return Step::Nothing;
        }
        let sent = headers.get("Nats-Last-Consumer").and_then(|value| value.as_str().parse().ok());
        if sent != Some(self.delivered) {
            return Step::Lost("a message is missing");
        }
        // An idle consumer has delivered all there is: the newest message was removed or has
        // expired since.
        if idle && matches!(self.until, Until::Sequence(_)) {
            self.until = Until::Reached;
        }
        Step::Nothing
    }

    fn message(&mut self, message: Message) -> Step {
        let message = jetstream::Message { message, context: self.bus.js().clone() };
        let Ok(info) = message.info() else { return Step::Lost("a message of another kind") };
        if info.consumer_sequence != self.delivered + 1 {
            return Step::Lost("a message is missing");
        }
        self.delivered += 1;
        let revision = info.stream_sequence;
        let ms = info.published.unix_timestamp_nanos() / 1_000_000;
        let at = Timestamp::from_millis(u64::try_from(ms).unwrap_or(0));
        self.bus.saw(at);
        self.revision = self.revision.max(revision);
        if matches!(self.until, Until::Sequence(newest) if revision >= newest) {
            self.until = Until::Reached;
        }
        let Message { subject, payload, headers, .. } = message.message;
        let Some(key) = subject.strip_prefix(self.prefix.as_str()) else {
            return Step::Nothing;
        };
        let (key, revision) = (key.to_owned(), Revision(revision));
        Step::Event(if headers.is_some_and(|headers| is_marker(&headers)) {
            WatchEvent::Gone { key, revision }
        } else {
            WatchEvent::Put { key, value: payload, revision, at }
        })
    }
}
