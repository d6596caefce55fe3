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
    Changing, InstancePath, Nothing, OnceHeaders, OnlyNode, Trying, limit, workload_filter,
};
use super::workload_actions::Empty;
use crate::answer::{Answer, Digested, Refusal};
use crate::app::App;
use crate::extract::policy::{InstancesRead, InstancesWrite};
use crate::extract::{Allowed, InstanceRef, JsonBody, NoConditions, Params};
use crate::wait;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, super::create::create))
        .routes(routes!(show, remove))
        .routes(routes!(explain))
        .routes(routes!(stop))
        .routes(routes!(restart))
        .routes(routes!(reload))
        .routes(routes!(signal))
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

/// What an instance is told.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// Such as `SIGUSR1`.
    pub signal: String,
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
) -> Answer<Digested<pb::InstanceView>> {
    asker.ask(pb::InstanceGet { id }).await.map(Digested)
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
    params(InstancePath, Changing, OnceHeaders), responses((status = 202, body = pb::CommandView)))]
async fn remove(
    asker: Allowed<InstancesWrite>,
    InstanceRef(id): InstanceRef,
    _: NoConditions,
    Params(params): Params<Changing>,
) -> Answer<Response> {
    let command = asker.ask(pb::InstanceStop { id, dry_run: params.dry_run }).await?;
    wait::accepted(&asker, &params, command).await
}

/// End an instance; its slot is filled again.
#[utoipa::path(post, path = "/v1/instances/{id}/stop", tag = "instances",
    params(InstancePath, Changing, OnceHeaders), request_body(content = Option<Empty>),
    responses((status = 202, body = pb::CommandView)))]
async fn stop(
    asker: Allowed<InstancesWrite>,
    InstanceRef(id): InstanceRef,
    _: NoConditions,
    Params(params): Params<Changing>,
    _: JsonBody<Empty>,
) -> Answer<Response> {
    let command = asker.ask(pb::InstanceStop { id, dry_run: params.dry_run }).await?;
    wait::accepted(&asker, &params, command).await
}

/// Restart an instance in place, without waiting for any back-off.
#[utoipa::path(post, path = "/v1/instances/{id}/restart", tag = "instances",
    params(InstancePath, Changing, OnceHeaders), request_body(content = Option<Empty>),
    responses((status = 202, body = pb::CommandView)))]
async fn restart(
    asker: Allowed<InstancesWrite>,
    InstanceRef(id): InstanceRef,
    _: NoConditions,
    Params(params): Params<Changing>,
    _: JsonBody<Empty>,
) -> Answer<Response> {
    let command = asker.ask(pb::InstanceRestart { id, dry_run: params.dry_run }).await?;
    wait::accepted(&asker, &params, command).await
}

/// Let an instance read its settings again, by its reload signal.
#[utoipa::path(post, path = "/v1/instances/{id}/reload", tag = "instances",
    params(InstancePath, Trying, OnceHeaders), request_body(content = Option<Empty>),
    responses((status = 200, body = pb::InstanceView)))]
async fn reload(
    asker: Allowed<InstancesWrite>,
    InstanceRef(id): InstanceRef,
    _: NoConditions,
    Params(params): Params<Trying>,
    _: JsonBody<Empty>,
) -> Answer<Json<pb::InstanceView>> {
    tell(&asker, id, String::new(), params).await
}

/// Send a running instance a signal, such as `SIGUSR1`.
#[utoipa::path(post, path = "/v1/instances/{id}/signal", tag = "instances",
    params(InstancePath, Trying, OnceHeaders), request_body = Told,
    responses((status = 200, body = pb::InstanceView)))]
async fn signal(
    asker: Allowed<InstancesWrite>,
    InstanceRef(id): InstanceRef,
    _: NoConditions,
    Params(params): Params<Trying>,
    JsonBody(Told { signal }): JsonBody<Told>,
) -> Answer<Json<pb::InstanceView>> {
    let name = signal.strip_prefix("SIG").unwrap_or_default();
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()) {
        return Err(Refusal::field("signal", "the name of a signal, such as `SIGUSR1`"));
    }
    tell(&asker, id, signal, params).await
}

/// Tells an instance something by a signal; empty: the one by which it reads its settings again.
async fn tell(
    asker: &crate::extract::Asker,
    id: String,
    signal: String,
    Trying { dry_run }: Trying,
) -> Answer<Json<pb::InstanceView>> {
    let (view, node) = located(asker, id).await?;
    if !dry_run {
        let instance = view.id.clone();
        asker.ask_node(&node, pb::Signal { instance, signal }).await?;
    }
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
    params(InstancePath, Changing, OnceHeaders), request_body(content = Option<Move>),
    responses((status = 202, body = pb::CommandView)))]
async fn move_to(
    asker: Allowed<InstancesWrite>,
    InstanceRef(id): InstanceRef,
    _: NoConditions,
    Params(params): Params<Changing>,
    JsonBody(Move { node }): JsonBody<Move>,
) -> Answer<Response> {
    let node = node.map(String::from).unwrap_or_default();
    let request = pb::InstanceMove { id, node, dry_run: params.dry_run };
    let command = asker.ask(request).await?;
    wait::accepted(&asker, &params, command).await
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
