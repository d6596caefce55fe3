//! Whether it says how it is run: driver sections, resources, hooks.

use std::collections::BTreeMap;

use super::{Found, container};
use crate::artifact::ArtifactRef;
use crate::document::Path;
use crate::resources::Bytes;
use crate::workload::{
    Action, Ask, DriverKind, HookPoint, Hooks, ProcessSection, Section, Workload,
};

const MOST_CPU: u64 = 10_000_000;
const MOST_BYTES: Bytes = Bytes(1 << 60);
const MOST_NETWORK: u64 = 100_000_000;
const MOST_GPUS: u64 = 1024;
const DEEPEST: usize = 32;

const HOOKS: [&str; 12] = [
    "before_start",
    "after_start",
    "before_ready",
    "after_ready",
    "before_stop",
    "after_stop",
    "before_hibernate",
    "after_hibernate",
    "before_revive",
    "after_revive",
    "on_failure",
    "timeout",
];

pub(super) fn check(workload: &Workload, found: &mut Found) {
    sections(workload, found);
    if let Some(process) = &workload.process {
        section_process(process, found);
    }
    container::check(workload, found);
    resources(&workload.resources, workload.driver, found);
    found.known_keys("hooks", &workload.hooks, &HOOKS);
    let known = workload.hooks.iter().filter(|(key, _)| HOOKS.contains(&key.as_str()));
    let known = known.map(|(key, value)| (key.clone(), value.clone())).collect();
    match Hooks::read(&known) {
        Ok(hooks) => inside(workload.driver, &hooks, found),
        Err(wrong) => wrong.into_iter().for_each(|(key, message)| {
            found.push(&Path::from("hooks").key(key.as_str()), message);
        }),
    }
    for (name, section) in opaque(workload) {
        depth(name, section, found);
    }
    depth("hooks", &workload.hooks, found);
}

/// Commands of containers and trees are run inside of them, so something has to run there.
fn inside(driver: DriverKind, hooks: &Hooks, found: &mut Found) {
    if !matches!(driver, DriverKind::Docker | DriverKind::Nspawn) {
        return;
    }
    for point in [HookPoint::BeforeStart, HookPoint::AfterStop] {
        if hooks.at(point).iter().any(|action| matches!(action, Action::Exec(_))) {
            let message =
                format!("nothing of driver `{driver}` runs then in which a command could");
            found.push(&Path::from("hooks").key(point.as_str()), message);
        }
    }
}

fn opaque(workload: &Workload) -> impl Iterator<Item = (&'static str, &Section)> {
    let all = [("vm", &workload.vm), ("s6", &workload.s6), ("uwsgi", &workload.uwsgi)];
    all.into_iter().filter_map(|(name, section)| Some((name, section.as_ref()?)))
}

fn written(workload: &Workload, driver: DriverKind) -> bool {
    match driver {
        DriverKind::Process => workload.process.is_some(),
        DriverKind::Nspawn => workload.nspawn.is_some(),
        DriverKind::Docker => workload.docker.is_some(),
        DriverKind::Vm => workload.vm.is_some(),
        DriverKind::S6 => workload.s6.is_some(),
        DriverKind::Uwsgi => workload.uwsgi.is_some(),
        DriverKind::Sim => workload.sim.is_some(),
    }
}

fn sections(workload: &Workload, found: &mut Found) {
    for driver in DriverKind::ALL {
        let wanted = driver == workload.driver;
        let there = written(workload, driver);
        if wanted && !there && driver != DriverKind::Sim {
            found.say(driver.as_str(), format!("driver `{driver}` needs a section `{driver}`"));
        }
        if there && !wanted {
            let message = format!("this section is of another driver than `{}`", workload.driver);
            found.say(driver.as_str(), message);
        }
    }
}

