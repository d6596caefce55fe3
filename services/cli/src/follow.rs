//! Following something until it is as it should be: a bar on a terminal, lines elsewhere.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use ostler_service::clock;
use serde_json::Value;

use crate::client::encode;
use crate::failure::Failure;
use crate::output::{self, text};
use crate::session::Session;

/// How long something is followed unless something else is said.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// How often it is asked.
const EVERY: Duration = Duration::from_millis(200);
/// So often history is asked why a version is not in force any more.
const LOOKS: u32 = 10;

fn number(view: &Value, name: &str) -> u64 {
    view["status"][name].as_u64().unwrap_or_default()
}

/// Whether a workload is as it should be: everything ready (or, for jobs, completed) and no
/// update under way.
fn settled(view: &Value) -> bool {
    let done = number(view, "ready") + number(view, "completed");
    done >= number(view, "wanted")
        && number(view, "running") <= number(view, "wanted")
        && view["status"]["updating"].as_bool() != Some(true)
}

fn bar(wanted: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} ready  {msg}");
    let bar = ProgressBar::new(wanted);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Follows a workload until the version that `put` answered with is ready, telling each slot's node
/// and state; fails with what is wrong when it is not in time, when its update failed, or when
/// another version took its place.
pub async fn until_ready(
    session: &Session,
    path: &str,
    put: &Value,
    within: Duration,
) -> Result<(), Failure> {
    let begin = clock::instant();
    let mut slots = Slots::default();
    let mut tick = tokio::time::interval(EVERY);
    let view: Value = session.client.get(path).await?;
    let progress = bar(number(&view, "wanted"));
    progress.set_prefix(text(&view, "name"));
    loop {
        tick.tick().await;
        let view: Value = session.client.get(path).await?;
        let list = path.replacen("/v1/workloads/", "", 1);
        let (namespace, name) = list.split_once('/').unwrap_or(("default", &list));
        let query = format!("/v1/instances?namespace={namespace}&workload={name}");
        slots.tell(&progress, &session.client.list(&query).await?);
        progress.set_length(number(&view, "wanted"));
        progress.set_position(number(&view, "ready") + number(&view, "completed"));
        progress.set_message(text(&view, "status.reason").replace('-', ""));
        if let Some(failure) = overtaken(session, &view, put).await {
            progress.abandon();
            return Err(failure);
        }
        if settled(&view) {
            progress.finish_and_clear();
            let ready = number(&view, "ready") + number(&view, "completed");
            let mut sentence =
                format!("{}: {ready}/{} ready", text(&view, "name"), number(&view, "wanted"));
            let reason = text(&view, "status.reason");
            if reason != "-" {
                sentence.push_str(&format!("; {reason}"));
            }
            return session.tell(&view, &sentence);
        }
        if clock::since(begin) > within {
            progress.abandon();
            return Err(Failure::failed(not_ready(&view)));
        }
    }
}

/// Why what was put will not become ready any more.
async fn overtaken(session: &Session, view: &Value, put: &Value) -> Option<Failure> {
    let (name, now) = (text(view, "name"), text(view, "version"));
    let version = put["version"].as_u64()?;
    let failed = text(view, "status.update_failed");
    if now == version.to_string() {
        let sentence = format!("{name}: the update to version {version} failed: {failed}");
        return (failed != "-").then(|| Failure::failed(sentence));
    }
    let why = match told_failed(session, view, version).await {
        Some(reason) => format!("the update failed: {reason}"),
        None => "another took its place".to_owned(),
    };
    let sentence = format!("{name}: version {version} is not in force, version {now} is: {why}");
    Some(Failure::failed(sentence))
}

/// Why the update to this version failed, if history says that it did. What has just gone back may
/// not be in history yet.
async fn told_failed(session: &Session, view: &Value, version: u64) -> Option<String> {
    let workload = format!("{}/{}", text(view, "namespace"), text(view, "name"));
    let path = format!("/v1/events?workload={}&kind=workload.update_failed", encode(&workload));
    let mut tick = tokio::time::interval(EVERY);
    for _ in 0..LOOKS {
        tick.tick().await;
        let page: Value =
            session.client.get(&format!("{path}&newest=true&limit=10")).await.unwrap_or_default();
        let events = page["items"].as_array().into_iter().flatten().map(|item| &item["event"]);
        let mut ours = events.filter(|event| event["version"].as_u64() == Some(version));
        if let Some(event) = ours.next() {
            return Some(text(event, "reason"));
        }
    }
    None
}

fn not_ready(view: &Value) -> String {
    let name = text(view, "name");
    let mut sentence = format!(
        "{name} did not become ready: {} of {} ready, {} unplaced",
        number(view, "ready"),
        number(view, "wanted"),
        number(view, "unplaced"),
    );
    let reason = text(view, "status.reason");
    if reason != "-" {
        sentence.push_str(&format!("\n  {reason}"));
    }
    sentence + &format!("\n  see `ostler explain {name}` and `ostler logs {name}`")
}

/// Follows a workload until there is no such thing any more.
pub async fn until_gone(session: &Session, path: &str) -> Result<(), Failure> {
    let begin = clock::instant();
    let mut tick = tokio::time::interval(EVERY);
    loop {
        tick.tick().await;
        match session.client.get::<Value>(path).await {
            Err(failure) if failure.is_not_found() => return Ok(()),
            Err(failure) => return Err(failure),
            Ok(view) if clock::since(begin) > PATIENCE => {
                let left = number(&view, "running");
                return Err(Failure::failed(format!("{left} instances have not ended yet")));
            }
            Ok(_) => {}
        }
    }
}

/// Follows a command until it is done or refused.
pub async fn until_done(session: &Session, command: &Value) -> Result<(), Failure> {
    let id = text(command, "id");
    let progress = ProgressBar::new_spinner();
    let mut tick = tokio::time::interval(EVERY);
    let mut last = String::new();
    loop {
        tick.tick().await;
        let now: Value = session.client.get(&format!("/v1/commands/{id}")).await?;
        let (state, reason) = (text(&now, "state"), text(&now, "reason"));
        if last != reason && reason != "-" {
            progress.println(reason.clone());
            if !output::terminal() {
                eprintln!("{reason}");
            }
        }
        progress.set_message(format!("{state} {reason}"));
        last = reason;
        match state.as_str() {
            "done" => {
                progress.finish_and_clear();
                let sentence = format!("{} {}: done", text(&now, "order"), text(&now, "target"));
                return session.tell(&now, &sentence);
            }
            "refused" => return Err(Failure::refused(last)),
            _ => {}
        }
    }
}

/// What was told of each slot last.
#[derive(Default)]
struct Slots {
    told: BTreeMap<u64, String>,
}

/// With more instances than this, only the bar is shown.
const LINES: usize = 50;

impl Slots {
    fn tell(&mut self, progress: &ProgressBar, instances: &[Value]) {
        if instances.len() > LINES {
            return;
        }
        for item in instances {
            let slot = item["slot"].as_u64().unwrap_or_default();
            let ready = item["ready"].as_bool() == Some(true);
            let state = if ready { "ready".to_owned() } else { text(item, "observed") };
            let reason = text(item, "reason").replace('-', "");
            let line = format!("{slot:>4}  {:<16} {state:<10} {reason}", text(item, "node"));
            if self.told.get(&slot) != Some(&line) {
                if output::terminal() {
                    progress.println(line.trim_end());
                } else {
                    eprintln!("{}", line.trim_end());
                }
                self.told.insert(slot, line);
            }
        }
    }
}
