//! Quotas, settings and rebalance: what may be asked for, how it is decided, and evening it out.

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::watch;
use crate::args::{QuotaCommand, RebalanceArgs, SettingsCommand};
use crate::client::{NOTHING, encode};
use crate::failure::Failure;
use crate::follow;
use crate::output::{self, column, text};
use crate::session::Session;

/// `ostler quotas …`.
pub async fn quotas(session: &Session, command: QuotaCommand) -> Result<(), Failure> {
    match command {
        QuotaCommand::List { watch } => watch::every(watch, || list(session)).await,
        QuotaCommand::Set { namespace, limits } => {
            let mut body = Map::new();
            for limit in &limits {
                let (name, value) = pair(limit)?;
                body.insert(name.to_owned(), read(value));
            }
            let path = format!("/v1/quotas/{}", encode(&namespace));
            let view: Value = session.client.json(Method::PUT, &path, Some(&body)).await?;
            session.tell(&view, &format!("{namespace} may ask for {}", limits.join(", ")))
        }
        QuotaCommand::Remove { namespace } => {
            let path = format!("/v1/quotas/{}", encode(&namespace));
            let view: Value = session.client.json(Method::DELETE, &path, NOTHING).await?;
            session.tell(&view, &format!("{namespace} is not limited any more"))
        }
    }
}

async fn list(session: &Session) -> Result<(), Failure> {
    let items = session.client.list("/v1/quotas").await?;
    output::list(
        session.format,
        &items,
        &[
            column("NAMESPACE", |item| text(item, "namespace")),
            column("INSTANCES", |item| of(item, "instances")),
            column("CPU", |item| of(item, "cpu")),
            column("MEMORY", |item| of(item, "memory")),
            column("DISK", |item| of(item, "disk")),
            column("PORTS", |item| of(item, "ports")),
        ],
    )
}

/// What is asked for, of what is allowed.
fn of(item: &Value, name: &str) -> String {
    format!("{}/{}", text(&item["used"], name), text(&item["limits"], name))
}

fn pair(text: &str) -> Result<(&str, &str), Failure> {
    let found = text.split_once('=').filter(|(name, _)| !name.is_empty());
    found.ok_or_else(|| Failure::usage(format!("`{text}` is not `name=value`")))
}

/// A number or a truth where it reads as one; the gateway says what is wrong with others.
fn read(value: &str) -> Value {
    match value.parse::<u64>() {
        Ok(number) => number.into(),
        Err(_) => value.parse::<bool>().map_or_else(|_| value.into(), Value::from),
    }
}

/// `ostler settings …`.
pub async fn settings(session: &Session, command: SettingsCommand) -> Result<(), Failure> {
    match command {
        SettingsCommand::Show { pool } => {
            let view: Value = session.client.get(&settings_path(pool.as_deref())).await?;
            output::show(session.format, &view["settings"])
        }
        SettingsCommand::Set { changes, pool } => {
            let path = settings_path(pool.as_deref());
            let view: Value = session.client.get(&path).await?;
            let mut body = view["settings"].clone();
            for change in &changes {
                let (name, value) = pair(change)?;
                put(&mut body, name, value);
            }
            let revision = view["revision"].as_u64().unwrap_or_default();
            let view: Value = session.client.put_at(&path, &body, revision).await?;
            let whom = pool.map_or_else(|| "the fleet".to_owned(), |pool| format!("pool {pool}"));
            session.tell(&view, &format!("{whom} decides by {}", view["settings"]))
        }
    }
}

fn settings_path(pool: Option<&str>) -> String {
    match pool {
        None => "/v1/settings".to_owned(),
        Some(pool) => format!("/v1/pools/{}/settings", encode(pool)),
    }
}

/// Puts a value at a path such as `rebalance.threshold`; an empty one takes it out.
fn put(body: &mut Value, path: &str, value: &str) {
    let mut place = body;
    let (parents, last) = path.rsplit_once('.').map_or(("", path), |(before, last)| (before, last));
    for key in parents.split('.').filter(|key| !key.is_empty()) {
        if !place[key].is_object() {
            place[key] = json!({});
        }
        place = &mut place[key];
    }
    match (value, place.as_object_mut()) {
        ("", Some(table)) => drop(table.remove(last)),
        (value, Some(table)) => drop(table.insert(last.to_owned(), read(value))),
        (_, None) => {}
    }
}

/// `ostler rebalance`.
pub async fn rebalance(session: &Session, args: RebalanceArgs) -> Result<(), Failure> {
    let RebalanceArgs { pool, max_moves, dry_run, detach } = args;
    let mut body = json!({ "pool": pool, "dry_run": dry_run });
    if let Some(moves) = max_moves {
        body["max_moves"] = moves.into();
    }
    let answer: Value = session.client.json(Method::POST, "/v1/rebalance", Some(&body)).await?;
    if dry_run {
        return session.tell(&answer, planned(&answer).trim_end());
    }
    if detach {
        return session.tell(&answer, &format!("pool {pool} is being evened out"));
    }
    follow::until_done(session, &answer).await
}

fn planned(plan: &Value) -> String {
    let mut lines = String::new();
    for item in plan["moves"].as_array().into_iter().flatten() {
        let name = format!("{}/{}", text(item, "workload"), text(item, "slot"));
        lines.push_str(&format!(
            "move   {name} from {} to {}\n",
            text(item, "from"),
            text(item, "to")
        ));
    }
    let (before, after) = (text(plan, "before"), text(plan, "after"));
    match lines.as_str() {
        "" => format!("nothing to move: the fullest node is {before} % above the mean\n"),
        _ => format!("{lines}the fullest node is {before} % above the mean now, {after} % then\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_one_setting_leaves_the_others() {
        let mut body = json!({ "preemption": true, "rebalance": { "max_moves": 3 } });
        put(&mut body, "rebalance.threshold", "20");
        put(&mut body, "preemption", "");
        put(&mut body, "weights.cpu", "70");
        let then =
            json!({ "rebalance": { "max_moves": 3, "threshold": 20 }, "weights": { "cpu": 70 } });
        assert_eq!(body, then);
    }
}
