//! Every stream and bucket, declared once: storage, limits, writer and promise.

use ostler_core::id::PoolName;

/// Where a stream is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// On disk.
    File,
    /// In memory, on one server: rebuilt by what is sent anyway.
    Memory,
}

/// One JetStream stream, in terms of the fields of its configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// `KV_<bucket>`, `OBJ_<store>` or `EVENTS`.
    pub name: String,
    /// What it captures.
    pub subjects: Vec<String>,
    /// For the operator.
    pub description: &'static str,
    /// The one program that writes it.
    pub writer: &'static str,
    /// Where it is kept.
    pub storage: Storage,
    /// Always one replica, however many servers there are.
    pub single: bool,
    /// At most so many bytes.
    pub max_bytes: i64,
    /// Messages older than this are dropped, in seconds; 0: never.
    pub max_age_seconds: u64,
    /// The last message of each subject only.
    pub last_only: bool,
    /// Messages may carry a time to live.
    pub ttl: bool,
    /// Atomic batches are allowed.
    pub atomic: bool,
    /// Publishers get no ack.
    pub no_ack: bool,
    /// Republished headers-only: from, to.
    pub republish: Option<(String, String)>,
}

const GIB: i64 = 1 << 30;

impl Stream {
    fn bucket(name: &str, writer: &'static str, description: &'static str) -> Self {
        Self {
            name: format!("KV_{name}"),
            subjects: vec![format!("$KV.{name}.>")],
            description,
            writer,
            storage: Storage::File,
            single: false,
            max_bytes: GIB,
            max_age_seconds: 0,
            last_only: true,
            ttl: false,
            atomic: false,
            no_ack: false,
            republish: None,
        }
    }

    fn store(name: &str, description: &'static str) -> Self {
        Self {
            name: format!("OBJ_{name}"),
            subjects: vec![format!("$O.{name}.C.>"), format!("$O.{name}.M.>")],
            last_only: false,
            max_bytes: 4 * GIB,
            ..Self::bucket(name, "registry", description)
        }
    }
}

/// Everything but the pools' placements. A server refuses a stream whose limit would not fit beside
/// the others into three quarters of its free disk (10047) unless `max_file_store` says otherwise,
/// so the sum of all limits stays below 40 GiB.
#[must_use]
pub fn streams() -> Vec<Stream> {
    let bucket = Stream::bucket;
    vec![
        Stream { atomic: true, ..bucket("workloads", "registry", "heads of workloads") },
        bucket("versions", "registry", "every version of every workload"),
        bucket("specs", "registry", "what executors need to run a version, by content"),
        bucket("nodes", "registry", "nodes: facts, admin, liveness"),
        Stream {
            max_age_seconds: 24 * 3600,
            ttl: true,
            ..bucket("commands", "registry", "orders to the schedulers")
        },
        Stream {
            storage: Storage::Memory,
            single: true,
            max_age_seconds: 60,
            no_ack: true,
            max_bytes: 256 << 20,
            ..bucket("heartbeats", "executors", "the last beat of each node")
        },
        bucket("reports", "executors", "the last report of each node"),
        Stream {
            ttl: true,
            max_bytes: 64 << 20,
            ..bucket("leases", "candidates", "leases with a time to live")
        },
        bucket("accounts", "registry", "identities, hashes, policies, limits"),
        bucket("artifacts", "registry", "names and versions of artifacts"),
        Stream {
            max_bytes: 16 << 20,
            ..bucket("settings", "registry", "settings of the fleet and of its pools")
        },
        Stream {
            name: "EVENTS".to_owned(),
            subjects: vec!["ostler.v1.event.>".to_owned()],
            max_bytes: 20 * GIB,
            max_age_seconds: 30 * 86_400,
            last_only: false,
            ..bucket("events", "every source its own", "what happened")
        },
        Stream::store("artifacts", "packages, trees and images by content"),
        Stream::store("snapshots", "what is left of hibernated instances"),
    ]
}

/// The placements of one pool.
#[must_use]
pub fn placements(pool: &PoolName) -> Stream {
    let name = format!("placements-{pool}");
    Stream {
        atomic: true,
        max_bytes: 4 * GIB,
        republish: Some((
            format!("$KV.{name}.*"),
            format!("ostler.v1.hint.{pool}.{{{{wildcard(1)}}}}"),
        )),
        ..Stream::bucket(&name, "leader of the pool", "manifests and progress of a pool")
    }
}
