//! `/v1/events`: what happened, and what happens.

use axum::Json;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use ostler_schemas::pb;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::parameters::limit;
use crate::answer::{Answer, Refusal};
use crate::app::App;
use crate::extract::policy::EventsRead;
use crate::extract::{Allowed, Params};
use crate::stream::stream;
use crate::tail::{Filter, send_all};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(events))
}

/// Which events.
#[derive(Debug, Default, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct EventParams {
    /// Go on with what happens from now on, as server-sent events.
    pub follow: bool,
    /// Only after this sequence.
    pub since: Option<u64>,
    /// Only of this kind, such as `instance.placed`; followed events also by the beginning of a
    /// kind, such as `instance`.
    pub kind: String,
    /// Only of this workload.
    pub workload: String,
    /// Only of this node.
    pub node: String,
    /// Only of this instance.
    pub instance: String,
    /// At most so many, 1 to 1,000; not with `follow`.
    pub limit: Option<u32>,
    /// The newest ones instead of the oldest; not with `follow`.
    pub newest: bool,
    /// Where the page before ended; not with `follow`.
    pub cursor: String,
}

/// How a stream carries on where it broke off.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct StreamHeaders {
    /// The `id` of the last event that was received; browsers send it by themselves.
    #[param(rename = "Last-Event-ID", required = false)]
    pub last_event_id: Option<u64>,
}

/// Whether the caller asks for server-sent events.
pub(super) fn wants_stream(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/event-stream"))
}

/// Events from history, oldest first; server-sent events with `follow` or `Accept:
/// text/event-stream`, each with its stream sequence as `id`, without a gap after a reconnect.
#[utoipa::path(get, path = "/v1/events", tag = "events", params(EventParams, StreamHeaders),
    responses((status = 200, content(
        (pb::EventListReply = "application/json"), (pb::EventView = "text/event-stream")))))]
async fn events(
    asker: Allowed<EventsRead>,
    Params(params): Params<EventParams>,
    headers: HeaderMap,
) -> Answer<Response> {
    let most = limit(params.limit)?;
    if params.follow || wants_stream(&headers) {
        let after = last_seen(&headers)?.or(params.since);
        let EventParams { kind, workload, node, instance, .. } = params;
        let filter = Filter { kind, workload, node, instance };
        let app = asker.app().clone();
        return stream(asker.app(), |sink| send_all(app, after, filter, sink));
    }
    let request = pb::EventList {
        since: params.since.unwrap_or_default(),
        kind: params.kind,
        workload: params.workload,
        node: params.node,
        instance: params.instance,
        limit: most,
        newest: params.newest,
        cursor: params.cursor,
    };
    asker.ask(request).await.map(|reply| Json(reply).into_response())
}

fn last_seen(headers: &HeaderMap) -> Answer<Option<u64>> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text.is_empty() {
        return Ok(None);
    }
    let sequence = text.parse().map(Some);
    sequence
        .map_err(|_| Refusal::malformed("Last-Event-ID", "the `id` of an event: a whole number"))
}
