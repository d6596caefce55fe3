//! The buckets: which exist, what they hold, and a type for each kind of key.

use std::fmt;

use ostler_core::artifact::{Artifact, ArtifactName, Blob};
use ostler_core::command::{Command, Outcome};
use ostler_core::head::Head;
use ostler_core::id::{ContentHash, Namespace, NodeName, PoolName, SpecHash, Version, WorkloadKey};
use ostler_core::instance::{Manifest, Report, Spec};
use ostler_core::node::Node;
use ostler_core::quota::Quota;
use ostler_core::reconcile::Progress;
use ostler_core::tuning::Tuning;
use serde::{Deserialize, Serialize};

use crate::wire::{Wire, wire_json};

/// A bucket.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bucket {
    /// Heads of workloads.
    Workloads,
    /// Every version of every workload.
    Versions,
    /// What executors need, by content.
    Specs,
    /// Nodes.
    Nodes,
    /// Orders to the scheduler.
    Commands,
    /// The last beat of each node.
    Heartbeats,
    /// Manifests and progress of a pool.
    Placements(PoolName),
    /// The last report of each node.
    Reports,
    /// Leases.
    Leases,
    /// Identities and limits.
    Accounts,
    /// Names and versions of artifacts, and where their content is.
    Artifacts,
    /// Settings of the fleet and of its pools.
    Settings,
}

impl fmt::Display for Bucket {
    /// The bucket's name, such as `placements-default`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workloads => f.write_str("workloads"),
            Self::Versions => f.write_str("versions"),
            Self::Specs => f.write_str("specs"),
            Self::Nodes => f.write_str("nodes"),
            Self::Commands => f.write_str("commands"),
            Self::Heartbeats => f.write_str("heartbeats"),
            Self::Placements(pool) => write!(f, "placements-{pool}"),
            Self::Reports => f.write_str("reports"),
            Self::Leases => f.write_str("leases"),
            Self::Accounts => f.write_str("accounts"),
            Self::Artifacts => f.write_str("artifacts"),
            Self::Settings => f.write_str("settings"),
        }
    }
}

/// One key of a bucket; the type fixes the value.
pub trait Key: fmt::Display + Send + Sync {
    /// What is kept there.
    type Value: Wire + Send + Sync + 'static;
    /// In which bucket.
    fn bucket(&self) -> Bucket;
}

macro_rules! key {
    ($(#[$doc:meta])* $type:ident($inner:ty) => $value:ty, $bucket:ident, $show:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $type(pub $inner);
        impl Key for $type {
            type Value = $value;
            fn bucket(&self) -> Bucket {
                Bucket::$bucket
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let show: fn(&$inner) -> String = $show;
                f.write_str(&show(&self.0))
            }
        }
    };
}

key!(
    /// The head of a workload.
    HeadKey(WorkloadKey) => Head, Workloads, WorkloadKey::token
);
key!(
    /// One version of a workload.
    VersionKey((WorkloadKey, Version)) => VersionRecord, Versions,
    |(key, version)| format!("{}.{version}", key.token())
);
key!(
    /// What executors need to run a version.
    SpecKey(SpecHash) => Spec, Specs, ToString::to_string
);
key!(
    /// A node.
    NodeKey(NodeName) => Node, Nodes, ToString::to_string
);
key!(
    /// An order to a pool's scheduler, by pool and ULID.
    CommandKey((PoolName, String)) => Command, Commands, |(pool, id)| format!("{pool}.{id}")
);
key!(
    /// A node's report.
    ReportKey(NodeName) => Report, Reports, ToString::to_string
);
key!(
    /// A lease, by purpose (`scheduler-default`, `registry`) or `node.<node>`.
    LeaseKey(String) => LeaseRecord, Leases, String::clone
);

key!(
    /// An artifact with its versions, by name.
    ArtifactKey(ArtifactName) => Artifact, Artifacts, |name| format!("name.{name}")
);
key!(
    /// Where the chunks of some content are.
    BlobKey(ContentHash) => Blob, Artifacts, |hash| format!("blob.{hash}")
);

/// What a key of `artifacts` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArtifactsKey {
    /// An artifact.
    Artifact(ArtifactName),
    /// Content.
    Blob(ContentHash),
}

impl ArtifactsKey {
    /// Reads a key as it stands on the bus; `None` for what we never write.
    #[must_use]
    pub fn read(key: &str) -> Option<Self> {
        match key.split_once('.')? {
            ("name", name) => name.parse().ok().map(Self::Artifact),
            ("blob", hash) => hash.parse().ok().map(Self::Blob),
            _ => None,
        }
    }
}

key!(
    /// What a namespace may ask for in all.
    QuotaKey(Namespace) => QuotaRecord, Accounts, |namespace| format!("quota.{namespace}")
);
key!(
    /// What operators changed of the settings of a pool; of the fleet where none is named.
    SettingsKey(Option<PoolName>) => SettingsRecord, Settings, |pool| match pool {
        None => "fleet".to_owned(),
        Some(pool) => format!("pool.{pool}"),
    }
);

