//! `/v1/instances/{id}/logs`: what an instance wrote, and what it writes.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use ostler_bus::pubsub::Subscription;
use ostler_core::id::{InstanceId, NodeName};
use ostler_core::time::Span;
use ostler_schemas::contract::LogOf;
use ostler_schemas::pb;
use ostler_schemas::problem::{Code, Problem};
use serde::{Deserialize, Serialize};
use tracing::debug;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::instances::located;
use super::parameters::InstancePath;
use crate::answer::{Answer, Refusal};
use crate::app::App;
use crate::extract::policy::LogsRead;
use crate::extract::{Allowed, Asker, InstanceRef, Params};
use crate::stream::{Gone, Sink, stream};

/// The executor is asked to publish for so long, and asked again at half of it.
const FOLLOW: Duration = Duration::from_secs(30);
/// So many events are looked at to find where an instance was.
const LAST_EVENTS: u32 = 100;
/// At most so many of the last lines.
const MOST_LINES: u32 = 100_000;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(logs))
}

/// Which lines.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct LogParams {
    /// Go on with what is written from now on, as server-sent events.
    pub follow: bool,
    /// The last so many lines; absent: 100, or with `since` as many as fit.
    pub tail: Option<u32>,
    /// Only what was written in the last so long, such as `10m`; by the node's clock, to within 5 s.
    #[param(value_type = Option<String>)]
    pub since: Option<Span>,
    /// `stdout` or `stderr`; absent: both.
    pub stream: String,
    /// Only lines that hold this text; absent: all.
    pub grep: String,
}

impl LogParams {
    fn request(&self, instance: InstanceId) -> Answer<pb::Logs> {
        if !matches!(self.stream.as_str(), "" | "stdout" | "stderr") {
            return Err(Refusal::malformed("stream", "`stdout` or `stderr`"));
        }
        let tail = self.tail.unwrap_or(if self.since.is_some() { MOST_LINES } else { 100 });
        if tail == 0 || tail > MOST_LINES {
            return Err(Refusal::malformed("tail", format!("from 1 to {MOST_LINES} lines")));
        }
        let instance = instance.to_string();
        let (stream, grep) = (self.stream.clone(), self.grep.clone());
        let within_ms = match self.since.map(Span::as_millis) {
            Some(0) => return Err(Refusal::malformed("since", "more than nothing, such as `10m`")),
            Some(within) => within,
            None => 0,
        };
        Ok(pb::Logs { instance, stream, grep, tail, within_ms, ..Default::default() })
    }
}

/// What an instance wrote: text, JSON with times where `Accept: application/json` asks for it, or
/// server-sent events with `follow` or `Accept: text/event-stream`.
#[utoipa::path(get, path = "/v1/instances/{id}/logs", tag = "instances",
    params(InstancePath, LogParams),
    responses((status = 200, content((String = "text/plain"),
        (pb::LogsReply = "application/json"), (pb::LogLine = "text/event-stream")))))]
async fn logs(
    asker: Allowed<LogsRead>,
    InstanceRef(id): InstanceRef,
    Params(params): Params<LogParams>,
    headers: HeaderMap,
) -> Answer<Response> {
    params.request(InstanceId::from_bits(0))?;
    let (id, node) = match located(&asker, id.clone()).await {
        Ok((view, node)) => (view.id, node),
        Err(gone) if gone.problem().code == Code::NotFound => ended(&asker, id, gone).await?,
        Err(refusal) => return Err(refusal),
    };
    let instance: InstanceId = id.parse().map_err(|error: ostler_core::id::IdError| {
        Problem::new(Code::Internal, format!("the registry names an instance wrongly: {error}"))
    })?;
    let request = params.request(instance)?;
    if params.follow || super::events::wants_stream(&headers) {
        return follow(asker.into_asker(), node, instance, request).await;
    }
    let reply = asker.ask_node(&node, request).await?;
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    if accept.is_some_and(|accept| accept.contains("application/json")) {
        return Ok(Json(reply).into_response());
    }
    Ok(plain(&reply))
}

