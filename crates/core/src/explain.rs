//! Why things are where they are, and what would happen: the same functions that decide, asked.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::id::{InstanceId, NodeName, Slot, Version, WorkloadKey};
use crate::node::{Admin, Bid, Liveness};
use crate::placement::Reason;
use crate::reconcile::Unplaced;
use crate::resources::Resources;

/// Where a workload's instances are and why, and what each node would say to one more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Which workload.
    pub workload: WorkloadKey,
    /// Its text in force.
    pub version: Version,
    /// Each instance, by slot.
    pub instances: Vec<Placed>,
    /// Slots without a place, with all reasons.
    pub unplaced: Vec<Unplaced>,
    /// The verdict of each node of the pool on one more instance.
    pub nodes: BTreeMap<NodeName, NodeVerdict>,
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
    /// 0 to 10,000, when it was placed.
    pub score: u32,
    /// What the score of one more there is made of now; all terms 0 to 10,000.
    pub terms: BTreeMap<&'static str, u32>,
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
    },
    /// It could not, for all of these reasons.
    Rejected {
        /// All, not only the first.
        reasons: Vec<Reason>,
        /// What the node itself says, if it refuses by its own policy.
        #[serde(skip_serializing_if = "Option::is_none")]
        said: Option<String>,
    },
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
    /// What is there, by id.
    pub instances: Vec<Carried>,
    /// Why it gets no new work at all; empty when it does.
    pub closed: Vec<Reason>,
    /// Its last bid: its price, and what it refuses by its own policy, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bid: Option<Bid>,
    /// Workloads that have slots without a place, and why not here; empty: it would fit.
    pub unplaced: BTreeMap<WorkloadKey, Vec<Reason>>,
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
    /// What is ordered: `run`, `stop`, `keep` …
    pub desired: &'static str,
    /// Why it is not `run`; empty otherwise.
    pub reason: String,
}

/// What would happen if these workloads were put now. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct WhatIf {
    /// What would be placed.
    pub placements: Vec<WouldPlace>,
    /// What would be stopped.
    pub stops: Vec<WouldStop>,
    /// What would be moved.
    pub moves: Vec<WouldMove>,
    /// What would have no place, with all reasons.
    pub unplaced: BTreeMap<WorkloadKey, Vec<Unplaced>>,
}

/// A placement that would be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WouldPlace {
    /// Of which workload.
    pub workload: WorkloadKey,
    /// Its index.
    pub slot: Slot,
    /// Where.
    pub node: NodeName,
    /// 0 to 10,000.
    pub score: u32,
}

/// A stop that would be ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WouldStop {
    /// Which copy.
    pub id: InstanceId,
    /// Of which workload.
    pub workload: WorkloadKey,
    /// Its index.
    pub slot: Slot,
    /// Where.
    pub node: NodeName,
    /// Such as `scaled`.
    pub reason: &'static str,
}

/// A move that would be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WouldMove {
    /// Of which workload.
    pub workload: WorkloadKey,
    /// Its index.
    pub slot: Slot,
    /// From where.
    pub from: NodeName,
    /// To where.
    pub to: NodeName,
    /// Such as `drain`.
    pub reason: &'static str,
}
