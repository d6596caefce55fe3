//! The head of a workload: what the registry keeps of it and the scheduler reads.

use serde::{Deserialize, Serialize};

use crate::id::{Generation, SpecHash, Version, WorkloadKey};
use crate::time::Timestamp;
use crate::workload::Workload;

/// The head of a workload in the bucket `workloads`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The text in force.
    pub spec: Workload,
    /// Which text of it, from 1.
    pub version: Version,
    /// The oldest version that differs from this one only in what needs no new instance:
    /// instances of this version or a later one are up to date.
    pub compatible_since: Version,
    /// The content address of [`Workload::spec`].
    pub spec_hash: SpecHash,
    /// Asked restarts of all its instances; each adds 1.
    pub restart_generation: Generation,
    /// Asked reloads; each adds 1.
    pub reload_generation: Generation,
    /// Stopped by a person: wanted, but with no instances.
    #[serde(default)]
    pub stopped: bool,
    /// It is to be ended and forgotten.
    #[serde(default)]
    pub deleted: bool,
    /// Data and snapshots go with it.
    #[serde(default)]
    pub purge: bool,
    /// When this was written, in pool time.
    pub updated_at: Timestamp,
    /// The id of the operation that wrote it.
    pub op_id: String,
    /// The operations that wrote it before that, the oldest first; the last few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<String>,
}

impl Head {
    /// Namespace and name.
    #[must_use]
    pub fn key(&self) -> WorkloadKey {
        self.spec.key()
    }

    /// How many instances are wanted; 0 when deleted or stopped. Of no meaning for `system`.
    #[must_use]
    pub fn wanted(&self) -> u32 {
        if self.deleted || self.stopped { 0 } else { self.spec.count }
    }
}
