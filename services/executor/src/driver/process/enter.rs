//! Into the namespaces of an instance that runs.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use ostler_core::workload::{Private, ProcessSection};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};

use super::birth::Step;
use crate::driver::Run;
use crate::host;

/// The namespaces of an instance, and a process that is in them.
#[derive(Debug)]
pub(super) struct Door {
    of: OwnedFd,
    which: ThreadNameSpaceType,
}

/// The only child of a process; a guardian and the first process of its namespace have one.
fn child(pid: u32) -> Option<u32> {
    host::text(format!("/proc/{pid}/task/{pid}/children")).split_whitespace().next()?.parse().ok()
}

impl Door {
    /// The way in; `None` where it shares everything with the host. `guarded`: its command is the
    /// grandchild of what is known to run.
    pub(super) fn of(
        run: &Run,
        section: &ProcessSection,
        guarded: bool,
    ) -> io::Result<Option<Self>> {
        let has = |private| section.private.contains(&private);
        let mut which = ThreadNameSpaceType::empty();
        which.set(ThreadNameSpaceType::PROCESS_ID, guarded);
        which.set(ThreadNameSpaceType::USER, guarded && !host::is_root());
        which.set(ThreadNameSpaceType::MOUNT, has(Private::Mount) || has(Private::Pid));
        which.set(ThreadNameSpaceType::NETWORK, has(Private::Network));
        if which.is_empty() {
            return Ok(None);
        }
        let gone = || io::Error::other("its command is not there");
        let pid = run.pid.ok_or_else(gone)?;
        let pid = if guarded { child(pid).and_then(child).ok_or_else(gone)? } else { pid };
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(gone)?;
        Ok(Some(Self { of: rustix::process::pidfd_open(pid, PidfdFlags::empty())?, which }))
    }

    /// What a child does to go in.
    pub(super) fn step(self) -> Step {
        Box::new(move || {
            move_into_thread_name_spaces(self.of.as_fd(), self.which)?;
            if self.which.contains(ThreadNameSpaceType::PROCESS_ID) {
                // Only children are in another pid namespace.
                step_in()?;
            }
            Ok(())
        })
    }
}

/// Goes on as a child, which dies with this process; this process only waits for it.
#[expect(unsafe_code, reason = "there is one thread between fork and exec, so it may fork again")]
fn step_in() -> io::Result<()> {
    // SAFETY: only system calls are made on both sides.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            // A session of its own can have a terminal of its own.
            rustix::process::setsid()?;
            Ok(())
        }
        child => {
            // SAFETY: no memory is passed. Whoever waits for the exec must not wait for us.
            unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, 0) };
            let status = loop {
                match rustix::process::waitpid(Pid::from_raw(child), WaitOptions::empty()) {
                    Err(rustix::io::Errno::INTR) => {}
                    ended => break ended.ok().flatten().map(|(_, status)| status),
                }
            };
            let code = status.map_or(127, |status| {
                let signal = status.terminating_signal().map(|signal| 128 + signal);
                status.exit_status().or(signal).unwrap_or(127)
            });
            // SAFETY: ends this process and nothing else.
            unsafe { libc::_exit(code) }
        }
    }
}
