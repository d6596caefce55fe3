//! A question to a command of the operator's: bounded in time and in what it may say.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

/// So much of what a command prints is read.
const PRINTS: u64 = 4096;

/// What a command answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// It succeeds, and prints this.
    Yes(String),
    /// It fails, and prints this.
    No(String),
    /// It cannot be run or does not answer in time; why.
    Silent(String),
}

/// Runs a command once. One that hangs is ended, with all that it started.
pub(crate) async fn ask(words: &[String], within: Duration) -> Asked {
    let Some((program, arguments)) = words.split_first() else {
        return Asked::Silent("names no program".to_owned());
    };
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => return Asked::Silent(format!("`{program}`: {error}")),
    };
    let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    match tokio::time::timeout(within, hear(&mut child)).await {
        Ok(Ok((true, printed))) => Asked::Yes(printed),
        Ok(Ok((false, printed))) => Asked::No(printed),
        Ok(Err(error)) => Asked::Silent(format!("`{program}`: {error}")),
        Err(_) => {
            // It was not waited for, so its id is nobody else's yet.
            group.map(|group| kill_process_group(group, Signal::KILL).ok());
            Asked::Silent(format!("`{program}` did not answer within {within:?}"))
        }
    }
}

/// What it prints, and whether it succeeds.
async fn hear(child: &mut Child) -> std::io::Result<(bool, String)> {
    let mut printed = Vec::new();
    if let Some(out) = child.stdout.take() {
        out.take(PRINTS).read_to_end(&mut printed).await?;
    }
    let status = child.wait().await?;
    Ok((status.success(), String::from_utf8_lossy(&printed).into_owned()))
}
