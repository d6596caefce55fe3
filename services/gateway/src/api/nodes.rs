//! `/v1/nodes`: the machines, and what operators want of them.

use std::collections::BTreeMap;

use axum::Json;
use axum::response::Response;
use ostler_core::id::PoolName;
use ostler_core::resources::Resources;
use ostler_core::time::Span;
use ostler_schemas::pb;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::parameters::{
    Changing, ConditionHeaders, NodePath, Nothing, OnceHeaders, Trying, limit,
};
use super::workload_actions::Empty;
use crate::answer::{Answer, Tagged};
use crate::app::App;
use crate::extract::policy::{NodesRead, NodesWrite};
use crate::extract::{Allowed, Conditions, JsonBody, NoConditions, NodeRef, Params};
use crate::wait;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show, patch, remove))
        .routes(routes!(leftovers, clean))
        .routes(routes!(host))
        .routes(routes!(import))
        .routes(routes!(explain))
        .routes(routes!(cordon))
        .routes(routes!(uncordon))
        .routes(routes!(activate))
        .routes(routes!(drain))
        .routes(routes!(maintenance))
}

/// Which nodes are listed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct ListParams {
    /// Only of this pool.
    pub pool: String,
    /// Only in this zone.
    pub zone: String,
    /// Only this one.
    pub node: String,
    /// Only those that have an instance of this workload, `web` or `default/web`.
    pub workload: String,
    /// Only with this liveness or admin state, such as `online` or `draining`.
    pub state: String,
    /// Only with this label, `key=value`; may be repeated.
    pub label: Vec<String>,
    /// At most so many, 1 to 1,000.
    pub limit: Option<u32>,
    /// Where the page before ended.
    pub cursor: String,
}

/// What changes of a node; what is absent stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Patch {
    /// Labels to set; `null` or an empty text removes one.
    pub labels: BTreeMap<String, Option<String>>,
    /// What is kept for other things than instances: cpu in thousandths of a core, memory and disk
    /// in bytes or as in `2GiB`, network in Mbit/s.
    #[schema(value_type = Option<pb::Resources>)]
    pub reserved: Option<Resources>,
    /// At most so many instances.
    pub max_instances: Option<u32>,
    /// Whose scheduler gives it work.
    #[schema(value_type = Option<String>)]
    pub pool: Option<PoolName>,
}

/// How a node is removed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct RemoveParams {
    /// Though instances are there; they are placed again elsewhere.
    pub force: bool,
    /// Say what would happen and change nothing.
    pub dry_run: bool,
}

/// How a node is emptied.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Drain {
    /// How long jobs may still take, such as `10m`; absent: one hour.
    #[schema(value_type = Option<String>)]
    pub deadline: Option<Span>,
    /// Do not wait for replacements, nor for jobs.
    pub force: bool,
}

/// List nodes.
#[utoipa::path(get, path = "/v1/nodes", tag = "nodes", params(ListParams),
    responses((status = 200, body = pb::NodeListReply)))]
async fn list(
    asker: Allowed<NodesRead>,
    Params(params): Params<ListParams>,
) -> Answer<Json<pb::NodeListReply>> {
    let ListParams { pool, zone, node, workload, state, label, limit: most, cursor } = params;
    let limit = limit(most)?;
    let request = pb::NodeList { pool, zone, state, label, limit, cursor, node, workload };
    asker.ask(request).await.map(Json)
}

/// One node.
#[utoipa::path(get, path = "/v1/nodes/{name}", tag = "nodes", params(NodePath),
    responses((status = 200, body = pb::NodeView)))]
async fn show(
    asker: Allowed<NodesRead>,
    NodeRef(name): NodeRef,
    _: Params<Nothing>,
) -> Answer<Tagged<pb::NodeView>> {
    let view = asker.ask(pb::NodeGet { name: name.to_string() }).await?;
    Ok(Tagged(view.revision, view))
}

/// What runs for us on a node though no record says so: an executor that lost its journal left it.
#[utoipa::path(get, path = "/v1/nodes/{name}/leftovers", tag = "nodes", params(NodePath),
    responses((status = 200, body = pb::LeftoversReply)))]
async fn leftovers(
    asker: Allowed<NodesRead>,
    NodeRef(name): NodeRef,
    _: Params<Nothing>,
) -> Answer<Json<pb::LeftoversReply>> {
    asker.ask_node(&name, pb::Leftovers::default()).await.map(Json)
}

/// Which leftover.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct CleanParams {
    /// Only this one; absent: all.
    pub instance: String,
    /// Say what would be ended and end nothing.
    pub dry_run: bool,
}

/// End what is left over on a node.
#[utoipa::path(delete, path = "/v1/nodes/{name}/leftovers", tag = "nodes",
    params(NodePath, CleanParams), responses((status = 200, body = pb::LeftoversReply)))]
async fn clean(
    asker: Allowed<NodesWrite>,
    NodeRef(name): NodeRef,
    _: NoConditions,
    Params(CleanParams { instance, dry_run }): Params<CleanParams>,
) -> Answer<Json<pb::LeftoversReply>> {
    asker.ask_node(&name, pb::Leftovers { instance, clean: !dry_run }).await.map(Json)
}

/// What a node's host is, has and uses, by everything on it.
#[utoipa::path(get, path = "/v1/nodes/{name}/host", tag = "nodes", params(NodePath),
    responses((status = 200, body = pb::HostReply)))]
async fn host(
    asker: Allowed<NodesRead>,
    NodeRef(name): NodeRef,
    _: Params<Nothing>,
) -> Answer<Json<pb::HostReply>> {
    asker.ask_node(&name, pb::Host {}).await.map(Json)
}

