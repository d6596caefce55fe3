//! How many instances of each version of a workload are how far, kept while rows change.

use std::collections::BTreeMap;

use ostler_core::instance::{Desired, Observed};

use super::row::Row;

/// Counts of one version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Ordered to run.
    pub(super) ordered: u32,
    /// Ordered to run and there.
    pub(super) running: u32,
    /// Those that may get traffic.
    pub(super) ready: u32,
    /// Ended by themselves, and not yet replaced.
    pub(super) failed: u32,
    rows: u32,
}

/// Counts by version.
#[derive(Debug, Default)]
pub(super) struct Tallies(BTreeMap<u32, Tally>);

fn counts(row: &Row) -> Tally {
    let ordered = row.desired == Desired::Run;
    let running = ordered && row.observed == Some(Observed::Running);
    Tally {
        ordered: ordered.into(),
        running: running.into(),
        ready: (running && row.ready).into(),
        failed: (row.observed == Some(Observed::Failed)).into(),
        rows: 1,
    }
}

impl Tallies {
    pub(super) fn add(&mut self, row: &Row) {
        let (tally, more) = (self.0.entry(row.version).or_default(), counts(row));
        tally.ordered += more.ordered;
        tally.running += more.running;
        tally.ready += more.ready;
        tally.failed += more.failed;
        tally.rows += more.rows;
    }

    /// Takes out what [`Self::add`] put in for the same row.
    pub(super) fn take(&mut self, row: &Row) {
        let (tally, less) = (self.0.entry(row.version).or_default(), counts(row));
        tally.ordered -= less.ordered;
        tally.running -= less.running;
        tally.ready -= less.ready;
        tally.failed -= less.failed;
        tally.rows -= less.rows;
        if tally.rows == 0 {
            self.0.remove(&row.version);
        }
    }

    /// Of all versions.
    pub(super) fn total(&self) -> Tally {
        self.0.values().fold(Tally::default(), |sum, tally| Tally {
            ordered: sum.ordered + tally.ordered,
            running: sum.running + tally.running,
            ready: sum.ready + tally.ready,
            failed: sum.failed + tally.failed,
            rows: sum.rows + tally.rows,
        })
    }

    /// How many of versions older than this one are ordered to run.
    pub(super) fn ordered_before(&self, version: u32) -> u32 {
        self.0.range(..version).map(|(_, tally)| tally.ordered).sum()
    }
}
