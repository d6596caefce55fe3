//! `/v1/plan`: what would happen, without anything being changed.

use axum::Json;
use ostler_schemas::pb;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::parameters::Nothing;
use super::{artifacts, read_spec};
use crate::answer::Answer;
use crate::app::App;
use crate::extract::policy::WorkloadsPlan;
use crate::extract::{Allowed, Params, RawBody};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(plan))
}

/// Say where one workload, or a list of them, would go, and why not elsewhere; and what would happen
/// if nodes were lost, drained or added. Nothing changes.
#[utoipa::path(post, path = "/v1/plan", tag = "workloads",
    request_body(content((pb::WorkloadPlan = "application/json"), (String = "application/toml"))),
    responses((status = 200, body = pb::Document)))]
async fn plan(
    asker: Allowed<WorkloadsPlan>,
    _: Params<Nothing>,
    body: RawBody,
) -> Answer<Json<pb::Document>> {
    let (mut workloads, mut plan) = read_spec::plan(&body)?;
    for workload in &mut workloads {
        artifacts::pin(&asker, workload).await?;
    }
    plan.workloads = workloads.into_iter().map(Into::into).collect();
    asker.ask(plan).await.map(Json)
}
