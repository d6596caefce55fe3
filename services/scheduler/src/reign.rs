//! One reign of one leader, as a value: takes one input, returns what should be done about it.
//!
//! No waiting and no I/O. What an input makes possible rides in the next plan, and a plan is made as
//! soon as the pen is free, so that work gathers by itself while a batch is on its way.

use std::collections::BTreeMap;

use ostler_bus::WatchEvent;
use ostler_core::id::{NodeName, PoolName, Revision, Term, Version, WorkloadKey};
use ostler_core::node::Heartbeat;
use ostler_core::reconcile::{Aftermath, Again, Engine, Event, Revert, Row, Source};
use ostler_core::time::Timestamp;
use ostler_schemas::bucket::PlacementKey;
use ostler_schemas::pb;
use tracing::{debug, error};

use crate::asked::{self, Ask};
use crate::beats::Beats;
use crate::feed::Heard;
use crate::history::{self, Committed};
use crate::leases::{Found, Leases, Look};
use crate::metrics::PoolMetrics;
use crate::reader::Reader;
use crate::writer::{Failure, Written};

/// What the loop hears.
#[derive(Debug)]
pub(crate) enum Input {
    /// From a watch or a heartbeat.
    Heard(Heard),
    /// From the pen.
    Written(Written),
    /// From somebody who wants to know.
    Asked(Ask),
    /// A node's own lease was looked for.
    Looked(Look, Found),
    /// The moment that the engine named has come.
    Due,
    /// A second has passed.
    Tick,
}

/// What should be done.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Tell history.
    Emit(Box<pb::Event>),
    /// Ask the registry to set a workload back: to which version, from which.
    RollBack(WorkloadKey, Version, Version),
    /// Ask a node to read its manifest again.
    Sync(NodeName),
    /// See whether a node's own lease is gone.
    LookForLease(Look),
    /// Lay down the pen.
    End(Failure),
}

/// The leader's picture and what is on its way.
#[derive(Debug)]
pub(crate) struct Reign {
    pool: PoolName,
    term: Term,
    engine: Engine,
    reader: Reader,
    beats: Beats,
    leases: Leases,
    metrics: PoolMetrics,
    /// Slots without a place, by workload.
    unplaced: BTreeMap<WorkloadKey, u64>,
    /// Something was heard since the last plan.
    dirty: bool,
    /// The last plan left some for the next.
    more: bool,
    /// The pen has a row.
    writing: bool,
    /// Where the row that is being written stands by now.
    committed: Committed,
}

impl Reign {
    /// A reign with a picture that is complete.
    pub fn new(
        pool: PoolName,
        term: Term,
        engine: Engine,
        reader: Reader,
        metrics: PoolMetrics,
    ) -> Self {
        let mut reign = Self {
            pool,
            term,
            engine,
            reader,
            beats: Beats::default(),
            leases: Leases::default(),
            metrics,
            unplaced: BTreeMap::new(),
            dirty: true,
            more: false,
            writing: false,
            committed: Committed { term, ..Committed::default() },
        };
        reign.metrics.reign(Some(term));
        reign.metrics.unplaced(0);
        reign.count_unplaced();
        reign
    }

    /// What this leader had written under a key of the placements, or was about to write: what a node
    /// or a workload has here, and nobody else's.
    pub fn recall(&self, key: &PlacementKey) -> Option<(Event, Again)> {
        match key {
            PlacementKey::Manifest(node) => {
                let manifest = self.engine.manifest(node).unwrap_or_default();
                let event = Event::Manifest(node.clone(), Box::new(manifest));
                Some((event, Again::Manifest(node.clone())))
            }
            PlacementKey::Progress(workload) => {
                let progress = self.engine.progress(workload).unwrap_or_default();
                let event = Event::Progress(workload.clone(), Box::new(progress));
                Some((event, Again::Progress(workload.clone())))
            }
            PlacementKey::Outcomes => {
                Some((Event::Outcomes(self.engine.outcomes()), Again::Outcomes))
            }
            PlacementKey::Term | PlacementKey::Brake => None,
        }
    }

    /// When the engine wants to be asked though nothing is heard.
    pub fn wake_at(&self) -> Option<Timestamp> {
        self.engine.wake_at()
    }

    /// So many messages wait.
    pub fn waiting(&self, messages: usize) {
        self.metrics.waiting(messages);
    }

    /// Takes in one input.
    pub fn react(&mut self, input: Input, now: Timestamp) -> Vec<Effect> {
        match input {
            Input::Heard(Heard::Told(source, event)) => self.on_told(source, event, now),
            Input::Heard(Heard::Beat(beat)) => self.on_beat(beat, now),
            Input::Written(Written::Batch(manifests)) => self.on_batch(&manifests),
            Input::Written(Written::Row(aftermath)) => self.on_row(*aftermath),
            Input::Written(Written::Failed(failure)) => vec![Effect::End(failure)],
            Input::Asked(ask) => self.on_asked(ask, now),
            Input::Looked((node, since), found) => {
                if self.leases.lapsed(&node, found, ostler_service::clock::instant()) {
                    self.observe(Event::NodeLeaseGone { node, since }, now);
                }
                Vec::new()
            }
            Input::Due => {
                self.dirty = true;
                Vec::new()
            }
            Input::Tick => {
                let open = self.engine.leases_to_look_for();
                self.leases.next(&open).into_iter().map(Effect::LookForLease).collect()
            }
        }
    }

