//! Control groups of both versions: limits, use, and an end that nothing escapes.
//!
//! Whichever hierarchies the host has are used together: on a hybrid host memory and cpu are
//! limited in version 1 and the kill goes through version 2.

use std::fs;
use std::path::{Path, PathBuf};

use ostler_core::id::{InstanceId, NodeName};
use tracing::{debug, warn};

use crate::driver::Counters;
use crate::host;

mod detect;

/// One hierarchy in which each instance gets a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// The directory in which the groups are made.
    pub base: PathBuf,
    /// From where on controllers are passed down to it; nothing above is touched.
    pub from: PathBuf,
    /// Which version.
    pub version: Version,
    /// Its controllers that we use.
    pub controllers: Vec<String>,
}

/// The two kinds of control groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// A hierarchy for each controller.
    One,
    /// One hierarchy for all.
    Two,
}

/// The groups of a node's instances; none where they may not be made.
#[derive(Debug, Clone, Default)]
pub struct Cgroups {
    hierarchies: Vec<Hierarchy>,
    without: String,
}

/// What an instance may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes; 0: no limit.
    pub memory: u64,
    /// Requested thousandths of a core: its share when all are busy.
    pub cpu: u64,
    /// A hard ceiling, in thousandths of a core.
    pub cpu_limit: Option<u64>,
    /// At most so many tasks.
    pub pids: u32,
}

impl Cgroups {
    /// No groups, for this reason.
    #[must_use]
    pub fn none(why: &str) -> Self {
        Self { hierarchies: Vec::new(), without: why.to_owned() }
    }

    /// Finds out what the host has and makes the place for this node's groups. `parent` as in the
    /// setting `cgroup`.
    #[must_use]
    pub fn detect(parent: &str, node: &NodeName) -> Self {
        if parent == "none" {
            return Self::none("the settings say so");
        }
        let mut usable = Vec::new();
        let mut without = "the host has none".to_owned();
        for mut hierarchy in detect::hierarchies(parent, node) {
            let mut prepared = detect::prepare(&hierarchy);
            if let Err(error) = &prepared
                && !hierarchy.controllers.is_empty()
                && hierarchy.version == Version::Two
            {
                // Killing everything at once needs no controllers.
                let at = hierarchy.base.display();
                without = format!("controllers cannot be passed down to `{at}`: {error}");
                hierarchy.controllers.clear();
                prepared = detect::prepare(&hierarchy);
            }
            match prepared {
                Ok(()) => usable.push(hierarchy),
                Err(error) => {
                    let at = hierarchy.base.display();
                    debug!(%error, "no groups below `{at}`: {error}");
                    without = format!("cannot make groups below `{at}`: {error}");
                }
            }
        }
        Self { hierarchies: usable, without }
    }

    /// What is missing, for people; empty when memory and cpu can be limited.
    #[must_use]
    pub fn missing(&self) -> String {
        let has = |name: &str| {
            self.hierarchies.iter().any(|h| h.controllers.iter().any(|have| have == name))
        };
        match (has("memory"), has("cpu")) {
            (true, true) => String::new(),
            (false, true) => format!("memory is not limited: {}", self.without),
            (true, false) => format!("cpu is not limited: {}", self.without),
            (false, false) => format!("memory and cpu are not limited: {}", self.without),
        }
    }

    /// The groups of an instance, whether or not they are there.
    #[must_use]
    pub fn dirs(&self, id: InstanceId) -> Vec<PathBuf> {
        self.hierarchies.iter().map(|hierarchy| hierarchy.base.join(id.to_string())).collect()
    }

    /// Where a process that has one thread writes `0` to go into the groups of an instance. In version
    /// 1 it moves its thread: moving processes waits for all that are just being forked or executed
    /// on the whole host. `borrowed`: it is born in that of version 2.
    #[must_use]
    pub fn doors(&self, id: InstanceId, borrowed: bool) -> Vec<PathBuf> {
        let dirs = self.dirs(id);
        let doors =
            self.hierarchies.iter().zip(dirs).filter_map(|(hierarchy, dir)| {
                match hierarchy.version {
                    Version::One => Some(dir.join("tasks")),
                    Version::Two if borrowed => None,
                    Version::Two => Some(dir.join("cgroup.procs")),
                }
            });
        doors.collect()
    }

