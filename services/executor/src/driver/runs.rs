//! What a driver runs, by instance: the part that drivers have in common.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ostler_core::id::InstanceId;
use ostler_core::workload::Logs;

use super::Run;

/// What a driver runs or is about to.
#[derive(Debug, Default)]
pub(super) struct Runs(Mutex<HashMap<InstanceId, Known>>);

#[derive(Debug)]
enum Known {
    Launching,
    Running { run: Run, logs: Logs },
}

/// What a start finds.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing: it is noted as launching from now on.
    Nothing,
    /// A start that is under way.
    Launching,
    /// It runs already.
    Running(Run),
}

impl Runs {
    fn known(&self) -> MutexGuard<'_, HashMap<InstanceId, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an instance is started or runs; if neither, it is being launched from now on.
    pub fn launching(&self, id: InstanceId) -> Found {
        let mut known = self.known();
        match known.get(&id) {
            Some(Known::Running { run, .. }) => Found::Running(run.clone()),
            Some(Known::Launching) => Found::Launching,
            None => {
                known.insert(id, Known::Launching);
                Found::Nothing
            }
        }
    }

    /// It runs, and its output is kept so.
    pub fn started(&self, id: InstanceId, run: Run, logs: Logs) {
        self.known().insert(id, Known::Running { run, logs });
    }

    /// It has ended, or was not started.
    pub fn forget(&self, id: InstanceId) {
        self.known().remove(&id);
    }

    /// The run of an instance that runs.
    pub fn of(&self, id: InstanceId) -> Option<Run> {
        match self.known().get(&id)? {
            Known::Running { run, .. } => Some(run.clone()),
            Known::Launching => None,
        }
    }

    /// All that run.
    pub fn running(&self) -> Vec<InstanceId> {
        let known = self.known();
        let running = known.iter().filter(|(_, known)| matches!(known, Known::Running { .. }));
        running.map(|(id, _)| *id).collect()
    }

    /// How the output of each that runs is kept.
    pub fn logs(&self) -> HashMap<InstanceId, Logs> {
        let known = self.known();
        let logs = known.iter().filter_map(|(id, known)| match known {
            Known::Running { logs, .. } => Some((*id, logs.clone())),
            Known::Launching => None,
        });
        logs.collect()
    }
}
