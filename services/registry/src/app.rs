//! What every handler has: the bus, the index, history, and whether this replica leads.

use std::sync::Arc;

use ostler_bus::{Bus, Caller};
use ostler_core::id::{PoolName, Revision};
use ostler_core::time::{Span, Timestamp};
use ostler_schemas::bucket::Bucket;
use ostler_schemas::pb;
use ostler_schemas::problem::{Code, Problem};

use crate::fill::Fill;
use crate::index::Index;
use crate::lead::Lead;
use crate::refusal::invalid;
use crate::store::Store;

/// What every handler has.
pub struct App {
    /// The bus.
    pub bus: Bus,
    /// The live index.
    pub index: Index,
    /// What happened, in SQL.
    pub history: Store,
    /// Whether this replica leads.
    pub lead: Lead,
    /// What tells it from other replicas.
    pub replica: String,
    /// How long specifications are kept that nothing names.
    pub specs_kept_for: Span,
    /// How long the markers of removed keys are kept.
    pub markers_kept_for: Span,
    /// Which streams are too full.
    pub fill: Fill,
}

/// Shared by all handlers.
pub type Shared = Arc<App>;

impl App {
    /// Pool time.
    pub fn now(&self) -> Timestamp {
        self.bus.pool_time()
    }

    /// Whether there is such a pool.
    pub fn check_pool(&self, pool: &PoolName) -> Result<(), Problem> {
        let pools = &self.bus.config().pools;
        if pools.contains(pool) {
            return Ok(());
        }
        let known: Vec<_> = pools.iter().map(PoolName::as_str).collect();
        Err(invalid("pool", format!("there is no pool `{pool}`, only {}", known.join(", "))))
    }

    /// Waits until the index has seen everything that the pool's scheduler has committed so far.
    pub async fn see_placements(&self, pool: &PoolName) -> Result<(), Problem> {
        let bucket = Bucket::Placements(pool.clone());
        let last = self.bus.last_revision(&bucket).await.map_err(crate::refusal::unread)?;
        self.index.wait_for(&bucket, last).await;
        Ok(())
    }

    /// Waits until lists show what was written.
    pub async fn see(&self, bucket: &Bucket, revision: Revision) {
        self.index.wait_for(bucket, revision).await;
    }

    /// Tells the world what happened, some time.
    pub fn tell(&self, caller: &Caller, event: pb::Event) {
        self.bus.emit(signed(caller, event));
    }

    /// Tells the world what the caller did, before the caller is answered: what was acknowledged is
    /// in history, though this replica may die at once. Whoever gets no answer asks again, and then
    /// it is told again, under the same id.
    pub async fn tell_durably(&self, caller: &Caller, event: pb::Event) -> Result<(), Problem> {
        let told = self.bus.emit_acked(signed(caller, event)).await;
        told.map_err(|untold| Problem::new(Code::Unavailable, untold.to_string()))
    }
}

fn signed(caller: &Caller, event: pb::Event) -> pb::Event {
    pb::Event {
        source: "registry".to_owned(),
        actor: caller.actor.clone(),
        trace_id: caller.trace_id.clone(),
        ..event
    }
}
