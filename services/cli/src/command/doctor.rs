//! `ostler doctor`: what this machine has, and whether the fleet answers.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::failure::Failure;
use crate::output::{self, text};
use crate::session::Session;

/// Checks one thing after the other; fails if the fleet does not answer.
pub async fn run(session: &Session) -> Result<u8, Failure> {
    let mut report = String::new();
    for (name, found) in machine().await {
        let mark = if found.is_ok() { "ok" } else { "--" };
        let detail = found.unwrap_or_else(|missing| missing);
        report.push_str(&format!("{mark}  {name:<14} {detail}\n"));
    }
    output::print(&report);
    let status: Result<Value, Failure> = session.client.get("/v1/status").await;
    match status {
        Ok(status) => {
            output::print(&format!("ok  {:<14} {}\n", "gateway", session.client.server()));
            let nats = &status["nats"];
            let detail = format!("{} {}", text(nats, "server"), text(nats, "version"));
            output::print(&format!("ok  {:<14} {detail}\n", "nats"));
            let warnings = status["warnings"].as_array().cloned().unwrap_or_default();
            for warning in &warnings {
                output::print(&format!(
                    "--  {:<14} {}\n",
                    "warning",
                    warning.as_str().unwrap_or("")
                ));
            }
            Ok(u8::from(!warnings.is_empty()))
        }
        Err(failure) => {
            output::print(&format!("--  {:<14} {}\n", "gateway", failure.text));
            Ok(failure.code)
        }
    }
}

/// What this machine has, or what is missing without it.
async fn machine() -> Vec<(&'static str, Result<String, String>)> {
    let root = rustix::process::geteuid().is_root();
    let cgroups = if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        Ok("v2".to_owned())
    } else if Path::new("/sys/fs/cgroup/memory").exists() {
        Ok("v1".to_owned())
    } else {
        Err("none: no memory and cpu limits".to_owned())
    };
    let user = if root {
        Ok("root: all drivers".to_owned())
    } else {
        Err("not root: the process driver only, without limits and users".to_owned())
    };
    vec![
        ("user", user),
        ("cgroups", cgroups),
        ("nats-server", program("nats-server", "`ostler dev` needs it: scripts/setup.sh").await),
        ("docker", program("docker", "no docker driver").await),
        ("systemd-nspawn", program("systemd-nspawn", "no nspawn driver").await),
    ]
}

/// The first line of what `<name> --version` says.
async fn program(name: &str, without: &str) -> Result<String, String> {
    let output = tokio::process::Command::new(name)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(|_| format!("not found: {without}"))?;
    let first = String::from_utf8_lossy(&output.stdout);
    Ok(first.lines().next().unwrap_or_default().to_owned())
}
