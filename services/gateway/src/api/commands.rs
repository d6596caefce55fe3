//! `/v1/commands`: orders that were accepted, and what became of them.

use axum::Json;
use axum::extract::Path;
use ostler_schemas::pb;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::parameters::{Nothing, Paging, limit};
use crate::answer::{Answer, Digested};
use crate::app::App;
use crate::extract::names::none;
use crate::extract::policy::CommandsRead;
use crate::extract::{Allowed, Params};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

/// The commands of the last 24 hours, newest first.
#[utoipa::path(get, path = "/v1/commands", tag = "commands", params(Paging),
    responses((status = 200, body = pb::CommandListReply)))]
async fn list(
    asker: Allowed<CommandsRead>,
    Params(Paging { limit: most, cursor }): Params<Paging>,
) -> Answer<Json<pb::CommandListReply>> {
    let limit = limit(most)?;
    asker.ask(pb::CommandList { limit, cursor }).await.map(Json)
}

/// What became of an order.
#[utoipa::path(get, path = "/v1/commands/{id}", tag = "commands",
    params(("id" = String, Path, description = "The id that the 202 answer gave.")),
    responses((status = 200, body = pb::CommandView)))]
async fn show(
    asker: Allowed<CommandsRead>,
    Path(id): Path<String>,
    _: Params<Nothing>,
) -> Answer<Digested<pb::CommandView>> {
    if id.parse::<ulid::Ulid>().is_err() {
        return Err(none("command", &id));
    }
    asker.ask(pb::CommandGet { id }).await.map(Digested)
}
