//! What the engine shows of itself: workloads, instances and nodes as people ask for them.

use serde::Serialize;

use crate::id::{InstanceId, NodeName, Slot, Version, WorkloadKey};
use crate::instance::{Desired, Observed};
use crate::node::{Admin, Liveness};
use crate::resources::Resources;

/// How a workload stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct WorkloadStatus {
    /// How many instances there should be.
    pub wanted: u32,
    /// How many are ordered to run and do, in whatever version.
    pub running: u32,
    /// How many of those may get traffic.
    pub ready: u32,
    /// How many slots have no place.
    pub unplaced: u32,
    /// A new version is being rolled out.
    pub updating: bool,
    /// Why it is not as wanted; empty when it is.
    pub reason: String,
}

/// One instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstanceView<'a> {
    /// Which copy.
    pub id: InstanceId,
    /// Of which workload.
    pub key: &'a WorkloadKey,
    /// Its index.
    pub slot: Slot,
    /// Which text.
    pub version: Version,
    /// Where.
    pub node: &'a NodeName,
    /// What is ordered.
    pub desired: Desired,
    /// What its executor last said; `None` before its first report.
    pub observed: Option<Observed>,
    /// It may get traffic.
    pub ready: bool,
    /// 0 to 10,000, when it was placed.
    pub score: u32,
}

/// One node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeView<'a> {
    /// Its name.
    pub name: &'a NodeName,
    /// What the operator wants of it.
    pub admin: Admin,
    /// What we believe of it.
    pub liveness: Liveness,
    /// How many instances occupy it.
    pub instances: u32,
    /// Capacity, less what is reserved, less the requests of everything that occupies it.
    pub free: Resources,
}
