//! Settings of a pool.

use std::collections::BTreeMap;

use crate::time::Span;

/// Settings of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Weights of the `weighted` strategy in percent: cpu, memory, disk, network.
    pub weights: [u32; 4],
    /// How much each term of a score counts.
    pub terms: Terms,
    /// At most so many placements in one plan; the rest follows at once.
    pub batch: usize,
    /// No movement for so long after a mass loss.
    pub mass_loss_pause: Span,
    /// How long a node that failed or declined is passed over at first; doubles up to an hour.
    pub exclude_for: Span,
    /// How long a node that left is waited for.
    pub left_for: Span,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            weights: [30, 40, 20, 10],
            terms: Terms::default(),
            batch: 50_000,
            mass_loss_pause: Span::from_secs(60),
            exclude_for: Span::from_secs(300),
            left_for: Span::from_secs(300),
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
