//! Orders to the scheduler that are not a specification.

use serde::{Deserialize, Serialize};

use crate::id::{Generation, InstanceId, NodeName, PoolName};
use crate::time::Timestamp;

/// What is ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum Order {
    /// End this instance; the workload's count still holds, so its slot is filled again.
    StopInstance {
        /// Which.
        instance: InstanceId,
    },
    /// Restart it in place, without waiting for any backoff.
    RestartInstance {
        /// Which.
        instance: InstanceId,
    },
    /// Start its replacement elsewhere, then end it.
    MoveInstance {
        /// Which.
        instance: InstanceId,
        /// To which node; anywhere else if absent.
        node: Option<NodeName>,
    },
    /// Empty this node; obeyed when nothing of ours is left there.
    Drain {
        /// Which.
        node: NodeName,
        /// Do not wait for replacements, nor for jobs.
        force: bool,
    },
    /// Replace everything on this node as if it were lost; then it may be removed.
    Evacuate {
        /// Which.
        node: NodeName,
    },
    /// Take the canaries' version for all.
    Promote {
        /// Of which workload, `<namespace>/<name>`.
        workload: String,
    },
    /// Even out the nodes' use.
    Rebalance {
        /// At most so many moves.
        max_moves: u32,
    },
}

/// An order with its sender, in the bucket `commands`, kept for 24 h.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// A ULID; also the last token of its key.
    pub id: String,
    /// Whose scheduler obeys.
    pub pool: PoolName,
    /// What is ordered.
    #[serde(flatten)]
    pub order: Order,
    /// Who sent it.
    pub actor: String,
    /// When, in pool time.
    pub at: Timestamp,
}

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Taken up, not finished.
    Running,
    /// Finished.
    Done,
    /// Cannot be done; see the reason.
    Refused,
}

/// What the leader says of a command, kept in `_commands`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The command's id.
    pub id: String,
    /// What became of it.
    pub verdict: Verdict,
    /// Why it was refused, or what still blocks it.
    pub reason: String,
    /// When, in pool time.
    pub at: Timestamp,
    /// The generation that a restart leads to: a leader that finds an older one in the manifest
    /// finishes what the one before it could not write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<Generation>,
}
