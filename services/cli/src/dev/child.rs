//! Children of the dev fleet: started in a group of their own, so that Ctrl-C reaches only us.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{
    Pid, Signal, kill_process, set_parent_process_death_signal, test_kill_process,
};
use tokio::process::{Child, Command};

use crate::failure::Failure;

/// Lets this process end when its parent does, if it is `parent`.
pub fn die_with(parent: Option<u32>) {
    let Some(parent) = parent else { return };
    if let Err(error) = set_parent_process_death_signal(Some(Signal::TERM)) {
        tracing::warn!(%error, "cannot ask to end with the parent");
    }
    let now = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    if now != Some(parent) {
        std::process::exit(1);
    }
}

/// Starts a child with its output in a file.
pub fn start(program: &Path, args: &[String], log: File) -> Result<Child, Failure> {
    let errors = log.try_clone().map_err(Failure::failed)?;
    Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .process_group(0)
        .spawn()
        .map_err(|error| Failure::failed(format!("cannot start {}: {error}", program.display())))
}

/// Starts another program as a child that ends with this process, however that ends.
pub fn start_other(program: &Path, args: &[String], log: File) -> Result<Child, Failure> {
    let exe = std::env::current_exe().map_err(Failure::failed)?;
    let parent = std::process::id().to_string();
    let program = program.display().to_string();
    let own = ["dev", "exec", "--parent", &parent, "--", &program].map(str::to_owned);
    start(&exe, &[own.as_slice(), args].concat(), log)
}

/// This process becomes another program; returns only if it cannot.
pub fn become_program(command: &[std::ffi::OsString]) -> Failure {
    use std::os::unix::process::CommandExt as _;
    let Some((program, args)) = command.split_first() else {
        return Failure::usage("there is no program to become");
    };
    let error = std::process::Command::new(program).args(args).exec();
    Failure::failed(format!("cannot run {}: {error}", program.display()))
}

/// The pid as the system wants it.
fn pid(raw: u32) -> Option<Pid> {
    i32::try_from(raw).ok().and_then(Pid::from_raw)
}

/// Asks a child to end, and kills it when `grace` is over.
pub async fn stop(child: &mut Child, grace: Duration) {
    let Some(id) = child.id().and_then(pid) else { return };
    // It may have ended meanwhile, which is what is wanted.
    kill_process(id, Signal::TERM).ok();
    if tokio::time::timeout(grace, child.wait()).await.is_err() {
        tracing::warn!(pid = id.as_raw_nonzero().get(), "a child did not end in time, killing it");
        child.kill().await.ok();
    }
}

/// Ends what an earlier fleet of this folder left: only processes whose command line names the
/// folder.
pub async fn end_leftover(raw: u32, dir: &Path) {
    let line = std::fs::read(format!("/proc/{raw}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&line).into_owned();
    if line.contains(&dir.display().to_string()) {
        end(raw).await;
    }
}

/// Ends an executor that was started by hand: only if the process is this very program.
pub async fn end_executor(raw: u32) {
    let theirs = std::fs::read_link(format!("/proc/{raw}/exe")).ok();
    if theirs.is_some() && theirs == std::env::current_exe().ok() {
        end(raw).await;
    }
}

/// How often a process that is to end is looked at, and for how long before it is killed.
const LOOK: Duration = Duration::from_millis(50);
const LOOKS: u32 = 100;

/// Asks a process to end, kills it after five seconds, and gives up after five more.
async fn end(raw: u32) {
    let Some(id) = pid(raw) else { return };
    tracing::info!(pid = raw, "ending what an earlier fleet left, or what was started by hand");
    let mut tick = tokio::time::interval(LOOK);
    for signal in [Signal::TERM, Signal::KILL] {
        kill_process(id, signal).ok();
        for _ in 0..LOOKS {
            if ended(id, raw) {
                return;
            }
            tick.tick().await;
        }
    }
    tracing::warn!(pid = raw, "a process does not end, not even killed");
}

/// Whether a process is gone, or only waits to be collected by its parent.
fn ended(id: Pid, raw: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{raw}/stat")).unwrap_or_default();
    let collected = stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'));
    collected || test_kill_process(id).is_err()
}
