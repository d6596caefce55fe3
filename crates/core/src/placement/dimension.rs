//! Groups of nodes that rise or fall together: zones, racks, physical machines.
//!
//! A dimension sorts nodes by the value of one attribute and counts instances for each value. What
//! it says of a node depends on the value alone, so after a placement only nodes that share the
//! touched value are ranked anew.

use super::score::ONE;
use super::{Reason, Reasons};

/// The index of a value of an attribute; [`NO_VALUE`] where a node has none.
pub(crate) type Value = u32;
/// The node lacks the attribute.
pub(crate) const NO_VALUE: Value = u32::MAX;

const MILLION: u64 = 1_000_000;
/// Where nothing is wanted: behind all where something is.
const UNWANTED: i64 = -(1 << 40);
/// Where the attribute is missing: behind everything.
const MISSING: i64 = -(1 << 42);

/// What a dimension is for.
#[derive(Debug, Clone)]
pub(crate) enum Rule {
    /// Instances are spread over the values: `wanted` millionths of an instance for each.
    Spread { weight: i64, wanted: Vec<u64> },
    /// At most so many for each value.
    MaxPer(u64),
    /// None where another member is.
    Apart,
    /// Rather not where other members are.
    Aside,
    /// One in each value before a second in any.
    EveryValue,
}

/// Which of a workload's own instances a dimension counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    /// Those that are ordered to run.
    Running,
    /// Those that still occupy their node, too.
    Occupying,
}

impl Counted {
    /// That one of the two numbers.
    pub fn of(self, running: u32, occupying: u32) -> u32 {
        match self {
            Self::Running => running,
            Self::Occupying => occupying,
        }
    }
}

/// One attribute, its rule, and how many are counted for each value.
#[derive(Debug, Clone)]
pub(crate) struct Dimension {
    rule: Rule,
    have: Vec<u64>,
}

impl Dimension {
    /// With the counts by value before anything is placed.
    pub fn new(rule: Rule, have: Vec<u64>) -> Self {
        Self { rule, have }
    }

    /// Forgets what was counted, and says what is to be counted again; `None`, with all as it was,
    /// if other workloads count too.
    pub fn clear(&mut self) -> Option<Counted> {
        let counted = match &self.rule {
            Rule::Spread { .. } | Rule::EveryValue => Counted::Running,
            Rule::MaxPer(_) => Counted::Occupying,
            Rule::Apart | Rule::Aside => return None,
        };
        self.have.fill(0);
        Some(counted)
    }

    /// Counts so many more.
    pub fn add(&mut self, value: Value, more: u32) {
        let have = usize::try_from(value).ok().and_then(|v| self.have.get_mut(v));
        have.into_iter().for_each(|have| *have += u64::from(more));
    }

    fn have(&self, value: Value) -> u64 {
        usize::try_from(value).ok().and_then(|v| self.have.get(v)).copied().unwrap_or(0)
    }

    /// Counts one more. Says whether nodes with this value must be ranked anew.
    pub fn count(&mut self, value: Value) -> bool {
        let Some(have) = usize::try_from(value).ok().and_then(|v| self.have.get_mut(v)) else {
            return false;
        };
        *have += 1;
        match &self.rule {
            Rule::Spread { .. } | Rule::Aside => true,
            Rule::MaxPer(limit) => *have >= *limit,
            Rule::Apart | Rule::EveryValue => *have == 1,
        }
    }

    /// Why nodes with this value are ruled out.
    pub fn reasons(&self, value: Value) -> Reasons {
        let have = self.have(value);
        match &self.rule {
            Rule::MaxPer(limit) if have >= *limit => Reasons::from(Reason::MaxPer),
            Rule::Apart if have > 0 => Reasons::from(Reason::AntiAffinity),
            Rule::MaxPer(_)
            | Rule::Apart
            | Rule::Spread { .. }
            | Rule::Aside
            | Rule::EveryValue => Reasons::NONE,
        }
    }

    /// Whether this value has none yet though each should.
    pub fn bare(&self, value: Value) -> bool {
        matches!(self.rule, Rule::EveryValue) && self.have(value) == 0
    }

    /// How far the spread asks for this value: (wanted − have) / wanted, weighted.
    pub fn spread(&self, value: Value) -> Option<i64> {
        let Rule::Spread { weight, wanted } = &self.rule else { return None };
        let Some(wanted) = usize::try_from(value).ok().and_then(|v| wanted.get(v)) else {
            return Some(MISSING);
        };
        let have = self.have(value);
        if *wanted == 0 {
            let have = i64::try_from(have.min(1 << 32)).expect("small");
            return Some(UNWANTED - have);
        }
        let taken = u128::from(have) * u128::from(MILLION * ONE) / u128::from(*wanted);
        let taken = i64::try_from(taken.min(1 << 39)).expect("small");
        Some(weight * (i64::try_from(ONE).expect("small") - taken))
    }

    /// How good this value is where members should rather not meet: 0 to [`ONE`].
    pub fn aside(&self, value: Value) -> Option<u64> {
        matches!(self.rule, Rule::Aside).then(|| ONE / (1 + self.have(value)))
    }
}

/// What each value should have of `count` instances, in millionths: percent by name where targets
/// are given, the rest of all targets (of which some may name values that no node has), `named`
/// percent in all, evenly over the values that have none.
pub(crate) fn wanted(count: u32, targets: &[Option<u32>], named: u64) -> Vec<u64> {
    let unnamed = targets.iter().filter(|target| target.is_none()).count();
    let unnamed = u64::try_from(unnamed).expect("fewer than nodes").max(1);
    let rest = 100u64.saturating_sub(named) * (MILLION / 100);
    let count = u64::from(count);
    let each = |target: &Option<u32>| match target {
        Some(percent) => count * u64::from(*percent) * (MILLION / 100),
        None => count * rest / unnamed,
    };
    targets.iter().map(each).collect()
}
