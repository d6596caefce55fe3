//! `run`, `create`: a workload from a file or from flags, applied and followed.

use std::io::Read as _;
use std::path::Path;

use ostler_core::time::Span;
use ostler_core::workload::{Workload, from_json, from_json_value, from_toml};
use reqwest::Method;
use serde_json::{Value, json};

use crate::args::{CreateArgs, RunArgs};
use crate::failure::Failure;
use crate::follow;
use crate::output::text;
use crate::session::Session;

/// Reads one workload from a file (TOML, or JSON where the name or the text says so) or from
/// standard input. Names every error with its line.
pub(super) fn read(path: &Path) -> Result<Workload, Failure> {
    let (name, content) = if path == Path::new("-") {
        let mut content = String::new();
        std::io::stdin().read_to_string(&mut content).map_err(Failure::failed)?;
        ("standard input".to_owned(), content)
    } else {
        let name = path.display().to_string();
        let content = std::fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("cannot read {name}: {error}")))?;
        (name, content)
    };
    let json = path.extension().is_some_and(|ending| ending == "json")
        || content.trim_start().starts_with('{');
    let read = if json { from_json(&content) } else { from_toml(&content) };
    read.map_err(|errors| Failure::usage(format!("{name} cannot be used:\n{errors}")))
}

pub(super) fn path_of(workload: &Workload) -> String {
    format!("/v1/workloads/{}/{}", workload.namespace, workload.name)
}

async fn put(session: &Session, workload: &Workload) -> Result<Value, Failure> {
    session.client.json(Method::PUT, &path_of(workload), Some(workload)).await
}

/// `ostler run`.
pub async fn run(session: &Session, args: RunArgs) -> Result<(), Failure> {
    let within: Span = args.timeout.parse().map_err(Failure::usage)?;
    // All are read before any is applied: a wrong one changes nothing.
    let workloads: Vec<Workload> =
        args.files.iter().map(|file| read(file)).collect::<Result<_, _>>()?;
    let mut failed = Vec::new();
    let mut applied = Vec::new();
    for workload in &workloads {
        match put(session, workload).await {
            Ok(view) => applied.push((workload, view)),
            Err(failure) => failed.push((workload.key().to_string(), failure)),
        }
    }
    for (workload, view) in &applied {
        let done = if args.detach {
            let version = text(view, "version");
            session.tell(view, &format!("{} is applied, version {version}", workload.key()))
        } else {
            follow::until_ready(session, &path_of(workload), view, within.into()).await
        };
        failed.extend(done.err().map(|failure| (workload.key().to_string(), failure)));
    }
    Failure::of_some(failed, workloads.len(), "not done")
}

/// `ostler create`.
pub async fn create(session: &Session, args: CreateArgs) -> Result<(), Failure> {
    let detach = args.detach;
    let workload =
        from_json_value(from_flags(args)?).map_err(|errors| Failure::usage(errors.to_string()))?;
    let view = match workload.count == 1 && !workload.placement.node.is_empty() {
        // A node that cannot take it is told at once.
        true => session.client.json(Method::POST, "/v1/instances", Some(&workload)).await?,
        false => put(session, &workload).await?,
    };
    if detach {
        return session.tell(&view, &format!("{} is created", workload.key()));
    }
    follow::until_ready(session, &path_of(&workload), &view, follow::PATIENCE).await
}

fn from_flags(args: CreateArgs) -> Result<Value, Failure> {
    let first = args.command.first().or(args.image.as_ref());
    let made_up = first.map(|word| made_name(word));
    let name = args.name.or(made_up).ok_or_else(|| {
        Failure::usage("say what to run: `ostler create -- python3 -m http.server`")
    })?;
    let mut section = json!({});
    if !args.command.is_empty() {
        section["command"] = json!(args.command);
    }
    if let Some(image) = args.image {
        section["image"] = json!(image);
    }
    for variable in &args.env {
        let (name, value) = variable
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("`{variable}` is not `NAME=VALUE`")))?;
        section["env"][name] = json!(value);
    }
    let mut workload = json!({
        "name": name, "namespace": args.namespace, "driver": args.driver, "count": args.count,
        "ports": args.ports.iter().map(|port| port_from_flag(port)).collect::<Result<Vec<_>, _>>()?,
    });
    workload[&args.driver] = section;
    if let Some(cpu) = args.cpu {
        workload["resources"]["cpu"] = json!(cpu);
    }
    if let Some(memory) = args.memory {
        workload["resources"]["memory"] = json!(memory);
    }
    if let Some(node) = args.node_preference {
        let wish = json!([{ "attribute": "node.name", "value": node }]);
        workload["placement"]["prefer"] = wish;
    }
    if let Some(node) = args.node {
        workload["placement"]["node"] = json!(node);
    }
    if let Some(group) = args.anti_affinity_group {
        workload["placement"]["anti_affinity"] = json!({ "group": group });
    }
    Ok(workload)
}

/// A name from a program or image: its last path part, with what a name may not have made `-`.
fn made_name(word: &str) -> String {
    let last = word.rsplit('/').next().unwrap_or(word).to_lowercase();
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    last.chars().map(plain).take(63).collect::<String>().trim_matches('-').to_owned()
}

fn port_from_flag(flag: &str) -> Result<Value, Failure> {
    match flag.split_once(':') {
        None => Ok(json!({ "name": flag })),
        Some((name, port)) => {
            let port: u16 = port
                .parse()
                .map_err(|_| Failure::usage(format!("`{flag}` is not `NAME` or `NAME:PORT`")))?;
            Ok(json!({ "name": name, "static": port }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_from_the_program() {
        assert_eq!(made_name("/usr/bin/Python3.11"), "python3-11");
        assert_eq!(made_name("registry/app:1"), "app-1");
    }
}
