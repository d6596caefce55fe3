//! `/v1/instances`: what runs where.

use axum::Json;
use axum::response::Response;
use ostler_core::id::NodeName;
use ostler_schemas::pb;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::parameters::{
    InstancePath, Nothing, OnceHeaders, OnlyNode, Waiting, limit, workload_filter,
};
use super::workload_actions::Empty;
use crate::answer::{Answer, Refusal};
use crate::app::App;
use crate::extract::policy::{InstancesRead, InstancesWrite};
use crate::extract::{Allowed, InstanceRef, JsonBody, NoConditions, Params};
use crate::wait;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show, remove))
        .routes(routes!(explain))
        .routes(routes!(stop))
        .routes(routes!(restart))
        .routes(routes!(reload))
        .routes(routes!(move_to))
}

/// Which instances are listed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct ListParams {
    /// Only of this namespace.
    pub namespace: String,
    /// Only of this workload, `web` or `default/web`.
    pub workload: String,
    /// Only on this node.
    pub node: String,
    /// Only in this observed state, such as `running`.
    pub state: String,
    /// Only of this pool.
    pub pool: String,
    /// Only in this zone.
    pub zone: String,
    /// Only with this label of the workload, `key=value`; may be repeated.
    pub label: Vec<String>,
    /// At most so many, 1 to 1,000.
    pub limit: Option<u32>,
    /// Where the page before ended.
    pub cursor: String,
}

/// Where an instance goes.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Move {
    /// To this node; absent: anywhere else.
    #[schema(value_type = Option<String>)]
    pub node: Option<NodeName>,
}

/// List instances.
#[utoipa::path(get, path = "/v1/instances", tag = "instances", params(ListParams),
    responses((status = 200, body = pb::InstanceListReply)))]
async fn list(
    asker: Allowed<InstancesRead>,
    Params(params): Params<ListParams>,
) -> Answer<Json<pb::InstanceListReply>> {
    let (namespace, workload) = workload_filter(params.namespace, params.workload)?;
    let ListParams { node, state, pool, zone, label, cursor, .. } = params;
    let limit = limit(params.limit)?;
    let request =
        pb::InstanceList { namespace, workload, node, state, pool, zone, label, limit, cursor };
    asker.ask(request).await.map(Json)
}

/// One instance.
#[utoipa::path(get, path = "/v1/instances/{id}", tag = "instances", params(InstancePath),
    responses((status = 200, body = pb::InstanceView)))]
async fn show(
    asker: Allowed<InstancesRead>,
    InstanceRef(id): InstanceRef,
    _: Params<Nothing>,
) -> Answer<Json<pb::InstanceView>> {
    asker.ask(pb::InstanceGet { id }).await.map(Json)
}

/// Why an instance is where it is.
#[utoipa::path(get, path = "/v1/instances/{id}/explain", tag = "instances",
    params(InstancePath, OnlyNode), responses((status = 200, body = pb::Document)))]
async fn explain(
    asker: Allowed<InstancesRead>,
    InstanceRef(id): InstanceRef,
    Params(only): Params<OnlyNode>,
) -> Answer<Json<pb::Document>> {
    asker.ask(pb::InstanceExplain { id, node: only.node() }).await.map(Json)
}

/// End an instance; its slot is filled again. The same as `stop`.
#[utoipa::path(delete, path = "/v1/instances/{id}", tag = "instances",
    params(InstancePath, Waiting, OnceHeaders), responses((status = 202, body = pb::CommandView)))]
async fn remove(
    asker: Allowed<InstancesWrite>,
    InstanceRef(id): InstanceRef,
    _: NoConditions,
    Params(params): Params<Waiting>,
) -> Answer<Response> {
    let command = asker.ask(pb::InstanceStop { id }).await?;
    wait::accepted(&asker, params.wait, command).await
}

/// End an instance; its slot is filled again.
#[utoipa::path(post, path = "/v1/instances/{id}/stop", tag = "instances",
    params(InstancePath, Waiting, OnceHeaders), request_body(content = Option<Empty>),
    responses((status = 202, body = pb::CommandView)))]
