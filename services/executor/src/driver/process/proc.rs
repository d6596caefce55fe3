//! Processes: known by pid and start time, watched and ended through pidfds.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use ostler_core::instance::Exit;
use ostler_service::clock;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process_group, pidfd_open,
    waitid,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tracing::error;

use super::cgroup;
use crate::driver::{Counters, Run};
use crate::host;

/// How long the exit of a process that is not our child may take to become known: whoever
/// inherited it has to reap it first.
const REAPED_WITHIN: Duration = Duration::from_secs(3);

/// What `/proc/<pid>/stat` says.
#[derive(Debug, Clone, Copy)]
pub struct Stat {
    /// `R`, `S`, … `Z`.
    pub state: char,
    /// The session's leader.
    pub session: u32,
    /// When it began, in clock ticks since boot.
    pub start_ticks: u64,
    /// Cpu used, in clock ticks.
    pub cpu_ticks: u64,
    /// Resident memory, in pages.
    pub resident_pages: u64,
    /// The wait status of a zombie; 0 where we may not know.
    pub exit_code: i32,
}

/// Reads it; `None` if there is no such process.
#[must_use]
pub fn stat(pid: u32) -> Option<Stat> {
    let text = host::text(format!("/proc/{pid}/stat"));
    // The name, in parentheses, may hold anything.
    let rest = &text[text.rfind(')')? + 1..];
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
    Some(Stat {
        state: fields.first()?.chars().next()?,
        session: fields.get(3)?.parse().ok()?,
        start_ticks: number(19)?,
        cpu_ticks: number(11)? + number(12)?,
        resident_pages: number(21)?,
        exit_code: fields.get(49).and_then(|field| field.parse().ok()).unwrap_or(0),
    })
}

/// When a process began, in clock ticks since boot; 0 if it is not there.
#[must_use]
pub fn start_ticks(pid: u32) -> u64 {
    stat(pid).map_or(0, |stat| stat.start_ticks)
}

/// A pidfd that can be waited for: it becomes readable when its process has ended.
#[expect(unsafe_code, reason = "tokio cannot see that an `OwnedFd` stays open")]
pub(super) fn watch(pidfd: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the fd is owned by what is registered, and so open as long as it is.
    let watched = unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) };
    watched.map_err(Into::into)
}

/// A terminal's end that can be read and written without blocking; it must not block already.
#[expect(unsafe_code, reason = "tokio cannot see that an `OwnedFd` stays open")]
pub(super) fn both_ways(fd: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the fd is owned by what is registered, and so open as long as it is.
    let both =
        unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE | Interest::WRITABLE) };
    both.map_err(Into::into)
}

fn pid_of(run: &Run) -> Option<Pid> {
    Pid::from_raw(i32::try_from(run.pid?).ok()?)
}

/// This very process, if it is there, be it as a zombie: same boot, same pid, same start.
fn same(run: &Run) -> Option<Stat> {
    let there = run.pid.and_then(stat).filter(|stat| stat.start_ticks == run.start_ticks);
    there.filter(|_| run.boot_id == host::boot_id())
}

/// Whether this very process still runs.
#[must_use]
pub fn ours(run: &Run) -> bool {
    same(run).is_some_and(|stat| stat.state != 'Z')
}

/// A pidfd of whatever has this pid now.
pub(super) fn open_pid(pid: u32) -> Option<OwnedFd> {
    pidfd_open(Pid::from_raw(i32::try_from(pid).ok()?)?, PidfdFlags::empty()).ok()
}

/// A pidfd of the run, if it is still there.
pub(super) fn open(run: &Run) -> Option<OwnedFd> {
    let pidfd = pidfd_open(pid_of(run)?, PidfdFlags::NONBLOCK).ok()?;
    // Looked at after opening: the fd is of this process or of none.
    ours(run).then_some(pidfd)
}

/// Sends a signal to the whole group of a process that is still there.
pub(super) fn signal_group(run: &Run, number: i32) {
    let (Some(pid), Some(signal)) = (pid_of(run), Signal::from_named_raw(number)) else {
        return signal_raw(run, number);
    };
    if same(run).is_some() {
        // It may have ended just now.
        kill_process_group(pid, signal).ok();
    }
}

