//! `/v1/settings`, `/v1/pools/{pool}/settings`: how the fleet decides, changed while it runs.

use ostler_schemas::pb;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::parameters::{ConditionHeaders, Nothing, Trying};
use super::quotas::expected;
use crate::answer::{Answer, Tagged};
use crate::app::App;
use crate::extract::policy::{SettingsRead, SettingsWrite};
use crate::extract::{Allowed, Conditions, Params, PoolRef, RawBody};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show, put)).routes(routes!(show_pool, put_pool))
}

/// What is said for the whole fleet.
#[utoipa::path(get, path = "/v1/settings", tag = "settings",
    responses((status = 200, body = pb::SettingsView)))]
async fn show(
    asker: Allowed<SettingsRead>,
    _: Params<Nothing>,
) -> Answer<Tagged<pb::SettingsView>> {
    let view = asker.ask(pb::SettingsGet { pool: String::new() }).await?;
    Ok(Tagged(view.revision, view))
}

/// Say how the whole fleet decides: `weights`, `terms`, `preemption`, `rebalance`. What is absent is
/// as the schedulers were started with.
#[utoipa::path(put, path = "/v1/settings", tag = "settings", params(Trying, ConditionHeaders),
    request_body(content = pb::Document),
    responses((status = 200, body = pb::SettingsView)))]
async fn put(
    asker: Allowed<SettingsWrite>,
    conditions: Conditions,
    Params(Trying { dry_run }): Params<Trying>,
    body: RawBody,
) -> Answer<Tagged<pb::SettingsView>> {
    let (settings, if_revision) = (Some(body.document()?), expected(conditions)?);
    let request = pb::SettingsPut { pool: String::new(), settings, if_revision, dry_run };
    let view = asker.ask(request).await?;
    Ok(Tagged(view.revision, view))
}

/// What is said for one pool.
#[utoipa::path(get, path = "/v1/pools/{pool}/settings", tag = "settings",
    params(("pool" = String, Path, description = "Name of the pool.")),
    responses((status = 200, body = pb::SettingsView)))]
async fn show_pool(
    asker: Allowed<SettingsRead>,
    PoolRef(pool): PoolRef,
    _: Params<Nothing>,
) -> Answer<Tagged<pb::SettingsView>> {
    let view = asker.ask(pb::SettingsGet { pool: pool.to_string() }).await?;
    Ok(Tagged(view.revision, view))
}

/// Say how one pool decides. What is absent is as the fleet says.
#[utoipa::path(put, path = "/v1/pools/{pool}/settings", tag = "settings",
    params(("pool" = String, Path, description = "Name of the pool."), Trying, ConditionHeaders),
    request_body(content = pb::Document),
    responses((status = 200, body = pb::SettingsView)))]
async fn put_pool(
    asker: Allowed<SettingsWrite>,
    PoolRef(pool): PoolRef,
    conditions: Conditions,
    Params(Trying { dry_run }): Params<Trying>,
    body: RawBody,
) -> Answer<Tagged<pb::SettingsView>> {
    let (settings, if_revision) = (Some(body.document()?), expected(conditions)?);
    let request = pb::SettingsPut { pool: pool.to_string(), settings, if_revision, dry_run };
    let view = asker.ask(request).await?;
    Ok(Tagged(view.revision, view))
}
