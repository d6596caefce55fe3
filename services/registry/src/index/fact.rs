//! What the buckets say, read into types before anything is locked.

use ostler_core::artifact::{Artifact, ArtifactName, Blob};
use ostler_core::command::{Command, Outcome};
use ostler_core::head::Head;
use ostler_core::id::{ContentHash, Namespace, NodeName, PoolName, Revision, WorkloadKey};
use ostler_core::instance::{Manifest, Report};
use ostler_core::node::{Heartbeat, Node};
use ostler_core::reconcile::Progress;
use ostler_core::time::Timestamp;
use ostler_schemas::bucket::{
    ArtifactsKey, Bucket, Outcomes, PlacementKey, QuotaKey, QuotaRecord, TermRecord,
};
use ostler_schemas::wire::{Wire, WireError};

/// Something that the index learns. `None`: it is gone.
#[derive(Debug, Clone)]
pub enum Fact {
    /// A workload's head.
    Head(WorkloadKey, Option<Box<Head>>),
    /// A node's record.
    Node(NodeName, Option<Box<Node>>),
    /// What a pool's leader wants a node to run.
    Manifest(PoolName, NodeName, Manifest),
    /// What a pool's leader remembers of a workload.
    Progress(PoolName, WorkloadKey, Option<Box<Progress>>),
    /// What became of a pool's commands.
    Outcomes(PoolName, Vec<Outcome>),
    /// A pool's reign.
    Term(PoolName, Option<TermRecord>),
    /// What a node says of its instances.
    Report(NodeName, Option<Report>),
    /// An order.
    Command(String, Option<Box<Command>>),
    /// An artifact with its versions.
    Artifact(ArtifactName, Option<Box<Artifact>>),
    /// Where content is.
    Blob(ContentHash, Option<Box<Blob>>),
    /// What a namespace may ask for in all.
    Quota(Namespace, Option<Box<QuotaRecord>>),
    /// A node beat, at this pool time.
    Beat(Heartbeat, Timestamp),
}

fn value<V: Wire>(bytes: Option<&[u8]>) -> Result<Option<Box<V>>, WireError> {
    bytes.map(|bytes| V::decode(bytes, V::FORMAT).map(Box::new)).transpose()
}

/// Reads one key and its value (`None`: gone) of a bucket. `Ok(None)`: a key that nobody of ours
/// writes, or a bucket that the index does not keep.
pub(super) fn read(
    bucket: &Bucket,
    key: &str,
    bytes: Option<&[u8]>,
) -> Result<Option<Fact>, WireError> {
    let bad = |error: ostler_core::id::IdError| WireError::field("key", error);
    Ok(match bucket {
        Bucket::Workloads => Some(Fact::Head(key.parse().map_err(bad)?, value(bytes)?)),
        Bucket::Nodes => Some(Fact::Node(key.parse().map_err(bad)?, value(bytes)?)),
        Bucket::Reports => {
            let report = value(bytes)?.map(|report: Box<Report>| *report);
            Some(Fact::Report(key.parse().map_err(bad)?, report))
        }
        Bucket::Commands => {
            let id = key.rsplit('.').next().unwrap_or(key);
            Some(Fact::Command(id.to_owned(), value(bytes)?))
        }
        Bucket::Placements(pool) => placement(pool, key, bytes)?,
        Bucket::Artifacts => match ArtifactsKey::read(key) {
            None => None,
            Some(ArtifactsKey::Artifact(name)) => Some(Fact::Artifact(name, value(bytes)?)),
            Some(ArtifactsKey::Blob(hash)) => Some(Fact::Blob(hash, value(bytes)?)),
        },
        Bucket::Versions
        | Bucket::Specs
        | Bucket::Heartbeats
        | Bucket::Leases
        | Bucket::Settings => None,
        Bucket::Accounts => match QuotaKey::read(key) {
            Some(QuotaKey(namespace)) => Some(Fact::Quota(namespace, value(bytes)?)),
            None => None,
        },
    })
}

fn placement(pool: &PoolName, key: &str, bytes: Option<&[u8]>) -> Result<Option<Fact>, WireError> {
    Ok(match PlacementKey::read(key) {
        // Between one leader of the pool and the next.
        None | Some(PlacementKey::Brake) => None,
        Some(PlacementKey::Manifest(node)) => {
            let manifest = value(bytes)?.map_or_else(Manifest::default, |manifest| *manifest);
            Some(Fact::Manifest(pool.clone(), node, manifest))
        }
        Some(PlacementKey::Term) => Some(Fact::Term(pool.clone(), value(bytes)?.map(|term| *term))),
        Some(PlacementKey::Outcomes) => {
            let Outcomes(outcomes) = value(bytes)?.map_or_else(Outcomes::default, |all| *all);
            Some(Fact::Outcomes(pool.clone(), outcomes))
        }
        Some(PlacementKey::Progress(workload)) => {
            Some(Fact::Progress(pool.clone(), workload, value(bytes)?))
        }
    })
}

/// A fact with its place in its bucket.
#[derive(Debug, Clone)]
pub struct Learned {
    /// What is so.
    pub fact: Fact,
    /// Since which revision.
    pub revision: Revision,
}
