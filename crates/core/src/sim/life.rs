//! The life of one simulated instance on its node.

use super::script::Script;
use crate::id::{Generation, InstanceId, Version};
use crate::instance::{Exit, Observed, Status, Usage};
use crate::resources::Resources;
use crate::time::{Span, Timestamp};
use crate::workload::Kind;

/// One instance as its executor knows it.
#[derive(Debug, Clone)]
pub(super) struct Life {
    pub version: Version,
    pub generation: Generation,
    pub ask: Resources,
    script: Script,
    phase: Phase,
    since: Timestamp,
    restarts: u32,
    /// Failures in a row since it was last proven.
    failures: u32,
    /// When it was restarted, within the window.
    tries: Vec<Timestamp>,
    exit: Option<Exit>,
    reason: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Starting(Timestamp),
    Running {
        ready_at: Timestamp,
        exits_at: Option<Timestamp>,
    },
    Stopping(Timestamp),
    /// Until it is started again.
    Waiting(Timestamp),
    Ended(Observed),
}

const LONGEST_BACKOFF: Span = Span::from_secs(180);
/// A restart takes some time, or one instant could hold endless many.
const SHORTEST_BACKOFF: Span = Span::from_millis(1);

impl Life {
    /// It is told to run: started, unless the script says that it is declined.
    pub(super) fn begin(
        version: Version,
        generation: Generation,
        ask: Resources,
        script: Script,
        now: Timestamp,
    ) -> Self {
        let declined = script.declines;
        let phase = Phase::Starting(now.plus(script.start_after));
        let (restarts, failures, tries, exit) = (0, 0, Vec::new(), None);
        let mut life = Self {
            version,
            generation,
            ask,
            script,
            phase,
            since: now,
            restarts,
            failures,
            tries,
            exit,
            reason: "",
        };
        if declined {
            life.end(Observed::Declined, "declined by the scenario", now);
        }
        life
    }

    /// It was never here, or is not any more.
    pub(super) fn unknown(mut self, now: Timestamp) -> Self {
        self.end(Observed::Stopped, "it is not here", now);
        self
    }

    /// It is told to stop.
    pub(super) fn stop(&mut self, now: Timestamp) {
        match self.phase {
            Phase::Running { .. } => self.enter(Phase::Stopping(self.stops_at(now)), now),
            Phase::Starting(_) | Phase::Waiting(_) => self.end(Observed::Stopped, "", now),
            Phase::Stopping(_) | Phase::Ended(_) => {}
        }
    }

    /// It is told to restart in place.
    pub(super) fn restart(&mut self, generation: Generation, now: Timestamp) {
        self.generation = generation;
        self.restarts += 1;
        let from = match self.phase {
            Phase::Running { .. } => self.stops_at(now),
            Phase::Starting(_) | Phase::Waiting(_) | Phase::Stopping(_) | Phase::Ended(_) => now,
        };
        self.enter(Phase::Starting(from.plus(self.script.start_after)), now);
    }

    /// Its process exits; false if none is running.
    pub(super) fn exits(&mut self, code: i32, now: Timestamp) -> bool {
        let running = matches!(self.phase, Phase::Running { .. });
        if running {
            self.exited(code, now);
        }
        running
    }

    /// Does what is due.
    pub(super) fn step(&mut self, now: Timestamp) {
        loop {
            self.prove(now);
            match self.phase {
                Phase::Starting(until) if until <= now => self.started(until),
                Phase::Running { exits_at: Some(at), .. } if at <= now => {
                    self.exited(self.script.exit.map_or(0, |(_, code)| code), at);
                }
                Phase::Waiting(until) if until <= now => {
                    self.restarts += 1;
                    self.enter(Phase::Starting(until.plus(self.script.start_after)), until);
                }
                Phase::Stopping(until) if until <= now => self.end(Observed::Stopped, "", until),
                Phase::Starting(_)
                | Phase::Running { .. }
                | Phase::Waiting(_)
                | Phase::Stopping(_)
                | Phase::Ended(_) => return,
            }
        }
    }

    /// When something is due next, after `now`.
    pub(super) fn due(&self, now: Timestamp) -> Option<Timestamp> {
        match self.phase {
            Phase::Starting(until) | Phase::Stopping(until) | Phase::Waiting(until) => Some(until),
            Phase::Running { ready_at, exits_at } => {
                let proven_at = ready_at.plus(self.script.min_ready);
                let moments = [Some(ready_at), Some(proven_at), exits_at];
                moments.into_iter().flatten().filter(|at| *at > now).min()
            }
            Phase::Ended(_) => None,
        }
    }

