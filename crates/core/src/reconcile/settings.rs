//! Settings of a pool.

use crate::time::Span;

/// Settings of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Weights of the `weighted` strategy in percent: cpu, memory, disk, network.
    pub weights: [u32; 4],
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
            batch: 50_000,
            mass_loss_pause: Span::from_secs(60),
            exclude_for: Span::from_secs(300),
            left_for: Span::from_secs(300),
        }
    }
}
