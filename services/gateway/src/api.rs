//! Every path of the REST API, with its documentation beside it.

use axum::Router;
use axum::extract::OriginalUri;
use axum::middleware::{from_fn, from_fn_with_state};
use ostler_service::health;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::answer::Refusal;
use crate::app::App;
use crate::{docs, guard};

pub mod artifacts;
pub mod commands;
pub mod create;
pub mod endpoints;
pub mod events;
pub mod exec;
pub mod instances;
pub mod logs;
pub mod metrics;
pub mod nodes;
pub mod parameters;
pub mod plan;
pub mod quotas;
pub mod read_spec;
pub mod rebalance;
pub mod settings;
pub mod status;
pub mod workload_actions;
pub mod workloads;

fn described() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(workloads::routes())
        .merge(workload_actions::routes())
        .merge(plan::routes())
        .merge(instances::routes())
        .merge(logs::routes())
        .merge(exec::routes())
        .merge(nodes::routes())
        .merge(artifacts::routes())
        .merge(endpoints::routes())
        .merge(rebalance::routes())
        .merge(quotas::routes())
        .merge(settings::routes())
        .merge(commands::routes())
        .merge(events::routes())
        .merge(metrics::routes())
        .merge(status::routes())
}

/// The OpenAPI document of the paths that this gateway serves.
#[must_use]
pub fn document() -> OpenApi {
    docs::completed(described().into_openapi())
}

async fn no_such_path(OriginalUri(uri): OriginalUri) -> Refusal {
    crate::answer::status_problem(axum::http::StatusCode::NOT_FOUND, uri.path())
}

/// All paths behind all guards.
pub fn router(app: App) -> Router {
    let program = app.program().clone();
    let (api, _) = described().split_for_parts();
    api.merge(docs::routes(&document()))
        .layer(from_fn_with_state(app.clone(), guard::shed))
        .with_state(app.clone())
        .merge(health::routes(program.health, program.metrics))
        .fallback(no_such_path)
        .layer(from_fn(guard::loopback_only))
        .layer(CatchPanicLayer::custom(|panic: Box<dyn std::any::Any + Send>| {
            guard::panicked(panic.as_ref())
        }))
        .layer(from_fn_with_state(app, guard::finish))
}