impl QuotaKey {
    /// Reads a key of `accounts` as it stands on the bus; `None` for what is no quota.
    #[must_use]
    pub fn read(key: &str) -> Option<Self> {
        key.strip_prefix("quota.")?.parse().ok().map(Self)
    }
}

impl SettingsKey {
    /// Reads a key as it stands on the bus; `None` for what we never write.
    #[must_use]
    pub fn read(key: &str) -> Option<Self> {
        match key.strip_prefix("pool.") {
            Some(pool) => pool.parse().ok().map(|pool| Self(Some(pool))),
            None => (key == "fleet").then_some(Self(None)),
        }
    }
}

/// A key of a pool's placements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestKey {
    /// Whose scheduler writes it.
    pub pool: PoolName,
    /// Whose manifest it is.
    pub node: NodeName,
}
impl Key for ManifestKey {
    type Value = Manifest;
    fn bucket(&self) -> Bucket {
        Bucket::Placements(self.pool.clone())
    }
}
impl fmt::Display for ManifestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.node, f)
    }
}

/// The reign in a pool's placements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TermKey(pub PoolName);
impl Key for TermKey {
    type Value = TermRecord;
    fn bucket(&self) -> Bucket {
        Bucket::Placements(self.0.clone())
    }
}
impl fmt::Display for TermKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("_term")
    }
}

/// The outcomes of commands in a pool's placements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutcomesKey(pub PoolName);
impl Key for OutcomesKey {
    type Value = Outcomes;
    fn bucket(&self) -> Bucket {
        Bucket::Placements(self.0.clone())
    }
}
impl fmt::Display for OutcomesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("_commands")
    }
}

/// The brake in a pool's placements, after a mass loss.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrakeKey(pub PoolName);
impl Key for BrakeKey {
    type Value = BrakeRecord;
    fn bucket(&self) -> Bucket {
        Bucket::Placements(self.0.clone())
    }
}
impl fmt::Display for BrakeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("_brake")
    }
}

/// The progress of a workload in a pool's placements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgressKey {
    /// Whose scheduler writes it.
    pub pool: PoolName,
    /// Of which workload.
    pub workload: WorkloadKey,
}
impl Key for ProgressKey {
    type Value = Progress;
    fn bucket(&self) -> Bucket {
        Bucket::Placements(self.pool.clone())
    }
}
impl fmt::Display for ProgressKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "_workload.{}", self.workload.token())
    }
}

/// What a key of `placements-<pool>` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlacementKey {
    /// A node's manifest.
    Manifest(NodeName),
    /// The reign.
    Term,
    /// The outcomes of commands.
    Outcomes,
    /// The brake after a mass loss.
    Brake,
    /// The progress of a workload.
    Progress(WorkloadKey),
}

impl PlacementKey {
    /// Reads a key as it stands on the bus; `None` for what we never write.
    #[must_use]
    pub fn read(key: &str) -> Option<Self> {
        match key {
            "_term" => Some(Self::Term),
            "_commands" => Some(Self::Outcomes),
            "_brake" => Some(Self::Brake),
            _ => match key.strip_prefix("_workload.") {
                Some(rest) => {
                    rest.contains('.').then(|| rest.parse().ok().map(Self::Progress)).flatten()
                }
                None => key.parse().ok().map(Self::Manifest),
            },
        }
    }
}

/// One text of a workload, kept for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRecord {
    /// Which.
    pub version: Version,
    /// Its text.
    pub spec: ostler_core::workload::Workload,
    /// When it was written, in pool time.
    pub created_at: ostler_core::time::Timestamp,
    /// Who wrote it.
    pub actor: String,
    /// The id of the operation that wrote it.
    pub op_id: String,
}

/// What a namespace may ask for in all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaRecord {
    /// The limits.
    pub limits: Quota,
    /// When it was written, in pool time.
    pub updated_at: ostler_core::time::Timestamp,
    /// The id of the operation that wrote it.
    pub op_id: String,
}

/// What operators changed of the settings at one level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsRecord {
    /// All that is said there.
    pub settings: Tuning,
    /// When it was written, in pool time.
    pub updated_at: ostler_core::time::Timestamp,
    /// The id of the operation that wrote it.
    pub op_id: String,
}

/// A pool's reign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TermRecord {
    /// Which life of the fleet.
    pub incarnation: u64,
    /// Which reign.
    pub term: ostler_core::id::Term,
    /// The replica that leads.
    pub holder: String,
    /// Since when, in pool time.
    pub since: ostler_core::time::Timestamp,
}

/// Until when a pool moves nothing because of loss.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrakeRecord {
    /// In pool time; what lies in the past brakes nothing.
    pub until: ostler_core::time::Timestamp,
}

/// Who holds a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRecord {
    /// The replica or node that holds it.
    pub holder: String,
    /// How often it was renewed.
    pub renewals: u64,
}

/// What became of the commands of the last 24 h.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Outcomes(pub Vec<Outcome>);

wire_json! {
    Head, VersionRecord, Spec, Node, Command, TermRecord, LeaseRecord, Artifact, Blob, QuotaRecord,
    SettingsRecord, BrakeRecord,
}
wire_json! { packed Outcomes, Progress }
