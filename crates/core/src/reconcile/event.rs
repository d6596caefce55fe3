//! What the engine is told.

use crate::command::{Command, Outcome};
use crate::head::Head;
use crate::id::{Epoch, NodeName, Revision, Term, WorkloadKey};
use crate::instance::{Manifest, Report};
use crate::node::{Bid, Heartbeat, Node};
use crate::time::Timestamp;
use crate::tuning::{Level, Tuning};

use super::Progress;

/// What the engine is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A workload was written.
    Workload(Box<Head>),
    /// A workload's head was purged: it had ended before.
    WorkloadGone(WorkloadKey),
    /// A node was written.
    Node(Box<Node>),
    /// A node was removed from the fleet.
    NodeGone(NodeName),
    /// A node beat.
    Heartbeat(Heartbeat),
    /// A node's standing bid came with a beat of which the rest is not worth telling.
    Bid(NodeName, Epoch, Bid),
    /// A node reported.
    Report(NodeName, Box<Report>),
    /// An order came.
    Command(Box<Command>),
    /// A manifest as it stands on the bus, at takeover.
    Manifest(NodeName, Box<Manifest>),
    /// The progress of a workload as it stands on the bus, at takeover.
    Progress(WorkloadKey, Box<Progress>),
    /// The outcomes as they stand on the bus, at takeover.
    Outcomes(Vec<Outcome>),
    /// Until when the leader before moved nothing because of a mass loss, as it stands on the bus, at
    /// takeover.
    Brake(Timestamp),
    /// What operators changed of the settings, at one level; all that is said there.
    Tuning(Level, Box<Tuning>),
    /// The lease under which a node runs fenced instances is gone: of those that were told to stop
    /// or to be kept before the look began, none is alive. See [`super::Engine::leases_to_look_for`].
    NodeLeaseGone {
        /// Whose lease.
        node: NodeName,
        /// Where its orders stood when the look began.
        since: (Term, Revision),
    },
}
