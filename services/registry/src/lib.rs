//! The registry: what is wanted of the fleet, who belongs to it, who is alive, and what happened.
//!
//! Every replica answers; the one that holds the lease `registry` also records liveness, forgets
//! what has ended and fills a shared history. It writes `workloads`, `versions`, `specs`, `nodes`
//! and `commands`, by compare-and-set, and nothing else. With no registry left, running work is
//! untouched.

use std::future::Future;
use std::sync::Arc;

use ostler_bus::provision::ProvisionError;
use ostler_bus::pubsub::SendError;
use ostler_bus::{Bus, Caller, ReadError};
use ostler_schemas::problem::Problem;
use ostler_service::Program;
use thiserror::Error;
use tokio::sync::mpsc;
use tracing::info;

mod app;
mod artifact;
mod command;
mod config;
mod duties;
mod endpoint;
mod fill;
mod history;
mod index;
mod lead;
mod node;
mod order;
mod quota;
mod refusal;
mod settings;
mod specs;
mod status;
pub mod store;
mod sweep;
mod workload;
mod write;

pub use config::Config;

use app::{App, Shared};
use fill::Fill;
use index::Index;
use lead::Lead;

/// Why the registry does not run.
#[derive(Debug, Error)]
pub enum RunError {
    /// History cannot be opened.
    #[error("cannot open history")]
    Store(#[from] store::OpenError),
    /// The streams are not as the table says. Nothing was started.
    #[error("the bus is not as it should be; `ostler bus provision` makes what is missing")]
    Bus(#[from] ProvisionError),
    /// A bucket cannot be watched.
    #[error("cannot follow the buckets")]
    Follow(#[from] ReadError),
    /// Requests cannot be answered.
    #[error("cannot answer requests")]
    Serve(#[from] SendError),
}

/// The part of the program's health.
const PART: &str = "registry";
/// Records of nodes that wait for the detector.
const NODES: usize = 4_096;

/// Runs the registry until the program stops. Started up when the health part `registry` is `Ok`;
/// from the call on, before the first poll, it says that it is not.
pub fn run(
    config: Config,
    bus: Bus,
    program: Program,
) -> impl Future<Output = Result<(), RunError>> + Send {
    program.health.set(PART, Err("starting".to_owned()));
    answer(config, bus, program)
}

async fn answer(config: Config, bus: Bus, program: Program) -> Result<(), RunError> {
    if !bus.verified(&bus.config().pools).await? {
        return Ok(());
    }
    let op_id = ostler_bus::op_id();
    let replica = if config.replica.is_empty() { op_id.clone() } else { config.replica.clone() };
    let (specs_kept_for, markers_kept_for) = (config.specs_kept_for, config.markers_kept_for);
    let history = history::open(&config.database, &bus).await?;
    let (nodes, records) = mpsc::channel(NODES);
    let index = Index::follow(&bus, nodes).await?;
    let lead = Lead::stand(&bus, &format!("{replica}/{op_id}"));
    let fill = Fill::new(&bus);
    let app = App { bus, index, history, lead, replica, specs_kept_for, markers_kept_for, fill };
    let app: Shared = Arc::new(app);
    node::sense(&app, config.silences(), records).await?;
    let stop = program.tasks.stop_token();
    tokio::select! {
        () = stop.cancelled() => return Ok(()),
        () = app.index.caught_up() => {}
    }
    serve(&app).await?;
    history::begin(&app);
    duties::begin(&app);
    node::begin_retelling(&app);
    artifact::begin_collection(&app, config.artifact_keep);
    specs::begin(&app);
    sweep::begin(&app);
    fill::begin(&app);
    program.health.set(PART, Ok(()));
    info!(replica = app.replica, "the registry answers");
    stop.cancelled().await;
    Ok(())
}

/// A handler with what every handler has.
fn with<R, F, Fut, T>(app: &Shared, handler: F) -> impl Fn(Caller, R) -> Fut + Send + Sync + 'static
where
    F: Fn(Shared, Caller, R) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<T, Problem>> + Send + 'static,
{
    let app = app.clone();
    move |caller, request| handler(app.clone(), caller, request)
}

async fn serve(app: &Shared) -> Result<(), SendError> {
    app.bus
        .serve("registry", &app.replica)
        .from_picture(Arc::new(app.index.clone()))
        .on(with(app, workload::put))
        .on(with(app, workload::get))
        .on(with(app, workload::list))
        .on(with(app, workload::delete))
        .on(with(app, workload::scale))
        .on(with(app, workload::restart))
        .on(with(app, workload::reload))
        .on(with(app, workload::stop))
        .on(with(app, workload::start))
        .on(with(app, workload::rollback))
        .on(with(app, workload::versions))
        .on(with(app, workload::version))
        .on(with(app, command::promote))
        .on(with(app, command::instance))
        .on(with(app, command::instances))
        .on(with(app, command::stop))
        .on(with(app, command::restart))
        .on(with(app, command::relocate))
        .on(with(app, command::rebalance))
        .on(with(app, quota::get))
        .on(with(app, quota::list))
        .on(with(app, quota::put))
        .on(with(app, quota::delete))
        .on(with(app, settings::get))
        .on(with(app, settings::put))
        .on(with(app, command::get))
        .on(with(app, command::list))
        .on(with(app, node::get))
        .on(with(app, node::list))
        .on(with(app, node::cordon))
        .on(with(app, node::uncordon))
        .on(with(app, node::drain))
        .on(with(app, node::maintenance))
        .on(with(app, node::activate))
        .on(with(app, node::remove))
        .on(with(app, node::patch))
        .on(with(app, artifact::put))
        .on(with(app, artifact::get))
        .on(with(app, artifact::list))
        .on(with(app, artifact::remove))
        .on(with(app, artifact::put_blob))
        .on(with(app, artifact::get_blob))
        .on(with(app, artifact::stat_blob))
        .on(with(app, endpoint::list))
        .on(with(app, node::challenge))
        .on(with(app, node::hello))
        .on(with(app, node::leave))
        .on(with(app, history::events))
        .on(with(app, status::get))
        .start()
        .await
}
