//! `/v1/workloads`: create, change, read, remove.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ostler_core::id::WorkloadKey;
use ostler_core::workload::Workload;
use ostler_schemas::pb;
use ostler_schemas::problem::Code;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::parameters::{
    Changing, ConditionHeaders, Nothing, OnceHeaders, OnlyNode, Paging, WorkloadPath, limit,
    workload_filter,
};
use super::read_spec;
use crate::answer::{Answer, Refusal, Tagged};
use crate::app::App;
use crate::extract::policy::{WorkloadsRead, WorkloadsWrite};
use crate::extract::{Allowed, Asker, Conditions, Params, RawBody, VersionRef, WorkloadRef};
use crate::wait::{self, Ended};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, put, remove))
        .routes(routes!(versions))
        .routes(routes!(version))
        .routes(routes!(explain))
}

/// What was made of a workload that was sent.
#[derive(Debug, Serialize, ToSchema)]
pub struct PutAnswer {
    /// Whose it is.
    pub namespace: String,
    /// What it is called there.
    pub name: String,
    /// Which text of it is in force.
    pub version: u32,
    /// Its revision; also the `ETag`.
    pub revision: u64,
    /// The workload, whether it was created or changed, and with `dry_run` the plan.
    #[serde(flatten)]
    pub reply: pb::WorkloadPutReply,
}

/// Which workloads are listed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct ListParams {
    /// Only of this namespace.
    pub namespace: String,
    /// Only this one, `web` or `default/web`.
    pub workload: String,
    /// Only of this pool.
    pub pool: String,
    /// Only what stands so: `ready`, `starting`, `updating`, `pending`, `completed`, `stopped` or
    /// `deleting`.
    pub state: String,
    /// Only what has an instance on this node.
    pub node: String,
    /// Only what has an instance in this zone.
    pub zone: String,
    /// Only with this label, `key=value`; may be repeated.
    pub label: Vec<String>,
    /// At most so many, 1 to 1,000.
    pub limit: Option<u32>,
    /// Where the page before ended.
    pub cursor: String,
}

/// How a workload is removed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct RemoveParams {
    /// Remove its data and snapshots too.
    pub purge: bool,
    /// Say what would happen and change nothing.
    pub dry_run: bool,
    /// Hold the answer back until it is gone, at most so long, such as `30s`.
    #[serde(deserialize_with = "crate::extract::params::text")]
    #[param(value_type = Option<String>)]
    pub wait: Option<ostler_core::time::Span>,
}

/// Create a workload, or replace the text of one.
#[utoipa::path(post, path = "/v1/workloads", tag = "workloads",
    params(Changing, ConditionHeaders, OnceHeaders),
    request_body(content((pb::WorkloadSpec = "application/json"), (String = "application/toml"))),
    responses((status = 201, body = PutAnswer), (status = 200, body = PutAnswer)))]
async fn create(
    asker: Allowed<WorkloadsWrite>,
    conditions: Conditions,
    Params(params): Params<Changing>,
    body: RawBody,
) -> Answer<Response> {
    let workload = read_spec::workload(&body, None)?;
    apply(&asker, workload, conditions, &params).await
}

/// Create this workload, or replace its text.
#[utoipa::path(put, path = "/v1/workloads/{ns}/{name}", tag = "workloads",
    params(WorkloadPath, Changing, ConditionHeaders, OnceHeaders),
    request_body(content((pb::WorkloadSpec = "application/json"), (String = "application/toml"))),
    responses((status = 201, body = PutAnswer), (status = 200, body = PutAnswer)))]
async fn put(
    asker: Allowed<WorkloadsWrite>,
    WorkloadRef(key): WorkloadRef,
    conditions: Conditions,
    Params(params): Params<Changing>,
    body: RawBody,
) -> Answer<Response> {
    let workload = read_spec::workload(&body, Some(&key))?;
    apply(&asker, workload, conditions, &params).await
}

async fn apply(
    asker: &Asker,
    workload: Workload,
    conditions: Conditions,
    params: &Changing,
) -> Answer<Response> {
    let request = pb::WorkloadPut { spec: Some(workload.clone().into()), ..Default::default() };
    send(asker, &workload.key(), (request, conditions), params).await
}

/// Sends a workload and answers with what was made of it.
pub(super) async fn send(
    asker: &Asker,
    key: &WorkloadKey,
    (request, conditions): (pb::WorkloadPut, Conditions),
    params: &Changing,
) -> Answer<Response> {
    let if_revision = expected(asker, key, conditions).await?;
    let request = pb::WorkloadPut { if_revision, dry_run: params.dry_run, ..request };
    let mut reply = asker.ask(request).await?;
    let mut view = reply.workload.take().unwrap_or_default();
    let mut status = if reply.created { StatusCode::CREATED } else { StatusCode::OK };
    match params.wait {
        _ if params.dry_run => status = StatusCode::OK,
        Some(within) => {
            let (last, ended) = wait::workload(asker, key, within, view).await?;
            view = last;
            if ended != Ended::Settled {
                status = ended.status();
            }
        }
        None => {}
    }
    let answer = PutAnswer {
        namespace: key.namespace.to_string(),
        name: key.name.to_string(),
        version: view.version,
        revision: view.revision,
        reply: pb::WorkloadPutReply { workload: Some(view), ..reply },
    };
    let mut response = (status, Tagged(answer.revision, answer)).into_response();
    let location = format!("/v1/workloads/{key}");
    let location = HeaderValue::from_str(&location).expect("names fit a header");
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}