    /// The group of an instance in version 2, where the host has that.
    #[must_use]
    pub fn second(&self, id: InstanceId) -> Option<PathBuf> {
        let two = self.hierarchies.iter().find(|hierarchy| hierarchy.version == Version::Two)?;
        Some(two.base.join(id.to_string()))
    }

    /// Removes the place of this node's groups, if none is left.
    pub fn leave(&self) {
        for base in self.hierarchies.iter().map(|hierarchy| &hierarchy.base) {
            // Fails as long as something is in it, and so does its parent.
            if fs::remove_dir(base).is_ok() {
                base.parent().map(fs::remove_dir);
            }
        }
    }

    /// Makes the groups of an instance with these limits. An error leaves none.
    pub fn create(&self, id: InstanceId, limits: Limits) -> std::io::Result<Vec<PathBuf>> {
        let dirs = self.dirs(id);
        for (hierarchy, dir) in self.hierarchies.iter().zip(&dirs) {
            let made = fs::create_dir_all(dir).and_then(|()| hierarchy.limit(dir, limits));
            if let Err(error) = made {
                remove(&dirs);
                return Err(std::io::Error::other(format!("`{}`: {error}", dir.display())));
            }
        }
        Ok(dirs)
    }
}

impl Hierarchy {
    fn limit(&self, dir: &Path, limits: Limits) -> std::io::Result<()> {
        for controller in &self.controllers {
            match (controller.as_str(), self.version) {
                ("memory", Version::One) => memory_one(dir, limits)?,
                ("memory", Version::Two) => memory_two(dir, limits)?,
                ("cpu", Version::One) => cpu_one(dir, limits)?,
                ("cpu", Version::Two) => cpu_two(dir, limits)?,
                ("pids", _) => write(dir, "pids.max", limits.pids)?,
                _ => {}
            }
        }
        Ok(())
    }
}

fn write(dir: &Path, file: &str, value: impl ToString) -> std::io::Result<()> {
    fs::write(dir.join(file), value.to_string())
        .map_err(|error| std::io::Error::new(error.kind(), format!("`{file}`: {error}")))
}

fn memory_one(dir: &Path, limits: Limits) -> std::io::Result<()> {
    if limits.memory == 0 {
        return Ok(());
    }
    write(dir, "memory.limit_in_bytes", limits.memory)?;
    // Not every kernel accounts swap.
    drop(write(dir, "memory.memsw.limit_in_bytes", limits.memory));
    Ok(())
}

fn memory_two(dir: &Path, limits: Limits) -> std::io::Result<()> {
    if limits.memory == 0 {
        return Ok(());
    }
    write(dir, "memory.max", limits.memory)?;
    // Not every kernel accounts swap, nor kills whole groups.
    drop(write(dir, "memory.swap.max", 0));
    drop(write(dir, "memory.oom.group", 1));
    Ok(())
}

/// The period in which a ceiling is kept, in microseconds.
const PERIOD: u64 = 100_000;

fn shares(limits: Limits) -> u64 {
    (limits.cpu * 1024 / 1000).clamp(2, 262_144)
}

fn quota(limit: u64) -> u64 {
    (limit.saturating_mul(PERIOD) / 1000).max(1000)
}

fn cpu_one(dir: &Path, limits: Limits) -> std::io::Result<()> {
    write(dir, "cpu.shares", shares(limits))?;
    let Some(limit) = limits.cpu_limit else { return Ok(()) };
    write(dir, "cpu.cfs_period_us", PERIOD)?;
    write(dir, "cpu.cfs_quota_us", quota(limit))
}

fn cpu_two(dir: &Path, limits: Limits) -> std::io::Result<()> {
    write(dir, "cpu.weight", 1 + (shares(limits) - 2) * 9999 / 262_142)?;
    let Some(limit) = limits.cpu_limit else { return Ok(()) };
    write(dir, "cpu.max", format!("{} {PERIOD}", quota(limit)))
}

fn members(dir: &Path) -> Vec<i32> {
    host::text(dir.join("cgroup.procs")).lines().filter_map(|pid| pid.parse().ok()).collect()
}

