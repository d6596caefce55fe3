//! What a command becomes between fork and exec: its user, its capabilities, its own namespaces.

use std::ffi::CString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use ostler_core::workload::{Private, ProcessSection};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::process::{Gid, Uid};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use serde::{Deserialize, Serialize};

use super::birth::Step;
use super::capability;
use super::user::User;

/// What a command becomes. All of it is prepared before the fork, so that afterwards only system
/// calls are made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// User, main group, all groups; `None`: stays who it is.
    user: Option<(u32, u32, Vec<u32>)>,
    /// It has these capabilities and no others; `None`: those of its user.
    capabilities: Option<u64>,
    mounts: bool,
    network: bool,
    /// Of its own already; `/proc` has to follow where mounts are its own too.
    pids: bool,
    root: Option<CString>,
    dir: CString,
    /// Where it begins, from there on.
    workdir: Option<CString>,
}

impl Confinement {
    /// Of a process as this section says, in the directory `dir`.
    pub(super) fn new(
        section: &ProcessSection,
        user: Option<&User>,
        dir: &std::path::Path,
    ) -> Result<Self, String> {
        use std::os::unix::ffi::OsStrExt;
        let text = |path: &std::path::Path| {
            CString::new(path.as_os_str().as_bytes()).map_err(|error| error.to_string())
        };
        let root = section.chroot.as_ref().map(|root| text(&dir.join(root))).transpose()?;
        let workdir = section.workdir.as_ref().map(std::path::Path::new);
        let named = section.capabilities.as_ref();
        let capabilities = named.map(|names| capability::set(names)).transpose()?;
        let has = |private| section.private.contains(&private);
        let groups = |user: &User| user.groups.iter().map(|gid| gid.as_raw()).collect();
        Ok(Self {
            user: user.map(|user| (user.uid.as_raw(), user.gid.as_raw(), groups(user))),
            capabilities,
            // Another view of processes needs another `/proc`.
            mounts: has(Private::Mount) || has(Private::Pid),
            network: has(Private::Network),
            pids: has(Private::Pid),
            dir: if root.is_some() { c"/".to_owned() } else { text(dir)? },
            root,
            workdir: workdir.map(text).transpose()?,
        })
    }

    /// As it is inside what runs already: namespaces are entered, not made.
    pub(super) fn inside(self) -> Self {
        Self { mounts: false, network: false, pids: false, ..self }
    }

    /// Whether it stays what the executor is, and only gives up what it could gain.
    pub(super) fn is_plain(&self) -> bool {
        let Self { user, capabilities, mounts, network, pids, root, dir: _, workdir: _ } = self;
        let same = user.is_none() && capabilities.is_none() && root.is_none();
        same && !mounts && !network && !pids
    }

    /// Has a command become it when it is started.
    pub(crate) fn apply(self, command: &mut Command) {
        forked(command, self.step());
    }

    /// What a child does to become it.
    pub(super) fn step(self) -> Step {
        let Self { user, capabilities, mounts, network, pids, root, dir, workdir } = self;
        let groups: Vec<Gid> =
            user.iter().flat_map(|(_, _, all)| all).copied().map(Gid::from_raw).collect();
        Box::new(move || {
            own(mounts, network, pids)?;
            if let Some(root) = &root {
                rustix::process::chroot(root.as_c_str())?;
                rustix::process::chdir(dir.as_c_str())?;
            }
            if let Some(kept) = capabilities {
                capability::bound(kept)?;
                rustix::thread::set_keep_capabilities(true)?;
            }
            if let Some((uid, gid, _)) = &user {
                rustix::thread::set_thread_groups(&groups)?;
                rustix::thread::set_thread_gid(Gid::from_raw(*gid))?;
                rustix::thread::set_thread_uid(Uid::from_raw(*uid))?;
            }
            if let Some(kept) = capabilities {
                capability::keep(kept)?;
            }
            if let Some(workdir) = &workdir {
                rustix::process::chdir(workdir.as_c_str())?;
            }
            rustix::thread::set_no_new_privs(true)?;
            inherit_nothing();
            Ok(())
        })
    }
}

/// Has a command that is forked take this step before it is executed.
#[expect(unsafe_code, reason = "between fork and exec the child has to become what it runs as")]
pub(super) fn forked(command: &mut Command, step: Step) {
    // SAFETY: steps make system calls on what they own and do nothing else.
    unsafe { command.pre_exec(step) };
}

/// Namespaces of its own.
#[expect(unsafe_code, reason = "neither flag unshares file descriptors")]
fn own(mounts: bool, network: bool, pids: bool) -> io::Result<()> {
    let mut flags = UnshareFlags::empty();
    flags.set(UnshareFlags::NEWNS, mounts);
    flags.set(UnshareFlags::NEWNET, network);
    if flags.is_empty() {
        return Ok(());
    }
    // SAFETY: file descriptors stay shared.
    unsafe { unshare_unsafe(flags) }?;
    if mounts {
        let none = MountFlags::NOSUID | MountFlags::NODEV;
        mount_change(c"/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?;
        mount(c"tmpfs", c"/tmp", c"tmpfs", none, c"mode=1777")?;
        if pids {
            mount(c"proc", c"/proc", c"proc", none | MountFlags::NOEXEC, None)?;
        }
    }
    if network {
        loopback_up()?;
    }
    Ok(())
}

/// A network of one's own begins with a loopback that is down.
#[expect(unsafe_code, reason = "SIOCSIFFLAGS has no wrapper")]
fn loopback_up() -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let (family, kind) = (rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM);
    let socket = rustix::net::socket(family, kind, None)?;
    // SAFETY: all zeroes is a valid `ifreq`; the kernel reads it and writes nothing.
    let done = unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l'.cast_signed();
        request.ifr_name[1] = b'o'.cast_signed();
        request.ifr_ifru.ifru_flags = 1;
        libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Signals that whoever started the executor had it ignore (`nohup`, `&`) are not ignored by what
/// it runs, and files that it was handed open are not handed on.
#[expect(unsafe_code, reason = "neither has a wrapper that may be called between fork and exec")]
fn inherit_nothing() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: no handler of ours is installed, and no memory is passed. Those that cannot be
        // set are refused, as are the C library's own.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: no memory is passed; the files are closed by the exec. Kernels before 5.11 refuse.
    unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
}
