//! `/v1/endpoints`: who may be asked for what, as a list, as a stream, and for proxies.

use std::time::Duration;

use axum::Json;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use ostler_schemas::pb;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::events::wants_stream;
use super::parameters::limit;
use crate::answer::{Answer, Refusal};
use crate::app::App;
use crate::extract::policy::EndpointsRead;
use crate::extract::{Allowed, Asker, Params};
use crate::stream::{Gone, Sink, stream};

mod text;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

/// What endpoints are written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// A page of a list.
    #[default]
    Json,
    /// Targets for the HTTP service discovery of Prometheus.
    Prometheus,
    /// `upstream` blocks for nginx.
    Nginx,
    /// `backend` blocks for HAProxy.
    Haproxy,
}

/// Which endpoints, and how.
#[derive(Debug, Default, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct EndpointParams {
    /// Only of this namespace.
    pub namespace: String,
    /// Only of this workload.
    pub workload: String,
    /// Only on this node.
    pub node: String,
    /// Only on nodes of this pool.
    pub pool: String,
    /// Only in this zone.
    pub zone: String,
    /// Only with this label of the workload, `key=value`; may be repeated.
    pub label: Vec<String>,
    /// Also those that are not ready, with weight 0.
    pub all: bool,
    /// What they are written as.
    #[param(inline)]
    pub format: Form,
    /// The whole list now and after every change, as server-sent events.
    pub follow: bool,
    /// At most so many, 1 to 1,000; only for `json`.
    pub limit: Option<u32>,
    /// Where the page before ended; only for `json`.
    pub cursor: String,
}

/// `/{name}`
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct EndpointPath {
    /// `<workload>.<port name>`, such as `web.http`.
    pub name: String,
}

/// Endpoints, ready ones only unless `all` is said. What was told to stop is listed no more.
#[utoipa::path(get, path = "/v1/endpoints", tag = "endpoints", params(EndpointParams),
    responses((status = 200, content((pb::EndpointListReply = "application/json"),
        (String = "text/plain"), (pb::EndpointListReply = "text/event-stream")))))]
async fn list(
    asker: Allowed<EndpointsRead>,
    Params(params): Params<EndpointParams>,
    headers: HeaderMap,
) -> Answer<Response> {
    let name = params.workload.clone();
    answer(asker.into_asker(), name, params, &headers).await
}

/// The endpoints of one name.
#[utoipa::path(get, path = "/v1/endpoints/{name}", tag = "endpoints",
    params(EndpointPath, EndpointParams),
    responses((status = 200, content((pb::EndpointListReply = "application/json"),
        (String = "text/plain"), (pb::EndpointListReply = "text/event-stream")))))]
async fn show(
    asker: Allowed<EndpointsRead>,
    Path(name): Path<String>,
    Params(params): Params<EndpointParams>,
    headers: HeaderMap,
) -> Answer<Response> {
    if !name.contains('.') {
        return Err(Refusal::malformed("name", "expected `<workload>.<port name>`"));
    }
    answer(asker.into_asker(), name, params, &headers).await
}

async fn answer(
    asker: Asker,
    name: String,
    params: EndpointParams,
    headers: &HeaderMap,
) -> Answer<Response> {
    let limit = limit(params.limit)?;
    let request = pb::EndpointList {
        namespace: params.namespace,
        name,
        all: params.all,
        limit,
        cursor: params.cursor,
        node: params.node,
        pool: params.pool,
        zone: params.zone,
        label: params.label,
    };
    if params.follow || wants_stream(headers) {
        if params.format != Form::Json {
            return Err(Refusal::malformed("format", "only `json` can be followed"));
        }
        // What is wrong with the request is told before the stream begins.
        let first = everything(&asker, &request).await?;
        let app = asker.app().clone();
        return stream(&app, |sink| follow(asker, request, first, sink));
    }
    match params.format {
        Form::Json => asker.ask(request).await.map(|reply| Json(reply).into_response()),
        Form::Prometheus => {
            let all = everything(&asker, &request).await?;
            Ok(Json(text::prometheus(&all)).into_response())
        }
        Form::Nginx => everything(&asker, &request).await.map(|all| plain(text::nginx(&all))),
        Form::Haproxy => everything(&asker, &request).await.map(|all| plain(text::haproxy(&all))),
    }
}

fn plain(text: String) -> Response {
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// Every page.
async fn everything(asker: &Asker, request: &pb::EndpointList) -> Answer<Vec<pb::EndpointView>> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = pb::EndpointList { limit: 1000, cursor, ..request.clone() };
        let page = asker.ask(page).await?;
        items.extend(page.items);
        match page.next_cursor {
            Some(next) if !next.is_empty() => cursor = next,
            Some(_) | None => return Ok(items),
        }
    }
}

/// What happens together is told together.
const SETTLE: Duration = Duration::from_millis(50);
/// Looked at so often though nothing was heard: an event may be lost.
const LOOK: Duration = Duration::from_secs(2);

/// Sends the whole list at first and whenever it has changed.
async fn follow(
    asker: Asker,
    request: pb::EndpointList,
    first: Vec<pb::EndpointView>,
    sink: Sink,
) -> Result<(), Gone> {
    let mut events = asker.app().tail().subscribe();
    let mut told = first;
    send(&sink, &told).await?;
    loop {
        tokio::select! {
            heard = events.recv() => match heard {
                Ok(view) if !concerns(view.event.as_ref()) => continue,
                // Who was too slow to hear all looks.
                Ok(_) | Err(_) => tokio::time::sleep(SETTLE).await,
            },
            () = tokio::time::sleep(LOOK) => {}
        }
        // One look answers to all that was heard until now.
        events = events.resubscribe();
        // A registry that does not answer changes nothing: the next look may find one.
        let Ok(now) = everything(&asker, &request).await else { continue };
        if now != told {
            told = now;
            send(&sink, &told).await?;
        }
    }
}

/// Whether an event may change what is ready.
fn concerns(event: Option<&pb::Event>) -> bool {
    let begins = ["instance.", "node.", "workload."];
    event.is_some_and(|event| begins.iter().any(|begin| event.kind.starts_with(begin)))
}

async fn send(sink: &Sink, items: &[pb::EndpointView]) -> Result<(), Gone> {
    let list = pb::EndpointListReply { items: items.to_vec(), next_cursor: None, revision: 0 };
    sink.send(None, Some("endpoints"), &list).await
}
