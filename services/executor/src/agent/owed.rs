//! What should be in the journal and is not: a write that failed is made up for.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ostler_core::id::InstanceId;
use ostler_service::clock;

use crate::supervise::Work;

/// How long until it is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// What is owed to the journal.
#[derive(Debug, Default)]
pub(super) struct Owed {
    changed: BTreeSet<InstanceId>,
    forgotten: BTreeSet<InstanceId>,
    applied: bool,
    due: Option<Instant>,
}

impl Owed {
    /// When the journal is to be tried again.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether anything is owed and its time has come.
    pub(super) fn is_due(&self) -> bool {
        self.due.is_some_and(|due| clock::instant() >= due)
    }

    /// What is to be written now: what was owed, and what is new.
    pub(super) fn with(&mut self, work: &Work) -> (BTreeSet<InstanceId>, Vec<InstanceId>, bool) {
        self.changed.extend(&work.changed);
        self.forgotten.extend(&work.forgotten);
        self.applied |= work.applied;
        (self.changed.clone(), self.forgotten.iter().copied().collect(), self.applied)
    }

    /// All of it was written.
    pub(super) fn paid(&mut self) {
        *self = Self::default();
    }

    /// None of it was.
    pub(super) fn failed(&mut self) {
        self.due = Some(clock::instant() + AGAIN);
    }
}
