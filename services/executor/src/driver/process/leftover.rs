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

/// Kills every process that has this instance in its environment, whatever its session, but the main
/// one's zombie; how many there were. For hosts without groups.
pub fn kill(means: &Means, id: InstanceId) -> usize {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let Some(pidfd) = proc::open_pid(*pid) else { return false };
        // Looked at after opening: the fd is of this process or of none.
        let of_it = belongs(means, *pid) == Some(id);
        let runs = of_it && proc::stat(*pid).is_some_and(|stat| stat.state != 'Z');
        if runs {
            rustix::process::pidfd_send_signal(pidfd, rustix::process::Signal::KILL).ok();
        }
        runs
    })
    .count()
}

/// Which of our instances a process has in its environment.
fn belongs(means: &Means, pid: u32) -> Option<InstanceId> {
    let environment = fs::read(Path::new("/proc").join(pid.to_string()).join("environ")).ok()?;
    let value = |name: &str| {
        let mut variables = environment.split(|byte| *byte == 0);
        let found = variables.find_map(|variable| variable.strip_prefix(name.as_bytes()));
        found.and_then(|value| std::str::from_utf8(value).ok())
    };
    let id: InstanceId = value("OSTLER_INSTANCE=")?.parse().ok()?;
    (Path::new(value("OSTLER_DATA=")?) == means.instance_dir(id)).then_some(id)
}

fn instance(means: &Means, pid: u32) -> Option<(InstanceId, Run)> {
    let id = belongs(means, pid)?;
    let stat = proc::stat(pid)?;
    let leads = stat.session == pid && stat.state != 'Z';
    leads.then(|| {
        let run = Run {
            pid: Some(pid),
            start_ticks: stat.start_ticks,
            boot_id: host::boot_id(),
            cgroups: means.cgroups.dirs(id),
        };
        (id, run)
    })
}