/// An environment.
pub(super) fn environment(path: &Path, env: &BTreeMap<String, String>, found: &mut Found) {
    for (name, value) in env {
        let path = path.key(name.as_str());
        if name.is_empty() || name.contains(['=', '\0']) {
            found.push(&path, "a variable's name is not empty and holds no `=` and no NUL");
        }
        if value.contains('\0') {
            found.push(&path, "it holds a NUL character");
        }
    }
}

fn section_process(process: &ProcessSection, found: &mut Found) {
    let here = Path::from("process");
    found.command(&here.key("command"), &process.command);
    environment(&here.key("env"), &process.env, found);
    if let Some(user) = &process.user {
        found.words(&here.key("user"), user);
    }
    confinement(process, found);
    if let Some(artifact) = &process.artifact {
        reference(&here.key("artifact"), artifact, found);
    }
}

/// The text of an artifact: `name` or `name@version`.
pub(super) fn reference(path: &Path, text: &str, found: &mut Found) {
    if let Err(error) = text.parse::<ArtifactRef>() {
        found.push(path, error.to_string());
    }
}

fn confinement(process: &ProcessSection, found: &mut Found) {
    let here = Path::from("process");
    for (key, text) in
        [("group", &process.group), ("chroot", &process.chroot), ("workdir", &process.workdir)]
    {
        if let Some(text) = text {
            found.words(&here.key(key), text);
        }
    }
    for capability in process.capabilities.iter().flatten() {
        let sound = capability.strip_prefix("CAP_").is_some_and(|name| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
        });
        if !sound {
            let wrong = format!("`{capability}` is no capability such as `CAP_NET_BIND_SERVICE`");
            found.push(&here.key("capabilities"), wrong);
        }
    }
    if process.max_pids == Some(0) {
        found.push(&here.key("max_pids"), "nothing can run in 0 tasks");
    }
    if process.max_files.is_some_and(|files| files < 8) {
        found.push(&here.key("max_files"), "nothing can run with less than 8 open files");
    }
    if let Some(signal) = &process.reload_signal {
        super::life::signal("process.reload_signal", signal, found);
    }
}

fn resources(ask: &Ask, driver: DriverKind, found: &mut Found) {
    found.at_most("resources.cpu", ask.cpu, MOST_CPU);
    found.at_most("resources.network", ask.network, MOST_NETWORK);
    found.at_most("resources.gpu", ask.gpu.into(), MOST_GPUS);
    let memory_max = ask.memory_max.unwrap_or_default();
    let sizes = [
        ("resources.memory", ask.memory.unwrap_or_default()),
        ("resources.disk", ask.disk),
        ("resources.memory_max", memory_max),
    ];
    for (path, size) in sizes {
        if size > MOST_BYTES {
            found.say(path, format!("{size} is too much: at most {MOST_BYTES}"));
        }
    }
    if ask.memory == Some(Bytes(0)) && ask.memory_max.is_none() && driver != DriverKind::Sim {
        found.say("resources.memory", "nothing can run in 0B, and the request is also the limit");
    }
    if ask.memory_max.is_some_and(|max| max < ask.memory.unwrap_or_default()) {
        found.say("resources.memory_max", "the limit is less than the request");
    }
    match ask.cpu_limit {
        Some(0) => found.say("resources.cpu_limit", "nothing can run on 0 millicores"),
        Some(limit) if limit < ask.cpu => {
            found.say("resources.cpu_limit", "the limit is less than the request");
        }
        Some(_) | None => {}
    }
}

fn depth(name: &str, table: &Section, found: &mut Found) {
    for (key, value) in table {
        if deeper_than(value, DEEPEST) {
            let path = Path::from(name).key(key.as_str());
            found.push(&path, format!("nested too deep: at most {DEEPEST} levels"));
        }
    }
}

fn deeper_than(value: &serde_json::Value, levels: usize) -> bool {
    let Some(levels) = levels.checked_sub(1) else { return true };
    match value {
        serde_json::Value::Array(items) => items.iter().any(|item| deeper_than(item, levels)),
        serde_json::Value::Object(entries) => entries.values().any(|v| deeper_than(v, levels)),
        _ => false,
    }
}