async fn stop(
    asker: Allowed<InstancesWrite>,
    InstanceRef(id): InstanceRef,
    _: NoConditions,
    Params(params): Params<Waiting>,
    _: JsonBody<Empty>,
) -> Answer<Response> {
    let command = asker.ask(pb::InstanceStop { id }).await?;
    wait::accepted(&asker, params.wait, command).await
}

/// Restart an instance in place, without waiting for any back-off.
#[utoipa::path(post, path = "/v1/instances/{id}/restart", tag = "instances",
    params(InstancePath, Waiting, OnceHeaders), request_body(content = Option<Empty>),
    responses((status = 202, body = pb::CommandView)))]
async fn restart(
    asker: Allowed<InstancesWrite>,
    InstanceRef(id): InstanceRef,
    _: NoConditions,
    Params(params): Params<Waiting>,
    _: JsonBody<Empty>,
) -> Answer<Response> {
    let command = asker.ask(pb::InstanceRestart { id }).await?;
    wait::accepted(&asker, params.wait, command).await
}

/// Let an instance read its settings again, by its reload signal.
#[utoipa::path(post, path = "/v1/instances/{id}/reload", tag = "instances",
    params(InstancePath, OnceHeaders), request_body(content = Option<Empty>),
    responses((status = 200, body = pb::InstanceView)))]
async fn reload(
    asker: Allowed<InstancesWrite>,
    InstanceRef(id): InstanceRef,
    _: NoConditions,
    _: Params<Nothing>,
    _: JsonBody<Empty>,
) -> Answer<Json<pb::InstanceView>> {
    let (view, node) = located(&asker, id).await?;
    let signal = pb::Signal { instance: view.id.clone(), signal: String::new() };
    asker.ask_node(&node, signal).await?;
    Ok(Json(view))
}

/// Tells every instance of a workload that runs to read its settings again.
pub(super) async fn reload_all(
    asker: &crate::extract::Asker,
    namespace: &str,
    workload: &str,
) -> Answer<()> {
    let (mut cursor, mut missed, mut all) = (String::new(), 0u32, 0u32);
    loop {
        let ask = pb::InstanceList {
            namespace: namespace.to_owned(),
            workload: workload.to_owned(),
            state: "running".to_owned(),
            limit: 1000,
            cursor,
            ..Default::default()
        };
        let page = asker.ask(ask).await?;
        let told = page.items.iter().map(async |item| {
            let node = item.node.parse().ok()?;
            let signal = pb::Signal { instance: item.id.clone(), signal: String::new() };
            asker.ask_node(&node, signal).await.ok()
        });
        for told in futures::future::join_all(told).await {
            all += 1;
            missed += u32::from(told.is_none());
        }
        match page.next_cursor {
            Some(next) if !next.is_empty() => cursor = next,
            Some(_) | None => break,
        }
    }
    if missed == 0 {
        return Ok(());
    }
    let detail = format!("{missed} of {all} instances could not be told");
    Err(Refusal::new(ostler_schemas::problem::Code::Unavailable, detail))
}

/// Start an instance's replacement elsewhere, then end it.
#[utoipa::path(post, path = "/v1/instances/{id}/move", tag = "instances",
    params(InstancePath, Waiting, OnceHeaders), request_body(content = Option<Move>),
    responses((status = 202, body = pb::CommandView)))]
async fn move_to(
    asker: Allowed<InstancesWrite>,
    InstanceRef(id): InstanceRef,
    _: NoConditions,
    Params(params): Params<Waiting>,
    JsonBody(Move { node }): JsonBody<Move>,
) -> Answer<Response> {
    let node = node.map(String::from).unwrap_or_default();
    let command = asker.ask(pb::InstanceMove { id, node }).await?;
    wait::accepted(&asker, params.wait, command).await
}

/// One instance by its id or the beginning of it, with the node it is on.
pub(super) async fn located(
    asker: &crate::extract::Asker,
    id: String,
) -> Answer<(pb::InstanceView, NodeName)> {
    let view = asker.ask(pb::InstanceGet { id }).await?;
    match view.node.parse() {
        Ok(node) => Ok((view, node)),
        Err(_) => {
            let detail = format!("instance `{}` is on no node", view.id);
            Err(Refusal::new(ostler_schemas::problem::Code::Conflict, detail))
        }
    }
}
