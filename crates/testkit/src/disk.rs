//! A disk that a test can fill: a tmpfs in a namespace of its own, gone with the test.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::nats::process::hold;

/// A small disk, seen only by programs that are started on it. Needs no root where users may have
/// namespaces of their own.
#[derive(Debug)]
pub struct SmallDisk {
    /// Keeps the namespace.
    holder: Child,
    at: TempDir,
}

impl SmallDisk {
    /// A disk of so many MiB. Panics where no namespace can be made.
    #[must_use]
    pub fn new(mib: u32) -> Self {
        let at = tempfile::Builder::new().prefix("ostler-disk-").tempdir();
        let at = at.expect("a folder can be made");
        let mut command = Command::new("unshare");
        command
            .args(["--map-root-user", "--mount", "sh", "-c"])
            .arg("mount -t tmpfs -o size=\"$1\" tmpfs \"$2\" && echo ready && exec sleep infinity")
            .args(["sh", &format!("{mib}m")])
            .arg(at.path());
        Self { holder: hold(command, "tmpfs"), at }
    }

    /// Where programs that are started on it see it.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.at.path()
    }

    /// What a command line begins with so that its program sees the disk.
    #[must_use]
    pub fn enter(&self) -> Vec<String> {
        let pid = self.holder.id().to_string();
        let words = ["nsenter", "--preserve-credentials", "--user", "--mount", "--target", &pid];
        words.map(str::to_owned).into()
    }

    /// Where we see it.
    fn seen_outside(&self) -> PathBuf {
        let inside = self.path().strip_prefix("/").expect("temporary folders are absolute");
        PathBuf::from(format!("/proc/{}/root", self.holder.id())).join(inside)
    }

    fn filler(&self) -> PathBuf {
        self.seen_outside().join("filler")
    }

    /// Leaves no byte free.
    pub fn fill(&self) {
        let mut file = std::fs::File::create(self.filler()).expect("a file has room in its folder");
        for block in [vec![0; 1 << 16], vec![0; 512], vec![0; 1]] {
            while match file.write(&block) {
                Ok(written) => written > 0,
                Err(error) if error.kind() == ErrorKind::StorageFull => false,
                Err(error) => panic!("the disk cannot be filled: {error}"),
            } {}
        }
    }

    /// Undoes [`Self::fill`].
    pub fn free(&self) {
        std::fs::remove_file(self.filler()).expect("it was filled");
    }
}

impl SmallDisk {
    /// Every process that sees it: what was started on it, and what that left behind.
    fn inhabitants(&self) -> Vec<Pid> {
        let space = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
        let ours = space(&self.holder.id().to_string());
        let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let names = all.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let inside = names.filter(|name| ours.is_some() && space(name) == ours);
        inside.filter_map(|name| Pid::from_raw(name.parse().ok()?)).collect()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        for pid in self.inhabitants() {
            kill_process(pid, Signal::KILL).ok();
        }
        self.holder.kill().ok();
        self.holder.wait().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_started_on_it_is_gone_with_it() {
        let disk = SmallDisk::new(1);
        let enter = disk.enter();
        let mut orphan = Command::new(&enter[0])
            .args(&enter[1..])
            .args(["sleep", "100000"])
            .spawn()
            .expect("nsenter, of util-linux, is there");
        crate::eventually("it is there", || async { disk.inhabitants().len() == 2 }).await;
        drop(disk);
        assert!(!orphan.wait().expect("it is our child").success());
    }

    #[test]
    fn it_is_full_until_it_is_freed() {
        let disk = SmallDisk::new(1);
        let file = disk.seen_outside().join("other");
        std::fs::write(&file, [1; 4096]).expect("there is room");
        disk.fill();
        let more = std::fs::write(disk.seen_outside().join("more"), [1; 4096]);
        assert!(more.is_err_and(|error| error.kind() == ErrorKind::StorageFull));
        disk.free();
        std::fs::write(file, [1; 8192]).expect("there is room again");
        assert!(!disk.path().join("other").exists(), "others do not see it");
    }
}
