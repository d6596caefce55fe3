//! What stands between an instance and a node: the reason with its numbers, and the least change
//! that takes just this away.
//!
//! [`Obstacle`] says no more than the feasibility function found: a node's obstacles have exactly
//! the reasons of its rejection, and once all of them are taken away the node fits.

use serde::{Serialize, Serializer};

use crate::id::{NodeName, PoolName, PortName, WorkloadName};
use crate::node::{Admin, Liveness};
use crate::placement::Reason;
use crate::resources::Bytes;
use crate::time::Span;
use crate::workload::Scope;

mod words;

/// One thing that rules a node out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum Obstacle {
    /// It is in another pool.
    Pool {
        /// The workload's pool.
        needs: PoolName,
        /// The node's.
        is: PoolName,
    },
    /// It is not online.
    Liveness {
        /// What it is instead.
        is: Liveness,
        /// For how long, in milliseconds.
        #[serde(rename = "for_ms", serialize_with = "millis")]
        since: Span,
    },
    /// Nothing is known of it but what it carries.
    Unknown,
    /// It was removed from the fleet.
    Removed,
    /// It is back from being lost, and what it kept is being settled.
    Settling {
        /// How many instances.
        kept: u32,
    },
    /// It is cordoned, draining or in maintenance.
    Admin {
        /// Which.
        is: Admin,
    },
    /// The workload is pinned to another node.
    Pin {
        /// To which.
        to: String,
    },
    /// It lacks the driver.
    Driver {
        /// Which.
        needs: String,
        /// What it has.
        has: Vec<String>,
    },
    /// A `require` expression does not hold.
    Require {
        /// As it was written.
        expression: String,
        /// What the node has for its attribute; absent where it has nothing.
        is: Option<String>,
        /// The attribute, if no node can have it.
        #[serde(skip_serializing_if = "Option::is_none")]
        unknown: Option<String>,
    },
    /// What the workload must be near is not near.
    Affinity {
        /// The workload to be near.
        workload: WorkloadName,
        /// What they must share.
        scope: Scope,
    },
    /// It has as many instances as it may.
    MaxInstances {
        /// How many it has.
        has: u32,
        /// At most so many.
        limit: u32,
    },
    /// Too little of something is free.
    Short(Shortage),
    /// A static port is taken.
    Port {
        /// What the workload calls it.
        name: PortName,
        /// The first of the ports it asks for.
        port: u16,
        /// Who has it, as `default/x/0`; absent where nobody of ours does.
        held_by: Option<String>,
    },
    /// Too few dynamic ports are free, or not side by side.
    Ports {
        /// How many are asked for in all.
        needs: u32,
        /// The node's first and last dynamic port.
        range: (u16, u16),
    },
    /// Something there must not be near.
    AntiAffinity {
        /// The group that stays apart.
        group: String,
        /// What its members do not share.
        scope: Scope,
        /// One member that is there, as `default/x/0`.
        with: Option<String>,
    },
    /// As many are there as may be.
    MaxPer {
        /// The attribute.
        attribute: String,
        /// What the node has for it.
        value: String,
        /// How many are there.
        has: u64,
        /// At most so many.
        limit: u32,
    },
    /// It failed there, or was declined, lately.
    Excluded {
        /// `failed` or `declined`.
        after: Reason,
        /// How often in a row.
        times: u32,
        /// For how long it is still passed over, in milliseconds.
        #[serde(rename = "for_ms", serialize_with = "millis")]
        left: Span,
    },
    /// It refuses such work by itself, as its owner wants, or says nothing in an auction.
    Refused {
        /// In its own words.
        why: String,
    },
    /// Ruled out by a filter that has no numbers.
    Other {
        /// Which.
        reason: Reason,
    },
}

/// Which quantity there is too little of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Millicores.
    Cpu,
    /// Bytes.
    Memory,
    /// Bytes.
    Disk,
    /// Mbit/s.
    Network,
}

/// Too little of one quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Shortage {
    /// Of what.
    pub of: Quantity,
    /// What one instance asks for.
    pub needs: u64,
    /// What is free: the lesser of by requests and by live use.
    pub free: u64,
    /// How much more the node must have, with what is over-committed there already.
    pub short: u64,
    /// The host itself has less free than its requests leave: others use it too.
    pub by_use: bool,
}

impl Quantity {
    const fn reason(self) -> Reason {
        match self {
            Self::Cpu => Reason::Cpu,
            Self::Memory => Reason::Memory,
            Self::Disk => Reason::Disk,
            Self::Network => Reason::Network,
        }
    }

    /// An amount as people write it, never more than it is.
    #[must_use]
    pub fn amount_within(self, number: u64) -> String {
        match self {
            Self::Memory => format!("{} of memory", rounded_down(number)),
            Self::Disk => format!("{} of disk", rounded_down(number)),
            Self::Cpu | Self::Network => self.amount(number),
        }
    }

    /// An amount as people write it, never less than it is.
    #[must_use]
    pub fn amount(self, number: u64) -> String {
        match self {
            Self::Cpu => format!("{number} millicores of cpu"),
            Self::Memory => format!("{} of memory", rounded(number)),
            Self::Disk => format!("{} of disk", rounded(number)),
            Self::Network => format!("{number} Mbit/s of network"),
        }
    }
}

/// Bytes as people read them: exact where a unit is, else in the largest unit of which there are
/// ten or more, rounded up.
fn rounded(bytes: u64) -> Bytes {
    const MIB: u64 = 1 << 20;
    let unit = if bytes >= 10 << 30 { 1 << 30 } else { MIB };
    let exact = bytes.is_multiple_of(MIB) || bytes < 10 * MIB;
    if exact { Bytes(bytes) } else { Bytes(bytes.div_ceil(unit).saturating_mul(unit)) }
}

