//! Events into the stream `EVENTS`: sent in order, with acks, from a bounded queue.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::HeaderMap;
use futures::future::join_all;
use ostler_schemas::contract::EventOf;
use ostler_schemas::pb;
use ostler_schemas::wire::{Format, Wire as _};
use rand::Rng as _;
use tokio::sync::{Notify, oneshot};
use tracing::warn;

use crate::connection::Bus;
use crate::jetstream::AskError;

/// At most so many events wait.
const QUEUE: usize = 16_384;
/// So many are sent before the first is acknowledged.
const IN_FLIGHT: usize = 64;
/// Between two tries, in milliseconds.
const RETRY_MS: std::ops::Range<u64> = 100..1_000;
/// How long events are still sent after the program was told to stop.
const LINGER: Duration = Duration::from_secs(2);

/// An event was not taken: too many waited, or it cannot be sent at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the event was dropped before it was acknowledged")]
pub struct Untold;

/// An event that waits.
#[derive(Debug)]
struct Waiting {
    /// Its place in the order of [`Bus::emit`].
    number: u64,
    event: pb::Event,
    /// Who waits for its ack.
    told: Option<oneshot::Sender<()>>,
}

/// Events that wait.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: Mutex<VecDeque<Waiting>>,
    changed: Notify,
    emptied: Notify,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Resolves when nothing waits.
    pub(crate) async fn empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.len() == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// Whether the oldest had to go.
    fn push(&self, event: pb::Event, told: Option<oneshot::Sender<()>>) -> bool {
        let mut waiting = self.lock();
        let full = waiting.len() >= QUEUE;
        if full {
            waiting.pop_front();
        }
        let number = waiting.back().map_or(0, |last| last.number + 1);
        waiting.push_back(Waiting { number, event, told });
        drop(waiting);
        self.changed.notify_one();
        full
    }

    fn first(&self) -> Vec<(u64, pb::Event)> {
        let next = self.lock();
        next.iter().take(IN_FLIGHT).map(|next| (next.number, next.event.clone())).collect()
    }

    /// Forgets everything up to this number, the last of which was acknowledged or never can be.
    fn done(&self, upto: u64, acknowledged: bool) {
        let mut waiting = self.lock();
        while let Some(first) = waiting.pop_front_if(|first| first.number <= upto) {
            if let Some(told) = first.told.filter(|_| acknowledged) {
                // Who waited may have gone.
                let _gone = told.send(());
            }
        }
        if waiting.is_empty() {
            self.emptied.notify_waiters();
        }
    }
}

impl Bus {
    /// Queues an event. `id` and `time` are filled in where they are empty; `Nats-Msg-Id` is the
    /// event's id. Sent in order by a task of the connection, again until it is acknowledged; when
    /// the queue (16,384) is full, because the bus was away for long, the oldest is dropped and
    /// counted. Never blocks.
    pub fn emit(&self, event: pb::Event) {
        self.queue(event, None);
    }

    /// The same, and resolves once the event is stored: for who answers only for what is told. It
    /// waits as long as the bus is away; dropped, the event stays queued.
    ///
    /// # Errors
    /// The event will never be stored: it cannot be sent, or had to go from a full queue.
    pub async fn emit_acked(&self, event: pb::Event) -> Result<(), Untold> {
        let (told, acknowledged) = oneshot::channel();
        self.queue(event, Some(told));
        acknowledged.await.map_err(|_| Untold)
    }

    fn queue(&self, mut event: pb::Event, told: Option<oneshot::Sender<()>>) {
        if event.id.is_empty() {
            event.id = crate::op_id();
        }
        if event.time.is_empty() {
            let ms = i64::try_from(self.pool_time().as_millis()).unwrap_or(i64::MAX);
            event.time = jiff::Timestamp::from_millisecond(ms).unwrap_or_default().to_string();
        }
        if self.events().push(event, told) {
            self.signals().events_dropped.inc();
        }
    }

    /// The task that sends them.
    pub(crate) fn start_events(&self) {
        let bus = self.clone();
        let stop = self.program().tasks.stop_token();
        self.program().tasks.spawn_brief(async move {
            tokio::select! {
                () = bus.send_events() => {}
                () = bus.closed().cancelled() => return,
                () = stop.cancelled() => {}
            }
            let last = async {
                tokio::select! {
                    () = bus.send_events() => {}
                    () = bus.closed().cancelled() => {}
                    () = bus.events().empty() => {}
                }
            };
            if tokio::time::timeout(LINGER, last).await.is_err() {
                warn!(events = bus.events().len(), "stopping with events unsent");
            }
        });
    }

