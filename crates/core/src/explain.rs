//! Why things are where they are, and what would happen: the same functions that decide, asked.
//!
//! Answers are bounded: of many nodes those are shown that matter most, the best that fit and the
//! nearest that do not, and the others are counted by their reasons.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{InstanceId, NodeName, Slot, Version, WorkloadKey};
use crate::node::{Admin, Bid, Liveness};
use crate::placement::Reason;
use crate::reconcile::Unplaced;
use crate::resources::Resources;
use crate::workload::Strategy;

mod choice;
mod obstacle;
mod what_if;

pub use choice::{Census, Choice, RunnerUp, Term};
pub use obstacle::{Obstacle, Quantity, Shortage, for_people};
pub use what_if::{
    Addition, Load, Selector, Supposition, WhatIf, WouldEvict, WouldMove, WouldPlace, WouldStop,
    WouldWait,
};

/// Where a workload's instances are and why, and what the nodes would say to one more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Which workload.
    pub workload: WorkloadKey,
    /// Its text in force.
    pub version: Version,
    /// How nodes are chosen.
    pub strategy: Strategy,
    /// What each term of the score weighs.
    pub weights: BTreeMap<&'static str, u64>,
    /// Why it is not as wanted, or is not acted on: a sentence each.
    pub notes: Vec<String>,
    /// Its instances by slot, the first thousand.
    pub instances: Vec<Placed>,
    /// How many more instances there are.
    pub instances_left_out: u32,
    /// Slots without a place, with all reasons.
    pub unplaced: Vec<Unplaced>,
    /// What the nodes say to one more.
    #[serde(flatten)]
    pub verdicts: Verdicts,
}

/// What the nodes say to one more instance of a workload.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Verdicts {
    /// How many nodes were asked.
    pub asked: u32,
    /// How many could take it.
    pub fitting: u32,
    /// The best of those that fit, best first.
    pub best: Vec<NodeName>,
    /// Those that do not fit, nearest first: the fewest and smallest obstacles.
    pub nearest: Vec<NodeName>,
    /// All that do not fit, counted by their reasons, nearest first.
    pub passed_over: Vec<PassedOver>,
    /// What would make room, the smallest change first; empty where a node fits.
    pub unblock: Vec<Way>,
    /// The verdicts of `best` and `nearest`, or of the node that was asked for.
    pub nodes: BTreeMap<NodeName, NodeVerdict>,
    /// How many more nodes there are.
    pub nodes_left_out: u32,
}

/// Nodes that are ruled out for the same reasons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PassedOver {
    /// All of the reasons.
    pub reasons: Vec<Reason>,
    /// How many nodes.
    pub count: u32,
    /// Some of them, nearest first.
    pub such_as: Vec<NodeName>,
}

/// A change after which at least one node would fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Way {
    /// All of these, and nothing else.
    pub changes: Vec<String>,
    /// How many nodes would fit then.
    pub nodes: u32,
    /// One of them.
    pub such_as: NodeName,
}

/// One instance and its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Placed {
    /// Which copy.
    pub id: InstanceId,
    /// Its index.
    pub slot: Slot,
    /// Which text.
    pub version: Version,
    /// Where.
    pub node: NodeName,
    /// What is ordered: `run`, `stop`, `keep` …
    pub desired: &'static str,
    /// Why it is not `run`; empty otherwise.
    pub reason: String,
    /// 0 to 10,000, when it was placed.
    pub score: u32,
    /// What the score of one more there is made of now; all terms 0 to 10,000. Empty where no more
    /// fits.
    pub terms: BTreeMap<&'static str, u32>,
}

/// Why one instance is where it is: as if it were placed again now, itself left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InstanceExplanation {
    /// Of which workload.
    pub workload: WorkloadKey,
    /// The workload's text in force.
    pub version: Version,
    /// How nodes are chosen.
    pub strategy: Strategy,
    /// What each term of the score weighs.
    pub weights: BTreeMap<&'static str, u64>,
    /// The instance; its terms are those of its own node without it.
    pub instance: Placed,
    /// Where it would go if it were placed again now; absent where nothing fits.
    pub would_go_to: Option<NodeName>,
    /// The other nodes that fit, best first, and how far behind its own node they are.
    pub runners_up: Vec<RunnerUp>,
    /// What the nodes say to it, itself left out.
    #[serde(flatten)]
    pub verdicts: Verdicts,
}

