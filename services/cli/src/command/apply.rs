//! `run`, `plan`, `create`: a workload from a file or from flags, applied and followed.

use std::io::Read as _;
use std::path::Path;

use ostler_core::time::Span;
use ostler_core::workload::{Workload, from_json, from_json_value, from_toml};
use reqwest::Method;
use serde_json::{Value, json};

use crate::args::{CreateArgs, RunArgs};
use crate::failure::Failure;
use crate::follow;
use crate::output::{self, text};
use crate::session::Session;

/// Reads one workload from a file (TOML, or JSON where the name or the text says so) or from
/// standard input. Names every error with its line.
fn read(path: &Path) -> Result<Workload, Failure> {
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

fn path_of(workload: &Workload) -> String {
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
    for workload in &workloads {
        let view = put(session, workload).await?;
        if args.detach {
            let version = text(&view, "version");
            session.tell(&view, &format!("{} is applied, version {version}", workload.key()))?;
        }
    }
    if args.detach {
        return Ok(());
    }
    for workload in &workloads {
        follow::until_ready(session, &path_of(workload), within.into()).await?;
    }
    Ok(())
}

/// `ostler plan`: exit code 0 no change, 10 changes, 1 cannot be placed.
pub async fn plan(session: &Session, files: &[std::path::PathBuf]) -> Result<u8, Failure> {
    let workloads: Vec<Workload> = files.iter().map(|file| read(file)).collect::<Result<_, _>>()?;
    let plan: Value = session.client.json(Method::POST, "/v1/plan", Some(&workloads)).await?;
    if let Some(text) = output::machine(session.format, &plan)? {
        output::print(&text);
    } else {
        for workload in &workloads {
            print_diff(session, workload).await?;
        }
        print_plan(&plan);
    }
    let some = |name: &str| plan[name].as_array().is_some_and(|list| !list.is_empty());
    let unplaced = plan["unplaced"].as_object().is_some_and(|map| !map.is_empty());
    Ok(match (unplaced, some("placements") || some("stops") || some("moves")) {
        (true, _) => 1,
        (false, true) => 10,
        (false, false) => 0,
    })
}

/// What of the text in force would change, a line each.
async fn print_diff(session: &Session, workload: &Workload) -> Result<(), Failure> {
    let wanted = serde_json::to_value(workload).map_err(Failure::failed)?;
    let have = match session.client.get::<Value>(&path_of(workload)).await {
        Ok(view) => view["spec"].clone(),
        Err(failure) if failure.code == 1 => {
            output::print(&format!("+ {} is new\n", workload.key()));
            return Ok(());
        }
        Err(failure) => return Err(failure),
    };
    let mut lines = String::new();
    diff("", &have, &wanted, &mut lines);
    output::print(&lines);
    Ok(())
}

fn diff(path: &str, have: &Value, want: &Value, lines: &mut String) {
    let (Some(old), Some(new)) = (have.as_object(), want.as_object()) else {
        if have != want {
            lines.push_str(&format!("~ {path}: {have} → {want}\n"));
        }
        return;
    };
    let keys: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for key in keys {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match (old.get(key), new.get(key)) {
            (Some(have), Some(want)) => diff(&path, have, want, lines),
            (Some(have), None) => lines.push_str(&format!("- {path}: {have}\n")),
            (None, Some(want)) => lines.push_str(&format!("+ {path}: {want}\n")),
            (None, None) => {}
        }
    }
}

fn print_plan(plan: &Value) {
    let each = |name: &str| plan[name].as_array().cloned().unwrap_or_default();
    for item in each("placements") {
        let line = format!(
            "place  {}/{} on {} (score {})\n",
            text(&item, "workload"),
            text(&item, "slot"),
            text(&item, "node"),
            text(&item, "score"),
        );
        output::print(&line);
    }
    for item in each("moves") {
        let (from, to) = (text(&item, "from"), text(&item, "to"));
        let name = format!("{}/{}", text(&item, "workload"), text(&item, "slot"));
        output::print(&format!("move   {name} from {from} to {to}: {}\n", text(&item, "reason")));
    }
    for item in each("stops") {
        let name = format!("{}/{}", text(&item, "workload"), text(&item, "slot"));
        let (node, reason) = (text(&item, "node"), text(&item, "reason"));
        output::print(&format!("stop   {name} on {node}: {reason}\n"));
    }
    for (workload, runs) in plan["unplaced"].as_object().into_iter().flatten() {
        for run in runs.as_array().into_iter().flatten() {
            output::print(&cannot(workload, run));
        }
    }
}

/// Slots that have no place: how many nodes stand against it for each reason, then node by node.
fn cannot(workload: &str, run: &Value) -> String {
    let slots = &run["slots"];
    let count = |(reason, count): (&String, &Value)| format!("{reason} on {count} nodes");
    let reasons: Vec<String> =
        run["reasons"].as_object().into_iter().flatten().map(count).collect();
    let mut lines =
        format!("cannot {workload}/{}–{}: {}\n", slots[0], slots[1], reasons.join(", "));
    for (node, reasons) in run["nodes"].as_object().into_iter().flatten() {
        let reasons = reasons.as_array().into_iter().flatten().filter_map(Value::as_str);
        lines.push_str(&format!("         {node}: {}\n", reasons.collect::<Vec<_>>().join(", ")));
    }
    lines
}

/// `ostler create`.
pub async fn create(session: &Session, args: CreateArgs) -> Result<(), Failure> {
    let detach = args.detach;
    let workload =
        from_json_value(from_flags(args)?).map_err(|errors| Failure::usage(errors.to_string()))?;
    let view = put(session, &workload).await?;
    if detach {
        return session.tell(&view, &format!("{} is created", workload.key()));
    }
    follow::until_ready(session, &path_of(&workload), follow::PATIENCE).await
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

    #[test]
    fn a_diff_names_each_key_that_changes() {
        let (have, want) = (json!({"a": 1, "b": {"c": 2}}), json!({"b": {"c": 3}, "d": 4}));
        let mut lines = String::new();
        diff("", &have, &want, &mut lines);
        assert_eq!(lines, "- a: 1\n~ b.c: 2 → 3\n+ d: 4\n");
    }
}
