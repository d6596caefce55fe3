//! One node's silence, and what it means.

use crate::id::{Epoch, NodeName};
use crate::node::Liveness;
use crate::time::Timestamp;

use super::crowd::Standing;
use super::{Answer, Effect, Settings};

/// So many probes, unless one is answered.
const PROBES: u8 = 2;

/// What is known of one node.
#[derive(Debug, Clone)]
pub(super) struct Silence {
    pub(super) epoch: Epoch,
    pub(super) recorded: Liveness,
    pub(super) server: Option<String>,
    pub(super) counted: Standing,
    /// When it is to be looked at again, as in the watch's deadlines.
    pub(super) due: Option<Timestamp>,
    /// Its last beat, or when its silence began anew.
    heard: Timestamp,
    /// Whether it beat since its silence began anew.
    beat: bool,
    /// Whether we ourselves were away when its silence began.
    anew: bool,
    answered: Option<Timestamp>,
    probes: u8,
    probe_at: Timestamp,
    nobody_listens: bool,
}

/// What a look at one node brings.
pub(super) struct Judgement {
    pub(super) found: Vec<Effect>,
    pub(super) due: Option<Timestamp>,
}

impl Silence {
    pub(super) fn new(
        (epoch, recorded): (Epoch, Liveness),
        server: Option<String>,
        now: Timestamp,
    ) -> Self {
        Self {
            epoch,
            recorded,
            server,
            counted: Standing::Out,
            due: None,
            heard: now,
            beat: false,
            anew: false,
            answered: None,
            probes: 0,
            probe_at: now,
            nobody_listens: false,
        }
    }

    /// We were away: what was missed is not its fault.
    pub(super) fn begin_anew(&mut self, now: Timestamp) {
        self.heard = now;
        self.beat = false;
        self.anew = true;
        self.quiet_probes();
        self.due = Some(now);
    }

    pub(super) fn heard(&mut self, now: Timestamp) {
        self.heard = self.heard.max(now);
        self.beat = true;
        self.anew = false;
        self.quiet_probes();
    }

    pub(super) fn answered(&mut self, answer: Answer, now: Timestamp) {
        self.nobody_listens = answer == Answer::NoResponders;
        if answer == Answer::Pong {
            self.answered = Some(now);
            self.probes = 0;
        }
    }

    fn quiet_probes(&mut self) {
        self.probes = 0;
        self.answered = None;
        self.nobody_listens = false;
    }

    /// Whether a beat needs no second look: it is recorded as online and nothing else is pending.
    pub(super) fn is_well(&self) -> bool {
        self.recorded == Liveness::Online && self.counted == Standing::Beating && self.due.is_some()
    }

    /// How it counts among the nodes of its server.
    pub(super) fn standing(&self, now: Timestamp, settings: &Settings) -> Standing {
        match self.recorded {
            Liveness::Offline | Liveness::Left | Liveness::Asleep => Standing::Out,
            Liveness::Online | Liveness::Suspect => {
                if now.since(self.heard) < settings.suspect_after {
                    Standing::Beating
                } else {
                    Standing::Silent
                }
            }
        }
    }

    /// What follows, now.
    pub(super) fn judge(
        &mut self,
        node: &NodeName,
        now: Timestamp,
        crowd: bool,
        settings: &Settings,
    ) -> Judgement {
        match self.recorded {
            Liveness::Left | Liveness::Asleep => Judgement { found: Vec::new(), due: None },
            Liveness::Online | Liveness::Suspect | Liveness::Offline => {
                if now.since(self.heard) < settings.suspect_after {
                    self.judge_sound(node, now, settings)
                } else {
                    self.judge_silent(node, now, crowd, settings)
                }
            }
        }
    }

    fn judge_sound(&self, node: &NodeName, now: Timestamp, settings: &Settings) -> Judgement {
        let silent_at = self.heard.plus(settings.suspect_after);
        if self.recorded == Liveness::Online || !self.beat {
            return Judgement { found: Vec::new(), due: Some(silent_at) };
        }
        let found = vec![Effect::Online { node: node.clone(), epoch: self.epoch }];
        Judgement { found, due: Some(now.plus(settings.repeat_after).min(silent_at)) }
    }

    fn judge_silent(
        &mut self,
        node: &NodeName,
        now: Timestamp,
        crowd: bool,
        settings: &Settings,
    ) -> Judgement {
        if self.recorded == Liveness::Offline {
            return Judgement { found: Vec::new(), due: None };
        }
        let (node, epoch) = (node.clone(), self.epoch);
        let silent = now.since(self.heard);
        let patience = match (self.anew, crowd) {
            (_, true) => settings.offline_after_in_crowd,
            (true, false) => settings.offline_after_restart,
            (false, false) => settings.offline_after,
        };
        let lost_at = self.answered.unwrap_or(self.heard).plus(patience);
        let again = now.plus(settings.repeat_after);
        if lost_at <= now {
            let nobody_listens = self.nobody_listens;
            let found = vec![Effect::Offline { node, epoch, silent, nobody_listens }];
            return Judgement { found, due: Some(again) };
        }
        let mut found = Vec::new();
        // A crowd may dissolve before its patience is over.
        let mut due = if crowd { lost_at.min(again) } else { lost_at };
        if self.recorded == Liveness::Online {
            found.push(Effect::Suspect { node: node.clone(), epoch, silent });
            due = due.min(again);
        }
        if self.probes < PROBES && self.probe_at <= now {
            self.probes += 1;
            self.probe_at = now.plus(settings.probe_every);
            found.push(Effect::Probe { node, epoch });
        }
        if self.probes < PROBES {
            due = due.min(self.probe_at);
        }
        Judgement { found, due: Some(due) }
    }
}
