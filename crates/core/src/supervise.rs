//! The life of one instance on its node: takes an event, returns what is to be done.
//!
//! Promises: the same id and generation is never begun twice by orders; nothing but an order (or
//! its own end) stops an instance; `keep` starts nothing and stops nothing; every state that waits
//! has a [`deadline`](Life::deadline) or is ended by an event.

use std::path::PathBuf;
use std::sync::Arc;

use crate::id::{Generation, InstanceId, SpecHash, Version};
use crate::instance::{Exit, Observed, Spec, Status, Usage};
use crate::time::Timestamp;
use crate::workload::{HookPoint, Hooks};
use serde::{Deserialize, Serialize};

mod adopt;
mod end;
mod gate;
mod order;
mod react;
mod roster;
mod tend;

pub use gate::Leave;
pub use order::{Blame, Effect, Event, Order, Readiness, Told};
pub use roster::{Applied, Host, Moment, Roster, Work};

/// What runs: enough to find it again, and to be sure that it is it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Run {
    /// The main process, where there is one.
    pub pid: Option<u32>,
    /// When that began, in clock ticks since boot.
    pub start_ticks: u64,
    /// In which boot of the host.
    pub boot_id: String,
    /// Its control groups.
    pub cgroups: Vec<PathBuf>,
}

/// How an instance ended for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// The node refused it; nothing was started.
    Declined,
    /// It was told to.
    Stopped,
    /// A job ended with 0.
    Completed,
    /// Its attempts are spent.
    Failed,
}

/// What follows a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Next {
    /// It is started again at once.
    Restart,
    /// It counts as having failed by itself.
    Fail,
    /// It ends.
    End,
    /// The executor goes; the next one starts it again if that is still wanted.
    Halt,
}

/// Where in its life it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// For its specification, or for an order to run.
    Waiting,
    /// It was not running when the executor came back, with this exit if it had run before: the
    /// leader may have replaced it meanwhile.
    Unsettled(Option<Exit>),
    /// The driver makes it ready.
    Preparing,
    /// The driver starts it.
    Starting,
    /// It waits to be restarted.
    Backoff {
        /// Until then.
        until: Timestamp,
    },
    /// It is there.
    Running,
    /// It was told to end.
    Stopping {
        /// What follows.
        next: Next,
        /// When it is killed, or killed again.
        kill_at: Timestamp,
    },
    /// What is left of it is being removed.
    Removing(End),
    /// Nothing is left of it.
    Ended(End),
}

/// One instance, as the journal keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Life {
    /// Which.
    pub id: InstanceId,
    /// What is ordered.
    pub order: Order,
    /// The specification in force, and whose it is.
    #[serde(skip)]
    pub spec: Option<Arc<Spec>>,
    /// The hash and the version of the specification in force.
    pub in_force: Option<(SpecHash, Version)>,
    /// Where in its life it is.
    pub phase: Phase,
    /// Since when.
    pub since: Timestamp,
    /// What runs, if anything does.
    pub run: Option<Run>,
    /// How often it was begun.
    pub runs: u64,
    /// The generation that was last begun.
    pub begun: Generation,
    /// It may get traffic.
    pub ready: bool,
    /// It was ready for `min_ready`, or said that it is proven.
    pub proven: bool,
    /// Its checks pass, and the hook that comes before it is ready goes on.
    #[serde(skip)]
    pub readying: bool,
    /// When it became ready.
    pub ready_at: Option<Timestamp>,
    /// When it became proven.
    #[serde(default)]
    pub proven_at: Option<Timestamp>,
    /// How often it was restarted.
    pub restarts: u32,
    /// Failures since it was last proven.
    pub streak: u32,
    /// Failures within the window.
    pub failures: Vec<Timestamp>,
    /// How it last ended.
    pub exit: Option<Exit>,
    /// Why it is as it is, where that is not plain.
    pub reason: String,
    /// What it uses.
    #[serde(skip)]
    pub usage: Usage,
    /// The manifest that was applied names it.
    pub named: bool,
    /// The period of the node's pledge that it belongs to, once it was started, if it is fenced.
    #[serde(default)]
    pub pledged: Option<u64>,
    /// The executor goes and takes it along.
    #[serde(skip)]
    pub halting: bool,
    /// It is stopping, and until then it is only no endpoint any more.
    #[serde(skip)]
    pub drained_at: Option<Timestamp>,
}

