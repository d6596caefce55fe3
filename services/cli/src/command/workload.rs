//! Workloads: list, show, history, scale, restart, rollback, delete.

use reqwest::Method;
use serde_json::{Value, json};

use crate::args::DeleteArgs;
use crate::client::NOTHING;
use crate::failure::Failure;
use crate::follow;
use crate::output::{self, ago, column, text, wide};
use crate::session::{Session, workload_path};

/// `ostler workloads`.
pub async fn list(session: &Session) -> Result<(), Failure> {
    let items = session.client.list("/v1/workloads").await?;
    output::list(
        session.format,
        &items,
        &[
            column("NAMESPACE", |item| text(item, "namespace")),
            column("NAME", |item| text(item, "name")),
            column("VERSION", |item| text(item, "version")),
            column("READY", |item| {
                format!("{}/{}", text(item, "status.ready"), text(item, "status.wanted"))
            }),
            column("UNPLACED", |item| text(item, "status.unplaced")),
            column("STATE", state),
            column("UPDATED", |item| ago(item, "updated_at")),
            wide("DRIVER", |item| text(item, "spec.driver")),
            wide("POOL", |item| text(item, "spec.pool")),
            wide("REASON", |item| text(item, "status.reason")),
        ],
    )
}

/// One word for how a workload is.
fn state(item: &Value) -> String {
    let flag = |name: &str| item[name].as_bool() == Some(true);
    let status = &item["status"];
    let word = if flag("deleted") {
        "deleting"
    } else if flag("stopped") {
        "stopped"
    } else if status["updating"].as_bool() == Some(true) {
        "updating"
    } else if status["unplaced"].as_u64().unwrap_or(0) > 0 {
        "unplaced"
    } else if status["ready"] == status["wanted"] {
        "ready"
    } else {
        "starting"
    };
    word.to_owned()
}

/// `ostler show`.
pub async fn show(session: &Session, workload: &str) -> Result<(), Failure> {
    let view: Value = session.client.get(&workload_path(workload)?).await?;
    output::show(session.format, &view)
}

/// `ostler history`.
pub async fn history(session: &Session, workload: &str) -> Result<(), Failure> {
    let path = format!("{}/versions", workload_path(workload)?);
    let items = session.client.list(&path).await?;
    output::list(
        session.format,
        &items,
        &[
            column("VERSION", |item| text(item, "version")),
            column("CREATED", |item| ago(item, "created_at")),
            column("BY", |item| text(item, "actor")),
            column("COUNT", |item| text(item, "spec.count")),
            column("COMMAND", command_line),
        ],
    )
}

fn command_line(item: &Value) -> String {
    let words = item["spec"]["process"]["command"].as_array();
    let words = words.map(|words| words.iter().filter_map(Value::as_str).collect::<Vec<_>>());
    words.map_or_else(|| text(item, "spec.driver"), |words| words.join(" "))
}

/// `ostler scale`.
pub async fn scale(
    session: &Session,
    workload: &str,
    count: u32,
    detach: bool,
) -> Result<(), Failure> {
    let path = workload_path(workload)?;
    let body = json!({ "count": count });
    let view: Value =
        session.client.json(Method::POST, &format!("{path}/scale"), Some(&body)).await?;
    if detach {
        return session.tell(&view, &format!("{workload} is to have {count} instances"));
    }
    follow::until_ready(session, &path, &view, follow::PATIENCE).await
}

/// `promote`.
pub async fn promote(session: &Session, workload: &str) -> Result<(), Failure> {
    let path = format!("{}/promote", workload_path(workload)?);
    let command: Value = session.client.post(&path).await?;
    follow::until_done(session, &command).await
}

/// `restart`, `stop`, `start`.
pub async fn act(session: &Session, workload: &str, verb: &str) -> Result<(), Failure> {
    let path = workload_path(workload)?;
    let answer: Value = session.client.post(&format!("{path}/{verb}")).await?;
    session.tell(&answer, &format!("{workload}: {verb} is ordered"))
}

/// `ostler rollback`.
pub async fn rollback(
    session: &Session,
    workload: &str,
    version: Option<u32>,
) -> Result<(), Failure> {
    let path = workload_path(workload)?;
    let body = json!({ "version": version.unwrap_or_default() });
    let view: Value =
        session.client.json(Method::POST, &format!("{path}/rollback"), Some(&body)).await?;
    let sentence = format!("{workload} is now at version {}", text(&view, "version"));
    session.tell(&view, &sentence)
}

/// `ostler delete`.
pub async fn delete(session: &Session, delete: DeleteArgs) -> Result<(), Failure> {
    let names = delete.workloads.join(", ");
    let what = if delete.purge { " with their data and snapshots" } else { "" };
    session.confirm(&format!("Stop and remove {names}{what}?"))?;
    let mut failed = Vec::new();
    for workload in &delete.workloads {
        if let Err(failure) = delete_one(session, workload, &delete).await {
            failed.push((workload.clone(), failure));
        }
    }
    Failure::of_some(failed, delete.workloads.len(), "not deleted")
}

async fn delete_one(session: &Session, workload: &str, how: &DeleteArgs) -> Result<(), Failure> {
    let path = workload_path(workload)?;
    let query = if how.purge { "?purge=true" } else { "" };
    let view: Value =
        session.client.json(Method::DELETE, &format!("{path}{query}"), NOTHING).await?;
    if how.detach {
        return session.tell(&view, &format!("{workload} is being deleted"));
    }
    follow::until_gone(session, &path).await?;
    session.tell(&view, &format!("{workload} is deleted"))
}
