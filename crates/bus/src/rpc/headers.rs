//! What travels beside a request and its answer.

use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use ostler_schemas::problem::{Code, Problem};
use ostler_schemas::wire::{Format, Wire};
use rand::Rng as _;

use super::Caller;
use crate::horizon::Horizon;

const ACTOR: &str = "Ostler-Actor";
const OP_ID: &str = "Ostler-Op-Id";
const TIMEOUT: &str = "Ostler-Timeout";
const SEEN: &str = "Ostler-Seen";
const TRACE: &str = "traceparent";
const CONTENT: &str = "Content-Type";
const ERROR: &str = "Nats-Service-Error";
const ERROR_CODE: &str = "Nats-Service-Error-Code";
const PROBLEM: &str = "application/problem+json";

/// Where a request does not say how long it has.
const USUAL_TIMEOUT: Duration = Duration::from_secs(5);
/// Nobody waits longer.
const MOST_TIMEOUT: Duration = Duration::from_secs(600);

/// The headers of a request. What cannot stand in a header is left out.
pub(super) fn of_request(from: &Caller, format: Format) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT, format.content_type());
    headers.insert(TIMEOUT, from.timeout.as_millis().to_string());
    let mut optional = |name: &'static str, value: &str| {
        if let Ok(value) = value.parse::<async_nats::HeaderValue>()
            && !value.as_str().is_empty()
        {
            headers.insert(name, value);
        }
    };
    optional(ACTOR, &from.actor);
    optional(OP_ID, &from.op_id);
    if !from.trace_id.is_empty() {
        let span: u64 = rand::rng().random();
        optional(TRACE, &format!("00-{}-{span:016x}-01", from.trace_id));
    }
    headers
}

/// Says how far one has seen.
pub(super) fn tell_seen(headers: &mut HeaderMap, horizon: &Horizon) {
    if !horizon.is_empty() {
        headers.insert(SEEN, horizon.to_string());
    }
}

/// How far the sender has seen; nothing where that cannot be read.
pub(super) fn seen(headers: &HeaderMap) -> Horizon {
    headers.get(SEEN).and_then(|value| value.as_str().parse().ok()).unwrap_or_default()
}

/// Who sent a request.
pub(super) fn caller(headers: &HeaderMap) -> Caller {
    let text = |name: &'static str| {
        headers.get(name).map(|value| value.as_str().to_owned()).filter(|text| !text.is_empty())
    };
    let timeout = text(TIMEOUT).and_then(|text| text.parse().ok()).map(Duration::from_millis);
    let trace = text(TRACE).and_then(|text| text.split('-').nth(1).map(str::to_owned));
    Caller {
        actor: text(ACTOR).unwrap_or_else(|| "anonymous".to_owned()),
        op_id: text(OP_ID).unwrap_or_else(crate::op_id),
        trace_id: trace.unwrap_or_default(),
        timeout: timeout.unwrap_or(USUAL_TIMEOUT).min(MOST_TIMEOUT),
    }
}

/// The format a request is in; an unknown one is an error that names it.
pub(super) fn format(headers: &HeaderMap, usual: Format) -> Result<Format, Box<Problem>> {
    let Some(said) = headers.get(CONTENT) else { return Ok(usual) };
    Format::from_content_type(said.as_str()).ok_or_else(|| {
        let said: String = said.as_str().chars().take(80).collect();
        let known = "`application/json` or `application/protobuf`";
        let detail = format!("`Content-Type` is `{said}`, should be {known}");
        Box::new(Problem::new(Code::Malformed, detail))
    })
}

/// The headers of a good answer.
pub(super) fn of_answer(format: Format) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT, format.content_type());
    headers
}

/// A problem as it is sent: the headers of NATS services, and the body of RFC 9457.
pub(super) fn of_problem(problem: &Problem) -> (HeaderMap, Bytes) {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT, PROBLEM);
    headers.insert(ERROR, problem.title.as_str());
    headers.insert(ERROR_CODE, problem.status.to_string());
    let body = serde_json::to_vec(problem).expect("a problem has text keys");
    (headers, body.into())
}

/// Reads an answer.
pub(super) fn read<R: Wire>(
    headers: &HeaderMap,
    body: &[u8],
    asked: Format,
) -> Result<R, Box<Problem>> {
    let unreadable = |why: String| {
        Box::new(Problem::new(Code::Internal, format!("an answer that cannot be read: {why}")))
    };
    if headers.get(ERROR_CODE).is_some() {
        let problem = serde_json::from_slice(body);
        return Err(problem.unwrap_or_else(|error| unreadable(error.to_string())));
    }
    let format = format(headers, asked)?;
    R::decode(body, format).map_err(|error| unreadable(error.to_string()))
}
