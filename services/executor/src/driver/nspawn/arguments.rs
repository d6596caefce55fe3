//! The words of systemd-nspawn, and of the way into what it runs.

use std::collections::BTreeMap;
use std::path::Path;

use ostler_core::id::InstanceId;
use ostler_core::workload::{Bind, NspawnNetwork, NspawnSection};

use crate::driver::Launch;
use crate::driver::process::environment::{environment, expand};

/// Where an instance finds its own directory.
const DATA: &str = "/run/ostler";

/// What systemd-nspawn calls the instance.
pub(super) fn machine(id: InstanceId) -> String {
    format!("ostler-{id}")
}

/// What the command finds in its environment.
fn variables(launch: &Launch, section: &NspawnSection) -> BTreeMap<String, String> {
    let mut all = environment(launch, Path::new(DATA));
    all.remove("HOME");
    let own = all.clone();
    for (name, value) in &section.env {
        all.insert(name.clone(), expand(value, &own));
    }
    all
}

fn bind(bind: &Bind) -> String {
    let word = if bind.read_only { "--bind-ro" } else { "--bind" };
    format!("{word}={}:{}", bind.source, bind.target)
}

/// The command that runs the tree at `top`, with its own directory. A `$` of ours is not replaced
/// again.
pub(super) fn arguments(
    launch: &Launch,
    section: &NspawnSection,
    (top, data): (&Path, &Path),
) -> Vec<String> {
    let mut words: Vec<String> = ["systemd-nspawn", "--quiet", "--keep-unit", "--register=no"]
        .iter()
        .chain(&["--settings=no", "--link-journal=no", "--timezone=off"])
        .map(ToString::to_string)
        .collect();
    words.push(format!("--machine={}", machine(launch.id)));
    words.push(format!("--directory={}", top.display()));
    if section.network == NspawnNetwork::Private {
        words.push("--private-network".to_owned());
    }
    words.push(format!("--bind={}:{DATA}", data.display()));
    words.extend(section.binds.iter().map(bind));
    let variables = variables(launch, section);
    for (name, value) in &variables {
        words.push(format!("--setenv={name}={value}"));
    }
    if section.command.is_empty() {
        words.push("--boot".to_owned());
        return words;
    }
    words.push("--as-pid2".to_owned());
    words.push("--console=pipe".to_owned());
    if let Some(user) = &section.user {
        words.push(format!("--user={user}"));
    }
    if let Some(workdir) = &section.workdir {
        words.push(format!("--chdir={workdir}"));
    }
    words.push("--".to_owned());
    words.extend(section.command.iter().map(|word| expand(word, &variables)));
    words
}

/// The words before a command that is to run beside this process.
pub(super) fn enter(launch: &Launch, section: &NspawnSection, pid: u32) -> Vec<String> {
    let mut words: Vec<String> = ["nsenter", "--target"].map(str::to_owned).to_vec();
    words.push(pid.to_string());
    let spaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd", "--"];
    words.extend(spaces.map(str::to_owned));
    words.extend(["env", "-i"].map(str::to_owned));
    let variables = variables(launch, section);
    words.extend(variables.iter().map(|(name, value)| format!("{name}={value}")));
    words
}
