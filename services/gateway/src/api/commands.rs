//! `/v1/commands`: orders that were accepted, and what became of them.

use axum::Json;
use axum::extract::Path;
use ostler_schemas::pb;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::parameters::{Nothing, limit};
use crate::answer::{Answer, Page, Refusal, paged};
use crate::app::App;
use crate::extract::policy::CommandsRead;
use crate::extract::{Allowed, Params};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

/// Which commands are listed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct ListParams {
    /// At most so many, 1 to 1,000.
    pub limit: Option<u32>,
}

/// The commands of the last 24 hours, newest first.
#[utoipa::path(get, path = "/v1/commands", tag = "commands", params(ListParams),
    responses((status = 200, body = Page<pb::CommandView>)))]
async fn list(
    asker: Allowed<CommandsRead>,
    Params(params): Params<ListParams>,
) -> Answer<Json<Page<pb::CommandView>>> {
    let limit = limit(params.limit)?;
    Ok(paged(asker.ask(pb::CommandList { limit }).await?.items))
}

/// What became of an order.
#[utoipa::path(get, path = "/v1/commands/{id}", tag = "commands",
    params(("id" = String, Path, description = "The id that the 202 answer gave.")),
    responses((status = 200, body = pb::CommandView)))]
async fn show(
    asker: Allowed<CommandsRead>,
    Path(id): Path<String>,
    _: Params<Nothing>,
) -> Answer<Json<pb::CommandView>> {
    if id.parse::<ulid::Ulid>().is_err() {
        return Err(Refusal::malformed("id", "a command's id has 26 characters"));
    }
    asker.ask(pb::CommandGet { id }).await.map(Json)
}
