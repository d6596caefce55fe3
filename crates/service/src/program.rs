//! What every program of ours has: tasks, health, metrics.

use crate::health::Health;
use crate::tasks::Tasks;

/// One running program, or one part of `ostler dev`. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// Its tasks.
    pub tasks: Tasks,
    /// What must be usable for it to be ready.
    pub health: Health,
    /// What it counts; names are `ostler_<service>_<noun>_<unit>[_total]`.
    pub metrics: prometheus::Registry,
}

impl Program {
    /// A program that does nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}
