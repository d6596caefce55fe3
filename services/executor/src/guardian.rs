//! The guardian: a tiny process between the executor and an instance of which at most one may be
//! alive.
//!
//! The kernel does the killing. A timer of the guardian's own ends it (by SIGKILL, also while it is
//! stopped) when [`HOLDS`] has passed since the last renewal of the node's pledge that it read from
//! the fence file; with it ends the first process of a pid namespace, by its parent-death signal, and
//! with that everything in there, whatever it has forked. Nothing that becomes of the executor
//! changes anything about it. It has no threads, and no runtime.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, Resource, Rlimit, Signal, WaitOptions};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use serde::{Deserialize, Serialize};

use crate::driver::process::Confinement;
use crate::fence::{HOLDS, boot_time};

mod timer;

/// The word that makes a program a guardian: `<program> --guard <what> -- <command>`.
pub const WORD: &str = "--guard";

/// What a guardian is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Guard {
    /// The file of the node's pledge; `None`: only the namespace is wanted.
    pub fence: Option<PathBuf>,
    /// What the command becomes.
    pub confinement: Confinement,
}

/// The exit code of a guardian whose command was never run.
const NOT_RUN: i32 = 127;
/// How often the pledge is looked at.
const LOOK_EVERY_MS: i32 = 1000;

/// Becomes a guardian if that is what this program was started as. To be called before anything
/// else in `main`, while there is one thread.
pub fn stand_if_asked() {
    let mut words = std::env::args_os().skip(1);
    if words.next().is_none_or(|word| word != WORD) {
        return;
    }
    let guard = words.next().and_then(|guard| serde_json::from_str(guard.to_str()?).ok());
    let command: Vec<_> = words.skip(1).collect();
    let code = match (guard, command.split_first()) {
        (Some(guard), Some((program, rest))) => {
            let mut command = Command::new(program);
            command.args(rest);
            stand(guard, command).unwrap_or_else(|error| {
                eprintln!("guardian: {error}");
                NOT_RUN
            })
        }
        // Somebody asks whether there can be guardians here.
        (None, None) => namespace().map_or(1, |()| 0),
        (Some(_), None) | (None, Some(_)) => NOT_RUN,
    };
    std::process::exit(code);
}

/// Asks whether `program` can be a guardian here: it needs a pid namespace.
pub fn probe(program: &std::path::Path) -> Result<(), String> {
    let nothing = std::process::Stdio::null;
    let mut command = Command::new(program);
    command.arg(WORD).stdin(nothing()).stdout(nothing()).stderr(nothing());
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err("this executor may make no pid namespace (it is not root)".to_owned()),
        Err(error) => Err(format!("there is no guardian: {error}")),
    }
}

/// The children of this process get a pid namespace of their own; for others than root within a
/// user namespace in which they are who they were.
#[expect(unsafe_code, reason = "file descriptors are not unshared, so it is safe")]
fn namespace() -> io::Result<()> {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    // SAFETY: neither flag unshares file descriptors.
    if unsafe { unshare_unsafe(UnshareFlags::NEWPID) }.is_ok() {
        return Ok(());
    }
    // SAFETY: as above.
    unsafe { unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWPID) }?;
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))
}

/// Until what time since boot, in nanoseconds, the pledge stands.
fn until(fence: &File) -> u64 {
    let mut word = [0; 8];
    match fence.read_exact_at(&mut word, 0) {
        Ok(()) => {
            let sent = u64::from_le_bytes(word);
            let holds = u64::try_from(HOLDS.as_nanos()).expect("seconds fit");
            // What was sent in the future was not sent.
            if sent > boot_time() { 0 } else { sent.saturating_add(holds) }
        }
        Err(_) => 0,
    }
}