/// An instance that has ended, by its id or the beginning of it, and the node that it was on last, as
/// history tells: what it wrote is kept there.
async fn ended(asker: &Asker, id: String, gone: Refusal) -> Answer<(String, NodeName)> {
    let request = pb::EventList {
        kind: "instance".to_owned(),
        instance: id.clone(),
        limit: LAST_EVENTS,
        newest: true,
        ..Default::default()
    };
    let events = asker.ask(request).await?.items;
    let told = events.into_iter().rev().filter_map(|view| view.event);
    let mut told = told.filter(|event| !event.node.is_empty());
    let Some(last) = told.next() else { return Err(gone) };
    if let Some(other) = told.find(|event| event.instance != last.instance) {
        let (one, two) = (&last.instance, &other.instance);
        let detail = format!("`{id}` is the beginning of `{one}`, `{two}` and maybe more");
        return Err(Refusal::new(Code::Conflict, detail));
    }
    match last.node.parse() {
        Ok(node) => Ok((last.instance, node)),
        Err(_) => Err(gone),
    }
}

fn plain(reply: &pb::LogsReply) -> Response {
    let size = reply.lines.iter().map(|line| line.text.len() + 1).sum();
    let mut text = String::with_capacity(size);
    for line in &reply.lines {
        text.push_str(line.text.trim_end_matches('\n'));
        text.push('\n');
    }
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    let mut response = (kind, text).into_response();
    if reply.truncated {
        response.headers_mut().insert("ostler-truncated", HeaderValue::from_static("true"));
    }
    response
}

async fn follow(
    asker: Asker,
    node: NodeName,
    instance: InstanceId,
    request: pb::Logs,
) -> Answer<Response> {
    // Subscribed before the request, so that nothing falls between.
    let address = LogOf { node: node.clone(), instance };
    let subscribed = asker.app().bus().subscribe(Some(&address)).await;
    let subscription = subscribed.map_err(|error| {
        Problem::new(Code::Unavailable, format!("cannot follow the logs now: {error}"))
    })?;
    let follow_ms = u64::try_from(FOLLOW.as_millis()).expect("seconds fit");
    let request = pb::Logs { follow_ms, ..request };
    let first = asker.ask_node(&node, request.clone()).await?;
    let app = asker.app().clone();
    stream(&app, |sink| send_all(Following { asker, node, request, subscription }, first, sink))
}

struct Following {
    asker: Asker,
    node: NodeName,
    request: pb::Logs,
    subscription: Subscription<LogOf>,
}

/// Lines were left out because they came too fast.
#[derive(Debug, Serialize)]
struct Dropped {
    dropped: u64,
}

/// The stream is over: the instance or its node is gone.
#[derive(Debug, Serialize)]
struct End<'a> {
    reason: &'a str,
}

async fn send_all(mut from: Following, first: pb::LogsReply, sink: Sink) -> Result<(), Gone> {
    send_lines(&sink, &from.request, &first.lines).await?;
    let mut renew = tokio::time::interval(FOLLOW / 2);
    renew.tick().await;
    loop {
        let chunk = tokio::select! {
            _ = renew.tick() => {
                if let Err(reason) = again(&from).await {
                    return sink.send(None, Some("end"), &End { reason: &reason }).await;
                }
                continue;
            }
            chunk = from.subscription.next() => chunk,
        };
        match chunk {
            None => return Ok(()),
            Some(Err(error)) => debug!(%error, "a chunk of a log cannot be read"),
            Some(Ok((_, chunk))) => {
                if chunk.dropped > 0 {
                    let dropped = Dropped { dropped: chunk.dropped };
                    sink.send(None, Some("dropped"), &dropped).await?;
                }
                send_lines(&sink, &from.request, &chunk.lines).await?;
            }
        }
    }
}

async fn send_lines(sink: &Sink, of: &pb::Logs, lines: &[pb::LogLine]) -> Result<(), Gone> {
    let stream = |line: &&pb::LogLine| of.stream.is_empty() || line.stream == of.stream;
    let holds = |line: &&pb::LogLine| line.text.contains(&of.grep);
    for line in lines.iter().filter(stream).filter(holds) {
        sink.send(None, None, line).await?;
    }
    Ok(())
}

/// Asks the executor to go on publishing. An error is the reason why it will not; silence is not:
/// it may be back the next time.
async fn again(from: &Following) -> Result<(), String> {
    let request = pb::Logs { tail: 1, max_bytes: 1, ..from.request.clone() };
    match from.asker.ask_node(&from.node, request).await {
        Ok(_) => Ok(()),
        Err(refusal) => match refusal.problem().code {
            Code::NotFound | Code::Conflict => Err(refusal.problem().detail.clone()),
            _ => Ok(()),
        },
    }
}
