//! Kind `cron`: runs by a schedule, one after the other, never two at once.
//!
//! A run is a job: `count` slots that are each completed once. What was seen to is noted with the
//! placements of the run in one batch, so that another leader neither repeats a run nor leaves one
//! out. Times are pool time.

use serde::{Deserialize, Serialize};

use crate::instance::Desired;
use crate::schedule::{Schedule, rfc3339};
use crate::time::{Span, Timestamp};
use crate::workload::{Cron, Kind, Missed};

use super::picture::at;
use super::plan::{Pass, Turn};
use super::why::Why;
use super::{Decision, Engine, Note};

/// A run that could not begin within this time after it was due was missed.
const IN_TIME: Span = Span::from_secs(60);

/// What is remembered of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Runs {
    /// The schedule and time zone that this is about.
    pub of: String,
    /// Everything that was due up to here was seen to: it ran, or was left out.
    pub handled: Timestamp,
    /// The run that is under way, by when it was due.
    pub running: Option<Timestamp>,
    /// When that run, or the last one, began.
    pub began: Timestamp,
    /// The last run that is over, by when it was due, and how it ended.
    pub last: Option<(Timestamp, String)>,
    /// The workload is stopped by a person: nothing is due.
    pub paused: bool,
}

impl Engine {
    /// Ends the run that is over and begins the one that is due.
    pub(super) fn keep_schedule(&mut self, pass: &mut Pass, turn: &mut Turn) {
        let head = pass.head.clone();
        let (Kind::Cron, Some(cron)) = (head.spec.kind, &head.spec.cron) else { return };
        let Ok(schedule) = Schedule::new(&cron.schedule, &cron.time_zone) else { return };
        let mut runs = self.runs(pass, cron, turn.now);
        if head.deleted || head.stopped || head.spec.pool != self.pool {
            (runs.paused, runs.running) = (true, None);
        } else {
            if std::mem::take(&mut runs.paused) {
                runs.handled = turn.now;
            }
            self.end_run(pass, cron, &mut runs, turn);
            self.begin_run(pass, (cron, &schedule), &mut runs, turn);
            let next = schedule.next(runs.handled.max(turn.now));
            next.into_iter().for_each(|next| pass.later(next));
        }
        self.works[at(pass.work)].progress.runs = Some(Box::new(runs));
    }

    /// What is remembered; of another schedule nothing before it was written is due.
    fn runs(&self, pass: &Pass, cron: &Cron, now: Timestamp) -> Runs {
        let of = format!("{} {}", cron.schedule, cron.time_zone);
        let known = self.works[at(pass.work)].progress.runs.as_deref().cloned();
        let mut runs = known.unwrap_or_default();
        if runs.of != of {
            runs.handled = runs.handled.max(pass.head.updated_at.min(now));
            runs.of = of;
        }
        runs
    }

    /// The run is over when all is completed, or its time is up.
    fn end_run(&mut self, pass: &mut Pass, cron: &Cron, runs: &mut Runs, turn: &mut Turn) {
        let Some(due) = runs.running else { return };
        let all_done = (0..pass.head.spec.count).all(|slot| self.completed(pass, slot));
        let limit = cron.time_limit.map(|limit| runs.began.plus(limit));
        let how = match limit {
            _ if all_done => "completed",
            Some(limit) if limit <= turn.now => "time_limit",
            Some(limit) => return pass.later(limit),
            None => return,
        };
        self.note_end(pass, runs, (due, how), turn);
    }

