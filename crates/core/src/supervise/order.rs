//! What is ordered of an instance, what it is told, and what it asks for.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::id::{Generation, InstanceId, Slot, SpecHash, Version, WorkloadKey};
use crate::instance::{Desired, Exit, Manifest, PortGrant, Spec};
use crate::resources::Resources;
use crate::workload::HookPoint;
use serde::{Deserialize, Serialize};

use super::Run;

/// What the manifest says of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Of which workload.
    pub key: WorkloadKey,
    /// Which text of it.
    pub version: Version,
    /// Where its specification is found.
    pub spec: SpecHash,
    /// Its index in the workload.
    pub slot: Slot,
    /// What is ordered.
    pub desired: Desired,
    /// A restart in place adds 1.
    pub generation: Generation,
    /// The ports it was given.
    pub ports: Vec<PortGrant>,
    /// What it occupies.
    pub ask: Resources,
}

/// What an instance is told. What carries a run speaks of that start of it and is passed over
/// when a later one has begun.
#[derive(Debug, Clone)]
pub enum Event {
    /// The manifest names it.
    Ordered(Order),
    /// The specification of this version is at hand.
    Spec(SpecHash, Version, Arc<Spec>),
    /// The node has no place for it; nothing was started.
    Refused(String),
    /// The leader's will of today is known, or nobody can be asked: what died while we were away
    /// may be started again.
    Settled,
    /// Nobody names it any more, and it does not run.
    Unnamed,
    /// The node's pledge does not stand yet: it is begun when it does.
    Unpledged,
    /// The node's pledge had lapsed since it was first started: it may run elsewhere.
    Lapsed,
    /// Nothing it was told helps: it cannot be killed.
    Stuck(u64, String),
    /// Directory and ports are ready.
    Prepared(u64),
    /// It runs; whether it is ready by that alone.
    Started(u64, Run, Readiness),
    /// It could not be started; nothing is left of the attempt.
    NotStarted(u64, String, Blame),
    /// Its checks pass.
    Passing(u64),
    /// Its checks fail.
    Failing(u64, String),
    /// It says itself that it is well and stays.
    Proven(u64),
    /// It was heard and is silent since: it hangs.
    Silent(u64, String),
    /// It uses so many bytes of memory.
    Uses(u64),
    /// What was to be done at a point of its life is done, or has failed in a way that counts.
    HookDone(u64, HookPoint, Result<(), String>),
    /// What was to be done was not, and that does not count.
    HookFailed(String),
    /// It calls for help, for this reason.
    Sos(String),
    /// It has something to tell to whoever listens.
    Scroll(String),
    /// It ended, and nothing of it runs.
    Exited(u64, Exit),
    /// Nothing of it is left.
    Removed,
    /// The executor stops and takes its instances along.
    Halt,
    /// Time has passed.
    Tick,
}

/// Whether an instance is ready by having started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// It has no checks.
    AtOnce,
    /// Its checks will say.
    ByChecks,
}

/// Whose fault a failed start is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The instance's; it may be tried again.
    Instance,
    /// The node cannot take it; another might.
    Node,
}

/// What is to be done for an instance, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Start it, once the journal says so.
    Launch,
    /// Ask it to end, by this signal.
    Signal(String),
    /// End everything of it by force.
    Kill,
    /// Begin its checks anew.
    Check,
    /// End its checks.
    Uncheck,
    /// Do what is to be done at a point of its life, and tell.
    Hook(HookPoint),
    /// Remove everything of it but its output.
    Remove,
    /// Tell the fleet.
    Tell(Told),
}

/// What the fleet is told, as `instance.<word>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It runs.
    Started,
    /// It may get traffic.
    Ready,
    /// It was ready for long enough.
    Proven,
    /// It ended by itself.
    Exited,
    /// It is started again.
    Restarted,
    /// It ended because it was told to.
    Stopped,
    /// A job ended with 0.
    Completed,
    /// It will not be restarted here.
    Failed,
    /// The node refused it.
    Declined,
    /// It calls for help, for this reason.
    Sos(String),
    /// It told something.
    Scroll(String),
    /// A hook failed.
    Hook(String),
}

impl Told {
    /// The kind of the event.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Started => "instance.started",
            Self::Ready => "instance.ready",
            Self::Proven => "instance.proven",
            Self::Exited => "instance.exited",
            Self::Restarted => "instance.restarted",
            Self::Stopped => "instance.stopped",
            Self::Completed => "instance.completed",
            Self::Failed => "instance.failed",
            Self::Declined => "instance.declined",
            Self::Sos(_) => "workload.sos",
            Self::Scroll(_) => "instance.scroll",
            Self::Hook(_) => "instance.hook",
        }
    }

    /// It went wrong, or somebody would ask why.
    #[must_use]
    pub const fn is_trouble(&self) -> bool {
        match self {
            Self::Exited
            | Self::Restarted
            | Self::Failed
            | Self::Declined
            | Self::Sos(_)
            | Self::Hook(_) => true,
            Self::Started
            | Self::Ready
            | Self::Proven
            | Self::Stopped
            | Self::Completed
            | Self::Scroll(_) => false,
        }
    }
}

/// The orders of a manifest, by instance.
pub(super) fn orders(manifest: Manifest) -> BTreeMap<InstanceId, Order> {
    let groups = manifest.groups.into_iter();
    let orders = groups.flat_map(|group| {
        let (key, version, spec, ask) = (group.key, group.version, group.spec, group.ask);
        group.entries.into_iter().map(move |entry| {
            let order = Order {
                key: key.clone(),
                version,
                spec,
                slot: entry.slot,
                desired: entry.desired,
                generation: entry.generation,
                ports: entry.ports,
                ask,
            };
            (entry.id, order)
        })
    });
    orders.collect()
}
