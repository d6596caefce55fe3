//! Who is alive: silences of heartbeats, probes, and what is to be recorded of it.
//!
//! A [`Watch`] is told beats, answers and records, and says what to probe and what to record. Every
//! replica keeps one, so that a failover resets no silence; only the leader carries out what is to
//! be recorded. It is level-triggered: as long as the record differs from what is believed, the
//! effect is repeated. Time is the receiver's own monotonic clock, in milliseconds; no sender's
//! clock is trusted. What is done takes no longer with more nodes: deadlines are sorted.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::{Epoch, NodeName};
use crate::node::Liveness;
use crate::time::{Span, Timestamp};

mod crowd;
mod silence;

use crowd::{Crowds, Standing};
use silence::{Judgement, Silence};

/// How long silences may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// No new work from then on.
    pub suspect_after: Span,
    /// Its instances count as lost from then on.
    pub offline_after: Span,
    /// The same for a node that was not heard since this detector itself was away.
    pub offline_after_restart: Span,
    /// The same while most nodes of one NATS server are silent and those of others beat.
    pub offline_after_in_crowd: Span,
    /// How long after one probe the next one follows.
    pub probe_every: Span,
    /// How soon an effect is repeated whose record has not been seen.
    pub repeat_after: Span,
    /// A detector that was not asked for so long was itself away.
    pub stalled_after: Span,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            suspect_after: Span::from_millis(2_500),
            offline_after: Span::from_millis(4_000),
            offline_after_restart: Span::from_secs(12),
            offline_after_in_crowd: Span::from_secs(15),
            probe_every: Span::from_millis(700),
            repeat_after: Span::from_millis(250),
            stalled_after: Span::from_millis(1_500),
        }
    }
}

/// What a probe brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It answered, in the epoch that was asked for.
    Pong,
    /// Nobody listens there: strong evidence.
    NoResponders,
    /// Nothing came in time.
    Silence,
}

/// What a detector is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The record of a node, as written.
    Record {
        /// Which node.
        node: NodeName,
        /// Which life of its executor.
        epoch: Epoch,
        /// What is recorded of it.
        liveness: Liveness,
        /// Through which NATS server it speaks, where that is known.
        server: Option<String>,
    },
    /// A node was removed from the fleet.
    Removed(NodeName),
    /// A node beat.
    Beat {
        /// Which node.
        node: NodeName,
        /// Which life of its executor; others than the recorded one are ignored.
        epoch: Epoch,
    },
    /// A probe came back.
    Probed {
        /// Which node.
        node: NodeName,
        /// Which life of its executor was asked.
        epoch: Epoch,
        /// What it brought.
        answer: Answer,
    },
    /// Our own connection is gone: nothing is concluded until it is back.
    Deaf,
    /// We hear again, or for the first time: every silence begins anew.
    Hearing,
    /// Time has passed.
    Tick,
}

/// What is to be done. The last three only by the leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Ask the executor whether it is there.
    Probe {
        /// Which node.
        node: NodeName,
        /// Which life of its executor.
        epoch: Epoch,
    },
    /// Record that it is silent.
    Suspect {
        /// Which node.
        node: NodeName,
        /// Which life of its executor.
        epoch: Epoch,
        /// For how long it has been silent.
        silent: Span,
    },
    /// Record that it is lost.
    Offline {
        /// Which node.
        node: NodeName,
        /// Which life of its executor.
        epoch: Epoch,
        /// For how long it has been silent.
        silent: Span,
        /// Whether NATS says that nobody listens there.
        nobody_listens: bool,
    },
    /// Record that it beats again.
    Online {
        /// Which node.
        node: NodeName,
        /// Which life of its executor.
        epoch: Epoch,
    },
}

/// The silences of all nodes.
#[derive(Debug, Clone)]
pub struct Watch {
    settings: Settings,
    nodes: BTreeMap<NodeName, Silence>,
    /// When which node is to be looked at again; one entry for a node at most.
    deadlines: BTreeSet<(Timestamp, NodeName)>,
    crowds: Crowds,
    hearing: bool,
    asked: Timestamp,
}

