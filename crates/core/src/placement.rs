//! Where one more instance goes: filter, score, pick.

use serde::{Deserialize, Serialize};

/// Why a node is ruled out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It is in another pool.
    Pool,
    /// It is not online.
    Liveness,
    /// It is cordoned, draining or in maintenance.
    Admin,
    /// The workload is pinned to another node.
    Pin,
    /// It lacks the driver.
    Driver,
    /// A `require` expression does not hold.
    Require,
    /// It has as many instances as it may.
    MaxInstances,
    /// Too little cpu is free.
    Cpu,
    /// Too little memory is free.
    Memory,
    /// Too little disk is free.
    Disk,
    /// Too little network is free.
    Network,
    /// A static port is taken, or too few dynamic ones are free.
    Ports,
    /// Something there must not be near.
    AntiAffinity,
    /// As many are there as may be.
    MaxPer,
    /// It failed there lately.
    Failed,
    /// The executor declined it lately.
    Declined,
    /// No image or artifact for its architecture.
    Image,
}