/// What runs on a node that is not ours, as the workloads that would run the same. Nothing is
/// changed; environments are told as they are, and may hold secrets.
#[utoipa::path(get, path = "/v1/nodes/{name}/import", tag = "nodes", params(NodePath),
    responses((status = 200, body = pb::ImportReply)))]
async fn import(
    asker: Allowed<NodesWrite>,
    NodeRef(name): NodeRef,
    _: Params<Nothing>,
) -> Answer<Json<pb::ImportReply>> {
    asker.ask_node(&name, pb::Import {}).await.map(Json)
}

/// Why a node has what it has.
#[utoipa::path(get, path = "/v1/nodes/{name}/explain", tag = "nodes", params(NodePath),
    responses((status = 200, body = pb::Document)))]
async fn explain(
    asker: Allowed<NodesRead>,
    NodeRef(name): NodeRef,
    _: Params<Nothing>,
) -> Answer<Json<pb::Document>> {
    asker.ask(pb::NodeExplain { name: name.to_string() }).await.map(Json)
}

/// Change labels, reserve, limit or pool of a node.
#[utoipa::path(patch, path = "/v1/nodes/{name}", tag = "nodes",
    params(NodePath, Trying, ConditionHeaders),
    request_body = Patch, responses((status = 200, body = pb::NodeView)))]
async fn patch(
    asker: Allowed<NodesWrite>,
    NodeRef(name): NodeRef,
    conditions: Conditions,
    Params(Trying { dry_run }): Params<Trying>,
    JsonBody(patch): JsonBody<Patch>,
) -> Answer<Tagged<pb::NodeView>> {
    let labels = patch.labels.into_iter();
    let request = pb::NodePatch {
        name: name.to_string(),
        labels: labels.map(|(key, value)| (key, value.unwrap_or_default())).collect(),
        reserved: patch.reserved.map(Into::into),
        max_instances: patch.max_instances,
        pool: patch.pool.map(Into::into),
        if_revision: conditions.revision()?,
        dry_run,
    };
    let view = asker.ask(request).await?;
    Ok(Tagged(view.revision, view))
}

/// Remove a node; refused while instances are there, unless forced.
#[utoipa::path(delete, path = "/v1/nodes/{name}", tag = "nodes",
    params(NodePath, RemoveParams, ConditionHeaders),
    responses((status = 200, body = pb::NodeView)))]
async fn remove(
    asker: Allowed<NodesWrite>,
    NodeRef(name): NodeRef,
    conditions: Conditions,
    Params(RemoveParams { force, dry_run }): Params<RemoveParams>,
) -> Answer<Json<pb::NodeView>> {
    let (name, if_revision) = (name.to_string(), conditions.revision()?);
    asker.ask(pb::NodeRemove { name, force, if_revision, dry_run }).await.map(Json)
}

/// Empty a node. Answers with a command to follow.
#[utoipa::path(post, path = "/v1/nodes/{name}/drain", tag = "nodes",
    params(NodePath, Changing, ConditionHeaders, OnceHeaders),
    request_body(content = Option<Drain>),
    responses((status = 202, body = pb::CommandView)))]
async fn drain(
    asker: Allowed<NodesWrite>,
    NodeRef(name): NodeRef,
    conditions: Conditions,
    Params(params): Params<Changing>,
    JsonBody(Drain { deadline, force }): JsonBody<Drain>,
) -> Answer<Response> {
    let request = pb::NodeDrain {
        name: name.to_string(),
        deadline_ms: deadline.map_or(0, Span::as_millis),
        force,
        dry_run: params.dry_run,
        if_revision: conditions.revision()?,
    };
    let command = asker.ask(request).await?;
    wait::accepted(&asker, &params, command).await
}

/// Empty a node and keep it empty. Answers with a command to follow.
#[utoipa::path(post, path = "/v1/nodes/{name}/maintenance", tag = "nodes",
    params(NodePath, Changing, ConditionHeaders, OnceHeaders),
    request_body(content = Option<Empty>),
    responses((status = 202, body = pb::CommandView)))]
async fn maintenance(
    asker: Allowed<NodesWrite>,
    NodeRef(name): NodeRef,
    conditions: Conditions,
    Params(params): Params<Changing>,
    _: JsonBody<Empty>,
) -> Answer<Response> {
    let (if_revision, dry_run) = (conditions.revision()?, params.dry_run);
    let request = pb::NodeMaintenance { name: name.to_string(), if_revision, dry_run };
    let command = asker.ask(request).await?;
    wait::accepted(&asker, &params, command).await
}

macro_rules! action {
    ($name:ident, $request:ident, $path:literal, $summary:literal) => {
        #[doc = $summary]
        #[utoipa::path(post, path = $path, tag = "nodes",
                                            params(NodePath, Trying, ConditionHeaders, OnceHeaders),
                                            request_body(content = Option<Empty>),
                                            responses((status = 200, body = pb::NodeView)))]
        async fn $name(
            asker: Allowed<NodesWrite>,
            NodeRef(name): NodeRef,
            conditions: Conditions,
            Params(Trying { dry_run }): Params<Trying>,
            _: JsonBody<Empty>,
        ) -> Answer<Tagged<pb::NodeView>> {
            let if_revision = conditions.revision()?;
            let request = pb::$request { name: name.to_string(), if_revision, dry_run };
            let view = asker.ask(request).await?;
            Ok(Tagged(view.revision, view))
        }
    };
}

action!(cordon, NodeCordon, "/v1/nodes/{name}/cordon", "Give a node no new work.");
action!(
    uncordon,
    NodeUncordon,
    "/v1/nodes/{name}/uncordon",
    "Give a node work again; also ends a drain."
);
action!(activate, NodeActivate, "/v1/nodes/{name}/activate", "End a node's maintenance.");