    async fn send_events(&self) {
        let mut complained = false;
        loop {
            let changed = self.events().changed.notified();
            let events = self.events().first();
            if events.is_empty() {
                changed.await;
                continue;
            }
            let acks = join_all(events.iter().map(|(_, event)| self.send_event(event))).await;
            // What comes after the first failure is sent again, and known by its id.
            let mut failure = None;
            for ((number, event), ack) in events.iter().zip(acks) {
                let acknowledged = ack.is_ok();
                match ack {
                    Ok(()) => {}
                    Err(AskError::Unsent(why)) => {
                        self.signals().events_dropped.inc();
                        warn!(kind = %event.kind, error = %why, "an event cannot be sent: {why}");
                    }
                    Err(error) => {
                        failure = Some(error);
                        break;
                    }
                }
                self.events().done(*number, acknowledged);
            }
            if let Some(error) = &failure {
                if !complained {
                    warn!(%error, "events are not acknowledged, trying again: {error}");
                }
                let pause = rand::rng().random_range(RETRY_MS);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            complained = failure.is_some();
        }
    }

    async fn send_event(&self, event: &pb::Event) -> Result<(), AskError> {
        let subject = self.root().subject(&address(event).to_string());
        let payload = event.encode(Format::Json).into();
        self.publish_acked(subject, headers(event), payload, self.patience()).await?;
        Ok(())
    }
}

/// The message id, and the event as `CloudEvents` has it in binary mode.
fn headers(event: &pb::Event) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("Nats-Msg-Id", event.id.as_str()),
        ("Content-Type", Format::Json.content_type()),
        ("ce-specversion", "1.0"),
        ("ce-id", &event.id),
        ("ce-source", &event.source),
        ("ce-type", &event.kind),
        ("ce-time", &event.time),
    ] {
        // What cannot stand in a header is in the body too.
        if let Ok(value) = value.parse::<async_nats::HeaderValue>() {
            headers.insert(name, value);
        }
    }
    headers
}

/// Where an event goes: its entity is the workload, else the node, else the artifact or the pool that
/// it is about.
fn address(event: &pb::Event) -> EventOf {
    let detail = |name: &str| event.details.get(name).map_or("", String::as_str);
    let entities = [event.workload.as_str(), &event.node, detail("artifact"), detail("pool")];
    let entity = entities.into_iter().find(|entity| !entity.is_empty()).unwrap_or_default();
    EventOf {
        source: token(&event.source, "-"),
        namespace: token(&event.namespace, "_"),
        entity: token(entity, "-"),
        kind: token(&event.kind, "-"),
    }
}

/// One token of a subject, `[a-z0-9-]{1,63}`; other characters become `-`.
fn token(text: &str, empty: &str) -> String {
    if text.is_empty() {
        return empty.to_owned();
    }
    let plain = |char: char| match char.to_ascii_lowercase() {
        char if char.is_ascii_lowercase() || char.is_ascii_digit() => char,
        _ => '-',
    };
    text.chars().map(plain).take(63).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_goes_to_its_workload_else_to_its_node() {
        let mut event = pb::Event {
            source: "node-n1".into(),
            kind: "instance.placed".into(),
            node: "n1".into(),
            ..pb::Event::default()
        };
        assert_eq!(address(&event).to_string(), "ostler.v1.event.node-n1._.n1.instance-placed");
        event.workload = "web".into();
        event.namespace = "default".into();
        event.kind = "Weird > kind*".into();
        assert_eq!(
            address(&event).to_string(),
            "ostler.v1.event.node-n1.default.web.weird---kind-"
        );
    }

    #[test]
    fn events_of_leaders_and_artifacts_had_no_entity() {
        let of = |detail: (&str, &str)| pb::Event {
            source: "scheduler".into(),
            kind: "leader.elected".into(),
            details: [(detail.0.to_owned(), detail.1.to_owned())].into(),
            ..pb::Event::default()
        };
        for (detail, entity) in
            [(("pool", "edge"), "edge"), (("artifact", "site"), "site"), (("term", "3"), "-")]
        {
            let subject = format!("ostler.v1.event.scheduler._.{entity}.leader-elected");
            assert_eq!(address(&of(detail)).to_string(), subject);
        }
    }

    #[test]
    fn a_full_queue_loses_its_oldest() {
        let queue = Queue::default();
        for _ in 0..QUEUE {
            assert!(!queue.push(pb::Event::default(), None));
        }
        assert!(queue.push(pb::Event::default(), None));
        assert_eq!(queue.len(), QUEUE);
        assert_eq!(queue.first()[0].0, 1);
        queue.done(3, true);
        assert_eq!(queue.first()[0].0, 4);
    }
}
