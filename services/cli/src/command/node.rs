//! Nodes: list, show, and what is wanted of them.

use ostler_core::time::Span;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{import, watch};
use crate::args::NodeCommand;
use crate::client::{NOTHING, encode};
use crate::failure::Failure;
use crate::follow;
use crate::output::{self, Column, ago, column, percent, text, wide};
use crate::session::Session;

/// `ostler nodes …`.
pub async fn run(session: &Session, command: NodeCommand) -> Result<(), Failure> {
    match command {
        NodeCommand::List { watch } => watch::every(watch, || list(session)).await,
        NodeCommand::Show { node } => {
            let mut view: Value = session.client.get(&path(&node)).await?;
            // A node that is away cannot be asked.
            let left = session.client.get::<Value>(&format!("{}/leftovers", path(&node))).await;
            if let Some(items) = left.ok().and_then(|left| left["items"].as_array().cloned())
                && !items.is_empty()
            {
                view["leftovers"] = items.into();
            }
            if let Ok(host) = session.client.get::<Value>(&format!("{}/host", path(&node))).await {
                view["host"] = host;
            }
            output::show(session.format, &view)
        }
        NodeCommand::Leftovers { node, clean } => leftovers(session, &node, clean).await,
        NodeCommand::Import { node, dry_run: _ } => import::report(session, &node).await,
        NodeCommand::Cordon { node } => act(session, &node, "cordon").await,
        NodeCommand::Uncordon { node } => act(session, &node, "uncordon").await,
        NodeCommand::Activate { node } => act(session, &node, "activate").await,
        NodeCommand::Maintenance { node } => {
            let command: Value =
                session.client.post(&format!("{}/maintenance", path(&node))).await?;
            follow::until_done(session, &command).await
        }
        NodeCommand::Drain { node, deadline, force, detach } => {
            let deadline: Span = deadline.parse().map_err(Failure::usage)?;
            let body = json!({ "deadline": deadline.to_string(), "force": force });
            let path = format!("{}/drain", path(&node));
            let command: Value = session.client.json(Method::POST, &path, Some(&body)).await?;
            if detach {
                return session.tell(&command, &format!("{node} is being drained"));
            }
            follow::until_done(session, &command).await
        }
        NodeCommand::Label { node, labels } => label(session, &node, &labels).await,
        NodeCommand::Remove { node, force } => remove(session, &node, force).await,
    }
}

pub(super) fn path(node: &str) -> String {
    format!("/v1/nodes/{}", encode(node))
}

const COLUMNS: &[Column] = &[
    column("ID", |item| text(item, "name")),
    column("STATUS", |item| text(item, "liveness")),
    column("ADMIN", |item| text(item, "admin")),
    column("INSTANCES", |item| {
        format!("{}/{}", text(item, "instances"), text(item, "max_instances"))
    }),
    column("CPU", |item| live(item, "use.cpu")),
    column("MEMORY", |item| live(item, "use.memory")),
    column("ZONE", |item| text(item, "zone")),
    column("LAST HEARTBEAT", |item| ago(item, "last_heartbeat")),
    wide("POOL", |item| text(item, "pool")),
    wide("EPOCH", |item| text(item, "epoch")),
    wide("DRIVERS", |item| keys(&item["drivers"])),
    wide("ADDRESS", |item| item["addresses"][0].as_str().unwrap_or("-").to_owned()),
    wide("VERSION", |item| text(item, "version")),
];

async fn list(session: &Session) -> Result<(), Failure> {
    output::list(session.format, &session.client.list("/v1/nodes").await?, COLUMNS)
}

/// `ostler top`: those that work hardest first.
pub async fn top(session: &Session) -> Result<(), Failure> {
    let mut items = session.client.list("/v1/nodes").await?;
    let used = |item: &Value, what: &str| item["use"][what].as_f64().unwrap_or_default();
    items.sort_by(|a, b| {
        let (a, b) = (used(a, "cpu") + used(a, "memory"), used(b, "cpu") + used(b, "memory"));
        b.total_cmp(&a)
    });
    output::list(session.format, &items, COLUMNS)
}

/// A share of use, where the node is there to tell it.
fn live(item: &Value, field: &str) -> String {
    if item["liveness"] == "online" { percent(item, field) } else { "-".to_owned() }
}

fn keys(value: &Value) -> String {
    let keys: Vec<&str> =
        value.as_object().map(|map| map.keys().map(String::as_str).collect()).unwrap_or_default();
    keys.join(",")
}

async fn act(session: &Session, node: &str, verb: &str) -> Result<(), Failure> {
    let view: Value = session.client.post(&format!("{}/{verb}", path(node))).await?;
    session.tell(&view, &format!("{node} is {}", text(&view, "admin")))
}

async fn label(session: &Session, node: &str, labels: &[String]) -> Result<(), Failure> {
    let mut map = Map::new();
    for label in labels {
        let (key, value) = label
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("`{label}` is not `key=value`")))?;
        map.insert(key.to_owned(), Value::from(value));
    }
    let body = json!({ "labels": map });
    let view: Value = session.client.json(Method::PATCH, &path(node), Some(&body)).await?;
    session.tell(&view, &format!("{node}: {}", view["labels"]))
}

async fn remove(session: &Session, node: &str, force: bool) -> Result<(), Failure> {
    session.confirm(&format!("Remove {node} from the fleet?"))?;
    let query = if force { "?force=true" } else { "" };
    let path = format!("{}{query}", path(node));
    let view: Value = session.client.json(Method::DELETE, &path, NOTHING).await?;
    session.tell(&view, &format!("{node} is removed"))
}

const LEFTOVERS: &[Column] = &[
    column("INSTANCE", |item| text(item, "instance")),
    column("PID", |item| text(item, "pid")),
    column("CLEANED", |item| text(item, "cleaned")),
    column("COMMAND", |item| text(item, "command")),
];

async fn leftovers(session: &Session, node: &str, clean: bool) -> Result<(), Failure> {
    let path = format!("{}/leftovers", path(node));
    let mut left: Value = session.client.get(&path).await?;
    let count = left["items"].as_array().map_or(0, Vec::len);
    if clean && count > 0 {
        session.confirm(&format!("This ends {count} processes on {node}."))?;
        left = session.client.json(Method::DELETE, &path, NOTHING).await?;
    }
    let items = left["items"].as_array().cloned().unwrap_or_default();
    output::list(session.format, &items, LEFTOVERS)
}
