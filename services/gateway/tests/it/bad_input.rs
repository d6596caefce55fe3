//! Requests that are wrong: each is refused by a problem that names what is wrong.

use ostler_gateway::Config;
use ostler_testkit::eventually;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::served::Served;

const JSON: &str = "application/json";

/// Method, path, content type, body → status, code, field, part of the detail.
type Wrong = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    u16,
    &'static str,
    &'static str,
    &'static str,
);

#[rustfmt::skip]
const WRONG: &[Wrong] = &[
    ("GET", "/", "", "", 404, "not_found", "", "no path /"),
    ("GET", "/v1/nonsense", "", "", 404, "not_found", "", "/v1/nonsense"),
    ("GET", "/v1/workloads/default/web/", "", "", 404, "not_found", "", "no path"),
    ("POST", "/v1/nodes", "", "", 405, "malformed", "", "method"),
    ("DELETE", "/v1/status", "", "", 405, "malformed", "", "method"),
    ("PUT", "/v1/workloads/default/web", JSON, "{", 400, "malformed", "body", "line 1 column 1"),
    ("PUT", "/v1/workloads/default/web", JSON, "{\n  \"a\" 1}", 400, "malformed", "body", "line 2"),
    ("PUT", "/v1/workloads/default/web", JSON, "", 400, "malformed", "body", "ends too early"),
    ("PUT", "/v1/workloads/default/web", JSON, "\u{feff}{}", 400, "malformed", "body", "line 1"),
    ("PUT", "/v1/workloads/default/web", JSON, "[]", 422, "invalid", "", "table"),
    ("PUT", "/v1/workloads/default/web", JSON, "{}", 422, "invalid", "driver", "required"),
    ("PUT", "/v1/workloads/default/web", JSON, r#"{"driver":"sim","cuont":1}"#, 422, "invalid", "cuont", "count"),
    ("PUT", "/v1/workloads/default/web", JSON, r#"{"driver":"sin"}"#, 422, "invalid", "driver", "sim"),
    ("PUT", "/v1/workloads/default/web", JSON, r#"{"driver":"sim","count":-1}"#, 422, "invalid", "count", "-1"),
    ("PUT", "/v1/workloads/default/web", JSON, r#"{"driver":"sim","count":1e3}"#, 422, "invalid", "count", ""),
    ("PUT", "/v1/workloads/default/web", JSON, r#"{"driver":"sim","count":99999999}"#, 422, "invalid", "count", ""),
    ("PUT", "/v1/workloads/default/web", JSON, r#"{"driver":"sim","resources":{"memory":"64MB"}}"#, 422, "invalid", "resources.memory", "64MB"),
    ("PUT", "/v1/workloads/default/web", JSON, r#"{"driver":"sim","name":"api"}"#, 422, "invalid", "name", "path"),
    ("PUT", "/v1/workloads/default/Web", JSON, r#"{"driver":"sim"}"#, 400, "malformed", "name", "Web"),
    ("PUT", "/v1/workloads/default/%ff", JSON, r#"{"driver":"sim"}"#, 400, "malformed", "path", "UTF-8"),
    ("PUT", "/v1/workloads/default/web", "", r#"{"driver":"sim"}"#, 415, "malformed", "Content-Type", "application/json"),
    ("PUT", "/v1/workloads/default/web", "text/plain", "x", 415, "malformed", "Content-Type", "text/plain"),
    ("PUT", "/v1/workloads/default/web", "application/toml", "driver = ", 422, "invalid", "", ""),
    ("PUT", "/v1/workloads/default/web?wait=5", JSON, "{}", 400, "malformed", "wait", "duration"),
    ("PUT", "/v1/workloads/default/web?dryrun=true", JSON, "{}", 400, "malformed", "dryrun", "unknown query parameter"),
    ("POST", "/v1/workloads", JSON, r#"{"driver":"sim"}"#, 422, "invalid", "name", "required"),
    ("POST", "/v1/workloads/default/web/scale", JSON, "{}", 422, "invalid", "count", "missing"),
    ("POST", "/v1/workloads/default/web/scale", JSON, r#"{"count":"3"}"#, 422, "invalid", "count", "u32"),
    ("POST", "/v1/workloads/default/web/scale", JSON, "[3]", 422, "invalid", "body", "object"),
    ("POST", "/v1/workloads/default/web/rollback", JSON, r#"{"to":3}"#, 422, "invalid", "to", "unknown field"),
    ("POST", "/v1/workloads/default/web/restart?dryrun=true", "", "", 400, "malformed", "dryrun", "unknown query parameter"),
    ("POST", "/v1/plan", JSON, "[]", 422, "invalid", "workloads", "1000"),
    ("POST", "/v1/plan", JSON, r#"[{"driver":"sim","name":"a"},{"name":"b"}]"#, 422, "invalid", "[1].driver", "required"),
    ("GET", "/v1/workloads?limit=0", "", "", 400, "malformed", "limit", "1000"),
    ("GET", "/v1/workloads?limit=many", "", "", 400, "malformed", "limit", "whole number"),
    ("GET", "/v1/workloads?limit=1&limit=2", "", "", 400, "malformed", "limit", "more than once"),
    ("GET", "/v1/workloads/default/web/versions/0", "", "", 400, "malformed", "n", "from 1"),
    ("GET", "/v1/instances?workload=a/b/c", "", "", 400, "malformed", "workload", "b/c"),
    ("GET", "/v1/instances/UPPER", "", "", 404, "not_found", "", "no instance `UPPER`"),
    ("GET", "/v1/instances/0123456789abcdefg", "", "", 404, "not_found", "", "no instance"),
    ("POST", "/v1/instances/0123/signal", JSON, "{}", 422, "invalid", "signal", "missing"),
    ("POST", "/v1/instances/0123/signal", JSON, r#"{"signal":"usr1; rm"}"#, 422, "invalid", "signal", "SIGUSR1"),
    ("POST", "/v1/instances", JSON, r#"{"driver":"sim"}"#, 422, "invalid", "name", "required"),
    ("POST", "/v1/instances", JSON, r#"{"driver":"sim","name":"a","count":2}"#, 422, "invalid", "count", "one instance"),
    ("POST", "/v1/instances", JSON, r#"{"driver":"sim","name":"a","node":"Node 1"}"#, 422, "invalid", "node", "Node 1"),
    ("POST", "/v1/instances", JSON, r#"{"driver":"sim","name":"a","node":"n1","placement":{"node":"n2"}}"#, 422, "invalid", "node", "another node"),
    ("GET", "/v1/instances/0123/logs?tail=0", "", "", 400, "malformed", "tail", "lines"),
    ("GET", "/v1/instances/0123/logs?stream=stdlog", "", "", 400, "malformed", "stream", "stdout"),
    ("POST", "/v1/instances/0123/move", JSON, r#"{"node":"Node 1"}"#, 422, "invalid", "node", "Node 1"),
    ("GET", "/v1/nodes/a.b", "", "", 400, "malformed", "name", "a.b"),
    ("PATCH", "/v1/nodes/node-1", JSON, r#"{"label":{}}"#, 422, "invalid", "label", "labels"),
    ("PATCH", "/v1/nodes/node-1", JSON, r#"{"reserved":{"memory":"1GB"}}"#, 422, "invalid", "reserved.memory", "1GB"),
    ("POST", "/v1/nodes/node-1/drain", JSON, r#"{"deadline":600}"#, 422, "invalid", "deadline", "600"),
    ("GET", "/v1/commands/7", "", "", 404, "not_found", "", "no command `7`"),
    ("GET", "/v1/events?since=yesterday", "", "", 400, "malformed", "since", "whole number"),
    ("GET", "/v1/metrics/fleet?range=1y", "", "", 400, "malformed", "range", "duration"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_requests_are_refused_by_name_and_nothing_breaks() {
    let served = Served::start().await;
    for (method, path, kind, body, status, code, field, part) in WRONG {
        let place = format!("{method} {path} {body}");
        let mut request = served.ask(method, path).body((*body).to_owned());
        if !kind.is_empty() {
            request = request.header("Content-Type", *kind);
        }
        let answer = request.send().await.expect("it answers");
        assert_eq!(answer.status().as_u16(), *status, "{place}");
        assert_eq!(answer.headers()["Content-Type"], "application/problem+json", "{place}");
        let trace = answer.headers()["Trace-Id"].to_str().expect("text").to_owned();
        let problem: Value = answer.json().await.expect("JSON");
        assert_eq!(problem["code"], *code, "{place}: {problem}");
        assert_eq!(problem["status"], *status, "{place}: {problem}");
        assert_eq!(problem["trace_id"], trace, "{place}: {problem}");
        if !field.is_empty() {
            assert_eq!(problem["field"], *field, "{place}: {problem}");
        }
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.contains(part), "{place}: {detail}");
    }
    let answer = served.ask("GET", "/healthz").send().await.expect("it answers");
    assert_eq!(answer.status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_headers_are_refused_by_name() {
    let served = Served::start().await;
    for (name, value, status, code, field) in [
        ("Host", "evil.example", 403, "forbidden", ""),
        ("Host", "127.0.0.1.evil.example", 403, "forbidden", ""),
        ("Origin", "https://evil.example", 403, "forbidden", ""),
        ("If-Match", "yesterday", 400, "malformed", "If-Match"),
        ("If-None-Match", "\"7\"", 400, "malformed", "If-None-Match"),
        ("Idempotency-Key", "", 400, "malformed", "Idempotency-Key"),
    ] {
        let request = served.ask("PUT", "/v1/workloads/default/web").header(name, value);
        let request = request.header("Content-Type", JSON).body(r#"{"driver":"sim"}"#);
        let answer = request.send().await.expect("it answers");
        assert_eq!(answer.status(), status, "{name}: {value}");
        let problem: Value = answer.json().await.expect("JSON");
        assert_eq!(problem["code"], code, "{name}: {value}: {problem}");
        if !field.is_empty() {
            assert_eq!(problem["field"], field, "{name}: {value}: {problem}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_above_the_limit_is_413_and_a_missing_registry_503_with_the_callers_trace() {
    let served = Served::start().await;
    let long = served.ask("POST", "/v1/plan").header("Content-Type", JSON);
    let answer = long.body(" ".repeat((1 << 20) + 1)).send().await.expect("it answers");
    assert_eq!(answer.status(), 413);
    let problem: Value = answer.json().await.expect("JSON");
    assert_eq!(problem["code"], "limit_exceeded");
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request = served.ask("GET", "/v1/nodes");
    let request = request.header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
    let answer = request.send().await.expect("it answers");
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["Retry-After"], "1");
    let problem: Value = answer.json().await.expect("JSON");
    assert_eq!(problem["code"], "unavailable");
    assert_eq!(problem["trace_id"], trace);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_requests_are_shed_at_once_but_health_answers() {
    let served = Served::with(Config { max_requests: 1, ..Config::default() }).await;
    // A request whose body does not come holds the only place.
    let mut held = tokio::net::TcpStream::connect(served.address).await.expect("it listens");
    let head = "POST /v1/plan HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                Content-Length: 10\r\n\r\n";
    held.write_all(head.as_bytes()).await.expect("it reads");
    eventually("the first request is in", || async {
        let metrics = served.ask("GET", "/metrics").send().await.expect("it answers");
        metrics.text().await.expect("text").contains("ostler_gateway_requests_open 1")
    })
    .await;
    let second = served.ask("GET", "/v1/status").send().await.expect("it answers");
    assert_eq!(second.status(), 503);
    let problem: Value = second.json().await.expect("JSON");
    assert!(problem["detail"].as_str().expect("text").contains("max_requests"), "{problem}");
    assert_eq!(served.ask("GET", "/healthz").send().await.expect("it answers").status(), 200);
    held.write_all(b"0123456789").await.expect("it reads");
    let mut answer = [0u8; 12];
    held.read_exact(&mut answer).await.expect("it answers");
    assert_eq!(&answer, b"HTTP/1.1 400");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_floods_is_refused_by_name_and_another_is_answered() {
    let served = Served::with(Config { max_requests_per_client: 1, ..Config::default() }).await;
    let mut held = tokio::net::TcpStream::connect(served.address).await.expect("it listens");
    let head = "POST /v1/plan HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                Content-Length: 10\r\n\r\n";
    held.write_all(head.as_bytes()).await.expect("it reads");
    let metrics = async || {
        let metrics = served.ask("GET", "/metrics").send().await.expect("it answers");
        metrics.text().await.expect("text")
    };
    eventually("the first request is in", || async {
        metrics().await.contains("ostler_gateway_requests_open 1")
    })
    .await;
    let second = served.ask("GET", "/v1/status").send().await.expect("it answers");
    assert_eq!(
        (second.status().as_u16(), &second.headers()["Retry-After"]),
        (429, &"1".parse().expect("a value"))
    );
    let problem: Value = second.json().await.expect("JSON");
    assert_eq!(problem["code"], "limit_exceeded");
    let detail = problem["detail"].as_str().expect("text");
    assert!(detail.contains("`gateway.max_requests_per_client`"), "{detail}");
    let other = reqwest::Client::builder().local_address(std::net::IpAddr::from([127, 0, 0, 2]));
    let other =
        other.build().expect("a client").get(format!("http://{}/v1/quotas", served.address));
    let other = other.send().await.expect("it answers");
    assert_ne!(other.status(), 429, "it is not refused for what another does");
    let counted = "ostler_gateway_refused_total{limit=\"max_requests_per_client\"} 1";
    assert!(metrics().await.contains(counted));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_document_and_its_page_are_served_and_the_program_stops() {
    let served = Served::start().await;
    for (path, part) in [("/openapi.json", "\"3.1"), ("/docs", "<!doctype html>")] {
        let answer = served.ask("GET", path).send().await.expect("it answers");
        assert_eq!(answer.status(), 200, "{path}");
        assert!(answer.text().await.expect("text").contains(part), "{path}");
    }
    eventually("it is ready", || async {
        served.ask("GET", "/readyz").send().await.expect("it answers").status() == 200
    })
    .await;
    let metrics = served.ask("GET", "/metrics").send().await.expect("it answers");
    assert!(metrics.text().await.expect("text").contains("ostler_gateway_requests_total"));
    served.program.clone().finish().await.expect("it stops");
    drop(served.nats);
}
