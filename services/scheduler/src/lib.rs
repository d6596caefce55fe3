//! One leader a pool: watch → core → fenced batch.
//!
//! Every replica keeps the latest value of everything that a pool's leader needs, so that whoever
//! gets the lease catches up in moments, writes a new term, and only then plans. The lease is for
//! efficiency; the sequence that each batch names is for correctness: what a deposed leader still
//! sends is refused whole. What is deliberately absent: state of our own (what is not on the bus
//! does not exist), a second input beside desired state, and a message per instance.

mod asked;
mod beats;
pub mod config;
mod errand;
mod feed;
mod history;
mod leases;
mod metrics;
mod pool;
mod reader;
mod reign;
mod retell;
mod share;
mod standing;
mod takeover;
mod world;
mod writer;

use std::sync::Arc;

use futures::future::join_all;
use ostler_bus::Bus;
use ostler_bus::provision::ProvisionError;
use ostler_core::id::PoolName;
use ostler_service::Program;
use thiserror::Error;

pub use config::Config;
use metrics::Metrics;
use pool::Context;
use share::Share;
use standing::Standing;

/// Why a scheduler does not run.
#[derive(Debug, Error)]
pub enum RunError {
    /// Neither `[scheduler]` nor `[bus]` names a pool. Nothing was started.
    #[error("no pool to schedule for: name one in `[bus] pools`")]
    NoPools,
    /// The streams are not as the table says. Nothing was started.
    #[error("the bus is not as it should be; `ostler bus provision` makes what is missing")]
    Bus(#[source] ProvisionError),
}

/// Schedules until the program stops; its leases are given up then, so that another takes over at
/// once.
pub async fn run(config: Config, bus: Bus, program: Program) -> Result<(), RunError> {
    let named = if config.pools.is_empty() { &bus.config().pools } else { &config.pools };
    let pools: Vec<PoolName> = named.clone();
    if pools.is_empty() {
        return Err(RunError::NoPools);
    }
    if !bus.verified(&pools).await.map_err(RunError::Bus)? {
        return Ok(());
    }
    let context = Arc::new(Context {
        replica: config.replica(),
        metrics: Metrics::register(&program.metrics),
        standing: Standing::new(program.health.clone(), &pools),
        share: Share::default(),
        config,
        bus,
        program,
    });
    context.program.tasks.spawn_brief(share::even_out(Arc::clone(&context)));
    context.program.tasks.spawn_brief(announce_when_ready(Arc::clone(&context), pools.clone()));
    join_all(pools.into_iter().map(|pool| pool::run(Arc::clone(&context), pool))).await;
    Ok(())
}

/// Others give pools away only to who can lead them at once.
async fn announce_when_ready(context: Arc<Context>, pools: Vec<PoolName>) {
    tokio::select! {
        () = context.program.tasks.stopped() => {}
        () = context.standing.all_usable() => share::announce(&context, &pools).await,
    }
}
