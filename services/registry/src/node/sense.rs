//! Carries out what the detector of the core says: listens to beats, probes, records.
//!
//! Every replica senses, only the leader records. What is not recorded, because somebody else wrote
//! first or nobody answered, the detector says again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ostler_bus::connection::ConnectionState;
use ostler_bus::pubsub::{SendError, Subscription};
use ostler_bus::{Caller, WriteError};
use ostler_core::id::{Epoch, NodeName, Revision};
use ostler_core::liveness::{Answer, Effect, Event, Settings, Watch};
use ostler_core::node::{Liveness, Node};
use ostler_core::time::Timestamp;
use ostler_schemas::bucket::{Bucket, NodeKey};
use ostler_schemas::contract::HeartbeatOf;
use ostler_schemas::pb;
use ostler_schemas::problem::Code;
use ostler_service::clock;
use tokio::sync::{Semaphore, mpsc, watch};
use tracing::{debug, info, warn};

use super::retell::liveness_event;
use crate::app::Shared;
use crate::index::{Fact, Learned};
use crate::write::following;

/// How long a probe is waited for.
const PROBE: Duration = Duration::from_millis(600);
/// How long a message to ourselves may take before we take ourselves for deaf.
const EAR: Duration = Duration::from_millis(500);
/// The detector is asked at least so often, to tell that it was not asked.
const TICK: Duration = Duration::from_millis(250);
/// So many records are written at once.
const WRITES: usize = 64;
/// Answers to probes and finished writes that wait.
const QUEUE: usize = 1_024;

/// What came back from a task.
enum Back {
    Probed { node: NodeName, epoch: Epoch, answer: Answer },
    Recorded(NodeName),
}

struct Sense {
    app: Shared,
    watch: Watch,
    begun: Instant,
    back: mpsc::Sender<Back>,
    writes: Arc<Semaphore>,
    writing: BTreeSet<NodeName>,
    known: BTreeMap<NodeName, Known>,
}

/// Begins to sense: `nodes` tells the records. Nothing is concluded before the index has caught up.
pub async fn sense(
    app: &Shared,
    settings: Settings,
    nodes: mpsc::Receiver<Learned>,
) -> Result<(), SendError> {
    let beats = app.bus.subscribe::<HeartbeatOf>(None).await?;
    let (back, returned) = mpsc::channel(QUEUE);
    let sense = Sense {
        app: app.clone(),
        watch: Watch::new(settings),
        begun: clock::instant(),
        back,
        writes: Arc::new(Semaphore::new(WRITES)),
        writing: BTreeSet::new(),
        known: BTreeMap::new(),
    };
    let tasks = app.bus.program().tasks.clone();
    tasks.spawn("sense", async move {
        sense.run(Inputs { beats, nodes, returned }).await;
        Ok::<(), &str>(())
    });
    Ok(())
}

/// What is recorded of a node, and through which server it beats.
#[derive(Debug, Default)]
struct Known {
    epoch: Epoch,
    liveness: Liveness,
    server: String,
}

impl Known {
    fn record(&self, node: NodeName) -> Event {
        let server = (!self.server.is_empty()).then(|| self.server.clone());
        Event::Record { node, epoch: self.epoch, liveness: self.liveness, server }
    }
}

struct Inputs {
    beats: Subscription<HeartbeatOf>,
    nodes: mpsc::Receiver<Learned>,
    returned: mpsc::Receiver<Back>,
}

impl Sense {
    async fn run(mut self, mut inputs: Inputs) {
        let stop = self.app.bus.program().tasks.stop_token();
        let mut state = self.app.bus.state();
        let mut ear = ConnectionState::default();
        let (index, mut caught_up) = (self.app.index.clone(), false);
        loop {
            let sleep = self.until_due();
            tokio::select! {
                () = stop.cancelled() => return,
                Some(learned) = inputs.nodes.recv() => self.learn(learned),
                Some(back) = inputs.returned.recv() => self.returned(back),
                beat = inputs.beats.next() => match beat {
                    Some(Ok((_, beat))) => self.beat(beat),
                    Some(Err(cause)) => debug!(error = %cause, "a heartbeat cannot be read"),
                    None => return,
                },
                // The records that there were at the start come before the first silence begins.
                () = index.caught_up(), if !caught_up => {
                    caught_up = true;
                    while let Ok(learned) = inputs.nodes.try_recv() {
                        self.learn(learned);
                    }
                    self.listen(&mut ear, &mut state);
                }
                _ = state.changed(), if caught_up => self.listen(&mut ear, &mut state),
                () = tokio::time::sleep(sleep) => self.react(Event::Tick),
            }
        }
    }

    /// By the monotonic clock, from this detector's beginning.
    fn now(&self) -> Timestamp {
        let ms = clock::since(self.begun).as_millis();
        Timestamp::from_millis(u64::try_from(ms).unwrap_or(u64::MAX))
    }

    fn until_due(&self) -> Duration {
        let due = self.watch.wake_at().map(|at| at.since(self.now()));
        due.map_or(TICK, |span| Duration::from(span).min(TICK))
    }

    fn listen(&mut self, ear: &mut ConnectionState, state: &mut watch::Receiver<ConnectionState>) {
        let now = *state.borrow_and_update();
        if !now.up || now.connects != ear.connects {
            self.react(Event::Deaf);
        }
        if now.up && (!ear.up || now.connects != ear.connects) {
            info!("listening to heartbeats: every silence begins anew");
            self.react(Event::Hearing);
        }
        *ear = now;
    }