/// Runs the command in a pid namespace of its own until it ends, or the pledge does. Returns the
/// exit code; where a signal ended it, ends by that signal.
fn stand(guard: Guard, command: Command) -> io::Result<i32> {
    ignore_signals();
    let watch = match &guard.fence {
        Some(path) => {
            let fence = File::open(path)?;
            let mut timer = timer::Timer::new()?;
            let end = until(&fence);
            if end <= boot_time() {
                return Err(io::Error::other("the node's pledge does not stand"));
            }
            timer.set(end)?;
            Some((fence, timer, end))
        }
        None => None,
    };
    namespace()?;
    let (told, tell) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let (go, ready) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    match fork()? {
        None => {
            drop((told, ready));
            std::process::exit(first(&go, &tell, guard.confinement, command));
        }
        Some(child) => {
            drop((tell, go));
            // Only who is told to go has a parent whose death it would hear of.
            rustix::io::write(&ready, b"!")?;
            Ok(wait(child, &told, watch))
        }
    }
}

type Watch = (File, timer::Timer, u64);

/// Prolongs the timer for as long as the pledge is renewed, until the namespace is empty.
fn wait(child: Pid, told: &OwnedFd, mut watch: Option<Watch>) -> i32 {
    let look = Timespec { tv_sec: i64::from(LOOK_EVERY_MS / 1000), tv_nsec: 0 };
    loop {
        if let Some((fence, timer, end)) = &mut watch {
            let now = until(fence);
            if now > *end && timer.set(now).is_ok() {
                *end = now;
            }
        }
        let mut ended = [PollFd::new(told, PollFlags::IN)];
        match rustix::event::poll(&mut ended, watch.is_some().then_some(&look)) {
            Ok(0) | Err(_) => continue,
            Ok(_) => break,
        }
    }
    let mut status = [0; 4];
    let known = rustix::io::read(told, &mut status[..]).is_ok_and(|read| read == 4);
    // Everything in the namespace is gone when its first process is.
    let first = rustix::process::waitpid(Some(child), WaitOptions::empty());
    if known {
        return end_like(i32::from_le_bytes(status));
    }
    first.ok().flatten().map_or(NOT_RUN, |(_, status)| end_like(status.as_raw()))
}

/// The exit code of a wait status; ends by the same signal where there was one.
fn end_like(raw: i32) -> i32 {
    if libc::WIFEXITED(raw) {
        return libc::WEXITSTATUS(raw);
    }
    let signal = libc::WTERMSIG(raw);
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(Resource::Core, none).ok();
    default_signals();
    if let Some(signal) = Signal::from_named_raw(signal) {
        rustix::process::kill_process(rustix::process::getpid(), signal).ok();
    }
    128 + signal
}

/// The first process of the namespace: dies with the guardian, runs the command, reaps.
fn first(go: &OwnedFd, tell: &OwnedFd, confinement: Confinement, mut command: Command) -> i32 {
    let asked = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    // The guardian may have died before that.
    let mut word = [0; 1];
    if asked.is_err() || rustix::io::read(go, &mut word[..]).is_ok_and(|read| read == 0) {
        return NOT_RUN;
    }
    confinement.apply(&mut command);
    let child = match command.spawn() {
        Ok(child) => child.id(),
        Err(error) => {
            eprintln!("guardian: cannot run `{}`: {error}", command.get_program().display());
            return NOT_RUN;
        }
    };
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid.as_raw_nonzero().get().unsigned_abs() == child => {
                rustix::io::write(tell, &status.as_raw().to_le_bytes()).ok();
                return 0;
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return NOT_RUN,
        }
    }
}

#[expect(unsafe_code, reason = "fork is unsafe; here there is one thread")]
fn fork() -> io::Result<Option<Pid>> {
    // SAFETY: this process has one thread, so the child may do whatever its parent could.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(None),
        child => Ok(Pid::from_raw(child)),
    }
}

/// Whatever is sent to the whole group is for the command alone.
#[expect(unsafe_code, reason = "there is no wrapper")]
fn ignore_signals() {
    for signal in (1..=libc::SIGRTMAX()).filter(|signal| *signal != libc::SIGCHLD) {
        // SAFETY: no handler is installed and no memory is passed.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

#[expect(unsafe_code, reason = "there is no wrapper")]
fn default_signals() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: as above.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}
