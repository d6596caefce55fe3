//! The section `[scheduler]`.

use std::time::Duration;

use ostler_core::id::PoolName;
use ostler_core::reconcile::Settings;
use ostler_core::time::Span;
use serde::{Deserialize, Serialize};

/// Which pools this replica stands for, and how they decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The pools it stands for; none: those of `[bus]`.
    pub pools: Vec<PoolName>,
    /// What this replica is called; empty: drawn at random.
    pub id: String,
    /// Weights of the `weighted` strategy, in percent.
    pub weights: Weights,
    /// At most so many placements in one plan; the rest follows at once.
    pub batch: usize,
    /// No movement for so long after a mass loss.
    pub mass_loss_pause: Span,
    /// How long a node that failed or declined is passed over at first; doubles up to an hour.
    pub exclude_for: Span,
    /// How long a node that left is waited for.
    pub left_for: Span,
    /// How long a leader's lease lasts; whole seconds. A dead leader is missed for so long.
    pub lease: Span,
    /// Where health and metrics are served; port 0: any.
    pub health_listen: String,
}

/// Weights of what is left free on a node, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Weights {
    /// Of cpu.
    pub cpu: u32,
    /// Of memory.
    pub memory: u32,
    /// Of disk.
    pub disk: u32,
    /// Of network.
    pub network: u32,
}

impl Default for Weights {
    fn default() -> Self {
        let [cpu, memory, disk, network] = Settings::default().weights;
        Self { cpu, memory, disk, network }
    }
}

impl Default for Config {
    fn default() -> Self {
        let core = Settings::default();
        Self {
            pools: Vec::new(),
            id: String::new(),
            weights: Weights::default(),
            batch: core.batch,
            mass_loss_pause: core.mass_loss_pause,
            exclude_for: core.exclude_for,
            left_for: core.left_for,
            lease: Span::from_secs(3),
            health_listen: "127.0.0.1:0".to_owned(),
        }
    }
}

impl Config {
    /// What the core is told.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let Weights { cpu, memory, disk, network } = self.weights;
        Settings {
            weights: [cpu, memory, disk, network],
            batch: self.batch.max(1),
            terms: Settings::default().terms,
            mass_loss_pause: self.mass_loss_pause,
            exclude_for: self.exclude_for,
            left_for: self.left_for,
            ..Settings::default()
        }
    }

    /// How long a lease lasts, in whole seconds, at least one.
    #[must_use]
    pub fn lease_ttl(&self) -> Duration {
        Duration::from_secs(self.lease.as_millis().div_ceil(1000).max(1))
    }

    /// What this replica is called.
    #[must_use]
    pub fn replica(&self) -> String {
        if !self.id.is_empty() {
            return self.id.clone();
        }
        let drawn = ostler_bus::op_id().to_lowercase();
        format!("scheduler-{}", &drawn[drawn.len().saturating_sub(8)..])
    }
}