    /// What is to be written now, if anything. Nothing while the pen is busy: that a node's manifest
    /// is committed is said of the picture as it stands, so nothing may be added to it meanwhile.
    pub fn plan(&mut self, now: Timestamp) -> Option<Row> {
        if self.writing || !(self.dirty || self.more) {
            return None;
        }
        let began = ostler_service::clock::instant();
        let plan = self.engine.plan(now);
        (self.dirty, self.more) = (false, plan.more);
        let changed: Vec<WorkloadKey> = plan.progress.iter().cloned().collect();
        let row = Row::of(plan, &self.engine);
        self.metrics.planned(ostler_service::clock::since(began));
        self.note_unplaced(&changed);
        if row.is_empty() {
            return None;
        }
        debug!(
            pool = %self.pool, messages = row.items.len(),
            decisions = row.aftermath.decisions.len(), "a plan is to be written"
        );
        self.writing = true;
        Some(row)
    }

    fn observe(&mut self, event: Event, now: Timestamp) {
        self.dirty = true;
        self.engine.observe(event, now);
    }

    fn on_told(&mut self, source: Source, event: WatchEvent, now: Timestamp) -> Vec<Effect> {
        if let WatchEvent::Put { at, .. } = &event {
            self.metrics.lag(source.as_str(), now.since(*at).as_millis());
        }
        if source == Source::Placements {
            return Vec::new();
        }
        match self.reader.read(source, event) {
            Ok(events) => events.into_iter().for_each(|event| {
                if let Event::NodeGone(node) = &event {
                    self.beats.forget(node);
                }
                self.observe(event, now);
            }),
            Err(unreadable) => error!(
                pool = %self.pool, error = %unreadable, cause = %unreadable.source,
                "{unreadable}; what was known of it stays"
            ),
        }
        Vec::new()
    }

    fn on_beat(&mut self, beat: Heartbeat, now: Timestamp) -> Vec<Effect> {
        if !self.reader.intake.knows(&beat.node) {
            return Vec::new();
        }
        let verdict = self.beats.hear(&beat, now);
        let sync = verdict.sync.then(|| Effect::Sync(beat.node.clone()));
        if verdict.tell {
            self.observe(Event::Heartbeat(beat), now);
        } else if let Some(bid) = beat.bid {
            // Every beat: a bid stands for no longer than two.
            self.dirty |= verdict.bid;
            self.engine.observe(Event::Bid(beat.node, beat.epoch, bid), now);
        }
        sync.into_iter().collect()
    }

    fn on_batch(&mut self, manifests: &[(NodeName, Revision)]) -> Vec<Effect> {
        for (node, revision) in manifests {
            self.engine.committed(node, self.term, *revision);
            self.beats.committed(node, *revision);
            self.committed.revisions.insert(node.clone(), *revision);
        }
        Vec::new()
    }

    fn on_row(&mut self, aftermath: Aftermath) -> Vec<Effect> {
        self.writing = false;
        // What was heard meanwhile may only count now that the orders it is about are committed.
        self.dirty = true;
        let Aftermath { decisions, reverts } = aftermath;
        for decision in &decisions {
            self.metrics.decided(history::kind(decision));
        }
        let told = history::events(&self.pool, &decisions, &self.committed).into_iter();
        self.committed.revisions.clear();
        let told = told.map(|event| Effect::Emit(Box::new(event)));
        let back = |Revert { workload, failed, good }| Effect::RollBack(workload, good, failed);
        told.chain(reverts.into_iter().map(back)).collect()
    }

    fn on_asked(&mut self, ask: Ask, now: Timestamp) -> Vec<Effect> {
        debug!("{}", asked::describe(&self.pool, &ask.question));
        let answer = asked::answer(&mut self.engine, &ask.question, now);
        // Who asked may have gone.
        ask.reply.send(answer).ok();
        Vec::new()
    }

    fn count_unplaced(&mut self) {
        let workloads: Vec<WorkloadKey> = self.reader.intake.workloads().cloned().collect();
        self.note_unplaced(&workloads);
    }

    fn note_unplaced(&mut self, changed: &[WorkloadKey]) {
        for key in changed {
            let slots = self.engine.progress(key).map_or(0, |one| u64::from(one.unplaced_slots()));
            if slots == 0 {
                self.unplaced.remove(key);
            } else {
                self.unplaced.insert(key.clone(), slots);
            }
        }
        if !changed.is_empty() {
            self.metrics.unplaced(self.unplaced.values().sum());
        }
    }
}