    fn note_end(
        &self,
        pass: &Pass,
        runs: &mut Runs,
        (due, how): (Timestamp, &'static str),
        turn: &mut Turn,
    ) {
        (runs.running, runs.last) = (None, Some((due, how.to_owned())));
        self.note(pass, Note::RunEnded { due, how }, turn);
    }

    fn begin_run(
        &mut self,
        pass: &mut Pass,
        (cron, schedule): (&Cron, &Schedule),
        runs: &mut Runs,
        turn: &mut Turn,
    ) {
        let Some(due) = last_due(schedule, runs.handled, turn.now) else { return };
        let alive = self.alive(pass, turn);
        if let (Some(running), false) = (runs.running, alive) {
            // Nothing of it is left but slots that wait for another try: the next run is that.
            self.note_end(pass, runs, (running, "failed"), turn);
        }
        let late = due.plus(IN_TIME) <= turn.now;
        let why = if runs.running.is_some() {
            "the last run is not over"
        } else if late && cron.missed == Missed::Skip {
            "it could not begin in time"
        } else if alive {
            // What is being stopped ends soon, and is heard of.
            if !late {
                pass.later(due.plus(IN_TIME));
            }
            return;
        } else {
            (runs.handled, runs.running, runs.began) = (turn.now, Some(due), turn.now);
            let progress = &mut self.works[at(pass.work)].progress;
            progress.completed.clear();
            progress.completed_version = pass.head.version;
            progress.waiting.clear();
            return self.note(pass, Note::RunBegan { due }, turn);
        };
        runs.handled = turn.now;
        self.note(pass, Note::RunSkipped { due, why }, turn);
    }

    fn note(&self, pass: &Pass, note: Note, turn: &mut Turn) {
        let workload = self.works[at(pass.work)].key.clone();
        self.decide(turn, Decision::Noted { workload, note });
    }

    /// Something of the workload may be alive where it can be asked, or is fenced.
    fn alive(&self, pass: &mut Pass, turn: &Turn) -> bool {
        let slots: Vec<u32> = self.works[at(pass.work)].slots.iter().map(|(_, i)| *i).collect();
        slots.into_iter().any(|index| {
            let instance = &self.instances[at(index)];
            match instance.desired {
                Desired::Run | Desired::Keep | Desired::Hibernate => true,
                Desired::Stop => {
                    self.nodes[at(instance.node)].reachable() || self.fenced(pass, index, turn)
                }
            }
        })
    }

    /// How many slots a run has that is under way, and why there are none otherwise.
    pub(super) fn run_slots(&self, pass: &Pass) -> (u32, Why) {
        let runs = self.works[at(pass.work)].progress.runs.as_deref();
        let limited = |runs: &Runs| runs.last.as_ref().is_some_and(|(_, how)| how == "time_limit");
        match runs {
            Some(runs) if runs.running.is_some() => (pass.head.spec.count, Why::Scaled),
            Some(runs) if limited(runs) => (0, Why::TimeLimit),
            Some(_) | None => (0, Why::Completed),
        }
    }

    /// Whether what this instance completed counts: it belongs to the run that is under way.
    pub(super) fn of_this_run(&self, index: u32) -> bool {
        let instance = &self.instances[at(index)];
        let runs = self.works[at(instance.work)].progress.runs.as_deref();
        runs.is_some_and(|runs| runs.running.is_some() && runs.began <= instance.id.created())
    }
}

/// The last moment after `handled` and up to now at which it was due. Of many that were missed long
/// ago, the first of them.
fn last_due(schedule: &Schedule, handled: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let first = schedule.next(handled).filter(|due| *due <= now)?;
    let lately = Timestamp::from_millis(now.as_millis().saturating_sub(IN_TIME.as_millis() + 1));
    let mut last = first;
    let mut next = schedule.next(first.max(lately));
    while let Some(due) = next.filter(|due| *due <= now) {
        last = due;
        next = schedule.next(due);
    }
    Some(last)
}

/// When it runs next, for people.
pub(super) fn standing(cron: &Cron, runs: Option<&Runs>) -> String {
    let schedule = Schedule::new(&cron.schedule, &cron.time_zone);
    let (Ok(schedule), Some(runs)) = (schedule, runs) else { return String::new() };
    if runs.running.is_some() {
        return String::new();
    }
    match schedule.next(runs.handled) {
        Some(next) => format!("its next run is due at {}", rfc3339(next)),
        None => "it will not run any more".to_owned(),
    }
}