impl Life {
    /// An instance that was just ordered; give it the order as its first event.
    #[must_use]
    pub fn new(id: InstanceId, order: Order, now: Timestamp) -> Self {
        Self {
            id,
            begun: order.generation,
            order,
            spec: None,
            in_force: None,
            phase: Phase::Waiting,
            since: now,
            run: None,
            runs: 0,
            ready: false,
            proven: false,
            readying: false,
            ready_at: None,
            proven_at: None,
            restarts: 0,
            streak: 0,
            failures: Vec::new(),
            exit: None,
            reason: String::new(),
            usage: Usage::default(),
            named: true,
            pledged: None,
            halting: false,
            drained_at: None,
        }
    }

    /// When it wants to be told that time has passed.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        let wanted = self.order.desired == crate::instance::Desired::Run && !self.halting;
        match self.phase {
            Phase::Backoff { until } => wanted.then_some(until),
            Phase::Stopping { kill_at, .. } => Some(self.drained_at.unwrap_or(kill_at)),
            Phase::Running => self.proven_at_latest().into_iter().chain(self.too_old_at()).min(),
            Phase::Waiting
            | Phase::Unsettled(_)
            | Phase::Preparing
            | Phase::Starting
            | Phase::Removing(_)
            | Phase::Ended(_) => None,
        }
    }

    /// When it has been ready for long enough, if nothing happens until then.
    fn proven_at_latest(&self) -> Option<Timestamp> {
        let since = self.ready_at.filter(|_| self.ready && !self.proven)?;
        Some(since.plus(self.spec.as_ref()?.min_ready))
    }

    /// When it is to be renewed for its age.
    fn too_old_at(&self) -> Option<Timestamp> {
        Some(self.since.plus(self.spec.as_ref()?.recycle.max_age?))
    }

    /// Whether something is to be done at a point of its life.
    fn has_hook(&self, point: HookPoint) -> bool {
        let hooks = self.spec.as_ref().map(|spec| &spec.hooks).filter(|hooks| !hooks.is_empty());
        let hooks = hooks.and_then(|hooks| Hooks::read(hooks).ok());
        hooks.is_some_and(|hooks| !hooks.at(point).is_empty())
    }

    /// Whether the specification in force is the one ordered.
    #[must_use]
    pub fn in_force_is_ordered(&self) -> bool {
        self.in_force == Some((self.order.spec, self.order.version))
    }

    /// Whether at most one of it may be alive, whatever happens.
    #[must_use]
    pub fn fenced(&self) -> bool {
        self.spec.as_ref().is_some_and(|spec| spec.fenced)
    }

    /// Whether it is ready by having started, or by its checks.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let checked = self.spec.as_ref().is_some_and(|spec| !spec.checks.is_empty());
        if checked { Readiness::ByChecks } else { Readiness::AtOnce }
    }

    /// Whether nothing of it is left on the node.
    #[must_use]
    pub const fn ended(&self) -> bool {
        matches!(self.phase, Phase::Ended(_))
    }

    /// Whether nothing of it runs or is about to.
    #[must_use]
    pub const fn at_rest(&self) -> bool {
        match self.phase {
            Phase::Waiting | Phase::Unsettled(_) | Phase::Backoff { .. } | Phase::Ended(_) => true,
            Phase::Preparing
            | Phase::Starting
            | Phase::Running
            | Phase::Stopping { .. }
            | Phase::Removing(_) => false,
        }
    }

    /// The word for its state.
    #[must_use]
    pub const fn observed(&self) -> Observed {
        match self.phase {
            Phase::Waiting => Observed::Accepted,
            Phase::Preparing => Observed::Preparing,
            Phase::Unsettled(_) | Phase::Starting | Phase::Backoff { .. } => Observed::Starting,
            Phase::Running => Observed::Running,
            Phase::Stopping { .. } | Phase::Removing(_) => Observed::Stopping,
            Phase::Ended(End::Declined) => Observed::Declined,
            Phase::Ended(End::Stopped) => Observed::Stopped,
            Phase::Ended(End::Completed) => Observed::Completed,
            Phase::Ended(End::Failed) => Observed::Failed,
        }
    }

    /// What the report says of it.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            id: self.id,
            generation: self.begun,
            observed: self.observed(),
            ready: self.ready,
            proven: self.proven,
            since: self.since,
            ready_at: self.ready_at,
            proven_at: self.proven_at,
            restarts: self.restarts,
            exit: self.exit,
            reason: self.reason.clone(),
            pid: self.run.as_ref().and_then(|run| run.pid),
            version: self.in_force.map_or(self.order.version, |(_, version)| version),
            usage: self.usage,
        }
    }

    fn enter(&mut self, phase: Phase, now: Timestamp) {
        self.phase = phase;
        self.since = now;
    }
}