    fn learn(&mut self, learned: Learned) {
        let Fact::Node(node, record) = learned.fact else { return };
        let Some(record) = record else {
            self.known.remove(&node);
            return self.react(Event::Removed(node));
        };
        let known = self.known.entry(node.clone()).or_default();
        (known.epoch, known.liveness) = (record.epoch, record.liveness);
        let event = known.record(node);
        self.react(event);
    }

    /// A node that beats through another server than before counts among that one's nodes. Only of
    /// nodes that have a record is anything kept.
    fn notice_server(&mut self, beat: &ostler_core::node::Heartbeat) {
        let Some(known) = self.known.get_mut(&beat.node) else { return };
        if known.epoch == beat.epoch && !beat.server.is_empty() && known.server != beat.server {
            known.server.clone_from(&beat.server);
            let event = known.record(beat.node.clone());
            self.react(event);
        }
    }

    fn beat(&mut self, beat: ostler_core::node::Heartbeat) {
        self.notice_server(&beat);
        self.react(Event::Beat { node: beat.node.clone(), epoch: beat.epoch });
        let fact = Fact::Beat(beat, self.app.now());
        self.app.index.learn(Learned { fact, revision: Revision(0) });
    }

    fn returned(&mut self, back: Back) {
        match back {
            Back::Recorded(node) => drop(self.writing.remove(&node)),
            Back::Probed { node, epoch, answer } => {
                self.react(Event::Probed { node, epoch, answer });
            }
        }
    }

    fn react(&mut self, event: Event) {
        let now = self.now();
        for effect in self.watch.react(event, now) {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        let (node, verdict) = match effect {
            Effect::Probe { node, epoch } => return self.probe(node, epoch),
            Effect::Suspect { node, epoch, silent } => {
                let why = format!("no heartbeat for {silent}");
                (node, Verdict { epoch, liveness: Liveness::Suspect, kind: "suspect", why })
            }
            Effect::Offline { node, epoch, silent, nobody_listens } => {
                let probes =
                    if nobody_listens { "nobody listens there" } else { "no probe answered" };
                let why = format!("no heartbeat for {silent}, {probes}");
                (node, Verdict { epoch, liveness: Liveness::Offline, kind: "offline", why })
            }
            Effect::Online { node, epoch } => {
                let why = "it beats again".to_owned();
                (node, Verdict { epoch, liveness: Liveness::Online, kind: "returned", why })
            }
        };
        if !self.app.lead.holds() || !self.writing.insert(node.clone()) {
            return;
        }
        let (app, back, writes) = (self.app.clone(), self.back.clone(), self.writes.clone());
        self.app.bus.program().tasks.spawn_brief(async move {
            // The semaphore is never closed.
            let turn = writes.acquire().await;
            record(&app, &node, &verdict).await;
            drop(turn);
            drop(back.send(Back::Recorded(node)).await);
        });
    }

    fn probe(&self, node: NodeName, epoch: Epoch) {
        let (bus, back) = (self.app.bus.clone(), self.back.clone());
        self.app.bus.program().tasks.spawn_brief(async move {
            let caller = Caller { timeout: PROBE, ..Caller::program("registry") };
            let answer = match bus.call_node(&node, &pb::Ping {}, &caller).await {
                Ok(pong) if pong.epoch == epoch.0 => Answer::Pong,
                Err(problem) if problem.code == Code::Unavailable => Answer::NoResponders,
                Ok(_) | Err(_) => Answer::Silence,
            };
            drop(back.send(Back::Probed { node, epoch, answer }).await);
        });
    }
}

/// What is to be recorded of a node.
struct Verdict {
    epoch: Epoch,
    liveness: Liveness,
    kind: &'static str,
    why: String,
}

/// Writes what is believed of a node, if its record still allows it.
async fn record(app: &Shared, name: &NodeName, verdict: &Verdict) {
    let found = app
        .index
        .read(|picture| picture.node(name).map(|(node, revision)| (node.clone(), revision)));
    let Some((node, revision)) = found else { return };
    let lost = verdict.liveness != Liveness::Online;
    let follows = match node.liveness {
        Liveness::Online => lost,
        Liveness::Suspect => verdict.liveness != Liveness::Suspect,
        Liveness::Offline => !lost,
        Liveness::Left | Liveness::Asleep => false,
    };
    if !follows || node.epoch != verdict.epoch {
        return;
    }
    // Who does not hear himself cannot say that others are silent.
    if lost && app.bus.round_trip(EAR).await.is_none() {
        warn!(node = %name, "not recorded as {}: we do not hear ourselves", verdict.kind);
        return;
    }
    let next = Node {
        liveness: verdict.liveness,
        liveness_since: app.now(),
        op_id: ostler_bus::op_id(),
        ..node.clone()
    };
    let next = following(&node, next);
    match app.bus.update(&NodeKey(name.clone()), &next, revision).await {
        Ok(revision) => {
            info!(node = %name, "node {name} is {}: {}", next.liveness.as_str(), verdict.why);
            let event = liveness_event(verdict.kind, &next, &verdict.why);
            app.tell(&Caller::program("registry"), event);
            app.see(&Bucket::Nodes, revision).await;
        }
        Err(WriteError::Conflict { .. }) => {}
        Err(cause) => warn!(node = %name, error = %cause, "cannot record a node: {cause}"),
    }
}
