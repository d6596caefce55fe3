//! Instances: list, inspect, move.

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::encode;
use crate::failure::Failure;
use crate::follow;
use crate::output::{self, Column, ago, column, text, wide};
use crate::session::{self, Session};

const COLUMNS: &[Column] = &[
    column("INSTANCE", |item| format!("{}/{}", text(item, "workload"), text(item, "slot"))),
    column("ID", |item| text(item, "id")),
    column("NODE", |item| text(item, "node")),
    column("STATE", state),
    column("READY", |item| yes_no(&item["ready"])),
    column("RESTARTS", |item| text(item, "restarts")),
    column("PORTS", ports),
    column("SINCE", |item| ago(item, "since")),
    wide("NAMESPACE", |item| text(item, "namespace")),
    wide("VERSION", |item| text(item, "version")),
    wide("DESIRED", |item| text(item, "desired")),
    wide("PID", |item| text(item, "pid")),
    wide("DRIVER", |item| text(item, "driver")),
    wide("REASON", |item| text(item, "reason")),
];

fn yes_no(value: &Value) -> String {
    if value.as_bool() == Some(true) { "yes" } else { "no" }.to_owned()
}

/// The state, and what is ordered where that is something else than to run.
fn state(item: &Value) -> String {
    let (observed, desired) = (text(item, "observed"), text(item, "desired"));
    match (desired.as_str(), observed.as_str()) {
        ("run", _) | (_, "stopping" | "stopped" | "lost") => observed,
        _ => format!("{observed} ({desired})"),
    }
}

fn ports(item: &Value) -> String {
    let address = text(item, "address");
    let ports = item["ports"].as_object().cloned().unwrap_or_default();
    let shown: Vec<String> =
        ports.iter().map(|(name, port)| format!("{name}={address}:{port}")).collect();
    if shown.is_empty() { "-".to_owned() } else { shown.join(" ") }
}

/// `ostler ps`.
pub async fn ps(session: &Session, all: bool) -> Result<(), Failure> {
    let mut items = session.client.list("/v1/instances").await?;
    if !all {
        let over = ["stopped", "completed", "failed", "declined", "lost"];
        items.retain(|item| !over.contains(&text(item, "observed").as_str()));
    }
    output::list(session.format, &items, COLUMNS)
}

/// `ostler instances`.
pub async fn list(
    session: &Session,
    (workload, node, state): (Option<&str>, Option<&str>, Option<&str>),
) -> Result<(), Failure> {
    let mut query = Vec::new();
    if let Some(workload) = workload {
        let key: ostler_core::id::WorkloadKey = workload.parse().map_err(Failure::usage)?;
        query.push(format!("namespace={}&workload={}", key.namespace, key.name));
    }
    if let Some(node) = node {
        query.push(format!("node={}", encode(node)));
    }
    if let Some(state) = state {
        query.push(format!("state={}", encode(state)));
    }
    let join = if query.is_empty() { "" } else { "?" };
    let path = format!("/v1/instances{join}{}", query.join("&"));
    output::list(session.format, &session.client.list(&path).await?, COLUMNS)
}

/// `ostler inspect`.
pub async fn inspect(session: &Session, instance: &str) -> Result<(), Failure> {
    let view = session::instance(session, instance).await?;
    output::show(session.format, &view)
}

/// `ostler move`.
pub async fn relocate(
    session: &Session,
    instance: &str,
    node: Option<String>,
) -> Result<(), Failure> {
    let view = session::instance(session, instance).await?;
    let body = node.map_or_else(|| json!({}), |node| json!({ "node": node }));
    let path = format!("/v1/instances/{}/move", text(&view, "id"));
    let command: Value = session.client.json(Method::POST, &path, Some(&body)).await?;
    follow::until_done(session, &command).await
}

/// `ostler signal`.
pub async fn signal(session: &Session, instance: &str, signal: &str) -> Result<(), Failure> {
    let view = session::instance(session, instance).await?;
    let name = signal.to_ascii_uppercase();
    let name = if name.starts_with("SIG") { name } else { format!("SIG{name}") };
    let path = format!("/v1/instances/{}/signal", text(&view, "id"));
    let body = json!({ "signal": name });
    let view: Value = session.client.json(Method::POST, &path, Some(&body)).await?;
    session.tell(&view, &format!("{instance} was sent {name}"))
}

/// `ostler reload`: a workload if there is one of that name, else an instance.
pub async fn reload(session: &Session, what: &str) -> Result<(), Failure> {
    let workload = session::workload_path(what).ok();
    if let Some(path) = workload
        && session.client.get::<Value>(&path).await.is_ok()
    {
        let view: Value = session.client.post(&format!("{path}/reload")).await?;
        return session.tell(&view, &format!("{what} reads its settings again"));
    }
    let view = session::instance(session, what).await?;
    let path = format!("/v1/instances/{}/reload", text(&view, "id"));
    let view: Value = session.client.post(&path).await?;
    session.tell(&view, &format!("{what} reads its settings again"))
}
