//! Instances: what is ordered of a node (manifest) and what it says happens there (report).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{
    Epoch, Generation, InstanceId, Namespace, PoolName, PortName, Revision, Slot, SpecHash, Term,
    Version, WorkloadKey, WorkloadName,
};
use crate::resources::{Bytes, Resources};
use crate::time::{Span, Timestamp};
use crate::workload::{
    Ask, Check, DriverKind, DriverSections, Kind, Logs, PortSpec, Recycle, Restart, Stop,
};

/// What an executor needs to run instances of one version; immutable, kept under its own hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Whose it is.
    pub namespace: Namespace,
    /// What it is called there.
    pub workload: WorkloadName,
    /// What kind of life its instances have.
    pub kind: Kind,
    /// How instances are run.
    pub driver: DriverKind,
    /// That driver's section.
    pub sections: DriverSections,
    /// Requests and limits as written.
    pub resources: Ask,
    /// The memory request, with the driver's default filled in.
    pub memory: Bytes,
    /// The ports each instance gets; their numbers are in the manifest.
    pub ports: Vec<PortSpec>,
    /// When an instance is ready.
    pub checks: Vec<Check>,
    /// What happens on the node when one ends.
    pub restart: Restart,
    /// How long an instance must be ready to be proven.
    pub min_ready: Span,
    /// How an instance is stopped.
    pub stop: Stop,
    /// What is run or called around the life of an instance.
    pub hooks: BTreeMap<String, serde_json::Value>,
    /// When an instance is renewed though it works.
    pub recycle: Recycle,
    /// How output is kept.
    pub logs: Logs,
    /// Whether at most one may be alive, whatever happens.
    pub fenced: bool,
}

/// What the scheduler orders of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Desired {
    /// Be there.
    Run,
    /// End.
    Stop,
    /// Go to sleep, off the node.
    Hibernate,
    /// Start nothing, stop nothing: its fate is being settled.
    Keep,
}

/// What the executor says of an instance; `Lost` is given by the scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Observed {
    /// The order was taken.
    Accepted,
    /// Refused, with a reason; nothing was started.
    Declined,
    /// Artifacts, directory and ports are made ready.
    Preparing,
    /// The driver starts it, or a restart is waited for.
    Starting,
    /// It is there.
    Running,
    /// It was told to end.
    Stopping,
    /// It ended because it was told to.
    Stopped,
    /// A job ended with 0.
    Completed,
    /// It ended by itself and will not be restarted here.
    Failed,
    /// It is going to sleep.
    Hibernating,
    /// It sleeps, off the node.
    Hibernated,
    /// Its node is gone.
    Lost,
}

impl Observed {
    /// Nothing of it is left on the node.
    #[must_use]
    pub const fn ended(self) -> bool {
        match self {
            Self::Declined
            | Self::Stopped
            | Self::Completed
            | Self::Failed
            | Self::Hibernated
            | Self::Lost => true,
            Self::Accepted
            | Self::Preparing
            | Self::Starting
            | Self::Running
            | Self::Stopping
            | Self::Hibernating => false,
        }
    }

    /// The word people read.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Declined => "declined",
            Self::Preparing => "preparing",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Hibernating => "hibernating",
            Self::Hibernated => "hibernated",
            Self::Lost => "lost",
        }
    }
}

impl Desired {
    /// The word people read.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Stop => "stop",
            Self::Hibernate => "hibernate",
            Self::Keep => "keep",
        }
    }
}

/// One port of a placement, or the first of its block.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortGrant {
    /// Its name in the workload.
    pub name: PortName,
    /// The number, or the first of the block.
    pub first: u16,
    /// How many.
    pub count: u16,
}

/// One version of one workload on one node, with its instances there. Entries of a manifest are
/// grouped so that what they share is said once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Which workload.
    pub key: WorkloadKey,
    /// Which text of it.
    pub version: Version,
    /// Where the executor finds what it needs to run it.
    pub spec: SpecHash,
    /// What each instance occupies.
    pub ask: Resources,
    /// Its priority, for admission and preemption.
    pub priority: u8,
    /// The instances, by id.
    pub entries: Vec<Entry>,
}

/// One instance in a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Which copy.
    pub id: InstanceId,
    /// Its index in the workload.
    pub slot: Slot,
    /// What is ordered.
    pub desired: Desired,
    /// A restart in place adds 1; the same id and generation is never started twice.
    pub generation: Generation,
    /// Which `restart` of the whole workload it satisfies.
    pub restarted: Generation,
    /// The ports it was given.
    pub ports: Vec<PortGrant>,
    /// The score it was placed with, 0 to 10,000, for `explain`.
    pub score: u32,
    /// Why `desired` is not `Run`; empty otherwise.
    pub reason: String,
}

/// Everything that a node should run. Executors take only what is greater by
/// (incarnation, term, revision).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest {
    /// Which life of the fleet; `restore` draws a new one.
    pub incarnation: u64,
    /// Whose reign.
    pub term: Term,
    /// The stream sequence it is committed at.
    pub revision: Revision,
    /// What should run, by workload and version.
    pub groups: Vec<Group>,
}

/// How an instance's process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// With this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// By the kernel, out of memory.
    OutOfMemory,
    /// It is gone and nobody can say how.
    Unknown,
}

/// What an instance uses, as last measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Thousandths of a core.
    pub cpu: u64,
    /// Bytes of memory.
    pub memory: u64,
}

/// What an executor says of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Which copy.
    pub id: InstanceId,
    /// Which generation of it is described.
    pub generation: Generation,
    /// What it is now.
    pub observed: Observed,
    /// Its checks pass: it may get traffic.
    pub ready: bool,
    /// It was ready for `min_ready`, or said so itself.
    pub proven: bool,
    /// Since when `observed` is what it is, by the node's clock.
    pub since: Timestamp,
    /// When it became ready, by the node's clock.
    pub ready_at: Option<Timestamp>,
    /// When it became proven, by the node's clock; `None` also from an executor that does not say.
    pub proven_at: Option<Timestamp>,
    /// How often it was restarted on this node.
    pub restarts: u32,
    /// How it last ended.
    pub exit: Option<Exit>,
    /// Why it was declined, failed, or is being waited for; empty otherwise.
    pub reason: String,
    /// Its main process, where there is one.
    pub pid: Option<u32>,
    /// The version whose specification is in force.
    pub version: Version,
    /// What it uses.
    pub usage: Usage,
}

/// The observed status of everything in a node's manifest, and of what has just ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Which life of the executor.
    pub epoch: Epoch,
    /// The fleet's life the applied manifest belongs to.
    pub incarnation: u64,
    /// The term of the manifest that was applied.
    pub term: Term,
    /// The revision of the manifest that was applied. "Not in the report" means ended only if this
    /// is at or past the revision that named the id.
    pub applied: Revision,
    /// The pool whose manifest that was; `None`: from an executor that does not say.
    pub pool: Option<PoolName>,
    /// Every id of that manifest, by id.
    pub statuses: Vec<Status>,
}
