//! What an executor asks and tells: its manifest, its report, its beat.

use std::collections::BTreeSet;
use std::sync::Arc;

use ostler_core::id::{Epoch, SpecHash};
use ostler_core::instance::{Manifest, Report, Spec};
use ostler_core::supervise::{Applied, Work};
use ostler_core::time::Span;

use super::GUARD;
use crate::bus::{Answer, Ask, Bucket, Told, Val};
use crate::world::{Ev, Topic, Who, World, say};

impl World {
    pub fn beat(&mut self, h: usize) {
        let Some(exec) = &self.hosts[h].exec else { return };
        let (Some(epoch), applied) = (exec.epoch, exec.roster.applied().revision.0) else { return };
        if let Some(wait) = self.way(Who::Host(h), true) {
            self.later(wait, Ev::Beat(h, epoch, applied));
        }
    }

    pub fn host_hinted(&mut self, h: usize, revision: u64) {
        let body = self.body(Who::Host(h));
        if !body.up || body.paused.is_some() {
            return;
        }
        let Some(exec) = &mut self.hosts[h].exec else { return };
        exec.hinted = exec.hinted.max(revision);
        exec.read_at = self.now;
        self.read(h);
    }

    /// Its link is well again: it may have missed something, and so may others.
    pub fn host_linked(&mut self, h: usize) {
        let Some(exec) = &mut self.hosts[h].exec else { return };
        (exec.report_after, exec.changed, exec.read_at) = (None, true, self.now);
        self.host_rest(h);
    }

    pub fn read(&mut self, h: usize) {
        let who = Who::Host(h);
        let Some(exec) = &self.hosts[h].exec else { return };
        if exec.epoch.is_none() || self.asking(who, |topic| *topic == Topic::Manifest) {
            return;
        }
        let bucket = Bucket::Placements(exec.pool.clone());
        let key = self.hosts[h].name.to_string();
        self.ask(who, Topic::Manifest, Ask::Get { bucket, key, by_leader: false });
    }

    /// What stands by the word of the stream's leader, since the lease was taken anew.
    pub fn read_by_leader(&mut self, h: usize) {
        let Some(exec) = &self.hosts[h].exec else { return };
        let bucket = Bucket::Placements(exec.pool.clone());
        let key = self.hosts[h].name.to_string();
        self.ask(Who::Host(h), Topic::Clearance, Ask::Get { bucket, key, by_leader: true });
    }

    pub fn report(&mut self, h: usize) {
        let who = Who::Host(h);
        let asking = self.asking(who, |topic| matches!(topic, Topic::Report | Topic::LastReport));
        let key = self.hosts[h].name.to_string();
        let Some(exec) = &mut self.hosts[h].exec else { return };
        let Some(epoch) = exec.epoch.filter(|_| exec.changed && !asking) else { return };
        let Some(after) = exec.report_after else {
            let ask = Ask::Get { bucket: Bucket::Reports, key, by_leader: true };
            return self.ask(who, Topic::LastReport, ask);
        };
        let Applied { incarnation, term, revision } = exec.roster.applied();
        let statuses = exec.roster.statuses();
        exec.changed = false;
        let pool = exec.roster.pool().cloned();
        let report = Report { epoch, incarnation, term, applied: revision, pool, statuses };
        let value = Some(Val::Report(Box::new(report)));
        let ask = Ask::Update { bucket: Bucket::Reports, key, value, after: Some(after) };
        self.ask(who, Topic::Report, ask);
    }

    pub fn host_answered(&mut self, h: usize, topic: &Topic, answer: Answer) {
        let now = self.now;
        let Some(exec) = &mut self.hosts[h].exec else { return };
        match (topic, answer) {
            (Topic::Hello, Answer::Welcome { epoch, pool }) => {
                (exec.epoch, exec.pool, exec.changed) = (Some(epoch), pool, true);
                say!(self, "{} is admitted in epoch {epoch}", self.hosts[h].name);
                self.read(h);
            }
            (Topic::Hello, Answer::Yes(after)) => {
                self.ask(Who::Host(h), Topic::Hello, Ask::Hello { node: h, after });
            }
            (Topic::Manifest, Answer::Got(told)) => self.read_answered(h, told),
            (Topic::Clearance, Answer::Got(told)) => {
                self.hosts[h].cleared = self.hosts[h].renewed.is_some();
                self.read_answered(h, told);
                let mut work = Work::default();
                self.with_roster(h, |roster, at| roster.settle(at, &mut work));
                self.carry_out(h, work);
            }
            (Topic::LastReport, Answer::Got(told)) => {
                let theirs = match told.as_ref().and_then(|told| told.value.as_ref()) {
                    Some(Val::Report(report)) => report.epoch,
                    _other => Epoch(0),
                };
                if Some(theirs) > exec.epoch {
                    say!(self, "{} finds itself replaced", self.hosts[h].name);
                    return self.host_dies(h);
                }
                exec.report_after = Some(told.map_or(0, |told| told.revision));
                self.report(h);
            }
            (Topic::Report, Answer::Yes(revision)) => {
                exec.report_after = Some(revision);
                self.host_rest(h);
            }
            (Topic::Report, _not) => {
                (exec.report_after, exec.changed) = (None, true);
            }
            (Topic::Guard(sent), Answer::Yes(_)) => {
                if self.hosts[h].renewed.is_none_or(|before| before < *sent) {
                    self.hosts[h].renewed = Some(*sent);
                    if !self.hosts[h].cleared {
                        self.hosts[h].period += 1;
                        self.read_by_leader(h);
                    }
                    self.at(sent.plus(GUARD).max(now), Ev::Guard(h, *sent));
                }
            }
            (_, _nothing) => {}
        }
    }

    pub fn read_answered(&mut self, h: usize, told: Option<Told>) {
        let wait = self.net.between(30_000, 90_000);
        let withheld = !self.calm && self.net.percent(5);
        let Some(exec) = &mut self.hosts[h].exec else { return };
        exec.read_at = self.now.plus(Span::from_millis(wait));
        let revision = told.as_ref().map_or(0, |told| told.revision);
        if revision < exec.hinted {
            exec.read_at = self.now;
        }
        let Some(Val::Manifest(manifest)) = told.and_then(|told| told.value) else { return };
        let Manifest { incarnation, term, revision, .. } = *manifest;
        let this = Applied { incarnation, term, revision };
        let named: BTreeSet<SpecHash> = manifest.groups.iter().map(|group| group.spec).collect();
        let fresh = this > exec.last;
        if fresh {
            exec.missing = if withheld { named.clone() } else { BTreeSet::new() };
        }
        let known = |hash: &SpecHash| Some((*hash, Arc::clone(self.server.specs.get(hash)?)));
        let specs: Vec<(SpecHash, Arc<Spec>)> = named.iter().filter_map(known).collect();
        let again = this == exec.last;
        exec.last = exec.last.max(this);
        let learned = again && !std::mem::take(&mut exec.missing).is_empty();
        let mut work = Work::default();
        self.with_roster(h, |roster, at| match (fresh, learned, again) {
            (true, _, _) if withheld => roster.apply(*manifest, Vec::new(), at, &mut work),
            (true, _, _) => roster.apply(*manifest, specs, at, &mut work),
            (false, true, _) => roster.learn(specs, at, &mut work),
            (false, false, true) => roster.settle(at, &mut work),
            (false, false, false) => {}
        });
        if fresh {
            say!(
                self,
                "{} applies {}.{}{}",
                self.hosts[h].name,
                this.term,
                this.revision,
                if withheld { " without specs" } else { "" }
            );
        }
        self.carry_out(h, work);
    }
}
