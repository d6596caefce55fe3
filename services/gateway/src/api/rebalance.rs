//! `/v1/rebalance`: even out the use of a pool's nodes.

use axum::Json;
use axum::response::{IntoResponse, Response};
use ostler_core::id::PoolName;
use ostler_schemas::pb;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::parameters::{Changing, OnceHeaders};
use crate::answer::{Answer, Refusal};
use crate::app::App;
use crate::extract::policy::PoolsRebalance;
use crate::extract::{Allowed, JsonBody, NoConditions, Params};
use crate::wait;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(rebalance))
}

/// What is evened out.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rebalance {
    /// Which pool; absent: `default`.
    #[schema(value_type = Option<String>)]
    pub pool: PoolName,
    /// At most so many moves, 1 to 1,000; absent: 10.
    pub max_moves: Option<u32>,
    /// Say what would be moved and move nothing.
    pub dry_run: bool,
}

/// Even out the use of a pool's nodes. Answers with a command to follow, or with the plan.
#[utoipa::path(post, path = "/v1/rebalance", tag = "nodes", params(Changing, OnceHeaders),
    request_body(content = Option<Rebalance>),
    responses((status = 202, body = pb::CommandView), (status = 200, body = pb::Document)))]
async fn rebalance(
    asker: Allowed<PoolsRebalance>,
    _: NoConditions,
    Params(params): Params<Changing>,
    JsonBody(Rebalance { pool, max_moves, dry_run }): JsonBody<Rebalance>,
) -> Answer<Response> {
    let max_moves = match max_moves {
        None => 0,
        Some(moves @ 1..=1000) => moves,
        Some(_) => return Err(Refusal::field("max_moves", "from 1 to 1000")),
    };
    let pool = pool.to_string();
    if dry_run || params.dry_run {
        let plan = asker.ask(pb::RebalancePlan { pool, max_moves }).await?;
        return Ok(Json(plan).into_response());
    }
    let command = asker.ask(pb::RebalanceStart { pool, max_moves }).await?;
    wait::accepted(&asker, &params, command).await
}
