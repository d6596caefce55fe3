//! Where one more instance goes: filter, score, pick.
//!
//! [`fit`] is the one feasibility function; scheduler, admission, `explain` and `plan` all ask it.
//! [`field::Field`] holds all nodes for one workload and gives the best again and again, each in
//! O(log nodes): after a placement only the touched node, and its spread group, are ranked anew.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

pub(crate) mod dimension;
pub(crate) mod field;
mod filter;
pub(crate) mod image;
pub(crate) mod score;

pub use filter::{Candidate, Request, Seat, fit, room};
pub(crate) use filter::{closed, doors, grant};

/// Why a node is ruled out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It is in another pool.
    Pool,
    /// It is not online.
    Liveness,
    /// It is cordoned, draining or in maintenance.
    Admin,
    /// The workload is pinned to another node.
    Pin,
    /// It lacks the driver.
    Driver,
    /// A `require` expression, or a hard affinity, does not hold.
    Require,
    /// It has as many instances as it may.
    MaxInstances,
    /// Too little cpu is free.
    Cpu,
    /// Too little memory is free.
    Memory,
    /// Too little disk is free.
    Disk,
    /// Too little network is free.
    Network,
    /// A static port is taken, or too few dynamic ones are free.
    Ports,
    /// Something there must not be near.
    AntiAffinity,
    /// As many are there as may be.
    MaxPer,
    /// It failed there lately.
    Failed,
    /// The executor declined it lately.
    Declined,
    /// No image or artifact for its architecture.
    Image,
}

impl Reason {
    /// All of them, in the order in which filters are asked.
    pub const ALL: [Self; 17] = [
        Self::Pool,
        Self::Liveness,
        Self::Admin,
        Self::Pin,
        Self::Driver,
        Self::Require,
        Self::MaxInstances,
        Self::Cpu,
        Self::Memory,
        Self::Disk,
        Self::Network,
        Self::Ports,
        Self::AntiAffinity,
        Self::MaxPer,
        Self::Failed,
        Self::Declined,
        Self::Image,
    ];

    /// The code that people and programs read.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pool => "pool",
            Self::Liveness => "liveness",
            Self::Admin => "admin",
            Self::Pin => "pin",
            Self::Driver => "driver",
            Self::Require => "require",
            Self::MaxInstances => "max_instances",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Network => "network",
            Self::Ports => "ports",
            Self::AntiAffinity => "anti_affinity",
            Self::MaxPer => "max_per",
            Self::Failed => "failed",
            Self::Declined => "declined",
            Self::Image => "image",
        }
    }
}

/// All reasons for which one node is ruled out; none means that it fits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Reasons(u32);

impl Reasons {
    /// No reason: it fits.
    pub const NONE: Self = Self(0);

    /// Adds one.
    pub fn add(&mut self, reason: Reason) {
        self.0 |= 1 << reason as u32;
    }

    /// Adds one if `wrong`.
    pub(crate) fn add_if(&mut self, reason: Reason, wrong: impl Fn() -> bool) {
        if wrong() {
            self.add(reason);
        }
    }

    /// These and those.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether this is one of them.
    #[must_use]
    pub const fn has(self, reason: Reason) -> bool {
        self.0 & (1 << reason as u32) != 0
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them, in the order in which filters are asked.
    pub fn iter(self) -> impl Iterator<Item = Reason> {
        Reason::ALL.into_iter().filter(move |reason| self.has(*reason))
    }

    /// Adds one to the count of each.
    pub(crate) fn tally(self, counts: &mut BTreeMap<Reason, u32>) {
        for reason in self.iter() {
            *counts.entry(reason).or_insert(0) += 1;
        }
    }
}

impl From<Reason> for Reasons {
    fn from(reason: Reason) -> Self {
        let mut reasons = Self::NONE;
        reasons.add(reason);
        reasons
    }
}

impl fmt::Display for Reasons {
    /// The codes, with spaces between.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, reason) in self.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { " " })?;
            f.write_str(reason.as_str())?;
        }
        Ok(())
    }
}
impl fmt::Debug for Reasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
