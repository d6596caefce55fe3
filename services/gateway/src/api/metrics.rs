//! `/v1/metrics`: series and totals.

use axum::Json;
use ostler_core::time::Span;
use ostler_schemas::pb;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::instances::located;
use super::parameters::{InstancePath, NodePath};
use crate::answer::Answer;
use crate::app::App;
use crate::extract::params::text;
use crate::extract::policy::MetricsRead;
use crate::extract::{Allowed, InstanceRef, NodeRef, Params};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(fleet)).routes(routes!(node)).routes(routes!(instance))
}

/// How much of a series, and how fine.
#[derive(Debug, Default, Clone, Copy, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct SeriesParams {
    /// How far back, such as `1h`, which is also what is taken when it is absent.
    #[serde(deserialize_with = "text")]
    #[param(value_type = Option<String>)]
    pub range: Option<Span>,
    /// How far apart points are, such as `10s`, which is also what is taken when it is absent.
    #[serde(deserialize_with = "text")]
    #[param(value_type = Option<String>)]
    pub step: Option<Span>,
}

impl SeriesParams {
    fn range_ms(self) -> u64 {
        self.range.map_or(0, Span::as_millis)
    }
    fn step_ms(self) -> u64 {
        self.step.map_or(0, Span::as_millis)
    }
}

/// Totals and series of the fleet.
#[utoipa::path(get, path = "/v1/metrics/fleet", tag = "metrics", params(SeriesParams),
    responses((status = 200, body = pb::Document)))]
async fn fleet(
    asker: Allowed<MetricsRead>,
    Params(params): Params<SeriesParams>,
) -> Answer<Json<pb::Document>> {
    let (range_ms, step_ms) = (params.range_ms(), params.step_ms());
    asker.ask(pb::MetricsFleet { range_ms, step_ms }).await.map(Json)
}

/// Series of a node.
#[utoipa::path(get, path = "/v1/metrics/nodes/{name}", tag = "metrics",
    params(NodePath, SeriesParams), responses((status = 200, body = pb::Document)))]
async fn node(
    asker: Allowed<MetricsRead>,
    NodeRef(name): NodeRef,
    Params(params): Params<SeriesParams>,
) -> Answer<Json<pb::Document>> {
    let (range_ms, step_ms) = (params.range_ms(), params.step_ms());
    asker.ask(pb::MetricsNode { name: name.to_string(), range_ms, step_ms }).await.map(Json)
}

/// Series of an instance.
#[utoipa::path(get, path = "/v1/metrics/instances/{id}", tag = "metrics",
    params(InstancePath, SeriesParams), responses((status = 200, body = pb::Document)))]
async fn instance(
    asker: Allowed<MetricsRead>,
    InstanceRef(id): InstanceRef,
    Params(params): Params<SeriesParams>,
) -> Answer<Json<pb::Document>> {
    let (range_ms, step_ms) = (params.range_ms(), params.step_ms());
    let id = if id.len() == 16 { id } else { located(&asker, id).await?.0.id };
    asker.ask(pb::MetricsInstance { id, range_ms, step_ms }).await.map(Json)
}
