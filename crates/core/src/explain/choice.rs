//! The record of one decision: why this node, which came next, and what ruled the others out.
//!
//! It is taken from the field in the moment of the choice, so it says what was true then. Bounded:
//! a handful of terms, two runners-up, one count a reason.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::id::NodeName;
use crate::placement::Reason;
use crate::workload::Strategy;

/// Why a slot got its node, as it was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// How the node was chosen.
    pub strategy: Strategy,
    /// How far the spread asked for the node's value, in basis points; higher went first, and
    /// before the score. Absent without a spread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spread: Option<i64>,
    /// What the score was made of.
    pub terms: Vec<Term>,
    /// The next best nodes, best first; at most two.
    pub runners_up: Vec<RunnerUp>,
    /// What was found when the pass over the nodes began.
    #[serde(flatten, serialize_with = "shared")]
    pub census: Arc<Census>,
}

/// One term of a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Term {
    /// Such as `base` or `prefer`.
    pub name: &'static str,
    /// How much it counts: the score is the mean of the terms, weighted.
    pub weight: u64,
    /// 0 to 10,000.
    pub value: u32,
}

/// A node that came close.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunnerUp {
    /// Which.
    pub node: NodeName,
    /// Its rank by spread, where the workload has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spread: Option<i64>,
    /// 0 to 10,000.
    pub score: u32,
    /// How much less than the chosen one by score; negative where the spread decided against a
    /// better score.
    pub behind: i64,
}

/// How many nodes there were for a workload, and why not the others; one for all placements of a
/// pass.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Census {
    /// How many nodes were looked at.
    pub nodes: u32,
    /// How many could take one.
    pub fitting: u32,
    /// How many were passed over for each reason. All reasons of a node count.
    pub passed_over: BTreeMap<Reason, u32>,
}

fn shared<S: Serializer>(census: &Arc<Census>, serializer: S) -> Result<S::Ok, S::Error> {
    census.as_ref().serialize(serializer)
}
