//! The newest events, read once from the stream for all who follow them.
//!
//! Each follower catches up with a reader of its own and then listens here, so that a thousand
//! followers are not a thousand consumers.

use std::sync::Arc;
use std::time::Duration;

use ostler_core::id::Revision;
use ostler_schemas::pb;
use tokio::sync::{broadcast, watch};
use tracing::{debug, warn};

use crate::app::App;
use crate::stream::{Gone, Sink};

/// A follower may be so many events behind before it is dropped.
const KEPT: usize = 4096;
/// How long until it is asked again where the stream ends.
const RETRY: Duration = Duration::from_millis(500);

/// The newest events as they come.
#[derive(Debug)]
pub struct Tail {
    events: broadcast::Sender<Arc<pb::EventView>>,
    /// The last sequence that was read; `None` before the first reading began.
    position: watch::Sender<Option<u64>>,
}

impl Default for Tail {
    fn default() -> Self {
        Self::new()
    }
}

impl Tail {
    /// Nothing read yet.
    #[must_use]
    pub fn new() -> Self {
        Self { events: broadcast::Sender::new(KEPT), position: watch::Sender::new(None) }
    }

    /// What happens from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<pb::EventView>> {
        self.events.subscribe()
    }

    /// Takes one event in. The position moves first: whoever listens from then on and catches up
    /// to it misses nothing.
    fn take(&self, sequence: u64, event: Option<pb::Event>) {
        self.position.send_replace(Some(sequence));
        if let Some(event) = event {
            let view = pb::EventView { sequence, event: Some(event) };
            // Nobody listens: it is read again by whoever asks for it.
            drop(self.events.send(Arc::new(view)));
        }
    }
}

/// Reads new events until the program stops.
pub async fn follow(app: &App) {
    let stop = app.program().tasks.stop_token();
    tokio::select! {
        () = stop.cancelled() => {}
        () = read(app) => {}
    }
    stop.cancelled().await;
}

async fn read(app: &App) {
    let newest = loop {
        match app.bus().last_event().await {
            Ok(newest) => break newest,
            Err(error) => debug!(%error, "the end of the events is not known yet"),
        }
        tokio::time::sleep(RETRY).await;
    };
    app.tail().take(newest.0, None);
    let mut reader = app.bus().events_from(newest);
    while let Some(entry) = reader.next().await {
        let sequence = entry.sequence.0;
        if let Err(error) = &entry.event {
            warn!(%error, event.sequence = sequence, "an event cannot be read, passing over it");
        }
        app.tail().take(sequence, entry.event.ok());
    }
}

/// Which events are wanted. Empty fields hold for all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// A kind such as `instance.placed`, or the beginning of one: `instance`.
    pub kind: String,
    /// A workload, `web` or `default/web`.
    pub workload: String,
    /// A node.
    pub node: String,
    /// An instance.
    pub instance: String,
}

impl Filter {
    /// Whether this event is wanted.
    #[must_use]
    pub fn takes(&self, event: &pb::Event) -> bool {
        let same = |wanted: &str, found: &str| wanted.is_empty() || wanted == found;
        let within = event.kind.strip_prefix(self.kind.as_str());
        let kind = self.kind.is_empty()
            || within.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        let workload = match self.workload.split_once('/') {
            Some((namespace, name)) => namespace == event.namespace && name == event.workload,
            None => same(&self.workload, &event.workload),
        };
        kind && workload && same(&self.node, &event.node) && same(&self.instance, &event.instance)
    }
}

/// Sends every wanted event after `after` (`None`: from now on), without a gap, for as long as the
/// reader is there.
pub async fn send_all(
    app: App,
    after: Option<u64>,
    filter: Filter,
    sink: Sink,
) -> Result<(), Gone> {
    let mut events = app.tail().events.subscribe();
    let mut position = app.tail().position.subscribe();
    let begun = position.wait_for(Option::is_some).await.map_err(|_| Gone)?.unwrap_or_default();
    let mut sent = after.unwrap_or(begun);
    if sent < begun {
        let mut reader = app.bus().events_from(Revision(sent));
        while sent < begun {
            let Some(entry) = reader.next().await else { return Ok(()) };
            sent = entry.sequence.0;
            if let Ok(event) = entry.event {
                let view = pb::EventView { sequence: sent, event: Some(event) };
                send(&sink, &filter, &view).await?;
            }
        }
    }
    loop {
        // Who is too far behind comes back with `Last-Event-ID`.
        let view = events.recv().await.map_err(|_| Gone)?;
        if view.sequence > sent {
            sent = view.sequence;
            send(&sink, &filter, &view).await?;
        }
    }
}

async fn send(sink: &Sink, filter: &Filter, view: &pb::EventView) -> Result<(), Gone> {
    match &view.event {
        Some(event) if filter.takes(event) => sink.send(Some(view.sequence), None, view).await,
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_takes_a_kind_or_its_beginning_and_a_workload_with_or_without_namespace() {
        let event = pb::Event {
            kind: "instance.placed".into(),
            namespace: "default".into(),
            workload: "web".into(),
            node: "node-1".into(),
            ..Default::default()
        };
        let filter = |kind: &str, workload: &str, node: &str| Filter {
            kind: kind.into(),
            workload: workload.into(),
            node: node.into(),
            instance: String::new(),
        };
        for (kind, workload, node, taken) in [
            ("", "", "", true),
            ("instance", "", "", true),
            ("instance.placed", "web", "node-1", true),
            ("inst", "", "", false),
            ("instance.lost", "", "", false),
            ("", "default/web", "", true),
            ("", "other/web", "", false),
            ("", "", "node-2", false),
        ] {
            assert_eq!(
                filter(kind, workload, node).takes(&event),
                taken,
                "{kind} {workload} {node}"
            );
        }
    }
}
