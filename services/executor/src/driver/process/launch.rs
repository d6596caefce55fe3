//! Starts one process: directory, output, groups, environment, user; then fork and exec.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ostler_core::workload::{Private, ProcessSection};
use rustix::process::{PidfdFlags, Resource, Rlimit};
use thiserror::Error;

use super::birth::{self, Step, Stillborn};
use super::cgroup::Limits;
use super::confine::{Confinement, forked};
use super::enter::Door;
use super::environment::{environment, expand};
use super::user::{self, User};
use super::{Means, cgroup, ports, proc};
use crate::driver::{Launch, Run};
use crate::guardian::{Guard, WORD};
use crate::host;

/// Why an instance was not started. Nothing is left of the attempt.
#[derive(Debug, Error)]
pub enum StartError {
    /// Somebody else has bound one of its ports.
    #[error("ports: {0}")]
    Port(ports::Taken),
    /// There is no such user on this node.
    #[error("there is no user `{0}` here")]
    User(String),
    /// There is no such group on this node.
    #[error("there is no group `{0}` here")]
    Group(String),
    /// Only root may become somebody else.
    #[error("the executor is not root, so all runs as its own user and group")]
    NotRoot,
    /// Only root may do that to a process.
    #[error("`process.{0}` needs an executor that is root")]
    NeedsRoot(&'static str),
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
    // They are made anew: of an old one the kernel still counts what it killed.
    cgroup::remove(&groups.iter().filter(|dir| dir.exists()).cloned().collect::<Vec<_>>());
    if let Some(taken) = ports::taken(&launch.spec.ports, &launch.ports) {
        return Err(StartError::Port(taken));
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

/// Makes the directory of an instance; whose it is, where that is not who runs the executor.
pub fn prepare(means: &Means, launch: &Launch) -> Result<Option<(u32, u32)>, StartError> {
    let section = launch.spec.sections.process.clone().unwrap_or_default();
    let user = find_user(&section)?;
    let dir = means.instance_dir(launch.id);
    make_dir(&dir, user.as_ref()).map_err(host_error(&dir))?;
    Ok(user.map(|user| (user.uid.as_raw(), user.gid.as_raw())))
}

/// Starts a command beside the instance, with the instance's groups, which are made if they are not
/// there; its output goes to the instance's.
pub(super) fn beside(
    means: &Means,
    launch: &Launch,
    words: &[String],
) -> Result<tokio::process::Child, StartError> {
    let section = launch.spec.sections.process.clone().unwrap_or_default();
    let limits = limits(means, launch, &section);
    let made = means.cgroups.create(launch.id, limits);
    made.map_err(|error| StartError::Host(error.to_string()))?;
    let logs = means.log_dir(launch.id);
    let mut command = exec(means, launch, words, As::Beside)?.forked();
    command.stdin(Stdio::null());
    command.stdout(output(&logs, "stdout").map_err(host_error(&logs))?);
    command.stderr(output(&logs, "stderr").map_err(host_error(&logs))?);
    let failed = |cause| StartError::Command { command: first(words), cause };
    tokio::process::Command::from(command).spawn().map_err(failed)
}

pub(super) fn find_user(section: &ProcessSection) -> Result<Option<User>, StartError> {
    let Some(mut user) = (match &section.user {
        Some(name) => Some(user::find(name).ok_or_else(|| StartError::User(name.clone()))?),
        None => section.group.is_some().then(user::own),
    }) else {
        return Ok(None);
    };
    if let Some(name) = &section.group {
        user.gid = user::group(name).ok_or_else(|| StartError::Group(name.clone()))?;
    }
    if host::is_root() {
        return Ok(Some(user));
    }
    let own = user.uid == rustix::process::geteuid();
    if own && (section.group.is_none() || user.gid == rustix::process::getegid()) {
        return Ok(None);
    }
    Err(StartError::NotRoot)
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
    OpenOptions::new().append(true).create(true).mode(0o640).open(log(dir, stream))
}

fn log(dir: &Path, stream: &str) -> PathBuf {
    dir.join(format!("{stream}.log"))
}

fn start(
    means: &Means,
    launch: &Launch,
    section: &ProcessSection,
) -> Result<(Run, OwnedFd), StartError> {
    let logs = means.log_dir(launch.id);
    let stdout = output(&logs, "stdout").map_err(host_error(&logs))?;
    let stderr = output(&logs, "stderr").map_err(host_error(&logs))?;
    let limits = limits(means, launch, section);
    let groups = means
        .cgroups
        .create(launch.id, limits)
        .map_err(|error| StartError::Host(error.to_string()))?;
    let (pid, pidfd) = match borrow(means, launch, section)? {
        Some(born) => born,
        None => fork(means, launch, section, (stdout, stderr))?,
    };
    let start_ticks = proc::stat(pid).map_or(0, |stat| stat.start_ticks);
    let run = Run { pid: Some(pid), start_ticks, boot_id: host::boot_id(), cgroups: groups };
    Ok((run, pidfd))
}

/// Starts it on borrowed memory; `None` where that cannot be, or may not.
fn borrow(
    means: &Means,
    launch: &Launch,
    section: &ProcessSection,
) -> Result<Option<(u32, OwnedFd)>, StartError> {
    let ready = exec(means, launch, &section.command, As::Born)?;
    if !ready.may_borrow {
        return Ok(None);
    }
    let host = |error: io::Error| StartError::Host(error.to_string());
    let group = means.cgroups.second(launch.id).map(File::open).transpose().map_err(host)?;
    let logs = means.log_dir(launch.id);
    let (output, errors) = (log(&logs, "stdout"), log(&logs, "stderr"));
    let streams = [Path::new("/dev/null"), output.as_path(), errors.as_path()];
    let dir = means.instance_dir(launch.id);
    let group = group.as_ref().map(AsFd::as_fd);
    let what = (&ready.command, dir.as_path());
    match birth::spawn(what, streams, ready.steps, group) {
        Ok((pid, pidfd)) => {
            rustix::io::ioctl_fionbio(&pidfd, true).map_err(|error| host(error.into()))?;
            Ok(Some((pid, pidfd)))
        }
        Err(Stillborn::CannotBorrow) => Ok(None),
        Err(Stillborn::Failed(cause)) => {
            Err(StartError::Command { command: first(&section.command), cause })
        }
    }
}

/// Starts it as a copy of the executor that becomes it.
fn fork(
    means: &Means,
    launch: &Launch,
    section: &ProcessSection,
    (stdout, stderr): (File, File),
) -> Result<(u32, OwnedFd), StartError> {
    let mut command = exec(means, launch, &section.command, As::Itself)?.forked();
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
        sweep(&means.cgroups.dirs(launch.id));
        StartError::Host(format!("no pidfd: {error}"))
    })?;
    Ok((pid, pidfd))
}

fn limits(means: &Means, launch: &Launch, section: &ProcessSection) -> Limits {
    let ask = &launch.spec.resources;
    Limits {
        memory: ask.memory_max.unwrap_or(launch.spec.memory).0,
        cpu: ask.cpu,
        cpu_limit: ask.cpu_limit,
        pids: section.max_pids.map_or(means.max_pids, |most| most.min(means.max_pids)),
    }
}

fn first(command: &[String]) -> String {
    command.first().cloned().unwrap_or_default()
}

/// How a command begins.
#[derive(Debug, Clone, Copy)]
pub(super) enum As<'a> {
    /// The instance itself.
    Itself,
    /// The same, born in its group of version 2.
    Born,
    /// A command inside what runs.
    Inside(&'a Run),
    /// A command that is run as the instance is, but is not it.
    Beside,
}

/// Whether a guardian stands between the executor and the instance.
pub(super) fn guarded(launch: &Launch, section: &ProcessSection) -> bool {
    launch.spec.fenced || section.private.contains(&Private::Pid)
}

/// Refuses by name what the kernel would refuse by number.
fn needs_root(section: &ProcessSection) -> Result<(), StartError> {
    let asked = [
        ("chroot", section.chroot.is_some()),
        ("private", !section.private.is_empty()),
        ("capabilities", section.capabilities.is_some()),
    ];
    match asked.into_iter().find(|(_, asked)| *asked && !host::is_root()) {
        Some((name, _)) => Err(StartError::NeedsRoot(name)),
        None => Ok(()),
    }
}

/// A command, and what its child does before it is that.
pub(super) struct Ready {
    command: Command,
    steps: Vec<Step>,
    /// It stays what the executor is, so for a moment it may share its memory.
    may_borrow: bool,
}

impl Ready {
    /// To be started as a copy of the executor.
    pub(super) fn forked(self) -> Command {
        let mut command = self.command;
        self.steps.into_iter().for_each(|step| forked(&mut command, step));
        command
    }
}

/// A command as the instance is run: directory, environment, user, session and groups, which have
/// to be there. `${NAME}` is replaced.
pub(super) fn exec(
    means: &Means,
    launch: &Launch,
    words: &[String],
    how: As<'_>,
) -> Result<Ready, StartError> {
    let dir = means.instance_dir(launch.id);
    let environment = environment(launch, &dir);
    let words: Vec<String> = words.iter().map(|word| expand(word, &environment)).collect();
    let Some((program, rest)) = words.split_first() else {
        let cause = io::Error::new(io::ErrorKind::InvalidInput, "the command is empty");
        return Err(StartError::Command { command: String::new(), cause });
    };
    let section = launch.spec.sections.process.clone().unwrap_or_default();
    let user = find_user(&section)?;
    let confinement = Confinement::new(&section, user.as_ref(), &dir).map_err(StartError::Host)?;
    let guarded = guarded(launch, &section);
    if !guarded {
        // In the namespaces of a guardian it may all the same.
        needs_root(&section)?;
    }
    let mut command = if guarded && matches!(how, As::Itself | As::Born) {
        let fence = launch.spec.fenced.then(|| means.fence.clone()).flatten();
        if launch.spec.fenced && fence.is_none() {
            return Err(StartError::Host("there is no fence file".to_owned()));
        }
        let guard = Guard { fence, confinement: confinement.clone() };
        let guard = serde_json::to_string(&guard).expect("it has text keys");
        let mut command = Command::new(&means.guardian);
        command.args([WORD, guard.as_str(), "--", program.as_str()]);
        command
    } else {
        Command::new(program)
    };
    command.args(rest).env_clear().envs(environment).current_dir(&dir);
    let files = section.max_files.map_or(means.max_files, |most| most.min(means.max_files));
    let doors = means.cgroups.doors(launch.id, matches!(how, As::Born));
    let (mut steps, may_borrow) = (vec![settle(files, &doors)?], confinement.is_plain());
    match how {
        As::Itself | As::Born if guarded => {}
        As::Itself | As::Born | As::Beside => steps.push(confinement.step()),
        As::Inside(run) => {
            let door = Door::of(run, &section, guarded);
            let door = door.map_err(|error| StartError::Host(error.to_string()))?;
            steps.extend(door.map(Door::step));
            steps.push(confinement.inside().step());
        }
    }
    Ok(Ready { command, steps, may_borrow })
}

/// What the child does to itself first: own session, groups, limits. Only system calls; nothing is
/// allocated.
fn settle(files: u64, doors: &[PathBuf]) -> Result<Step, StartError> {
    let open = |door: &PathBuf| OpenOptions::new().write(true).open(door).map_err(host_error(door));
    let doors: Vec<File> = doors.iter().map(open).collect::<Result<_, _>>()?;
    let hard = rustix::process::getrlimit(Resource::Nofile).maximum;
    let most = hard.map_or(files, |hard| hard.min(files));
    let files = Rlimit { current: Some(most), maximum: Some(most) };
    Ok(Box::new(move || {
        rustix::process::setsid()?;
        for door in &doors {
            rustix::io::write(door, b"0")?;
        }
        rustix::process::setrlimit(Resource::Nofile, files)?;
        Ok(())
    }))
}