/// The revision that the workload must have.
async fn expected(asker: &Asker, key: &WorkloadKey, wanted: Conditions) -> Answer<Option<u64>> {
    match wanted {
        Conditions::Any => Ok(None),
        Conditions::Absent => Ok(Some(0)),
        Conditions::Revision(revision) => Ok(Some(revision)),
        Conditions::Exists => match asker.ask(get(key)).await {
            Ok(view) => Ok(Some(view.revision)),
            Err(refusal) if refusal.problem().code == Code::NotFound => {
                let detail = format!("there is no workload `{key}`");
                Err(Refusal::new(Code::RevisionMismatch, detail))
            }
            Err(refusal) => Err(refusal),
        },
    }
}

fn get(key: &WorkloadKey) -> pb::WorkloadGet {
    pb::WorkloadGet { namespace: key.namespace.to_string(), name: key.name.to_string() }
}

/// List workloads.
#[utoipa::path(get, path = "/v1/workloads", tag = "workloads", params(ListParams),
    responses((status = 200, body = pb::WorkloadListReply)))]
async fn list(
    asker: Allowed<WorkloadsRead>,
    Params(params): Params<ListParams>,
) -> Answer<Json<pb::WorkloadListReply>> {
    let (namespace, workload) = workload_filter(params.namespace, params.workload)?;
    let limit = limit(params.limit)?;
    let ListParams { pool, state, node, zone, label, cursor, .. } = params;
    let request =
        pb::WorkloadList { namespace, pool, label, limit, cursor, workload, state, node, zone };
    asker.ask(request).await.map(Json)
}

/// One workload and how far it is.
#[utoipa::path(get, path = "/v1/workloads/{ns}/{name}", tag = "workloads", params(WorkloadPath),
    responses((status = 200, body = pb::WorkloadView)))]
async fn show(
    asker: Allowed<WorkloadsRead>,
    WorkloadRef(key): WorkloadRef,
    _: Params<Nothing>,
) -> Answer<Tagged<pb::WorkloadView>> {
    let view = asker.ask(get(&key)).await?;
    Ok(Tagged(view.revision, view))
}

/// Stop a workload and forget it once its instances have ended.
#[utoipa::path(delete, path = "/v1/workloads/{ns}/{name}", tag = "workloads",
    params(WorkloadPath, RemoveParams, ConditionHeaders),
    responses((status = 200, body = pb::WorkloadView), (status = 202, body = pb::WorkloadView)))]
async fn remove(
    asker: Allowed<WorkloadsWrite>,
    WorkloadRef(key): WorkloadRef,
    conditions: Conditions,
    Params(params): Params<RemoveParams>,
) -> Answer<Response> {
    let request = pb::WorkloadDelete {
        namespace: key.namespace.to_string(),
        name: key.name.to_string(),
        purge: params.purge,
        if_revision: conditions.revision()?,
        dry_run: params.dry_run,
    };
    let view = asker.ask(request).await?;
    changed(&asker, &key, view, &Changing { dry_run: params.dry_run, wait: params.wait }).await
}

/// Answers a change with the workload, after the outcome where that is asked for.
pub(super) async fn changed(
    asker: &Asker,
    key: &WorkloadKey,
    view: pb::WorkloadView,
    params: &Changing,
) -> Answer<Response> {
    let Some(within) = params.wait.filter(|_| !params.dry_run) else {
        return Ok(Tagged(view.revision, view).into_response());
    };
    let (view, ended) = wait::workload(asker, key, within, view).await?;
    Ok((ended.status(), Tagged(view.revision, view)).into_response())
}

/// Every text that a workload had, the newest first.
#[utoipa::path(get, path = "/v1/workloads/{ns}/{name}/versions", tag = "workloads",
    params(WorkloadPath, Paging), responses((status = 200, body = pb::WorkloadVersionsReply)))]
async fn versions(
    asker: Allowed<WorkloadsRead>,
    WorkloadRef(key): WorkloadRef,
    Params(Paging { limit: most, cursor }): Params<Paging>,
) -> Answer<Json<pb::WorkloadVersionsReply>> {
    let (namespace, name) = (key.namespace.to_string(), key.name.to_string());
    let limit = limit(most)?;
    asker.ask(pb::WorkloadVersions { namespace, name, limit, cursor }).await.map(Json)
}

/// One text that a workload had.
#[utoipa::path(get, path = "/v1/workloads/{ns}/{name}/versions/{n}", tag = "workloads",
    params(WorkloadPath, ("n" = u32, Path, description = "Which version, from 1.")),
    responses((status = 200, body = pb::VersionView)))]
async fn version(
    asker: Allowed<WorkloadsRead>,
    VersionRef(key, version): VersionRef,
    _: Params<Nothing>,
) -> Answer<Tagged<pb::VersionView>> {
    let (namespace, name) = (key.namespace.to_string(), key.name.to_string());
    let view = asker.ask(pb::WorkloadVersion { namespace, name, version }).await?;
    Ok(Tagged(view.revision, view))
}

/// Why a workload is where it is, or why not.
#[utoipa::path(get, path = "/v1/workloads/{ns}/{name}/explain", tag = "workloads",
    params(WorkloadPath, OnlyNode), responses((status = 200, body = pb::Document)))]
async fn explain(
    asker: Allowed<WorkloadsRead>,
    WorkloadRef(key): WorkloadRef,
    Params(only): Params<OnlyNode>,
) -> Answer<Json<pb::Document>> {
    let (namespace, name) = (key.namespace.to_string(), key.name.to_string());
    asker.ask(pb::WorkloadExplain { namespace, name, node: only.node() }).await.map(Json)
}