    /// Nothing will happen to it by itself, but that it is proven.
    pub(super) fn settled(&self, now: Timestamp) -> bool {
        match self.phase {
            Phase::Running { ready_at, .. } => ready_at <= now,
            Phase::Ended(_) => true,
            Phase::Starting(_) | Phase::Stopping(_) | Phase::Waiting(_) => false,
        }
    }

    pub(super) fn ended(&self) -> bool {
        matches!(self.phase, Phase::Ended(_))
    }

    /// What it uses of its node now.
    pub(super) fn using(&self) -> Resources {
        match self.phase {
            Phase::Running { .. } | Phase::Stopping(_) => self.ask,
            Phase::Starting(_) | Phase::Waiting(_) | Phase::Ended(_) => Resources::default(),
        }
    }

    pub(super) fn status(&self, id: InstanceId, now: Timestamp) -> Status {
        let ready_at = match self.phase {
            Phase::Running { ready_at, .. } => Some(ready_at).filter(|at| *at <= now),
            Phase::Starting(_) | Phase::Stopping(_) | Phase::Waiting(_) | Phase::Ended(_) => None,
        };
        Status {
            id,
            generation: self.generation,
            observed: self.observed(),
            ready: ready_at.is_some(),
            proven: ready_at.is_some_and(|at| at.plus(self.script.min_ready) <= now),
            since: self.since,
            ready_at,
            proven_at: None,
            restarts: self.restarts,
            exit: self.exit,
            reason: self.reason.to_owned(),
            pid: None,
            version: self.version,
            usage: Usage { cpu: self.using().cpu, memory: self.using().memory.0 },
        }
    }

    fn observed(&self) -> Observed {
        match self.phase {
            Phase::Starting(_) | Phase::Waiting(_) => Observed::Starting,
            Phase::Running { .. } => Observed::Running,
            Phase::Stopping(_) => Observed::Stopping,
            Phase::Ended(observed) => observed,
        }
    }

    fn enter(&mut self, phase: Phase, at: Timestamp) {
        (self.phase, self.since) = (phase, at);
    }

    fn end(&mut self, observed: Observed, reason: &'static str, at: Timestamp) {
        self.reason = reason;
        self.enter(Phase::Ended(observed), at);
    }

    fn stops_at(&self, now: Timestamp) -> Timestamp {
        now.plus(self.script.stop_after)
    }

    fn started(&mut self, at: Timestamp) {
        if self.script.fails {
            self.exit = Some(Exit::Code(1));
            self.end(Observed::Failed, "failed by the scenario", at);
            return;
        }
        let ready_at = at.plus(self.script.ready_after);
        let exits_at = self.script.exit.map(|(after, _)| at.plus(after));
        self.enter(Phase::Running { ready_at, exits_at }, at);
    }

    /// Backoff is forgotten when it is proven.
    fn prove(&mut self, now: Timestamp) {
        if let Phase::Running { ready_at, .. } = self.phase
            && ready_at.plus(self.script.min_ready) <= now
        {
            self.failures = 0;
        }
    }

    fn exited(&mut self, code: i32, now: Timestamp) {
        self.exit = Some(Exit::Code(code));
        let restart = &self.script.restart;
        let to_completion = match self.script.kind {
            Kind::Job | Kind::Cron => true,
            Kind::Service | Kind::System => false,
        };
        if to_completion && code == 0 {
            return self.end(Observed::Completed, "", now);
        }
        if restart.never_on_exit.contains(&code) {
            let how = match self.script.kind {
                Kind::System => Observed::Failed,
                Kind::Service | Kind::Job | Kind::Cron => Observed::Completed,
            };
            return self.end(how, "ended by its own choice", now);
        }
        self.tries.retain(|at| now.since(*at) < restart.window);
        let left = usize::try_from(restart.attempts).map_or(usize::MAX, |attempts| attempts);
        if self.tries.len() >= left {
            return self.end(Observed::Failed, "its restarts are spent", now);
        }
        let wait = restart.backoff.after(self.failures, LONGEST_BACKOFF).max(SHORTEST_BACKOFF);
        self.failures += 1;
        self.tries.push(now);
        self.enter(Phase::Waiting(now.plus(wait)), now);
    }
}