/// What a node says to one more instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum NodeVerdict {
    /// It could go there.
    Fits {
        /// How far the spread asks for this node's value, in basis points; higher goes first, and
        /// before the score. Absent without a spread.
        #[serde(skip_serializing_if = "Option::is_none")]
        spread: Option<i64>,
        /// 0 to 10,000.
        score: u32,
        /// What it is made of, each 0 to 10,000.
        terms: BTreeMap<&'static str, u32>,
        /// What would be available of each quantity after placing, 0 to 10,000 of what the node
        /// has: what the strategies look at.
        available: BTreeMap<&'static str, u32>,
    },
    /// It could not, for all of these reasons.
    Rejected {
        /// All, not only the first.
        reasons: Vec<Reason>,
        /// What the node itself says, if it refuses by its own policy.
        #[serde(skip_serializing_if = "Option::is_none")]
        said: Option<String>,
        /// The same with numbers, and what would take each away.
        obstacles: Vec<Told>,
    },
}

/// An obstacle for programs and for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    /// The filter.
    pub reason: Reason,
    /// A clause with the numbers in it.
    pub text: String,
    /// What takes it away on this node.
    pub fix: String,
    /// The numbers.
    #[serde(flatten)]
    pub obstacle: Obstacle,
}

impl Told {
    /// What is told of an obstacle on this node.
    #[must_use]
    pub fn on(node: &NodeName, obstacle: Obstacle) -> Self {
        let (text, fix) = (obstacle.to_string(), obstacle.remedy(node));
        Self { reason: obstacle.reason(), text, fix, obstacle }
    }
}

/// What a node has and carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeExplanation {
    /// Which node.
    pub node: NodeName,
    /// What the operator wants of it.
    pub admin: Admin,
    /// What we believe of it.
    pub liveness: Liveness,
    /// Capacity, less what is reserved.
    pub usable: Resources,
    /// What of that no instance occupies by request.
    pub free: Resources,
    /// What of the capacity the host itself leaves free, by live use.
    pub live_free: Resources,
    /// How many instances occupy it.
    pub count: u32,
    /// At most so many.
    pub max_instances: u32,
    /// What is there, by id; the first thousand.
    pub instances: Vec<Carried>,
    /// Why it gets no new work at all; empty when it does.
    pub closed: Vec<Reason>,
    /// Its last bid: its price, and what it refuses by its own policy, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bid: Option<Bid>,
    /// Workloads that have slots without a place, and why not here; empty: it would fit.
    pub unplaced: BTreeMap<WorkloadKey, Vec<Reason>>,
    /// The same with numbers, and what would take each away.
    pub obstacles: BTreeMap<WorkloadKey, Vec<Told>>,
    /// How many more workloads have slots without a place.
    pub unplaced_left_out: u32,
}

/// One instance that a node carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Carried {
    /// Which copy.
    pub id: InstanceId,
    /// Of which workload.
    pub workload: WorkloadKey,
    /// Its index.
    pub slot: Slot,
    /// What it occupies.
    pub ask: Resources,
    /// What is ordered: `run`, `stop`, `keep` …
    pub desired: &'static str,
    /// Why it is not `run`; empty otherwise.
    pub reason: String,
}

/// What a rebalance would do. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evening {
    /// The moves, in the order in which they even out most.
    pub moves: Vec<EveningMove>,
    /// How far the fullest node is above the mean now, in percent of itself, of the quantity of
    /// which that is most.
    pub before: u32,
    /// And after the moves.
    pub after: u32,
}

/// One move of a rebalance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EveningMove {
    /// Which copy.
    pub id: InstanceId,
    /// Of which workload.
    pub workload: WorkloadKey,
    /// Its index.
    pub slot: Slot,
    /// From where.
    pub from: NodeName,
    /// To where.
    pub to: NodeName,
}
