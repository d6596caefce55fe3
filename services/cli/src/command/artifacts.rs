//! `ostler artifacts`: files and folders up, every version listed, down again.

use std::io::Write as _;
use std::path::Path;

use futures::StreamExt as _;
use serde_json::Value;

use crate::args::ArtifactCommand;
use crate::client::{NOTHING, encode};
use crate::command::watch;
use crate::failure::Failure;
use crate::output::{self, ago, column, text, wide};
use crate::session::Session;

pub(super) mod pack;

/// `ostler artifacts`.
pub async fn run(session: &Session, command: ArtifactCommand) -> Result<(), Failure> {
    match command {
        ArtifactCommand::Push { name, path } => push(session, &name, &path).await,
        ArtifactCommand::List { watch } => watch::every(watch, || list(session)).await,
        ArtifactCommand::Show { name } => show(session, &name).await,
        ArtifactCommand::Get { name, path } => get(session, &name, &path).await,
        ArtifactCommand::Remove { name, force } => remove(session, &name, force).await,
    }
}

fn path(name: &str) -> String {
    format!("/v1/artifacts/{}", encode(name))
}

async fn push(session: &Session, name: &str, from: &Path) -> Result<(), Failure> {
    let packing = from.to_owned();
    let packed = tokio::task::spawn_blocking(move || pack::pack(&packing)).await;
    let packed = packed.map_err(Failure::failed)??;
    let size = packed.size;
    let url = format!("{}?sha256={}", path(name), packed.sha256);
    let bar = output::terminal().then(|| indicatif::ProgressBar::new(size));
    let shown = bar.clone();
    let parts = packed.parts().inspect(move |part| {
        if let (Some(bar), Ok(part)) = (&shown, part) {
            bar.inc(u64::try_from(part.len()).unwrap_or_default());
        }
    });
    let view: Value =
        session.client.upload(&url, (size, reqwest::Body::wrap_stream(parts))).await?;
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let version = text(&view, "version");
    session
        .tell(&view, &format!("{name}@{version}: {size} bytes, sha256 {}", text(&view, "sha256")))
}

async fn list(session: &Session) -> Result<(), Failure> {
    let items = session.client.list("/v1/artifacts").await?;
    table(session, &items)
}

async fn show(session: &Session, name: &str) -> Result<(), Failure> {
    let items = session.client.list(&format!("{}/versions", path(name))).await?;
    table(session, &items)
}

fn table(session: &Session, items: &[Value]) -> Result<(), Failure> {
    let users = |item: &Value| {
        let users = item["used_by"].as_array().cloned().unwrap_or_default();
        let users: Vec<&str> = users.iter().filter_map(Value::as_str).collect();
        if users.is_empty() { "-".to_owned() } else { users.join(",") }
    };
    output::list(
        session.format,
        items,
        &[
            column("NAME", |item| text(item, "name")),
            column("VERSION", |item| text(item, "version")),
            column("SIZE", |item| text(item, "size")),
            column("PUSHED", |item| ago(item, "created_at")),
            column("USED BY", users),
            wide("BY", |item| text(item, "actor")),
            wide("SHA256", |item| text(item, "sha256")),
        ],
    )
}

async fn get(session: &Session, name: &str, to: &Path) -> Result<(), Failure> {
    let (expected, mut parts) = session.client.download(&path(name)).await?;
    let standard = to.as_os_str() == "-";
    let part = to.with_extension("part");
    let mut out: Box<dyn std::io::Write> = if standard {
        Box::new(std::io::stdout().lock())
    } else {
        Box::new(std::fs::File::create(&part).map_err(|e| pack::cannot("write", &part, &e))?)
    };
    let mut digest = pack::Digesting::new();
    while let Some(bytes) = parts.next().await {
        let bytes = bytes.map_err(Failure::unreachable)?;
        digest.add(&bytes);
        out.write_all(&bytes).map_err(|error| pack::cannot("write", to, &error))?;
    }
    out.flush().map_err(|error| pack::cannot("write", to, &error))?;
    drop(out);
    let found = digest.finish();
    if found != expected {
        let text = format!("{name} came damaged: its sha256 is {found}, not {expected}");
        return Err(Failure::failed(text));
    }
    if !standard {
        std::fs::rename(&part, to).map_err(|error| pack::cannot("write", to, &error))?;
    }
    Ok(())
}

async fn remove(session: &Session, name: &str, force: bool) -> Result<(), Failure> {
    let what = if name.contains('@') { name.to_owned() } else { format!("all versions of {name}") };
    session.confirm(&format!("Remove {what}?"))?;
    let query = if force { "?force=true" } else { "" };
    let path = format!("{}{query}", path(name));
    let removed: Value = session.client.json(reqwest::Method::DELETE, &path, NOTHING).await?;
    session.tell(&removed, &format!("{what} removed"))
}
