//! Starts one process: directory, output, groups, environment, user; then fork and exec.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ostler_core::workload::ProcessSection;
use rustix::process::{PidfdFlags, Resource, Rlimit};
use thiserror::Error;

use super::cgroup::Limits;
use super::environment::{environment, expand};
use super::user::{self, User};
use super::{Means, cgroup, ports, proc};
use crate::driver::{Launch, Run};
use crate::host;

/// Why an instance was not started. Nothing is left of the attempt.
#[derive(Debug, Error)]
pub enum StartError {
    /// Somebody else has bound one of its ports.
    #[error("ports: {port} is bound by another program")]
    Port {
        /// Which.
        port: u16,
    },
    /// There is no such user on this node.
    #[error("there is no user `{0}` here")]
    User(String),
    /// The command cannot be run.
    #[error("cannot run `{command}`: {cause}")]
    Command {
        /// Its first word.
        command: String,
        /// Why not.
        cause: io::Error,
    },
    /// Directory, output or groups cannot be made.
    #[error("cannot prepare it: {0}")]
    Host(String),
}

fn host_error(what: &Path) -> impl Fn(io::Error) -> StartError + '_ {
    move |error| StartError::Host(format!("`{}`: {error}", what.display()))
}

/// Starts it. Everything that may allocate or block happens before the fork.
pub(super) fn launch(means: &Means, launch: &Launch) -> Result<(Run, OwnedFd), StartError> {
    let id = launch.id;
    // What a crash left in its groups is not doubled.
    let groups = means.cgroups.dirs(id);
    sweep(&groups);
    if let Some(port) = ports::taken(&launch.spec.ports, &launch.ports) {
        return Err(StartError::Port { port });
    }
    let section = launch.spec.sections.process.clone().unwrap_or_default();
    let user = find_user(&section)?;
    let dir = means.instance_dir(id);
    make_dir(&dir, user.as_ref()).map_err(host_error(&dir))?;
    let begun = start(means, launch, &section);
    if begun.is_err() {
        cgroup::remove(&groups.into_iter().filter(|dir| dir.exists()).collect::<Vec<_>>());
        if launch.run == 1 {
            // Empty, or the instance's own from before a crash; either way it never began.
            drop(fs::remove_dir_all(&dir));
        }
    }
    begun
}

fn find_user(section: &ProcessSection) -> Result<Option<User>, StartError> {
    let Some(name) = &section.user else { return Ok(None) };
    let user = user::find(name).ok_or_else(|| StartError::User(name.clone()))?;
    if !host::is_root() && user.uid != rustix::process::geteuid() {
        return Err(StartError::User(format!("{name}` (the executor is not root) `")));
    }
    Ok(host::is_root().then_some(user))
}

/// Kills what is in these groups, and waits for its end, though not for long.
pub(super) fn sweep(groups: &[PathBuf]) {
    for _ in 0..100 {
        if cgroup::is_empty(groups) {
            break;
        }
        cgroup::kill(groups);
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

fn make_dir(dir: &Path, user: Option<&User>) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    if let Some(user) = user {
        rustix::fs::chown(dir, Some(user.uid), Some(user.gid))?;
    }
    Ok(())
}

/// Output goes straight to files, so that it outlives the executor.
fn output(dir: &Path, stream: &str) -> io::Result<File> {
    fs::create_dir_all(dir)?;
    let name = dir.join(format!("{stream}.log"));
    OpenOptions::new().append(true).create(true).mode(0o640).open(name)
}

fn start(
    means: &Means,
    launch: &Launch,
    section: &ProcessSection,
) -> Result<(Run, OwnedFd), StartError> {
    let logs = means.log_dir(launch.id);
    let stdout = output(&logs, "stdout").map_err(host_error(&logs))?;
    let stderr = output(&logs, "stderr").map_err(host_error(&logs))?;
    let limits = limits(means, launch);
    let groups = means
        .cgroups
        .create(launch.id, limits)
        .map_err(|error| StartError::Host(error.to_string()))?;
    let mut command = exec(means, launch, &section.command)?;
    command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
    let failed = |cause| StartError::Command { command: first(&section.command), cause };
    let mut child = command.spawn().map_err(failed)?;
    let pid = child.id();
    // The child is not reaped before its pidfd is read, so the pid is its own.
    let raw = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    let raw = raw.expect("a pid is positive");
    let pidfd = rustix::process::pidfd_open(raw, PidfdFlags::NONBLOCK).map_err(|error| {
        // What cannot be watched is not left running; it may have ended already.
        drop(child.kill().and_then(|()| child.wait()));
        sweep(&groups);
        StartError::Host(format!("no pidfd: {error}"))
    })?;
    let start_ticks = proc::stat(pid).map_or(0, |stat| stat.start_ticks);
    let run = Run { pid: Some(pid), start_ticks, boot_id: host::boot_id(), cgroups: groups };
    Ok((run, pidfd))
}

fn limits(means: &Means, launch: &Launch) -> Limits {
    let ask = &launch.spec.resources;
    Limits {
        memory: ask.memory_max.unwrap_or(launch.spec.memory).0,
        cpu: ask.cpu,
        cpu_limit: ask.cpu_limit,
        pids: means.max_pids,
    }
}

fn first(command: &[String]) -> String {
    command.first().cloned().unwrap_or_default()
}

/// A command as the instance is run: directory, environment, user, session and groups, which have
/// to be there. `${NAME}` is replaced.
pub fn exec(means: &Means, launch: &Launch, words: &[String]) -> Result<Command, StartError> {
    let dir = means.instance_dir(launch.id);
    let environment = environment(launch, &dir);
    let mut words = words.iter().map(|word| expand(word, &environment));
    let Some(program) = words.next() else {
        let cause = io::Error::new(io::ErrorKind::InvalidInput, "the command is empty");
        return Err(StartError::Command { command: String::new(), cause });
    };
    let mut command = Command::new(program);
    command.args(words).env_clear().envs(environment).current_dir(dir);
    let section = launch.spec.sections.process.clone().unwrap_or_default();
    settle(&mut command, means, &means.cgroups.dirs(launch.id), find_user(&section)?)?;
    Ok(command)
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

/// What the child does to itself between fork and exec: own session, groups, limits, user. Only
/// system calls; nothing is allocated.
#[expect(unsafe_code, reason = "between fork and exec the child has to become what it runs as")]
fn settle(
    command: &mut Command,
    means: &Means,
    groups: &[PathBuf],
    user: Option<User>,
) -> Result<(), StartError> {
    let mut doors = Vec::with_capacity(groups.len());
    for dir in groups {
        let door = dir.join("cgroup.procs");
        let opened = OpenOptions::new().write(true).open(&door).map_err(host_error(&door))?;
        doors.push(opened);
    }
    let files = rustix::process::getrlimit(Resource::Nofile);
    let most = files.maximum.map_or(means.max_files, |hard| hard.min(means.max_files));
    let files = Rlimit { current: Some(most), maximum: Some(most) };
    let become_it = move || {
        rustix::process::setsid()?;
        for door in &doors {
            rustix::io::write(door, b"0")?;
        }
        rustix::process::setrlimit(Resource::Nofile, files)?;
        if let Some(user) = &user {
            rustix::thread::set_thread_groups(&user.groups)?;
            rustix::thread::set_thread_gid(user.gid)?;
            rustix::thread::set_thread_uid(user.uid)?;
        }
        rustix::thread::set_no_new_privs(true)?;
        inherit_nothing();
        Ok(())
    };
    // SAFETY: the closure makes system calls on what it owns and does nothing else.
    unsafe { command.pre_exec(become_it) };
    Ok(())
}
