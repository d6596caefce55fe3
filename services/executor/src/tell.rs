//! What the fleet is told of instances, as events; kept for a while when the bus is not there yet.

use std::collections::{BTreeMap, VecDeque};

use ostler_bus::Bus;
use ostler_core::id::NodeName;
use ostler_core::instance::Exit;
use ostler_schemas::pb;

use crate::config::Events;
use crate::supervise::{Life, Told};

/// At most so many events wait for the first connection; the oldest are dropped.
const WAITING: usize = 1024;

/// Events on their way.
#[derive(Debug)]
pub struct Outbox {
    bus: Option<Bus>,
    waiting: VecDeque<pb::Event>,
    which: Events,
}

impl Outbox {
    /// An outbox without a bus.
    #[must_use]
    pub fn new(which: Events) -> Self {
        Self { bus: None, waiting: VecDeque::new(), which }
    }

    /// The bus is there.
    pub fn link(&mut self, bus: Bus) {
        for event in self.waiting.drain(..) {
            bus.emit(event);
        }
        self.bus = Some(bus);
    }

    /// Tells.
    pub fn tell(&mut self, told: Told, life: &Life, node: &NodeName) {
        if self.which == Events::Trouble && !told.is_trouble() {
            return;
        }
        let event = event(&told, life, node);
        match &self.bus {
            Some(bus) => bus.emit(event),
            None => {
                if self.waiting.len() == WAITING {
                    self.waiting.pop_front();
                }
                self.waiting.push_back(event);
            }
        }
    }
}

fn event(told: &Told, life: &Life, node: &NodeName) -> pb::Event {
    let mut details = BTreeMap::new();
    let mut add = |name: &str, value: String| {
        details.insert(name.to_owned(), value);
    };
    match life.exit {
        Some(Exit::Code(code)) => add("exit_code", code.to_string()),
        Some(Exit::Signal(signal)) => add("signal", signal.to_string()),
        Some(Exit::OutOfMemory) => add("out_of_memory", "true".to_owned()),
        Some(Exit::Unknown) | None => {}
    }
    if life.restarts > 0 {
        add("restarts", life.restarts.to_string());
    }
    if let Some(pid) = life.run.as_ref().and_then(|run| run.pid) {
        add("pid", pid.to_string());
    }
    pb::Event {
        source: format!("node-{node}"),
        kind: told.kind().to_owned(),
        actor: format!("node-{node}"),
        reason: match told {
            Told::Sos(why) | Told::Scroll(why) | Told::Hook(why) => why.clone(),
            Told::Started
            | Told::Ready
            | Told::Proven
            | Told::Exited
            | Told::Restarted
            | Told::Stopped
            | Told::Completed
            | Told::Failed
            | Told::Declined => life.reason.clone(),
        },
        namespace: life.order.key.namespace.to_string(),
        workload: life.order.key.name.to_string(),
        instance: life.id.to_string(),
        node: node.to_string(),
        version: life.order.version.0,
        details: details.into_iter().collect(),
        ..pb::Event::default()
    }
}