impl Watch {
    /// A detector that knows no node and hears nothing until [`Event::Hearing`].
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            nodes: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            crowds: Crowds::default(),
            hearing: false,
            asked: Timestamp::default(),
        }
    }

    /// Takes in one event and says what follows from it and from the time that passed.
    pub fn react(&mut self, event: Event, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.hearing && now.since(self.asked) > self.settings.stalled_after {
            self.begin_anew(now);
        }
        self.asked = self.asked.max(now);
        match event {
            Event::Record { node, epoch, liveness, server } => {
                self.record(&node, (epoch, liveness), server, now);
                self.look(&node, now, &mut effects);
            }
            Event::Removed(node) => self.forget(&node),
            Event::Beat { node, epoch } => self.beat(&node, epoch, now, &mut effects),
            Event::Probed { node, epoch, answer } => {
                if let Some(silence) = self.nodes.get_mut(&node)
                    && silence.epoch == epoch
                {
                    silence.answered(answer, now);
                    self.look(&node, now, &mut effects);
                }
            }
            Event::Deaf => self.hearing = false,
            Event::Hearing => {
                self.hearing = true;
                self.begin_anew(now);
            }
            Event::Tick => {}
        }
        self.pass_deadlines(now, &mut effects);
        effects
    }

    /// When something may follow from time alone.
    #[must_use]
    pub fn wake_at(&self) -> Option<Timestamp> {
        if self.hearing { self.deadlines.first().map(|(at, _)| *at) } else { None }
    }

    fn begin_anew(&mut self, now: Timestamp) {
        self.deadlines.clear();
        for (name, silence) in &mut self.nodes {
            silence.begin_anew(now);
            if let Some(at) = silence.due {
                self.deadlines.insert((at, name.clone()));
            }
            let standing = silence.standing(now, &self.settings);
            self.crowds.stand(silence, standing);
        }
    }

    fn record(
        &mut self,
        node: &NodeName,
        (epoch, liveness): (Epoch, Liveness),
        server: Option<String>,
        now: Timestamp,
    ) {
        match self.nodes.get_mut(node) {
            Some(known) if known.epoch == epoch && known.server == server => {
                known.recorded = liveness;
            }
            Some(_) | None => {
                self.forget(node);
                let silence = Silence::new((epoch, liveness), server, now);
                self.nodes.insert(node.clone(), silence);
            }
        }
    }

    fn forget(&mut self, node: &NodeName) {
        if let Some(mut silence) = self.nodes.remove(node) {
            self.crowds.stand(&mut silence, Standing::Out);
            if let Some(at) = silence.due {
                self.deadlines.remove(&(at, node.clone()));
            }
        }
    }

    /// A beat of a node that is well costs one look-up: its deadline is moved when it comes.
    fn beat(&mut self, node: &NodeName, epoch: Epoch, now: Timestamp, effects: &mut Vec<Effect>) {
        let Some(silence) = self.nodes.get_mut(node) else { return };
        if silence.epoch != epoch {
            return;
        }
        let well = silence.is_well();
        silence.heard(now);
        if !well {
            self.look(node, now, effects);
        }
    }

    fn pass_deadlines(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        while self.hearing
            && let Some((at, node)) = self.deadlines.first().cloned()
            && at <= now
        {
            self.look(&node, now, effects);
        }
    }

    /// Judges one node and moves its deadline past `now`.
    fn look(&mut self, node: &NodeName, now: Timestamp, effects: &mut Vec<Effect>) {
        let Some(silence) = self.nodes.get_mut(node) else { return };
        if let Some(at) = silence.due.take() {
            self.deadlines.remove(&(at, node.clone()));
        }
        let standing = silence.standing(now, &self.settings);
        self.crowds.stand(silence, standing);
        let crowd = self.crowds.falls_silent(silence.server.as_deref());
        let Judgement { found, due } = silence.judge(node, now, crowd, &self.settings);
        if self.hearing {
            effects.extend(found);
        }
        silence.due = due.map(|at| at.max(now.plus(Span::from_millis(1))));
        if let Some(at) = silence.due {
            self.deadlines.insert((at, node.clone()));
        }
    }
}
