//! `feasible_when`: what must hold of the whole fleet before a workload is begun.
//!
//! ```text
//! condition  any of  `a || b`, `a && b`, `!a`, `(a)`; && binds closer than ||
//!            count(nodes where <require>[, <require> …]) >= n
//!            nodes(online) >= n        nodes(asleep) >= n
//!            sum(free.cpu|free.memory|free.disk [where <require>[, …]]) >= x
//!            any(<require>)
//! ```
//! Nodes are those of the pool that are online and not being emptied (for `asleep`: those that we
//! put to sleep). A comma begins another `require` where `node.` follows it.

use std::fmt;
use std::str::FromStr;

use crate::constraint::Requirement;
use crate::node::Node;
use crate::resources::Resources;

mod parse;

pub use parse::{ConditionError, ConditionFault};

/// A condition on the fleet, read once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    text: String,
    root: Term,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Term {
    Any(Vec<Term>),
    All(Vec<Term>),
    Not(Box<Term>),
    /// At least so many nodes of which all of these hold.
    Count(Vec<Requirement>, u64),
    Online(u64),
    Asleep(u64),
    /// At least so much is free on nodes of which all of these hold.
    Free(Measure, Vec<Requirement>, u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measure {
    Cpu,
    Memory,
    Disk,
}

/// A node as a condition sees it.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// What is known of it.
    pub node: &'a Node,
    /// What it has free, with what the asking workload uses there counted as free.
    pub free: Resources,
}

/// The fleet as a condition sees it.
#[derive(Debug, Clone, Default)]
pub struct Muster<'a> {
    /// Nodes that are there and not being emptied.
    pub online: Vec<Standing<'a>>,
    /// How many we put to sleep.
    pub asleep: u64,
}

impl Condition {
    /// Whether it holds of this fleet.
    #[must_use]
    pub fn holds(&self, fleet: &Muster<'_>) -> bool {
        self.root.holds(fleet)
    }

    /// Whether it depends on what is free, which every placement changes.
    #[must_use]
    pub fn asks_for_room(&self) -> bool {
        self.root.asks_for_room()
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Term {
    fn holds(&self, fleet: &Muster<'_>) -> bool {
        let meant = |all: &[Requirement], one: &Standing<'_>| all.iter().all(|r| r.holds(one.node));
        match self {
            Self::Any(terms) => terms.iter().any(|term| term.holds(fleet)),
            Self::All(terms) => terms.iter().all(|term| term.holds(fleet)),
            Self::Not(term) => !term.holds(fleet),
            Self::Count(all, least) => {
                let count = fleet.online.iter().filter(|one| meant(all, one)).count();
                u64::try_from(count).unwrap_or(u64::MAX) >= *least
            }
            Self::Online(least) => u64::try_from(fleet.online.len()).unwrap_or(u64::MAX) >= *least,
            Self::Asleep(least) => fleet.asleep >= *least,
            Self::Free(measure, all, least) => {
                let nodes = fleet.online.iter().filter(|one| meant(all, one));
                let free = nodes.fold(0u64, |sum, one| sum.saturating_add(measure.of(&one.free)));
                free >= *least
            }
        }
    }

    fn asks_for_room(&self) -> bool {
        match self {
            Self::Any(terms) | Self::All(terms) => terms.iter().any(Self::asks_for_room),
            Self::Not(term) => term.asks_for_room(),
            Self::Count(..) | Self::Online(_) | Self::Asleep(_) => false,
            Self::Free(..) => true,
        }
    }
}

impl Measure {
    fn of(self, free: &Resources) -> u64 {
        match self {
            Self::Cpu => free.cpu,
            Self::Memory => free.memory.0,
            Self::Disk => free.disk.0,
        }
    }
}

impl FromStr for Condition {
    type Err = ConditionError;
    fn from_str(text: &str) -> Result<Self, ConditionError> {
        parse::condition(text)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
