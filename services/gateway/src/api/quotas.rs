//! `/v1/quotas`: what namespaces may ask for in all.

use axum::Json;
use ostler_core::id::Namespace;
use ostler_schemas::pb;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::parameters::{ConditionHeaders, Nothing, Paging, Trying, limit};
use crate::answer::{Answer, Refusal, Tagged};
use crate::app::App;
use crate::extract::policy::{QuotasRead, QuotasWrite};
use crate::extract::{Allowed, Conditions, NamespaceRef, Params, RawBody};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show, put, remove))
}

/// Every namespace that has a quota, and what it asks for.
#[utoipa::path(get, path = "/v1/quotas", tag = "quotas",
    params(Paging), responses((status = 200, body = pb::QuotaListReply)))]
async fn list(
    asker: Allowed<QuotasRead>,
    Params(Paging { limit: most, cursor }): Params<Paging>,
) -> Answer<Json<pb::QuotaListReply>> {
    let limit = limit(most)?;
    asker.ask(pb::QuotaList { limit, cursor }).await.map(Json)
}

/// The quota of one namespace, and what it asks for.
#[utoipa::path(get, path = "/v1/quotas/{ns}", tag = "quotas",
    params(("ns" = String, Path, description = "Namespace.")),
    responses((status = 200, body = pb::QuotaView)))]
async fn show(
    asker: Allowed<QuotasRead>,
    NamespaceRef(namespace): NamespaceRef,
    _: Params<Nothing>,
) -> Answer<Tagged<pb::QuotaView>> {
    let view = asker.ask(pb::QuotaGet { namespace: namespace.to_string() }).await?;
    Ok(Tagged(view.revision, view))
}

/// Limit what a namespace may ask for in all: `instances`, `cpu`, `memory`, `disk`, `ports`; what is
/// absent is not limited. What is there already stays.
#[utoipa::path(put, path = "/v1/quotas/{ns}", tag = "quotas",
    params(("ns" = String, Path, description = "Namespace."), Trying, ConditionHeaders),
    request_body(content = pb::Document),
    responses((status = 200, body = pb::QuotaView)))]
async fn put(
    asker: Allowed<QuotasWrite>,
    NamespaceRef(namespace): NamespaceRef,
    conditions: Conditions,
    Params(Trying { dry_run }): Params<Trying>,
    body: RawBody,
) -> Answer<Tagged<pb::QuotaView>> {
    let limits = Some(body.document()?);
    let (namespace, if_revision) = (namespace.to_string(), expected(conditions)?);
    let view = asker.ask(pb::QuotaPut { namespace, limits, if_revision, dry_run }).await?;
    Ok(Tagged(view.revision, view))
}

/// Take all limits off a namespace.
#[utoipa::path(delete, path = "/v1/quotas/{ns}", tag = "quotas",
    params(("ns" = String, Path, description = "Namespace."), Trying, ConditionHeaders),
    responses((status = 200, body = pb::QuotaView)))]
async fn remove(
    asker: Allowed<QuotasWrite>,
    NamespaceRef(namespace): NamespaceRef,
    conditions: Conditions,
    Params(Trying { dry_run }): Params<Trying>,
) -> Answer<Json<pb::QuotaView>> {
    let (namespace, if_revision) = (ns(&namespace), conditions.revision()?);
    asker.ask(pb::QuotaDelete { namespace, if_revision, dry_run }).await.map(Json)
}

fn ns(namespace: &Namespace) -> String {
    namespace.to_string()
}

/// The revision for something that is made where it is absent.
pub(super) fn expected(conditions: Conditions) -> Result<Option<u64>, Refusal> {
    match conditions {
        Conditions::Absent => Ok(Some(0)),
        other => other.revision(),
    }
}