#[expect(unsafe_code, reason = "rustix has no real-time signals, which whole systems stop by")]
fn signal_raw(run: &Run, number: i32) {
    let Some(pid) = pid_of(run).filter(|_| same(run).is_some()) else { return };
    // SAFETY: no memory is passed.
    unsafe { libc::kill(-pid.as_raw_nonzero().get(), number) };
}

pub(super) fn kill_group(run: &Run) {
    signal_group(run, libc::SIGKILL);
}

/// How a process ended whose pidfd has become readable.
pub(super) async fn exit_of(pidfd: &OwnedFd, run: &Run) -> Exit {
    // Safe to wait for: only this task waits for this child.
    match waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
        Ok(Some(status)) => from_child(&status),
        Ok(None) | Err(_) => adopted(pidfd, run).await,
    }
}

fn from_child(status: &WaitIdStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Unknown,
    }
}

fn from_wait_status(raw: i32) -> Exit {
    match raw & 0x7f {
        0 => Exit::Code((raw >> 8) & 0xff),
        signal => Exit::Signal(signal),
    }
}

/// How a process ended that nobody has reaped yet, where we may know.
pub(super) fn exit_of_zombie(run: &Run) -> Option<Exit> {
    let zombie = same(run).filter(|stat| stat.state == 'Z')?;
    // Root sees the code, so a 0 is one.
    let known = zombie.exit_code != 0 || host::is_root();
    known.then(|| from_wait_status(zombie.exit_code))
}

/// It is somebody else's child: its zombie tells where we may look, the pidfd once it was reaped.
async fn adopted(pidfd: &OwnedFd, run: &Run) -> Exit {
    if let Some(exit) = exit_of_zombie(run) {
        return exit;
    }
    let mut waited = Duration::ZERO;
    let mut wait = Duration::from_millis(5);
    while waited < REAPED_WITHIN {
        let gone = same(run).is_none();
        if let Some(raw) = reaped(pidfd) {
            return from_wait_status(raw);
        }
        if gone {
            // The kernel does not tell.
            break;
        }
        tokio::time::sleep(wait).await;
        waited += wait;
        wait = (wait * 2).min(Duration::from_millis(200));
    }
    Exit::Unknown
}

/// The wait status of a process that was reaped, where the kernel tells (6.15 and later).
#[expect(unsafe_code, reason = "PIDFD_GET_INFO has no wrapper")]
fn reaped(pidfd: &OwnedFd) -> Option<i32> {
    let exit = u64::from(libc::PIDFD_INFO_EXIT);
    // SAFETY: the structure is plain numbers, and the kernel writes no more than its size, which
    // is part of the request's number.
    let info = unsafe {
        let mut info: libc::pidfd_info = std::mem::zeroed();
        info.mask = exit;
        let rc = libc::ioctl(pidfd.as_raw_fd(), libc::PIDFD_GET_INFO, &raw mut info);
        (rc == 0).then_some(info)
    }?;
    (info.mask & exit != 0).then_some(info.exit_code)
}

/// What the main process uses, where there are no groups to ask.
pub(super) fn stats(run: &Run) -> Option<Counters> {
    let stat = stat(run.pid?).filter(|stat| stat.start_ticks == run.start_ticks)?;
    let ticks = rustix::param::clock_ticks_per_second().max(1);
    let page = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
    Some(Counters {
        cpu_us: stat.cpu_ticks * 1_000_000 / ticks,
        memory: stat.resident_pages * page,
    })
}

/// How long what was killed may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(30);

/// Ends everything of a run that an executor left, and waits until it is gone, though not for ever.
/// Whether there was anything. A process that only has the same pid is not touched.
pub async fn end_all(run: &Run) -> bool {
    let there = ours(run) || !cgroup::is_empty(&run.cgroups);
    let begun = clock::instant();
    while ours(run) || !cgroup::is_empty(&run.cgroups) {
        if clock::since(begun) > GONE_WITHIN {
            error!("cannot be killed: {}", cgroup::left(&run.cgroups));
            return there;
        }
        kill_group(run);
        cgroup::kill(&run.cgroups);
        if let Some(pidfd) = open(run) {
            // Where it was our own child.
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
            waitid(WaitId::PidFd(pidfd.as_fd()), options).ok();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cgroup::remove(&run.cgroups);
    there
}
