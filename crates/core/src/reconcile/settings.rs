//! Settings of a pool, as they are in force: what the leader was started with, and over it what
//! operators changed while it runs.

use std::collections::BTreeMap;

use crate::time::Span;
use crate::tuning::{Level, TermTuning, Tuning};

use super::Engine;

/// Settings of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Weights of the `weighted` strategy in percent: cpu, memory, disk, network.
    pub weights: [u32; 4],
    /// How much each term of the score counts.
    pub terms: Terms,
    /// At most so many placements in one plan; the rest follows at once.
    pub batch: usize,
    /// No movement for so long after a mass loss.
    pub mass_loss_pause: Span,
    /// How long a node that failed or declined is passed over at first; doubles up to an hour.
    pub exclude_for: Span,
    /// How long a node that left is waited for.
    pub left_for: Span,
    /// Whether work may have others of much less priority ended to get their place.
    pub preemption: bool,
    /// When the nodes' use is evened out without being asked.
    pub rebalance: Rebalancing,
}

/// When the nodes' use is evened out without being asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rebalancing {
    /// After a node joined or came back.
    pub on_join: bool,
    /// When a node is fuller than the mean by so many percent of itself for a minute; 0: never.
    pub threshold: u32,
    /// At most so many moves at a time.
    pub max_moves: u32,
}

impl Default for Rebalancing {
    fn default() -> Self {
        Self { on_join: false, threshold: 0, max_moves: 10 }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            weights: [30, 40, 20, 10],
            terms: Terms::default(),
            batch: 250_000,
            mass_loss_pause: Span::from_secs(60),
            exclude_for: Span::from_secs(300),
            left_for: Span::from_secs(300),
            preemption: false,
            rebalance: Rebalancing::default(),
        }
    }
}

impl Settings {
    /// These settings, but for what `tuning` says.
    #[must_use]
    pub fn tuned(self, tuning: &Tuning) -> Self {
        let Tuning { weights, terms, preemption, rebalance } = tuning;
        let weights = weights.map(|w| [w.cpu, w.memory, w.disk, w.network]);
        Self {
            weights: weights.unwrap_or(self.weights),
            terms: self.terms.tuned(terms),
            preemption: preemption.unwrap_or(self.preemption),
            rebalance: Rebalancing {
                on_join: rebalance.on_join.unwrap_or(self.rebalance.on_join),
                threshold: rebalance.threshold.unwrap_or(self.rebalance.threshold),
                max_moves: rebalance.max_moves.unwrap_or(self.rebalance.max_moves),
            },
            ..self
        }
    }
}

impl Terms {
    fn tuned(self, tuning: &TermTuning) -> Self {
        let TermTuning { base, prefer, affinity, own_workload, image, power } = tuning;
        let or = |new: &Option<u32>, old: u64| new.map_or(old, u64::from);
        Self {
            base: or(base, self.base),
            prefer: or(prefer, self.prefer),
            affinity: or(affinity, self.affinity),
            own_workload: or(own_workload, self.own_workload),
            image: or(image, self.image),
            power: or(power, self.power),
        }
    }
}

/// What the leader was started with, and what was changed since at each level.
#[derive(Debug, Clone)]
pub(super) struct Levels {
    base: Settings,
    fleet: Tuning,
    pool: Tuning,
}

impl Levels {
    pub fn new(base: Settings) -> Self {
        Self { base, fleet: Tuning::default(), pool: Tuning::default() }
    }

    /// The pool's word counts before the fleet's, and that before what the leader began with.
    fn in_force(&self) -> Settings {
        self.base.clone().tuned(&self.fleet).tuned(&self.pool)
    }
}

impl Engine {
    /// The settings in force, at whatever level they were said.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn observe_tuning(&mut self, level: Level, tuning: Tuning) {
        match level {
            Level::Fleet => self.levels.fleet = tuning,
            Level::Pool => self.levels.pool = tuning,
        }
        let before = std::mem::replace(&mut self.settings, self.levels.in_force());
        if self.settings.preemption && !before.preemption {
            // Whoever waits may have others make room now.
            self.wake_all();
        }
        if self.settings.rebalance != before.rebalance {
            self.evenness.stale = true;
        }
    }
}

/// How much each term of the score counts beside the others; at most [`Terms::MOST`] each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// What the strategy says.
    pub base: u64,
    /// What the workload prefers.
    pub prefer: u64,
    /// Soft affinity and anti-affinity, each.
    pub affinity: u64,
    /// Not where others of the same workload are.
    pub own_workload: u64,
    /// Where the image or artifact is already.
    pub image: u64,
    /// Mains before battery.
    pub power: u64,
}

impl Default for Terms {
    fn default() -> Self {
        Self { base: 10, prefer: 10, affinity: 10, own_workload: 5, image: 1, power: 1 }
    }
}

impl Terms {
    /// The most that one may be: sums of weight times term fit.
    pub const MOST: u64 = 10_000;
    /// Their names, as in `placement.weights`.
    pub const NAMES: [&str; 6] = ["base", "prefer", "affinity", "own_workload", "image", "power"];

    /// These, with those in their place that a workload names.
    #[must_use]
    pub fn with(mut self, named: &BTreeMap<String, u32>) -> Self {
        let all = [
            &mut self.base,
            &mut self.prefer,
            &mut self.affinity,
            &mut self.own_workload,
            &mut self.image,
            &mut self.power,
        ];
        for (name, weight) in Self::NAMES.into_iter().zip(all) {
            *weight = named.get(name).map_or(*weight, |own| u64::from(*own)).min(Self::MOST);
        }
        self
    }
}
