//! Where things are unpacked to: a directory that nothing leads out of.

use std::io::{self, Read, Write as _};
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::{Limits, Trust, UnpackError, open_dir};

/// A path: the directories, and the name in the last of them.
pub(super) type At<'a> = (&'a [String], &'a str);

/// The directory, and what went into it so far.
pub(super) struct Place {
    root: OwnedFd,
    trust: Trust,
    limits: Limits,
    entries: u64,
    bytes: u64,
    /// The directory that was last unpacked into, by its path.
    open: Option<(String, OwnedFd)>,
    /// Modes of directories, set last: one may not let itself be written to.
    modes: Vec<(String, u32)>,
}

fn shown((parents, name): At<'_>) -> String {
    let parents = parents.join("/");
    if parents.is_empty() { name.to_owned() } else { format!("{parents}/{name}") }
}

impl Place {
    pub(super) fn new(root: OwnedFd, trust: Trust, limits: Limits) -> Self {
        Self { root, trust, limits, entries: 0, bytes: 0, open: None, modes: Vec::new() }
    }

    /// Counts one more entry.
    pub(super) fn count(&mut self) -> Result<(), UnpackError> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(UnpackError::TooMany(self.limits.entries));
        }
        Ok(())
    }

    /// The directory of a path, made as far as it is not there.
    fn parent(&mut self, parents: &[String]) -> Result<&OwnedFd, UnpackError> {
        let path = parents.join("/");
        if self.open.as_ref().is_none_or(|(open, _)| *open != path) {
            let dir = match open_dir(&self.root, &path) {
                Ok(dir) => dir,
                Err(Errno::NOENT) => self.make(parents)?,
                Err(error) => return Err(error.into()),
            };
            self.open = Some((path, dir));
        }
        Ok(&self.open.as_ref().expect("it was just opened").1)
    }

    fn make(&self, parents: &[String]) -> Result<OwnedFd, UnpackError> {
        let mut path = String::new();
        let mut dir = open_dir(&self.root, "")?;
        for name in parents {
            match rustix::fs::mkdirat(&dir, name.as_str(), Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(name);
            dir = open_dir(&self.root, &path)?;
        }
        Ok(dir)
    }

    fn mode(&self, mode: u32) -> Mode {
        let kept = match self.trust {
            Trust::Package(_) => 0o777,
            Trust::System => 0o7777,
        };
        Mode::from_raw_mode(mode & kept)
    }

    /// Makes way: what comes later in a tar replaces what came before, but no directory.
    fn clear(&mut self, (parents, name): At<'_>) -> Result<(), UnpackError> {
        match rustix::fs::unlinkat(self.parent(parents)?, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn file(
        &mut self,
        at: At<'_>,
        (mode, packed): (u32, (u32, u32)),
        content: &mut impl Read,
    ) -> Result<(), UnpackError> {
        self.clear(at)?;
        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let private = Mode::from_raw_mode(0o600);
        let opened = rustix::fs::openat(self.parent(at.0)?, at.1, flags, private)?;
        let mut file = std::fs::File::from(opened);
        let mut buffer = vec![0; 128 * 1024];
        loop {
            let read = match content.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            self.bytes = self.bytes.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
            if self.bytes > self.limits.bytes {
                return Err(UnpackError::TooLarge(self.limits.bytes));
            }
            file.write_all(&buffer[..read])?;
        }
        // The owner first: a new one takes set-user-id away.
        self.own(at, packed)?;
        rustix::fs::fchmod(&file, self.mode(mode))?;
        Ok(())
    }

    pub(super) fn directory(&mut self, at: At<'_>, mode: u32) -> Result<(), UnpackError> {
        let open = Mode::from_raw_mode(0o755);
        match rustix::fs::mkdirat(self.parent(at.0)?, at.1, open) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        self.modes.push((shown(at), mode));
        Ok(())
    }

    pub(super) fn symlink(&mut self, at: At<'_>, target: &str) -> Result<(), UnpackError> {
        if self.trust != Trust::System && !stays(at.0.len(), target) {
            return Err(UnpackError::Link { path: shown(at), target: target.to_owned() });
        }
        self.clear(at)?;
        rustix::fs::symlinkat(target, self.parent(at.0)?, at.1)?;
        Ok(())
    }

    pub(super) fn hardlink(&mut self, at: At<'_>, target: &str) -> Result<(), UnpackError> {
        let out = || UnpackError::Link { path: shown(at), target: target.to_owned() };
        let split = super::entry::split(target.as_bytes()).map_err(|_| out())?;
        let (parents, name) = split.ok_or_else(out)?;
        self.clear(at)?;
        let from = open_dir(&self.root, &parents.join("/"))?;
        let to = self.parent(at.0)?;
        rustix::fs::linkat(&from, name.as_str(), to, at.1, AtFlags::empty())?;
        Ok(())
    }

    /// Whether devices and pipes are passed over rather than refused.
    pub(super) fn special(&self) -> bool {
        self.trust == Trust::System
    }

    /// Gives it to whom it belongs.
    pub(super) fn own(&mut self, at: At<'_>, packed: (u32, u32)) -> Result<(), UnpackError> {
        let (user, group) = match self.trust {
            Trust::Package(None) => return Ok(()),
            Trust::Package(Some(owner)) => owner,
            Trust::System if rustix::process::geteuid().is_root() => packed,
            Trust::System => return Ok(()),
        };
        let (user, group) = (Some(Uid::from_raw(user)), Some(Gid::from_raw(group)));
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        match rustix::fs::chownat(self.parent(at.0)?, at.1, user, group, flags) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Sets the modes of directories; returns how many bytes were unpacked.
    pub(super) fn finish(mut self) -> Result<u64, UnpackError> {
        for (path, mode) in std::mem::take(&mut self.modes).into_iter().rev() {
            // What was a directory may have been replaced by a link.
            if let Ok(dir) = open_dir(&self.root, &path) {
                rustix::fs::fchmod(&dir, self.mode(mode))?;
            }
        }
        Ok(self.bytes)
    }
}

/// Whether a link in a directory so many levels down stays inside.
fn stays(depth: usize, target: &str) -> bool {
    if target.starts_with('/') {
        return false;
    }
    let mut depth = Some(depth);
    for part in target.split('/') {
        depth = match part {
            "" | "." => depth,
            ".." => depth.and_then(|depth| depth.checked_sub(1)),
            _ => depth.map(|depth| depth + 1),
        };
    }
    depth.is_some()
}
