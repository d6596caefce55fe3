//! What a step did and what stands after it. The field names are a contract (`scheduling.md` § 7).

use std::collections::BTreeMap;

use serde::Serialize;

use crate::id::{InstanceId, NodeName, Slot, Version};
use crate::node::{Admin, Liveness};
use crate::placement::Reason;

/// One step: `placed`, `stopped` and `moved` are what it did, all else the state after it.
///
/// A move is a placement and later a stop: it is in `moved` when its replacement is placed, which
/// is in `placed`, and its original is in `stopped` when that is told to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepReport {
    /// The index of the step, from 0.
    pub step: usize,
    /// Simulated milliseconds since the scenario began.
    pub now_ms: u64,
    /// Slots that got a node, in the order decided.
    pub placed: Vec<PlaceReport>,
    /// Instances that were told to end, in the order decided.
    pub stopped: Vec<StopReport>,
    /// Replacements on another node.
    pub moved: Vec<MoveReport>,
    /// Why the step was refused and changed nothing: a quota does not allow it, there is nothing that
    /// could exit, no canary to promote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Slots without a place, by workload and slot.
    pub unplaced: Vec<UnplacedReport>,
    /// All instances, by workload and slot.
    pub instances: Vec<InstanceReport>,
    /// All nodes, by name.
    pub nodes: Vec<NodeReport>,
}

/// A slot got a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlaceReport {
    /// Which copy.
    pub id: InstanceId,
    /// Of which workload: its name, or `<namespace>/<name>` outside `default`.
    pub workload: String,
    /// Its index.
    pub slot: Slot,
    /// Which text.
    pub version: Version,
    /// Where.
    pub node: NodeName,
    /// 0 to 10,000.
    pub score: u32,
}

/// An instance was told to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StopReport {
    /// Which copy.
    pub id: InstanceId,
    /// Of which workload.
    pub workload: String,
    /// Its index.
    pub slot: Slot,
    /// Where.
    pub node: NodeName,
    /// Such as `scaled`.
    pub reason: &'static str,
}

/// A slot was given another node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MoveReport {
    /// Of which workload.
    pub workload: String,
    /// Its index.
    pub slot: Slot,
    /// From where.
    pub from: NodeName,
    /// To where.
    pub to: NodeName,
    /// Such as `drain`.
    pub reason: &'static str,
}

/// A slot has no place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnplacedReport {
    /// Of which workload.
    pub workload: String,
    /// Its index.
    pub slot: Slot,
    /// How many nodes were passed over for each reason.
    pub reasons: BTreeMap<Reason, u32>,
    /// The reasons node by node, for at most 100 nodes.
    pub nodes: BTreeMap<NodeName, Vec<Reason>>,
}

/// An instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InstanceReport {
    /// Which copy.
    pub id: InstanceId,
    /// Of which workload.
    pub workload: String,
    /// Its index.
    pub slot: Slot,
    /// Which text.
    pub version: Version,
    /// Where.
    pub node: NodeName,
    /// What is ordered.
    pub desired: &'static str,
    /// What was last seen; absent while nothing was.
    pub observed: Option<&'static str>,
    /// It may get traffic.
    pub ready: bool,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeReport {
    /// Its name.
    pub name: NodeName,
    /// What the operator wants of it.
    pub admin: Admin,
    /// What we believe of it.
    pub liveness: Liveness,
    /// How many instances occupy it.
    pub instances: u32,
    /// What of it no instance occupies.
    pub free: FreeReport,
}

/// Free resources, in plain numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FreeReport {
    /// Thousandths of a core.
    pub cpu: u64,
    /// Bytes.
    pub memory: u64,
    /// Bytes.
    pub disk: u64,
    /// Mbit/s.
    pub network: u64,
}
