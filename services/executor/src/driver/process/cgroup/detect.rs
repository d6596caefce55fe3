//! Which control groups the host has, and where ours may be.

use std::fs;
use std::path::{Path, PathBuf};

use ostler_core::id::NodeName;

use super::{Hierarchy, Version};
use crate::host;

/// The controllers that we use.
const USED: [&str; 4] = ["memory", "cpu", "cpuacct", "pids"];

struct Mount {
    at: PathBuf,
    version: Version,
    controllers: Vec<String>,
}

/// The control group mounts in the text of `/proc/self/mountinfo`.
fn mounts(mountinfo: &str) -> Vec<Mount> {
    let mount = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let at = PathBuf::from(before.split_whitespace().nth(4)?);
        let mut after = after.split_whitespace();
        let kind = after.next()?;
        let options = after.nth(1).unwrap_or_default();
        let used = |list: &str, by: char| -> Vec<String> {
            let names = list.split(by).filter(|name| USED.contains(name));
            names.map(str::to_owned).collect()
        };
        match kind {
            "cgroup2" => {
                let offered = host::text(at.join("cgroup.controllers"));
                let controllers = used(&offered, ' ');
                Some(Mount { at, version: Version::Two, controllers })
            }
            "cgroup" => {
                let controllers = used(options, ',');
                let wanted = !controllers.is_empty();
                wanted.then_some(Mount { at, version: Version::One, controllers })
            }
            _ => None,
        }
    };
    mountinfo.lines().filter_map(mount).collect()
}

/// The group that this process is in, in the hierarchy of a mount.
fn own(mount: &Mount, groups: &str) -> PathBuf {
    let found = groups.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let here = match mount.version {
            Version::Two => controllers.is_empty(),
            Version::One => {
                controllers.split(',').any(|c| mount.controllers.iter().any(|m| m == c))
            }
        };
        here.then(|| path.trim_start_matches('/').to_owned())
    });
    let own = mount.at.join(found.unwrap_or_default());
    // In a container the path may be one of the host's.
    if own.is_dir() { own } else { mount.at.clone() }
}

/// Each hierarchy of the host, with the place of this node's groups. Groups that are made below
/// the executor's own group do not escape the limits it is under.
pub(super) fn hierarchies(parent: &str, node: &NodeName) -> Vec<Hierarchy> {
    let mountinfo = host::text("/proc/self/mountinfo");
    let groups = host::text("/proc/self/cgroup");
    let mut found: Vec<Hierarchy> = Vec::new();
    for mount in mounts(&mountinfo) {
        let (from, base) = match parent {
            "auto" => {
                let own = below(&mount, &groups);
                (own.clone(), own.join("ostler"))
            }
            path => (mount.at.clone(), mount.at.join(path.trim_start_matches('/'))),
        };
        let known = |h: &Hierarchy| h.base.starts_with(&mount.at) && h.version == mount.version;
        let doubled = mount.version == Version::Two && found.iter().any(known);
        if !doubled {
            let Mount { version, mut controllers, .. } = mount;
            if version == Version::Two {
                // What is not passed down to us cannot be passed on.
                let here = host::text(from.join("cgroup.controllers"));
                controllers.retain(|name| here.split(' ').any(|have| have == name));
            }
            found.push(Hierarchy { base: base.join(node.as_str()), from, version, controllers });
        }
    }
    found
}

/// The executor's own group; its parent where an executor before this one, or this one, has moved
/// into the leaf `executor`.
fn below(mount: &Mount, groups: &str) -> PathBuf {
    let own = own(mount, groups);
    match (own.file_name(), own.parent()) {
        (Some(name), Some(parent)) if name == LEAF => parent.to_owned(),
        _ => own,
    }
}

/// In version 2 a group whose children are limited may hold no processes itself: the executor
/// moves here.
const LEAF: &str = "executor";

/// Makes the place for the groups. In version 2 also passes the controllers down to it.
pub(super) fn prepare(hierarchy: &Hierarchy) -> std::io::Result<()> {
    fs::create_dir_all(&hierarchy.base)?;
    if hierarchy.version == Version::One || hierarchy.controllers.is_empty() {
        return probe(&hierarchy.base);
    }
    let missing = |dir: &Path| {
        let passed = host::text(dir.join("cgroup.subtree_control"));
        let lacks = |c: &&String| !passed.split(' ').any(|have| have == c.as_str());
        let wanted = hierarchy.controllers.iter().filter(lacks);
        wanted.map(|c| format!("+{c}")).collect::<Vec<_>>().join(" ")
    };
    let mut above: Vec<&Path> = hierarchy.base.ancestors().collect();
    above.reverse();
    let ours = |dir: &&Path| dir.starts_with(&hierarchy.from);
    let passes = |dir: &&Path| dir.join("cgroup.subtree_control").exists();
    for dir in above.into_iter().filter(ours).filter(passes) {
        let wanted = missing(dir);
        if wanted.is_empty() {
            continue;
        }
        let control = dir.join("cgroup.subtree_control");
        if fs::write(&control, &wanted).is_err() {
            move_out_of(dir)?;
            fs::write(&control, &wanted)?;
        }
    }
    probe(&hierarchy.base)
}

/// Moves this process, if it is the only one in `dir`, into a leaf of it. Others are not ours to
/// move.
fn move_out_of(dir: &Path) -> std::io::Result<()> {
    let inside = host::text(dir.join("cgroup.procs"));
    if inside != std::process::id().to_string() {
        let others = inside.lines().count();
        let what = format!("`{}` holds {others} processes, not only us", dir.display());
        return Err(std::io::Error::other(what));
    }
    let leaf = dir.join(LEAF);
    fs::create_dir_all(&leaf)?;
    fs::write(leaf.join("cgroup.procs"), "0")
}

/// Whether a group can be made.
fn probe(base: &Path) -> std::io::Result<()> {
    let probe = base.join("probe");
    fs::create_dir_all(&probe)?;
    fs::remove_dir(&probe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hybrid_host_has_a_hierarchy_for_each_controller_and_one_for_the_kill() {
        let text = "\
25 20 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
26 25 0:23 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
27 25 0:24 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
28 25 0:25 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
29 25 0:26 / /nowhere/unified rw shared:7 - cgroup2 cgroup2 rw";
        let found = mounts(text);
        let places: Vec<_> = found.iter().map(|m| (m.at.to_str(), m.controllers.len())).collect();
        assert_eq!(
            places,
            [
                (Some("/sys/fs/cgroup/cpu,cpuacct"), 2),
                (Some("/sys/fs/cgroup/memory"), 1),
                (Some("/nowhere/unified"), 0)
            ]
        );
    }

    #[test]
    fn the_own_group_is_found_for_each_version() {
        let groups = "4:memory:/a/b\n0::/c";
        let mount = |version, controllers: &[&str]| Mount {
            at: PathBuf::from("/"),
            version,
            controllers: controllers.iter().map(|&c| c.to_owned()).collect(),
        };
        // No such directories here, so both fall back to the mount.
        assert_eq!(own(&mount(Version::One, &["memory"]), groups), PathBuf::from("/"));
        assert_eq!(own(&mount(Version::Two, &[]), "0::/proc"), PathBuf::from("/proc"));
    }
}
