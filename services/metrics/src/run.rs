//! The loop: samples, beats, the nodes' records and questions in; series and answers out.

use std::collections::BTreeSet;
use std::time::Duration;

use ostler_bus::provision::ProvisionError;
use ostler_bus::pubsub::{SendError, Subscription};
use ostler_bus::{Bus, Caller, ReadError, Watch, WatchEvent};
use ostler_core::id::{InstanceId, NodeName};
use ostler_core::node::Node;
use ostler_core::time::Timestamp;
use ostler_schemas::bucket::Bucket;
use ostler_schemas::contract::{HeartbeatOf, MetricOf};
use ostler_schemas::pb;
use ostler_schemas::problem::{Code, Problem};
use ostler_service::{Program, clock};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;
use tracing::debug;

use crate::config::Config;
use crate::documents;
use crate::gauges::Gauges;
use crate::series::{FINE, Window};
use crate::store::Store;

/// So many questions wait for the loop.
const QUESTIONS: usize = 64;

/// Why the metrics service does not run, or does so no longer.
#[derive(Debug, Error)]
pub enum RunError {
    /// The streams are not as the table says. Nothing was started.
    #[error("the bus is not as it should be; `ostler bus provision` makes what is missing")]
    Streams(#[from] ProvisionError),
    /// Nothing can be heard or answered.
    #[error("cannot use the bus")]
    Bus(#[from] SendError),
    /// The nodes' records cannot be watched.
    #[error("cannot watch the nodes")]
    Watch(#[from] ReadError),
    /// A metric has the name of another.
    #[error("cannot register metrics")]
    Metrics(#[from] prometheus::Error),
}

/// What is asked for.
enum What {
    Fleet,
    Node(NodeName),
    Instance(InstanceId),
}

/// A question, with the way back.
struct Question {
    what: What,
    range_ms: u64,
    step_ms: u64,
    answer: oneshot::Sender<Result<pb::Document, Problem>>,
}

/// What the loop hears.
enum Event {
    Sample(NodeName, Box<pb::NodeSample>),
    Beat(Box<ostler_core::node::Heartbeat>),
    Watched(WatchEvent),
    States(Box<pb::StatusReply>),
    Asked(Question),
    Unreadable,
    Tick,
}

/// Runs until the program stops.
pub async fn run(config: Config, bus: Bus, program: Program) -> Result<(), RunError> {
    if !bus.verified(&bus.config().pools).await? {
        return Ok(());
    }
    let (asker, questions) = mpsc::channel(QUESTIONS);
    let (teller, states) = mpsc::channel(1);
    let gauges = Gauges::register(&program.metrics, config.node_gauges)?;
    let mut sources = Sources {
        samples: bus.subscribe::<MetricOf>(None).await?,
        beats: bus.subscribe::<HeartbeatOf>(None).await?,
        nodes: bus.watch(&Bucket::Nodes).await?,
        questions,
        states,
        tick: tokio::time::interval(FINE.into()),
    };
    sources.tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    // Not at once: nothing was heard yet, and that is no zero.
    sources.tick.reset();
    answer_on(&bus, asker).await?;
    let counting = bus.clone();
    program.tasks.spawn("metrics states", async move {
        count_states(counting, teller).await;
        Ok::<(), std::convert::Infallible>(())
    });
    program.health.set("metrics", Ok(()));
    let mut state = State { store: Store::new(config), gauges, told: None };
    let stop = program.tasks.stop_token();
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            event = sources.next() => event,
        };
        let Some(event) = event else { return Ok(()) };
        state.on(event, bus.pool_time());
    }
}

/// Where events come from.
struct Sources {
    samples: Subscription<MetricOf>,
    beats: Subscription<HeartbeatOf>,
    nodes: Watch,
    questions: mpsc::Receiver<Question>,
    states: mpsc::Receiver<pb::StatusReply>,
    tick: tokio::time::Interval,
}

impl Sources {
    /// The next event; `None` when the bus was closed.
    async fn next(&mut self) -> Option<Event> {
        tokio::select! {
            _ = self.tick.tick() => Some(Event::Tick),
            sample = self.samples.next() => Some(match sample? {
                Ok((MetricOf(node), sample)) => Event::Sample(node, Box::new(sample)),
                Err(_) => Event::Unreadable,
            }),
            beat = self.beats.next() => Some(match beat? {
                // The subject says who it is; the payload is the sender's word.
                Ok((HeartbeatOf(node), beat)) if node == beat.node => Event::Beat(Box::new(beat)),
                Ok(_) | Err(_) => Event::Unreadable,
            }),
            node = self.nodes.next() => node.map(Event::Watched),
            states = self.states.recv() => states.map(|states| Event::States(Box::new(states))),
            question = self.questions.recv() => question.map(Event::Asked),
        }
    }
}

/// Everything the loop owns.
struct State {
    store: Store,
    gauges: Gauges,
    /// The nodes told since the watch began anew, until it has caught up.
    told: Option<BTreeSet<NodeName>>,
}

impl State {
    fn on(&mut self, event: Event, now: Timestamp) {
        match event {
            Event::Sample(node, sample) => {
                self.gauges.samples.inc();
                self.store.on_sample(&node, *sample, now);
            }
            Event::Beat(beat) => {
                self.gauges.samples.inc();
                self.store.on_beat(&beat, now);
            }
            Event::Watched(event) => self.on_watched(event),
            Event::States(states) => self.store.on_states(*states),
            Event::Asked(question) => {
                let answer = self.answer(&question, now);
                // Whoever asked may have gone.
                question.answer.send(answer).ok();
            }
            Event::Unreadable => debug!("a sample or a beat cannot be read"),
            Event::Tick => {
                let began = clock::instant();
                self.store.on_tick(now);
                self.gauges.show(&self.store);
                self.gauges.tick_seconds.observe(clock::since(began).as_secs_f64());
            }
        }
    }

    fn on_watched(&mut self, event: WatchEvent) {
        match event {
            WatchEvent::Put { value, .. } => match WatchEvent::decode::<Node>(&value) {
                Ok(node) => {
                    self.store.on_node(&node);
                    if let Some(told) = &mut self.told {
                        told.insert(node.name);
                    }
                }
                Err(error) => debug!(%error, "a node's record cannot be read"),
            },
            WatchEvent::Gone { key, .. } => {
                if let Ok(node) = key.parse() {
                    self.store.on_node_gone(&node);
                }
            }
            WatchEvent::Resync => self.told = Some(BTreeSet::new()),
            WatchEvent::CaughtUp { .. } => {
                if let Some(told) = self.told.take() {
                    self.store.keep_nodes(&told);
                }
            }
        }
    }

    fn answer(&self, question: &Question, now: Timestamp) -> Result<pb::Document, Problem> {
        let window = Window::last(question.range_ms, question.step_ms, now);
        let (found, what) = match &question.what {
            What::Fleet => (Some(documents::fleet(&self.store, window)), String::new()),
            What::Node(name) => {
                (documents::node(&self.store, name, window, now), format!("node `{name}`"))
            }
            What::Instance(id) => {
                (documents::instance(&self.store, *id, window, now), format!("instance `{id}`"))
            }
        };
        let missing = || Problem::new(Code::NotFound, format!("nothing was measured of {what}"));
        found.map(|document| pb::Document { json: document.to_string() }).ok_or_else(missing)
    }
}

/// Answers `metrics.*` by asking the loop.
async fn answer_on(bus: &Bus, asker: mpsc::Sender<Question>) -> Result<(), SendError> {
    let (for_fleet, for_node, for_instance) = (asker.clone(), asker.clone(), asker);
    bus.serve("metrics", &format!("metrics-{}", ostler_bus::op_id()))
        .on(move |_, request: pb::MetricsFleet| {
            let asker = for_fleet.clone();
            async move { ask(&asker, What::Fleet, request.range_ms, request.step_ms).await }
        })
        .on(move |_, request: pb::MetricsNode| {
            let asker = for_node.clone();
            async move {
                let name = request.name.parse().map_err(|error| wrong("name", &error))?;
                ask(&asker, What::Node(name), request.range_ms, request.step_ms).await
            }
        })
        .on(move |_, request: pb::MetricsInstance| {
            let asker = for_instance.clone();
            async move {
                let id = request.id.parse().map_err(|error| wrong("id", &error))?;
                ask(&asker, What::Instance(id), request.range_ms, request.step_ms).await
            }
        })
        .start()
        .await
}

fn wrong(field: &str, error: &ostler_core::id::IdError) -> Problem {
    let message = error.to_string();
    let detail = format!("`{field}`: {message}");
    let error =
        ostler_schemas::problem::FieldError { field: field.to_owned(), line: None, message };
    Problem::new(Code::Invalid, detail).with_errors(vec![error])
}

async fn ask(
    asker: &mpsc::Sender<Question>,
    what: What,
    range_ms: u64,
    step_ms: u64,
) -> Result<pb::Document, Problem> {
    let stopping = || Problem::new(Code::Unavailable, "the metrics service is stopping");
    let (answer, answered) = oneshot::channel();
    let question = Question { what, range_ms, step_ms, answer };
    asker.send(question).await.map_err(|_| stopping())?;
    answered.await.map_err(|_| stopping())?
}

/// Asks the registry for its counts by state, as often as values are taken.
async fn count_states(bus: Bus, teller: mpsc::Sender<pb::StatusReply>) {
    let stop = bus.program().tasks.stop_token();
    let every: Duration = FINE.into();
    loop {
        let caller = Caller::program("metrics");
        let states = tokio::select! {
            () = stop.cancelled() => return,
            states = bus.call(&pb::StatusGet {}, &caller) => states,
        };
        match states {
            // Full: the loop has not yet taken the last ones.
            Ok(states) => drop(teller.try_send(states)),
            Err(problem) => debug!(error = %problem, "the registry does not tell its counts"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
    }
}
