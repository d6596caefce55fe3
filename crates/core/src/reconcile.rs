//! From what is wanted and what is seen to what is ordered: the engine of one pool.
//!
//! The engine is a picture of the pool. It is told events and asked for a plan; planning changes
//! the picture as if the plan were carried out, so that planning again gives nothing. The shell
//! commits the manifests and the progress that a plan touched; if it cannot, it throws the engine
//! away and reads everything anew. Placements, progress and outcomes that were read back from the
//! bus are told as events too.

use crate::command::Outcome;
use crate::id::{NodeName, PoolName, Revision, Term, WorkloadKey};
use crate::instance::Manifest;
use crate::time::Timestamp;

mod decision;
mod event;
mod progress;
mod settings;
mod view;

pub use decision::{Decision, Plan};
pub use event::Event;
pub use progress::{Exclusion, Progress, Unplaced};
pub use settings::Settings;
pub use view::{InstanceView, NodeView, WorkloadStatus};

/// The scheduler of one pool, as a value: no bus, no clock, no chance.
#[derive(Debug, Clone)]
pub struct Engine {}

#[expect(clippy::unimplemented, reason = "signatures first; bodies follow within the hour")]
impl Engine {
    /// An engine that knows nothing yet. `id_seed` tells the ids of two leaders apart.
    #[must_use]
    pub fn new(_pool: PoolName, _settings: Settings, _id_seed: u32) -> Self {
        unimplemented!()
    }

    /// Takes in one event; cheap, decides nothing.
    pub fn observe(&mut self, _event: Event, _now: Timestamp) {
        unimplemented!()
    }

    /// Decides what is to be done about all that changed. Planning again gives nothing.
    pub fn plan(&mut self, _now: Timestamp) -> Plan {
        unimplemented!()
    }

    /// The next moment at which [`Self::plan`] could do something by time alone.
    #[must_use]
    pub fn wake_at(&self) -> Option<Timestamp> {
        unimplemented!()
    }

    /// The node's manifest as it now stands here was committed at this term and revision.
    pub fn committed(&mut self, _node: &NodeName, _term: Term, _revision: Revision) {
        unimplemented!()
    }

    /// What the node should run, groups sorted; incarnation, term and revision are left 0 for the
    /// shell to fill. `None`: nothing, an empty manifest is to be written.
    #[must_use]
    pub fn manifest(&self, _node: &NodeName) -> Option<Manifest> {
        unimplemented!()
    }

    /// What is to be remembered of the workload; `None`: nothing, delete the record.
    #[must_use]
    pub fn progress(&self, _key: &WorkloadKey) -> Option<Progress> {
        unimplemented!()
    }

    /// What became of the commands of the last 24 hours, by id.
    #[must_use]
    pub fn outcomes(&self) -> Vec<Outcome> {
        unimplemented!()
    }

    /// How a workload stands.
    #[must_use]
    pub fn status(&self, _key: &WorkloadKey) -> Option<WorkloadStatus> {
        unimplemented!()
    }

    /// Every instance, by id.
    pub fn instances(&self) -> impl Iterator<Item = InstanceView<'_>> {
        std::iter::empty()
    }

    /// Every node of the pool, by name.
    pub fn nodes(&self) -> impl Iterator<Item = NodeView<'_>> {
        std::iter::empty()
    }
}
