//! What every request passes: a trace id, problems written out, the host check, room for it.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ostler_schemas::problem::Code;
use ostler_service::clock;
use tracing::Instrument;

use crate::answer::{Refusal, problem_response, status_problem};
use crate::app::App;
use crate::extract::trace::TraceId;
use crate::room::Full;

const TRACE_ID: HeaderName = HeaderName::from_static("trace-id");
/// These answer in plain text, as their readers expect.
const PLAIN: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Gives the request a trace id, writes out problems, answers 304, counts.
pub async fn finish(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let began = clock::instant();
    let trace = TraceId::of(request.headers());
    request.extensions_mut().insert(trace.clone());
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let known = request.headers().get(header::IF_NONE_MATCH).cloned();
    let span = tracing::info_span!("http.request", http.method = %method, trace.id = %trace.0);
    let response = next.run(request).instrument(span).await;
    let response = written_out(response, &path, &trace);
    let mut response = unless_known(response, &method, known.as_ref());
    if let Ok(value) = HeaderValue::from_str(&trace.0) {
        response.headers_mut().insert(TRACE_ID, value);
    }
    // What instances write is shown as text, never run as a page.
    let as_it_says = HeaderValue::from_static("nosniff");
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, as_it_says);
    let counts = app.counts();
    counts.requests.with_label_values(&[word(&method), class(response.status())]).inc();
    counts.seconds.observe(clock::since(began).as_secs_f64());
    response
}

fn written_out(mut response: Response, path: &str, trace: &TraceId) -> Response {
    let status = response.status();
    let failed = status.is_client_error() || status.is_server_error();
    let refusal = response.extensions_mut().remove::<Refusal>();
    let refusal = match refusal {
        Some(refusal) => refusal,
        None if failed && !PLAIN.contains(&path) => status_problem(status, path),
        None => return response,
    };
    let allow = response.headers_mut().remove(header::ALLOW);
    let mut written = problem_response(refusal, &trace.0);
    if let Some(allow) = allow {
        written.headers_mut().insert(header::ALLOW, allow);
    }
    written
}

/// 304 instead of what the caller has already.
fn unless_known(response: Response, method: &Method, known: Option<&HeaderValue>) -> Response {
    let tag = response.headers().get(header::ETAG);
    let same = match (tag, known) {
        (Some(tag), Some(known)) => tag == known,
        (_, None) | (None, _) => false,
    };
    if !same || response.status() != StatusCode::OK || method != Method::GET {
        return response;
    }
    let headers = response.headers().get(header::ETAG).cloned();
    let mut empty = StatusCode::NOT_MODIFIED.into_response();
    if let Some(tag) = headers {
        empty.headers_mut().insert(header::ETAG, tag);
    }
    empty
}

fn word(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "get",
        "PUT" => "put",
        "POST" => "post",
        "PATCH" => "patch",
        "DELETE" => "delete",
        _ => "other",
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        ..400 => "ok",
        400..500 => "refused",
        500.. => "failed",
    }
}

/// Refuses requests that a browser was tricked into: a name that was rebound to loopback, or a page
/// of another origin. Without accounts, reaching the port is all that it takes.
pub async fn loopback_only(request: Request, next: Next) -> Response {
    match foreign(request.uri().authority().map(|a| a.as_str()), request.headers()) {
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    }
}

fn foreign(authority: Option<&str>, headers: &HeaderMap) -> Option<Refusal> {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let Some(host) = authority.or(text(header::HOST)) else {
        return Some(Refusal::malformed("Host", "the header is required"));
    };
    if !is_here(host) {
        let detail = format!("the host `{host}` is not this machine's loopback address");
        return Some(Refusal::new(Code::Forbidden, detail));
    }
    let origin = text(header::ORIGIN)?;
    let origin_host = origin.split_once("://").map_or("", |(_, host)| host);
    (!is_here(origin_host)).then(|| {
        let detail = format!("requests from pages of `{origin}` are not taken");
        Refusal::new(Code::Forbidden, detail)
    })
}

/// Whether this names the machine itself: `localhost`, `127.0.0.1:8000`, `[::1]:8000`.
fn is_here(authority: &str) -> bool {
    let name = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let ip: Option<std::net::IpAddr> = name.parse().ok();
    name == "localhost"
        || name.ends_with(".localhost")
        || ip.is_some_and(|ip| ip.to_canonical().is_loopback())
}

/// Answers at once when too many requests are open: 429 to the client whose own they are, else 503.
pub async fn shed(
    State(app): State<App>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let refusal = match app.admit_request(client.ip()) {
        Ok(place) => {
            request.extensions_mut().insert(place.turns());
            return next.run(request).await;
        }
        Err(Full::All(limit)) => {
            let detail = format!("{limit} requests are open already (`gateway.max_requests`)");
            Refusal::new(Code::Unavailable, detail)
        }
        Err(Full::Client(limit)) => {
            let (ip, setting) = (client.ip(), "gateway.max_requests_per_client");
            let detail = format!("{limit} requests of {ip} are open already (`{setting}`)");
            Refusal::new(Code::LimitExceeded, detail)
        }
    };
    refusal.into_response()
}

/// What becomes of a handler that panics.
#[must_use]
pub fn panicked(panic: &(dyn std::any::Any + Send)) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    let detail = format!("a handler panicked: {}", text.unwrap_or("without a text"));
    Refusal::new(Code::Internal, detail).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_served() {
        for here in ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "127.9.9.9", "[::1]:80"] {
            assert!(is_here(here), "{here}");
        }
        for there in ["", "evil.example", "127.0.0.1.evil.example", "localhost.evil", "10.0.0.1"] {
            assert!(!is_here(there), "{there}");
        }
    }

    #[test]
    fn a_page_of_another_origin_is_refused_though_the_host_is_right() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:8000"));
        assert!(foreign(None, &headers).is_none());
        headers.insert(header::ORIGIN, HeaderValue::from_static("http://localhost:8000"));
        assert!(foreign(None, &headers).is_none());
        for origin in ["null", "https://evil.example", "http://127.0.0.1.evil.example"] {
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            let refusal = foreign(None, &headers).expect("refused");
            assert_eq!(refusal.problem().status, 403, "{origin}");
        }
    }
}
