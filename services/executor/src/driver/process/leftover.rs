//! What runs for us though nobody wrote down that it was started: the executor died just then.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use ostler_core::id::InstanceId;

use super::{Means, proc};
use crate::driver::Run;
use crate::host;

/// Every session leader that has one of our instances in its environment, by instance.
#[must_use]
pub fn scan(means: &Means) -> HashMap<InstanceId, Run> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut found: HashMap<InstanceId, Run> = HashMap::new();
    for (id, run) in pids.filter_map(|pid| instance(means, pid)) {
        // What it started in sessions of their own, such as checks, is younger than itself.
        match found.get(&id) {
            Some(known) if known.start_ticks <= run.start_ticks => {}
            Some(_) | None => drop(found.insert(id, run)),
        }
    }
    found
}

fn instance(means: &Means, pid: u32) -> Option<(InstanceId, Run)> {
    let environment = fs::read(Path::new("/proc").join(pid.to_string()).join("environ")).ok()?;
    let value = |name: &str| {
        let mut variables = environment.split(|byte| *byte == 0);
        let found = variables.find_map(|variable| variable.strip_prefix(name.as_bytes()));
        found.and_then(|value| std::str::from_utf8(value).ok())
    };
    let id: InstanceId = value("OSTLER_INSTANCE=")?.parse().ok()?;
    let ours = Path::new(value("OSTLER_DATA=")?) == means.instance_dir(id);
    let stat = proc::stat(pid)?;
    let leads = stat.session == pid && stat.state != 'Z';
    (ours && leads).then(|| {
        let run = Run {
            pid: Some(pid),
            start_ticks: stat.start_ticks,
            boot_id: host::boot_id(),
            cgroups: means.cgroups.dirs(id),
        };
        (id, run)
    })
}
