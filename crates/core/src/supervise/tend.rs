//! While it runs: what it says of itself, what it uses, what is done around it.

use crate::time::Timestamp;
use crate::workload::HookPoint;

use super::{Effect, Life, Next, Phase, Told};

impl Life {
    pub(super) fn is_proven(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        if !self.proven {
            self.proven = true;
            self.proven_at = Some(now);
            self.streak = 0;
            effects.push(Effect::Tell(Told::Proven));
        }
    }

    /// It knows better than a clock: it is ready, and stays.
    pub(super) fn says_proven(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        if self.phase != Phase::Running {
            return;
        }
        self.passing(now, effects);
        if self.ready {
            self.is_proven(now, effects);
        }
    }

    /// It was heard and is silent: it is ended, and that counts as its failure.
    pub(super) fn hangs(&mut self, why: String, now: Timestamp, effects: &mut Vec<Effect>) {
        if self.phase == Phase::Running {
            self.stop(Next::Fail, now, effects);
            self.reason = why;
        }
    }

    pub(super) fn uses(&mut self, bytes: u64, now: Timestamp, effects: &mut Vec<Effect>) {
        let most = self.spec.as_ref().and_then(|spec| spec.recycle.max_rss);
        if most.is_some_and(|most| bytes > most.0) && self.phase == Phase::Running {
            self.recycle("it uses more than `recycle.max_rss`", now, effects);
        }
    }

    /// It is renewed though it works; that is no failure.
    pub(super) fn recycle(&mut self, why: &str, now: Timestamp, effects: &mut Vec<Effect>) {
        self.stop(Next::Restart, now, effects);
        self.reason = format!("recycled: {why}");
    }

    pub(super) fn hook_done(
        &mut self,
        point: HookPoint,
        done: Result<(), String>,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        match (point, self.phase, done) {
            (HookPoint::BeforeReady, Phase::Running, Ok(())) if self.readying => {
                self.readying = false;
                self.is_ready(now, effects);
            }
            (HookPoint::BeforeStop, Phase::Stopping { next, .. }, _) => {
                let stop = self.spec.as_ref().map(|spec| spec.stop.clone()).unwrap_or_default();
                self.phase = Phase::Stopping { next, kill_at: now.plus(stop.grace) };
                effects.push(Effect::Signal(stop.signal));
            }
            (HookPoint::AfterStop, Phase::Removing(_), _) => effects.push(Effect::Remove),
            (
                HookPoint::AfterStart | HookPoint::BeforeReady | HookPoint::AfterReady,
                Phase::Running,
                Err(why),
            ) => {
                self.stop(Next::Fail, now, effects);
                self.reason = why;
            }
            _ => {}
        }
    }
}
