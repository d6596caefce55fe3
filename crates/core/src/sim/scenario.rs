//! What a scenario file says. The key names and defaults are a contract (`scheduling.md` § 7).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::script::Behaviour;
use super::start::Standing;
use crate::id::{Epoch, Namespace, NodeName, PoolName, Slot, WorkloadKey};
use crate::node::{Admin, Facts, Kept, Liveness, Node, Use};
use crate::quota::Quota;
use crate::resources::{Bytes, Resources};
use crate::time::{Span, Timestamp};
use crate::workload::{OneOrMany, Workload};

/// A fleet and what happens to it; made by [`super::read`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    pub(super) seed: u32,
    pub(super) preemption: bool,
    pub(super) quotas: BTreeMap<Namespace, Quota>,
    pub(super) nodes: Vec<NodeSpec>,
    /// What is there before the first step, and where.
    pub(super) workloads: Vec<Workload>,
    pub(super) instances: Vec<Standing>,
    pub(super) steps: Vec<Step>,
}

impl Default for Scenario {
    fn default() -> Self {
        let quotas = BTreeMap::new();
        let (nodes, workloads, instances) = (Vec::new(), Vec::new(), Vec::new());
        let (seed, preemption, steps) = (1, false, Vec::new());
        Self { seed, preemption, quotas, nodes, workloads, instances, steps }
    }
}

/// One thing that happens.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Step {
    Apply(Box<Workload>),
    Scale(Scale),
    Remove(Named),
    Promote(Named),
    Join(OneOrMany<NodeSpec>),
    Node(NodeChange),
    Use(UseChange),
    Exit(Exits),
    Advance(Span),
    Rebalance(Rebalance),
    ExpectQuiet(Nothing),
    /// The leader dies and another one reads everything anew.
    Takeover(Nothing),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    pub workload: WorkloadKey,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scale {
    pub workload: WorkloadKey,
    pub count: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exits {
    pub workload: WorkloadKey,
    #[serde(default)]
    pub slot: Slot,
    #[serde(default = "one")]
    pub code: i32,
}

fn one() -> i32 {
    1
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rebalance {
    #[serde(default = "ten")]
    pub max_moves: u32,
}

fn ten() -> u32 {
    10
}

/// What changes on a node, or on all nodes of a range at once.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NodeChange {
    pub name: String,
    #[serde(default)]
    pub liveness: Option<Liveness>,
    #[serde(default)]
    pub admin: Option<Admin>,
    #[serde(default)]
    pub behaviour: Behaviour,
}

/// What something that is not ours uses of a node.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UseChange {
    pub name: String,
    #[serde(default)]
    pub cpu: u64,
    #[serde(default)]
    pub memory: Bytes,
    #[serde(default)]
    pub disk: Bytes,
    #[serde(default)]
    pub network: u64,
}

/// A node, or several that differ in their names only.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NodeSpec {
    pub name: String,
    #[serde(default)]
    pub zone: String,
    #[serde(default)]
    pub hardware: String,
    #[serde(default)]
    pub pool: PoolName,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default = "amd64")]
    pub arch: String,
    #[serde(default = "linux")]
    pub os: String,
    #[serde(default)]
    pub kernel: String,
    #[serde(default)]
    pub capacity: Capacity,
    #[serde(default)]
    pub reserved: Reserved,
    #[serde(default = "fifty")]
    pub max_instances: u32,
    #[serde(default = "sim_only")]
    pub drivers: BTreeMap<String, String>,
    #[serde(default = "hundred_ports")]
    pub ports: (u16, u16),
    #[serde(default)]
    pub behaviour: Behaviour,
    #[serde(default)]
    pub admin: Admin,
    #[serde(default = "online")]
    pub liveness: Liveness,
    /// What something that is not ours uses of it.
    #[serde(default, rename = "use")]
    pub used: Option<Amounts>,
}

fn online() -> Liveness {
    Liveness::Online
}

/// Live use.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Amounts {
    cpu: u64,
    memory: Bytes,
    disk: Bytes,
    network: u64,
}

impl From<Amounts> for Use {
    fn from(amounts: Amounts) -> Self {
        let Amounts { cpu, memory, disk, network } = amounts;
        Self { cpu, memory: memory.0, disk: disk.0, network }
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Capacity {
    cpu: u64,
    memory: Bytes,
    disk: Bytes,
    network: u64,
}

impl Default for Capacity {
    fn default() -> Self {
        let (memory, disk) = (Bytes::from_mib(8 << 10), Bytes::from_mib(100 << 10));
        Self { cpu: 4000, memory, disk, network: 1000 }
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Reserved {
    cpu: u64,
    memory: Bytes,
    disk: Bytes,
    network: u64,
}

impl Default for Reserved {
    fn default() -> Self {
        Self { cpu: 100, memory: Bytes(0), disk: Bytes(0), network: 0 }
    }
}

fn amd64() -> String {
    "amd64".to_owned()
}
fn linux() -> String {
    "linux".to_owned()
}
fn fifty() -> u32 {
    50
}
fn sim_only() -> BTreeMap<String, String> {
    [("sim".to_owned(), "1.0".to_owned())].into()
}
fn hundred_ports() -> (u16, u16) {
    (20_000, 20_100)
}

impl NodeSpec {
    /// The record of the node of this name, as the registry keeps it once it has joined.
    pub(super) fn node(&self, name: &NodeName, now: Timestamp) -> Node {
        let Capacity { cpu, memory, disk, network } = self.capacity;
        let capacity = Resources { cpu, memory, disk, network };
        let Reserved { cpu, memory, disk, network } = self.reserved;
        let reserved = Resources { cpu, memory, disk, network };
        let facts = Facts {
            arch: self.arch.clone(),
            os: self.os.clone(),
            kernel: self.kernel.clone(),
            boot_id: String::new(),
            hardware: self.hardware.clone(),
            zone: self.zone.clone(),
            capacity,
            reserved,
            max_instances: self.max_instances,
            drivers: self.drivers.clone(),
            labels: self.labels.clone(),
            addresses: Vec::new(),
            ports: self.ports,
            version: String::new(),
            battery: false,
        };
        Node {
            name: name.clone(),
            pool: self.pool.clone(),
            admin: self.admin,
            liveness: self.liveness,
            liveness_since: now,
            epoch: Epoch(1),
            facts,
            drain_deadline: None,
            key: String::new(),
            kept: Kept::default(),
            left_empty: false,
            op_id: String::new(),
        }
    }
}
