//! What is believed of nodes is told under an id that follows from the record, and the leader tells
//! it once more a moment later: whoever wrote it may have died before it told. It is one event then,
//! the server drops what it has, and so does history.

use std::collections::BTreeMap;
use std::time::Duration;

use ostler_bus::Caller;
use ostler_core::id::NodeName;
use ostler_core::node::{Liveness, Node};
use ostler_core::schedule::rfc3339;
use ostler_core::time::{Span, Timestamp};
use ostler_schemas::pb;

use super::event;
use crate::app::{App, Shared};
use crate::write::farewell_id;

/// Between two rounds.
const ROUND: Duration = Duration::from_secs(5);
/// What is younger is being told.
const SETTLED: Span = Span::from_secs(5);
/// What is older was told again: the server knows the ids of two minutes.
const RECENT: Span = Span::from_secs(60);

/// The event that tells of a node's liveness, as it is since this record.
pub(super) fn liveness_event(kind: &str, node: &Node, reason: impl Into<String>) -> pb::Event {
    let whose = format!("{} {}", node.name, node.epoch);
    let id = farewell_id("node.liveness", &whose, node.liveness_since);
    pb::Event { id, time: rfc3339(node.liveness_since), ..event(kind, node, reason) }
}

fn again(node: &Node) -> pb::Event {
    let kind = match node.liveness {
        Liveness::Online => "returned",
        Liveness::Suspect => "suspect",
        Liveness::Offline => "offline",
        Liveness::Left => "left",
        Liveness::Asleep => "asleep",
    };
    liveness_event(kind, node, "")
}

/// Begins the rounds, for as long as the program runs.
pub fn begin(app: &Shared) {
    let app = app.clone();
    let tasks = app.bus.program().tasks.clone();
    let stop = tasks.stop_token();
    tasks.spawn("retell", async move {
        let mut told = BTreeMap::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok::<(), &str>(()),
                () = tokio::time::sleep(ROUND) => {}
            }
            if app.lead.holds() {
                app.retell(&mut told);
            }
        }
    });
}

impl App {
    /// Tells of every node whose liveness changed within the last minute, once.
    fn retell(&self, told: &mut BTreeMap<NodeName, Timestamp>) {
        let now = self.now();
        told.retain(|_, since| now.since(*since) < RECENT);
        let changed = |node: &Node| {
            let age = now.since(node.liveness_since);
            age >= SETTLED && age < RECENT && told.get(&node.name) != Some(&node.liveness_since)
        };
        let nodes = self.index.read(|picture| picture.nodes_that(changed));
        for node in nodes {
            self.tell(&Caller::program("registry"), again(&node));
            told.insert(node.name, node.liveness_since);
        }
    }
}