/// A group and all that the instance has made below it, the deepest first.
fn tree(dir: &Path) -> Vec<PathBuf> {
    let (mut found, mut next) = (vec![dir.to_owned()], 0);
    while let Some(here) = found.get(next) {
        let inside = fs::read_dir(here).into_iter().flatten().flatten();
        let groups = inside.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let groups: Vec<PathBuf> = groups.map(|entry| entry.path()).collect();
        found.extend(groups);
        next += 1;
    }
    found.reverse();
    found
}

/// Whether nothing runs in any of these groups, or below them.
#[must_use]
pub fn is_empty(dirs: &[PathBuf]) -> bool {
    dirs.iter().flat_map(|dir| tree(dir)).all(|dir| members(&dir).is_empty())
}

/// What is left in these groups, for people: pids, and the state they are in.
#[must_use]
pub fn left(dirs: &[PathBuf]) -> String {
    let pids: std::collections::BTreeSet<i32> =
        dirs.iter().flat_map(|dir| tree(dir)).flat_map(|dir| members(&dir)).collect();
    let words = pids.into_iter().take(8).map(|pid| {
        let stat = host::text(format!("/proc/{pid}/stat"));
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        format!("process {pid} in state {}", state.unwrap_or('?'))
    });
    words.collect::<Vec<_>>().join(", ")
}

/// Kills everything in these groups, at once where the kernel can.
pub fn kill(dirs: &[PathBuf]) {
    for dir in dirs {
        let at_once = fs::OpenOptions::new()
            .write(true)
            .open(dir.join("cgroup.kill"))
            .and_then(|mut file| std::io::Write::write_all(&mut file, b"1"));
        if at_once.is_ok() {
            continue;
        }
        let inside = tree(dir).into_iter().flat_map(|dir| members(&dir));
        for pid in inside.filter_map(rustix::process::Pid::from_raw) {
            // It may have ended just now.
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
        }
    }
}

/// Removes groups in which nothing runs.
pub fn remove(dirs: &[PathBuf]) {
    for dir in dirs.iter().flat_map(|dir| tree(dir)) {
        if let Err(error) = fs::remove_dir(&dir)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            warn!(%error, "cannot remove the group `{}`: {error}", dir.display());
        }
    }
}

/// The number that follows `name` in a file of lines `name number`.
fn field(path: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| {
        let (found, value) = line.split_once(' ')?;
        (found == name).then(|| value.trim().parse().ok())?
    })
}

/// Whether the kernel killed something in these groups because it was out of memory.
#[must_use]
pub fn oom_killed(dirs: &[PathBuf]) -> bool {
    dirs.iter().any(|dir| {
        let one = || field(&dir.join("memory.oom_control"), "oom_kill");
        field(&dir.join("memory.events"), "oom_kill").or_else(one).is_some_and(|kills| kills > 0)
    })
}

/// What is used in these groups; `None` if none of them accounts it.
#[must_use]
pub fn stats(dirs: &[PathBuf]) -> Option<Counters> {
    let number = |path: PathBuf| host::text(path).parse::<u64>().ok();
    let memory = dirs.iter().find_map(|dir| {
        let all = number(dir.join("memory.current"))
            .or_else(|| number(dir.join("memory.usage_in_bytes")))?;
        let stat = dir.join("memory.stat");
        let total = field(&stat, "total_inactive_file");
        let cache = total.or_else(|| field(&stat, "inactive_file"));
        Some(all.saturating_sub(cache.unwrap_or(0)))
    })?;
    let cpu = dirs.iter().find_map(|dir| {
        let two = field(&dir.join("cpu.stat"), "usage_usec");
        two.or_else(|| number(dir.join("cpuacct.usage")).map(|nanos| nanos / 1000))
    });
    Some(Counters { cpu_us: cpu.unwrap_or(0), memory })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_that_an_instance_made_for_itself_count_and_go_with_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let group = dir.path().join("group");
        let below = group.join("a/b");
        fs::create_dir_all(&below).expect("made");
        let groups = [group.clone()];
        assert!(is_empty(&groups));
        fs::write(below.join("cgroup.procs"), "2147483647\n").expect("written");
        assert!(!is_empty(&groups));
        fs::remove_file(below.join("cgroup.procs")).expect("removed");
        remove(&groups);
        assert!(!group.exists());
    }
}
