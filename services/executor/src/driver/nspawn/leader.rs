//! What runs inside: seen from the host, below systemd-nspawn.

use rustix::process::{Pid, Signal, kill_process};

use crate::host;

/// What signals and commands are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Inside {
    /// As the host counts.
    pub(super) pid: u32,
    /// Whether it is the tree's own init.
    pub(super) is_init: bool,
}

fn children(pid: u32) -> Vec<u32> {
    let text = host::text(format!("/proc/{pid}/task/{pid}/children"));
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// The pid that a process has in its own namespace.
fn own_pid(pid: u32) -> Option<u32> {
    let status = host::text(format!("/proc/{pid}/status"));
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    let pids: Vec<&str> = line.split_whitespace().collect();
    // In a namespace of its own it has one more.
    (pids.len() > 1).then(|| pids.last()?.parse().ok())?
}

/// Under this systemd-nspawn: its `command`, which is process 2 beside a small init, or the init of
/// a booted tree. `None` before it is there and after it has ended.
pub(super) fn inside(nspawn: u32, command: bool) -> Option<Inside> {
    let first = children(nspawn).into_iter().find(|pid| own_pid(*pid) == Some(1))?;
    if !command {
        return Some(Inside { pid: first, is_init: true });
    }
    // The small init itself is let alone: told to end, it may wait for ever for what has ended.
    let second = children(first).into_iter().find(|pid| own_pid(*pid) == Some(2))?;
    Some(Inside { pid: second, is_init: false })
}

/// Signals it; it may have ended just now.
pub(super) fn signal(pid: u32, number: i32) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let (Some(pid), Some(signal)) = (pid, named(number)) {
        kill_process(pid, signal).ok();
    }
}

#[expect(unsafe_code, reason = "real-time signals have no name, only numbers")]
fn named(number: i32) -> Option<Signal> {
    if !(1..=libc::SIGRTMAX()).contains(&number) {
        return None;
    }
    // SAFETY: the number is that of a signal, and it is only sent, never handled here.
    Some(unsafe { Signal::from_raw_unchecked(number) })
}
