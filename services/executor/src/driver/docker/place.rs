//! What of a container is on the host: its directory, its main process, its control groups.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tracing::warn;

use crate::driver::Run;
use crate::driver::process::start_ticks;
use crate::host;

/// What a container with this main process is known by. Its groups are the daemon's affair.
pub(super) fn run(pid: Option<u32>) -> Run {
    Run {
        pid,
        start_ticks: pid.map_or(0, start_ticks),
        boot_id: host::boot_id(),
        cgroups: Vec::new(),
    }
}

/// Makes the directory that the instance finds inside; any user inside may write to it.
pub(super) fn make(dir: &Path) -> Result<(), String> {
    let open = fs::Permissions::from_mode(0o1777);
    let made = fs::create_dir_all(dir).and_then(|()| fs::set_permissions(dir, open));
    made.map_err(|error| format!("`{}`: {error}", dir.display()))
}

/// Removes it.
pub(super) fn remove(dir: &Path) {
    if let Err(error) = fs::remove_dir_all(dir)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        warn!(%error, "cannot remove `{}`: {error}", dir.display());
    }
}

/// The control groups of a process, in every hierarchy that is mounted where it usually is.
pub(super) fn groups(pid: u32) -> Vec<PathBuf> {
    let text = host::text(format!("/proc/{pid}/cgroup"));
    let root = Path::new("/sys/fs/cgroup");
    let dirs = text.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) =
            (parts.next(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let path = path.trim_start_matches('/');
        let bases: Vec<PathBuf> = match controllers {
            "" => vec![root.to_owned(), root.join("unified")],
            names => names.split(',').map(|name| root.join(name)).collect(),
        };
        bases.into_iter().map(|base| base.join(path)).collect::<Vec<_>>()
    });
    dirs.filter(|dir| dir.is_dir()).collect()
}
