//! Nodes: what they are, what the operator wants of them, and what we believe of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{Epoch, NodeName, PoolName, Revision};
use crate::resources::Resources;
use crate::time::Timestamp;
use crate::workload::DriverKind;

/// What the operator wants of a node. No heartbeat touches it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Admin {
    /// It takes work.
    #[default]
    Active,
    /// No new work.
    Cordoned,
    /// It is being emptied.
    Draining,
    /// It was emptied and is kept empty.
    Maintenance,
}

/// What we believe of a node.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Liveness {
    /// It beats.
    #[default]
    Online,
    /// Silent for longer than usual: gets no new instances, keeps the ones it has.
    Suspect,
    /// Silent for so long that its instances count as lost.
    Offline,
    /// It said goodbye.
    Left,
    /// Powered off by us; can be woken.
    Asleep,
}

impl Admin {
    /// The word people read.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Cordoned => "cordoned",
            Self::Draining => "draining",
            Self::Maintenance => "maintenance",
        }
    }
}

impl Liveness {
    /// The word people read.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Suspect => "suspect",
            Self::Offline => "offline",
            Self::Left => "left",
            Self::Asleep => "asleep",
        }
    }
}

/// What an executor says of its host when it joins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Such as `amd64`.
    pub arch: String,
    /// Such as `linux`.
    pub os: String,
    /// The kernel's version.
    pub kernel: String,
    /// Which boot of the host this is.
    pub boot_id: String,
    /// Which physical machine; two nodes may share one.
    pub hardware: String,
    /// The failure domain; `site/rack` is allowed.
    pub zone: String,
    /// All that it has.
    pub capacity: Resources,
    /// What is kept for the host itself.
    pub reserved: Resources,
    /// At most so many instances.
    pub max_instances: u32,
    /// Drivers that work here, with their versions.
    pub drivers: BTreeMap<String, String>,
    /// Key/values for people and selectors.
    pub labels: BTreeMap<String, String>,
    /// Where instances can be reached; the first is the main one.
    pub addresses: Vec<String>,
    /// The first and last dynamic port.
    pub ports: (u16, u16),
    /// The executor's version.
    pub version: String,
    /// It ran on battery when it joined; heartbeats say later.
    #[serde(default)]
    pub battery: bool,
}

/// A node as the registry keeps it in the bucket `nodes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its name, unique in the fleet.
    pub name: NodeName,
    /// Whose scheduler gives it work.
    pub pool: PoolName,
    /// What the operator wants of it.
    pub admin: Admin,
    /// What we believe of it.
    pub liveness: Liveness,
    /// Since when we believe it, in pool time.
    pub liveness_since: Timestamp,
    /// Which life of its executor.
    pub epoch: Epoch,
    /// What it said of itself.
    pub facts: Facts,
    /// Until when jobs may finish, while draining.
    pub drain_deadline: Option<Timestamp>,
    /// The public key (nkey) that a successor has to prove.
    pub key: String,
    /// For a node that left: whether it said that none of its instances run on.
    pub left_empty: bool,
    /// What operators set; outlives its executors.
    #[serde(default)]
    pub kept: Kept,
    /// The id of the operation that last wrote it.
    pub op_id: String,
}

/// What the registry keeps of a node whatever its executor says when it joins again. `facts` has
/// what operators set already in it; only the registry reads this.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// Labels that operators set; an empty value takes the label of that name away.
    pub labels: BTreeMap<String, String>,
    /// What operators reserved for the host.
    pub reserved: Option<Resources>,
    /// How many instances operators allow.
    pub max_instances: Option<u32>,
    /// To be removed from the fleet once nothing is left on it.
    pub removing: bool,
    /// The operations that wrote the node before the last one, the oldest first; the last few.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<String>,
}

/// The live use of a host, by everything on it, and what its executor has applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Use {
    /// Thousandths of a core in use.
    pub cpu: u64,
    /// Bytes of memory in use.
    pub memory: u64,
    /// Bytes of disk in use.
    pub disk: u64,
    /// Mbit/s of network in use.
    pub network: u64,
}

/// One beat of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// Whose.
    pub node: NodeName,
    /// Which life of the executor.
    pub epoch: Epoch,
    /// The manifest revision that is applied.
    pub applied: Revision,
    /// The live use of the host.
    pub used: Use,
    /// Load average over 1, 5 and 15 minutes, in hundredths.
    pub load: [u32; 3],
    /// How many instances it runs.
    pub instances: u32,
    /// Its own clock, to tell skew.
    pub clock: Timestamp,
    /// The NATS server it is connected to; empty where that is not known. At most 128 bytes.
    pub server: String,
    /// What it would take, and at what price; an executor that says nothing takes part in no
    /// auction.
    pub bid: Option<Bid>,
    /// It runs on battery.
    pub battery: bool,
}

/// A node's standing bid, which rides in its heartbeats.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bid {
    /// What it asks for one more instance, in whatever unit the operators agree on: the lowest wins.
    pub price: u32,
    /// What it refuses. Whatever strategy a workload has, it is not sent where it is refused.
    pub refusals: Vec<Refusal>,
}

/// What a node refuses by its own policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// Which kinds; none named: all.
    #[serde(default)]
    pub kinds: Vec<DriverKind>,
    /// Why, for people.
    pub why: String,
}

impl Bid {
    /// Why it refuses this kind; `None` if it does not.
    #[must_use]
    pub fn refusal(&self, kind: DriverKind) -> Option<&str> {
        let concerns = |one: &&Refusal| one.kinds.is_empty() || one.kinds.contains(&kind);
        self.refusals.iter().find(concerns).map(|one| one.why.as_str())
    }
}
