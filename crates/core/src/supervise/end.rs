//! How an instance ends, and whether it begins again.

use crate::instance::{Desired, Exit};
use crate::time::{Span, Timestamp};
use crate::workload::{HookPoint, Kind};

use super::{Effect, End, Life, Next, Phase, Told};

/// The longest wait before a restart, where the workload says nothing.
const LONGEST_BACKOFF: Span = Span::from_secs(180);

/// What is done before a stop takes no longer.
const LONGEST_HOOK: Span = Span::from_secs(3600);

impl Life {
    /// Begins the ladder: no endpoint any more, signal, grace, kill, until gone. What has failed is
    /// not waited for.
    pub(super) fn stop(&mut self, next: Next, now: Timestamp, effects: &mut Vec<Effect>) {
        let drain = self.spec.as_ref().and_then(|spec| spec.stop.drain).unwrap_or_default();
        let drains = self.ready && drain > Span::default() && next != Next::Fail;
        self.ready = false;
        effects.push(Effect::Uncheck);
        if drains {
            let drained_at = now.plus(drain);
            self.drained_at = Some(drained_at);
            return self.enter(Phase::Stopping { next, kill_at: drained_at }, now);
        }
        self.ask_to_end(next, now, effects);
    }

    pub(super) fn ask_to_end(&mut self, next: Next, now: Timestamp, effects: &mut Vec<Effect>) {
        let stop = self.spec.as_ref().map(|spec| spec.stop.clone()).unwrap_or_default();
        if self.has_hook(HookPoint::BeforeStop) {
            // The ladder begins when that is done; it is bounded in time, and a person who stops it
            // twice does not wait for it twice.
            let kill_at = now.plus(LONGEST_HOOK).plus(stop.grace);
            self.enter(Phase::Stopping { next, kill_at }, now);
            return effects.push(Effect::Hook(HookPoint::BeforeStop));
        }
        self.enter(Phase::Stopping { next, kill_at: now.plus(stop.grace) }, now);
        effects.push(Effect::Signal(stop.signal));
    }

    pub(super) fn exited(&mut self, exit: Exit, now: Timestamp, effects: &mut Vec<Effect>) {
        match self.phase {
            Phase::Running => {
                effects.push(Effect::Uncheck);
                self.ended_by_itself(exit, now, effects);
            }
            Phase::Stopping { next, .. } => {
                self.run = None;
                self.drained_at = None;
                self.exit = Some(exit);
                match next {
                    Next::Restart if self.order.desired == Desired::Run => self.again(now, effects),
                    Next::Fail if self.order.desired == Desired::Run => self.failed(now, effects),
                    Next::End => self.finish(End::Stopped, now, effects),
                    // Whether it begins again is settled by a later order, or by the next executor.
                    Next::Restart | Next::Fail | Next::Halt => {
                        self.enter(Phase::Unsettled(None), now)
                    }
                }
            }
            Phase::Waiting
            | Phase::Unsettled(_)
            | Phase::Preparing
            | Phase::Starting
            | Phase::Backoff { .. }
            | Phase::Removing(_)
            | Phase::Ended(_) => {}
        }
    }

    /// It ended and nobody told it to.
    pub(super) fn ended_by_itself(
        &mut self,
        exit: Exit,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        self.run = None;
        self.ready = false;
        self.exit = Some(exit);
        self.reason = reason(exit);
        effects.push(Effect::Tell(Told::Exited));
        let by_choice = match (exit, &self.spec) {
            (Exit::Code(code), Some(spec)) => spec.restart.never_on_exit.contains(&code),
            (Exit::Code(_) | Exit::Signal(_) | Exit::OutOfMemory | Exit::Unknown, _) => false,
        };
        let job = self.spec.as_ref().is_some_and(|s| matches!(s.kind, Kind::Job | Kind::Cron));
        if job && exit == Exit::Code(0) {
            self.reason.clear();
            self.finish(End::Completed, now, effects);
        } else if by_choice {
            self.reason = format!("ended by its own choice, {}", reason(exit));
            // One for each node has no slot that could be done: its node is passed over for a while.
            let each = self.spec.as_ref().is_some_and(|spec| spec.kind == Kind::System);
            self.finish(if each { End::Failed } else { End::Completed }, now, effects);
        } else {
            self.failed(now, effects);
        }
    }

    /// Counts a failure; waits for the next attempt, or gives up.
    pub(super) fn failed(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        if self.order.desired == Desired::Stop {
            return self.finish(End::Stopped, now, effects);
        }
        let restart = self.spec.as_ref().map(|spec| spec.restart.clone()).unwrap_or_default();
        self.failures.retain(|at| now.since(*at) < restart.window);
        self.failures.push(now);
        let spent = usize::try_from(restart.attempts).is_ok_and(|most| self.failures.len() > most);
        if spent {
            return self.finish(End::Failed, now, effects);
        }
        // Without a limit of attempts the list would grow as long as the window.
        if restart.attempts < 0 {
            self.failures.clear();
        }
        let until = now.plus(restart.backoff.after(self.streak, LONGEST_BACKOFF));
        self.streak = self.streak.saturating_add(1);
        self.enter(Phase::Backoff { until }, now);
    }

    /// Has everything of it removed; after that it has ended.
    pub(super) fn finish(&mut self, end: End, now: Timestamp, effects: &mut Vec<Effect>) {
        self.run = None;
        self.ready = false;
        self.enter(Phase::Removing(end), now);
        let last = self.has_hook(HookPoint::AfterStop) && self.runs > 0;
        effects.push(if last { Effect::Hook(HookPoint::AfterStop) } else { Effect::Remove });
    }
}

fn reason(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exit code {code}"),
        Exit::Signal(signal) => format!("killed by signal {signal}"),
        Exit::OutOfMemory => "out of memory".to_owned(),
        Exit::Unknown => "gone, nobody can say how".to_owned(),
    }
}
