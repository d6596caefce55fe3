//! What each event means in each state.

use std::sync::Arc;

use crate::id::{SpecHash, Version};
use crate::instance::{Desired, Spec};
use crate::time::{Span, Timestamp};
use crate::workload::HookPoint;

use super::{Blame, Effect, End, Event, Life, Next, Order, Phase, Readiness, Run, Told};

/// How long after a kill it is killed again: something forked just then.
const KILL_AGAIN: Span = Span::from_secs(1);

impl Life {
    /// Takes one event, returns what should be done about it.
    pub fn react(&mut self, event: Event, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Ordered(order) => self.ordered(order, now, &mut effects),
            Event::Spec(hash, version, spec) => {
                self.informed((hash, version), spec, now, &mut effects);
            }
            Event::Refused(reason) => {
                self.reason = reason;
                self.enter(Phase::Ended(End::Declined), now);
                effects.push(Effect::Tell(Told::Declined));
            }
            Event::Settled => self.settled(now, &mut effects),
            Event::Unnamed => {
                if matches!(self.phase, Phase::Unsettled(_)) {
                    "nobody names it any more".clone_into(&mut self.reason);
                    self.finish(End::Stopped, now, &mut effects);
                }
            }
            Event::Unpledged => {
                "waits for the node's pledge".clone_into(&mut self.reason);
                self.enter(Phase::Unsettled(None), now);
            }
            Event::Lapsed => {
                "fenced: the node's pledge had lapsed, it may run elsewhere"
                    .clone_into(&mut self.reason);
                self.finish(End::Failed, now, &mut effects);
            }
            Event::Stuck(run, why) if run == self.runs => self.reason = why,
            Event::Prepared(run) if run == self.runs && self.phase == Phase::Preparing => {
                self.enter(Phase::Starting, now);
            }
            Event::Started(number, run, readiness) if number == self.runs => {
                self.started(run, readiness, now, &mut effects);
            }
            Event::NotStarted(number, reason, blame) if number == self.runs => {
                self.not_started(reason, blame, now, &mut effects);
            }
            Event::Passing(run) if run == self.runs => self.passing(now, &mut effects),
            Event::Proven(run) if run == self.runs => self.says_proven(now, &mut effects),
            Event::Silent(run, why) if run == self.runs => self.hangs(why, now, &mut effects),
            Event::Uses(bytes) => self.uses(bytes, now, &mut effects),
            Event::HookDone(run, point, done) if run == self.runs => {
                self.hook_done(point, done, now, &mut effects);
            }
            Event::HookFailed(why) => effects.push(Effect::Tell(Told::Hook(why))),
            Event::Sos(why) => effects.push(Effect::Tell(Told::Sos(why))),
            Event::Scroll(text) => effects.push(Effect::Tell(Told::Scroll(text))),
            Event::Failing(run, reason) if run == self.runs => self.failing(reason),
            Event::Exited(run, exit) if run == self.runs => self.exited(exit, now, &mut effects),
            Event::Removed => self.removed(now, &mut effects),
            Event::Halt => self.halt(now, &mut effects),
            Event::Tick => self.tick(now, &mut effects),
            Event::Prepared(_)
            | Event::Started(..)
            | Event::NotStarted(..)
            | Event::Passing(_)
            | Event::Failing(..)
            | Event::Exited(..)
            | Event::Stuck(..)
            | Event::Proven(_)
            | Event::Silent(..)
            | Event::HookDone(..) => {}
        }
        effects
    }

    /// Whether the order asks for a start that was not made yet.
    fn restart_wanted(&self) -> bool {
        self.runs > 0 && self.order.generation > self.begun && self.order.desired == Desired::Run
    }

    fn ordered(&mut self, order: Order, now: Timestamp, effects: &mut Vec<Effect>) {
        self.named = true;
        if order.generation < self.order.generation {
            return;
        }
        self.order = order;
        match self.order.desired {
            Desired::Run => self.ordered_to_run(now, effects),
            Desired::Stop => self.ordered_to_stop(now, effects),
            Desired::Keep => {}
            Desired::Hibernate => {
                "hibernate comes with a later version".clone_into(&mut self.reason)
            }
        }
    }

    fn ordered_to_run(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let restart = self.restart_wanted();
        match self.phase {
            Phase::Waiting if self.has_its_spec() => self.begin(now, effects),
            Phase::Running if restart => self.stop(Next::Restart, now, effects),
            Phase::Stopping { next: Next::End, kill_at } if restart => {
                self.phase = Phase::Stopping { next: Next::Restart, kill_at };
            }
            Phase::Backoff { .. } | Phase::Ended(_) if restart => {
                self.failures.clear();
                self.again(now, effects);
            }
            Phase::Waiting
            | Phase::Unsettled(_)
            | Phase::Preparing
            | Phase::Starting
            | Phase::Backoff { .. }
            | Phase::Running
            | Phase::Stopping { .. }
            | Phase::Removing(_)
            | Phase::Ended(_) => {}
        }
    }

    fn ordered_to_stop(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        match self.phase {
            Phase::Waiting if self.runs == 0 => {
                "nothing of it is here".clone_into(&mut self.reason);
                self.enter(Phase::Ended(End::Stopped), now);
            }
            Phase::Waiting | Phase::Unsettled(_) | Phase::Backoff { .. } => {
                self.finish(End::Stopped, now, effects);
            }
            Phase::Running => self.stop(Next::End, now, effects),
            Phase::Stopping { next: Next::Restart | Next::Fail, kill_at } => {
                self.phase = Phase::Stopping { next: Next::End, kill_at };
            }
            // A start that is under way is stopped when it is done.
            Phase::Preparing | Phase::Starting => {}
            Phase::Stopping { .. } | Phase::Removing(_) | Phase::Ended(_) => {}
        }
    }

    fn has_its_spec(&self) -> bool {
        self.spec.is_some() && self.in_force.is_some_and(|(hash, _)| hash == self.order.spec)
    }

    fn informed(
        &mut self,
        of: (SpecHash, Version),
        spec: Arc<Spec>,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let before = self.spec.replace(spec);
        self.in_force = Some(of);
        match self.phase {
            Phase::Waiting if self.order.desired == Desired::Run => self.begin(now, effects),
            Phase::Running if before.map(|b| b.checks.clone()) != self.checks() => {
                effects.push(Effect::Check);
                if self.checks().is_none_or(|checks| checks.is_empty()) {
                    self.passing(now, effects);
                }
            }
            Phase::Waiting
            | Phase::Unsettled(_)
            | Phase::Preparing
            | Phase::Starting
            | Phase::Backoff { .. }
            | Phase::Running
            | Phase::Stopping { .. }
            | Phase::Removing(_)
            | Phase::Ended(_) => {}
        }
    }

    fn checks(&self) -> Option<Vec<crate::workload::Check>> {
        self.spec.as_ref().map(|spec| spec.checks.clone())
    }

    /// Begins a run that counts as a restart.
    pub(super) fn again(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        self.restarts += 1;
        effects.push(Effect::Tell(Told::Restarted));
        self.begin(now, effects);
    }

    pub(super) fn begin(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        self.runs += 1;
        self.begun = self.order.generation;
        self.run = None;
        self.ready = false;
        self.proven = false;
        self.readying = false;
        self.ready_at = None;
        self.proven_at = None;
        self.drained_at = None;
        self.reason.clear();
        self.enter(Phase::Preparing, now);
        effects.push(Effect::Launch);
    }

    fn settled(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let Phase::Unsettled(exit) = self.phase else { return };
        match (self.order.desired, exit) {
            // It was told to stop while it was being started, and that start came to nothing.
            (Desired::Stop, _) => self.finish(End::Stopped, now, effects),
            (Desired::Run, _) if self.halting => {}
            (Desired::Run, Some(exit)) => self.ended_by_itself(exit, now, effects),
            (Desired::Run, None) => self.begin(now, effects),
            (Desired::Keep | Desired::Hibernate, _) => {}
        }
    }

    fn started(
        &mut self,
        run: Run,
        readiness: Readiness,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        if !matches!(self.phase, Phase::Preparing | Phase::Starting) {
            return;
        }
        self.run = Some(run);
        self.enter(Phase::Running, now);
        effects.push(Effect::Tell(Told::Started));
        if self.halting {
            return self.stop(Next::Halt, now, effects);
        }
        if self.order.desired == Desired::Stop {
            return self.stop(Next::End, now, effects);
        }
        if self.restart_wanted() {
            // Ordered while it was starting: that start is not the one that was asked for.
            return self.stop(Next::Restart, now, effects);
        }
        effects.push(Effect::Check);
        if self.has_hook(HookPoint::AfterStart) {
            effects.push(Effect::Hook(HookPoint::AfterStart));
        }
        if readiness == Readiness::AtOnce {
            self.passing(now, effects);
        }
    }

    pub(super) fn passing(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        if self.phase != Phase::Running || self.ready || self.readying {
            return;
        }
        if self.has_hook(HookPoint::BeforeReady) {
            self.readying = true;
            return effects.push(Effect::Hook(HookPoint::BeforeReady));
        }
        self.is_ready(now, effects);
    }

    pub(super) fn is_ready(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        self.ready = true;
        self.ready_at = Some(now);
        self.reason.clear();
        effects.push(Effect::Tell(Told::Ready));
        if self.has_hook(HookPoint::AfterReady) {
            effects.push(Effect::Hook(HookPoint::AfterReady));
        }
        self.tick(now, effects);
    }

    fn failing(&mut self, reason: String) {
        if self.phase == Phase::Running {
            self.ready = false;
            self.readying = false;
            self.reason = reason;
        }
    }

    fn halt(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        self.halting = true;
        match self.phase {
            Phase::Running => self.stop(Next::Halt, now, effects),
            Phase::Stopping { next: Next::Restart | Next::Fail, kill_at } => {
                self.phase = Phase::Stopping { next: Next::Halt, kill_at };
            }
            Phase::Waiting
            | Phase::Unsettled(_)
            | Phase::Preparing
            | Phase::Starting
            | Phase::Backoff { .. }
            | Phase::Stopping { .. }
            | Phase::Removing(_)
            | Phase::Ended(_) => {}
        }
    }

    fn removed(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let Phase::Removing(end) = self.phase else { return };
        if self.restart_wanted() && !self.halting {
            self.failures.clear();
            return self.again(now, effects);
        }
        self.enter(Phase::Ended(end), now);
        effects.push(Effect::Tell(match end {
            End::Declined => Told::Declined,
            End::Stopped => Told::Stopped,
            End::Completed => Told::Completed,
            End::Failed => Told::Failed,
        }));
    }

    fn not_started(
        &mut self,
        reason: String,
        blame: Blame,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        if !matches!(self.phase, Phase::Preparing | Phase::Starting) {
            return;
        }
        self.reason = reason;
        if self.runs == 1 && blame == Blame::Node {
            return self.finish(End::Declined, now, effects);
        }
        self.failed(now, effects);
    }

    fn tick(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        match self.phase {
            Phase::Backoff { .. } => self.again(now, effects),
            Phase::Running if self.too_old_at().is_some_and(|at| at <= now) => {
                self.recycle("it has reached `recycle.max_age`", now, effects);
            }
            Phase::Running => self.is_proven(now, effects),
            Phase::Stopping { next, .. } if self.drained_at.take().is_some() => {
                self.ask_to_end(next, now, effects);
            }
            Phase::Stopping { next, .. } => {
                self.phase = Phase::Stopping { next, kill_at: now.plus(KILL_AGAIN) };
                effects.push(Effect::Kill);
            }
            Phase::Waiting
            | Phase::Unsettled(_)
            | Phase::Preparing
            | Phase::Starting
            | Phase::Removing(_)
            | Phase::Ended(_) => {}
        }
    }
}
