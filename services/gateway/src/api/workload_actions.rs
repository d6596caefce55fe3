//! `/v1/workloads/{ns}/{name}/…`: what may be done to a workload besides replacing its text.

use axum::response::{IntoResponse, Response};
use ostler_core::id::WorkloadKey;
use ostler_schemas::pb;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::parameters::{Changing, ConditionHeaders, OnceHeaders, WorkloadPath};
use super::workloads::changed;
use crate::answer::{Answer, Tagged};
use crate::app::App;
use crate::extract::policy::WorkloadsWrite;
use crate::extract::{Allowed, Conditions, JsonBody, Params, WorkloadRef};
use crate::wait;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(scale))
        .routes(routes!(restart))
        .routes(routes!(reload))
        .routes(routes!(stop))
        .routes(routes!(start))
        .routes(routes!(promote))
        .routes(routes!(rollback))
}

/// How many instances are wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// 0 to 1,000,000.
    pub count: u32,
}

/// To which text a workload goes back.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rollback {
    /// The version; absent or 0: the one before.
    pub version: u32,
    /// Only if this is the version in force; absent or 0: whatever it is.
    pub if_version: u32,
}

/// A body that says nothing.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Empty {}

fn of(key: &WorkloadKey) -> (String, String) {
    (key.namespace.to_string(), key.name.to_string())
}

/// Change how many instances are wanted.
#[utoipa::path(post, path = "/v1/workloads/{ns}/{name}/scale", tag = "workloads",
    params(WorkloadPath, Changing, ConditionHeaders, OnceHeaders), request_body = Scale,
    responses((status = 200, body = pb::WorkloadView), (status = 202, body = pb::WorkloadView)))]
async fn scale(
    asker: Allowed<WorkloadsWrite>,
    WorkloadRef(key): WorkloadRef,
    conditions: Conditions,
    Params(params): Params<Changing>,
    JsonBody(Scale { count }): JsonBody<Scale>,
) -> Answer<Response> {
    let (namespace, name) = of(&key);
    let if_revision = conditions.revision()?;
    let dry_run = params.dry_run;
    let request = pb::WorkloadScale { namespace, name, count, if_revision, dry_run };
    let view = asker.ask(request).await?;
    changed(&asker, &key, view, &params).await
}

/// Go back to an older text, as a new version.
#[utoipa::path(post, path = "/v1/workloads/{ns}/{name}/rollback", tag = "workloads",
    params(WorkloadPath, Changing, ConditionHeaders, OnceHeaders), request_body = Rollback,
    responses((status = 200, body = pb::WorkloadView), (status = 202, body = pb::WorkloadView)))]
async fn rollback(
    asker: Allowed<WorkloadsWrite>,
    WorkloadRef(key): WorkloadRef,
    conditions: Conditions,
    Params(params): Params<Changing>,
    JsonBody(Rollback { version, if_version }): JsonBody<Rollback>,
) -> Answer<Response> {
    let (namespace, name) = of(&key);
    let dry_run = params.dry_run;
    let if_revision = conditions.revision()?;
    let request =
        pb::WorkloadRollback { namespace, name, version, if_version, dry_run, if_revision };
    let view = asker.ask(request).await?;
    changed(&asker, &key, view, &params).await
}

/// Restart all instances, a few at a time.
#[utoipa::path(post, path = "/v1/workloads/{ns}/{name}/restart", tag = "workloads",
    params(WorkloadPath, Changing, ConditionHeaders, OnceHeaders),
    request_body(content = Option<Empty>),
    responses((status = 200, body = pb::WorkloadView), (status = 202, body = pb::WorkloadView)))]
async fn restart(
    asker: Allowed<WorkloadsWrite>,
    WorkloadRef(key): WorkloadRef,
    conditions: Conditions,
    Params(params): Params<Changing>,
    _: JsonBody<Empty>,
) -> Answer<Response> {
    let (namespace, name) = of(&key);
    let (if_revision, dry_run) = (conditions.revision()?, params.dry_run);
    let request = pb::WorkloadRestart { namespace, name, if_revision, dry_run };
    let Some(within) = params.wait.filter(|_| !dry_run) else {
        let view = asker.ask(request).await?;
        return Ok(Tagged(view.revision, view).into_response());
    };
    let before = wait::generations(&asker, &key).await?;
    let view = asker.ask(request).await?;
    let left = wait::restarted(&asker, &key, &before, within).await?;
    changed(&asker, &key, view, &Changing { dry_run, wait: Some(left) }).await
}

/// Take the canaries' version for all instances.
#[utoipa::path(post, path = "/v1/workloads/{ns}/{name}/promote", tag = "workloads",
    params(WorkloadPath, Changing, ConditionHeaders, OnceHeaders),
    request_body(content = Option<Empty>),
    responses((status = 202, body = pb::CommandView)))]
async fn promote(
    asker: Allowed<WorkloadsWrite>,
    WorkloadRef(key): WorkloadRef,
    conditions: Conditions,
    Params(params): Params<Changing>,
    _: JsonBody<Empty>,
) -> Answer<Response> {
    let (namespace, name) = of(&key);
    let (if_revision, dry_run) = (conditions.revision()?, params.dry_run);
    let request = pb::WorkloadPromote { namespace, name, if_revision, dry_run };
    let command = asker.ask(request).await?;
    wait::accepted(&asker, &params, command).await
}

macro_rules! action {
    ($name:ident, $request:ident, $path:literal, $summary:literal) => {
        #[doc = $summary]
        #[utoipa::path(post, path = $path, tag = "workloads",
            params(WorkloadPath, Changing, ConditionHeaders, OnceHeaders),
    request_body(content = Option<Empty>),
            responses((status = 200, body = pb::WorkloadView), (status = 202, body = pb::WorkloadView)))]
        async fn $name(
            asker: Allowed<WorkloadsWrite>,
            WorkloadRef(key): WorkloadRef,
            conditions: Conditions,
            Params(params): Params<Changing>,
            _: JsonBody<Empty>,
        ) -> Answer<Response> {
            let (namespace, name) = of(&key);
            let (if_revision, dry_run) = (conditions.revision()?, params.dry_run);
            let request = pb::$request { namespace, name, if_revision, dry_run };
            let view = asker.ask(request).await?;
            changed(&asker, &key, view, &params).await
        }
    };
}

/// Let all instances read their settings again, by their reload signal.
#[utoipa::path(post, path = "/v1/workloads/{ns}/{name}/reload", tag = "workloads",
    params(WorkloadPath, Changing, ConditionHeaders, OnceHeaders),
    request_body(content = Option<Empty>),
    responses((status = 200, body = pb::WorkloadView)))]
async fn reload(
    asker: Allowed<WorkloadsWrite>,
    WorkloadRef(key): WorkloadRef,
    conditions: Conditions,
    Params(params): Params<Changing>,
    _: JsonBody<Empty>,
) -> Answer<Response> {
    let (namespace, name) = of(&key);
    let (if_revision, dry_run) = (conditions.revision()?, params.dry_run);
    let (whose, what) = (namespace.clone(), name.clone());
    let ask = pb::WorkloadReload { namespace: whose, name: what, if_revision, dry_run };
    let view = asker.ask(ask).await?;
    if !dry_run {
        super::instances::reload_all(&asker, &namespace, &name).await?;
    }
    changed(&asker, &key, view, &params).await
}

action!(
    stop,
    WorkloadStop,
    "/v1/workloads/{ns}/{name}/stop",
    "Stop all instances; the workload stays."
);
action!(
    start,
    WorkloadStart,
    "/v1/workloads/{ns}/{name}/start",
    "Want a stopped workload's instances again."
);
