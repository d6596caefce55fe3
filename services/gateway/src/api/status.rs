//! `/v1/status`: the fleet at a glance.

use std::time::Duration;

use axum::Json;
use ostler_schemas::pb;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::parameters::Nothing;
use crate::answer::Answer;
use crate::app::App;
use crate::extract::policy::StatusRead;
use crate::extract::{Allowed, Params};

/// Services that do not answer a ping in this time are not listed.
const PING_WAIT: Duration = Duration::from_millis(250);
/// Who is asked; executors are listed as nodes.
const SERVICES: [&str; 4] = ["registry", "scheduler", "gateway", "metrics"];

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(status))
}

/// Services and their leaders, NATS, nodes and workloads by state, warnings.
#[utoipa::path(get, path = "/v1/status", tag = "status",
    responses((status = 200, body = pb::StatusReply)))]
async fn status(asker: Allowed<StatusRead>, _: Params<Nothing>) -> Answer<Json<pb::StatusReply>> {
    let found = asker.app().bus().services(&SERVICES, PING_WAIT);
    let (found, reply) = tokio::join!(found, asker.ask(pb::StatusGet {}));
    let mut reply = reply?;
    for service in found {
        let (name, version) = (service.name, service.version);
        let id = service.metadata.get("replica").cloned().unwrap_or(service.id);
        // A leader is listed already, as `scheduler-<pool>`.
        let same = |known: &&mut pb::ServiceStatus| known.id == id && known.name.starts_with(&name);
        match reply.services.iter_mut().find(same) {
            Some(known) => known.version = version,
            None => reply.services.push(pb::ServiceStatus { name, id, version, leader: false }),
        }
    }
    reply.services.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    Ok(Json(reply))
}