fn millis<S: Serializer>(span: &Span, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(span.as_millis())
}

/// `4m12s`: the two largest units that matter.
#[must_use]
pub fn for_people(span: Span) -> String {
    let seconds = span.as_millis().div_ceil(1000);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

impl Obstacle {
    /// The filter that it is about.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Pool { .. } => Reason::Pool,
            Self::Liveness { .. } | Self::Unknown | Self::Removed | Self::Settling { .. } => {
                Reason::Liveness
            }
            Self::Admin { .. } => Reason::Admin,
            Self::Pin { .. } => Reason::Pin,
            Self::Driver { .. } => Reason::Driver,
            Self::Require { .. } | Self::Affinity { .. } => Reason::Require,
            Self::MaxInstances { .. } => Reason::MaxInstances,
            Self::Short(shortage) => shortage.of.reason(),
            Self::Port { .. } | Self::Ports { .. } => Reason::Ports,
            Self::AntiAffinity { .. } => Reason::AntiAffinity,
            Self::MaxPer { .. } => Reason::MaxPer,
            Self::Excluded { after, .. } => *after,
            Self::Refused { .. } => Reason::Declined,
            Self::Other { reason } => *reason,
        }
    }

    /// The change of the workload that takes it away on every node where it stands, if there is
    /// one: what can be dropped or asked for less.
    #[must_use]
    pub fn in_the_text(&self) -> Option<String> {
        match self {
            Self::Pin { to } => Some(format!("drop `placement.node = {to}`")),
            Self::Require { expression, .. } => Some(format!("drop `{expression}`")),
            Self::Affinity { workload, .. } => Some(format!("drop the affinity to `{workload}`")),
            Self::Port { name, port, .. } => {
                Some(format!("make port `{name}` dynamic instead of {port}"))
            }
            Self::AntiAffinity { group, .. } => Some(format!("leave the group `{group}`")),
            Self::MaxPer { attribute, limit, .. } => {
                Some(format!("raise `max_per` of `{attribute}` above {limit}"))
            }
            Self::Driver { needs, .. } => Some(format!("use another driver than `{needs}`")),
            Self::Short(_)
            | Self::Pool { .. }
            | Self::Liveness { .. }
            | Self::Unknown
            | Self::Removed
            | Self::Settling { .. }
            | Self::Admin { .. }
            | Self::MaxInstances { .. }
            | Self::Ports { .. }
            | Self::Excluded { .. }
            | Self::Refused { .. }
            | Self::Other { .. } => None,
        }
    }

    /// What takes it away on this node.
    #[must_use]
    pub fn remedy(&self, node: &NodeName) -> String {
        match self {
            Self::Pool { needs, .. } => format!("move {node} to pool `{needs}`"),
            Self::Liveness { is: Liveness::Asleep, .. } => format!("wake {node}"),
            Self::Liveness { .. } | Self::Unknown | Self::Removed => format!("bring {node} back"),
            Self::Settling { .. } => "wait until that is settled".to_owned(),
            Self::Admin { is: Admin::Maintenance } => format!("`ostler nodes activate {node}`"),
            Self::Admin { .. } => format!("`ostler nodes uncordon {node}`"),
            Self::Driver { needs, .. } => format!("driver `{needs}` on {node}"),
            Self::MaxInstances { limit, .. } => {
                format!("`max_instances` of {node} above {limit}")
            }
            Self::Short(Shortage { of, short, .. }) => {
                format!("{} more on {node}", of.amount(*short))
            }
            Self::Port { port, held_by: Some(who), .. } => {
                format!("{who} off {node}, which frees port {port}")
            }
            Self::Port { port, held_by: None, .. } => format!("port {port} free on {node}"),
            Self::Ports { needs: 1, .. } => format!("a free dynamic port on {node}"),
            Self::Ports { needs, .. } => format!("{needs} free dynamic ports on {node}"),
            Self::AntiAffinity { with: Some(who), scope, .. } => {
                format!("{who} elsewhere than {}", place_of(*scope, node))
            }
            Self::Excluded { left, .. } => format!("wait {}", for_people(*left)),
            Self::Pin { .. }
            | Self::Require { .. }
            | Self::Affinity { .. }
            | Self::AntiAffinity { with: None, .. }
            | Self::MaxPer { .. }
            | Self::Refused { .. }
            | Self::Other { .. } => {
                let text = self.in_the_text();
                text.unwrap_or_else(|| format!("another node than {node}"))
            }
        }
    }
}

/// As [`rounded`], but never more than there is.
fn rounded_down(bytes: u64) -> Bytes {
    const MIB: u64 = 1 << 20;
    let unit = if bytes >= 10 << 30 { 1 << 30 } else { MIB };
    let exact = bytes.is_multiple_of(MIB) || bytes < 10 * MIB;
    if exact { Bytes(bytes) } else { Bytes(bytes / unit * unit) }
}

/// Where something is, as said of a node.
const fn place_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Node => "there",
        Scope::Hardware => "on its machine",
        Scope::Zone => "in its zone",
    }
}

fn place_of(scope: Scope, node: &NodeName) -> String {
    match scope {
        Scope::Node => format!("on {node}"),
        Scope::Hardware => format!("on the machine of {node}"),
        Scope::Zone => format!("in the zone of {node}"),
    }
}
