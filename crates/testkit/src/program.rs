//! A program of a test's own, as a process that can be killed, stopped, and started again.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use crate::nats::process::{die_with_us, signal, spawn_on_keeper};

/// A process and how it is started again. Killed on drop, and by the kernel when the test dies.
#[derive(Debug)]
pub struct Process {
    words: Vec<String>,
    log: PathBuf,
    child: Option<Child>,
}

impl Process {
    /// Starts the program that the words say, with what it says at the end of a file.
    #[must_use]
    pub fn start(words: Vec<String>, log: PathBuf) -> Self {
        let mut process = Self { words, log, child: None };
        process.again();
        process
    }

    /// Starts it again; kills it before if it runs.
    pub fn again(&mut self) {
        self.kill();
        let log = File::options().create(true).append(true).open(&self.log).expect("a log");
        let mut command = Command::new(&self.words[0]);
        command
            .args(&self.words[1..])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log);
        die_with_us(&mut command);
        self.child = Some(spawn_on_keeper(command).expect("it can be started"));
    }

    /// Its process id while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Whether it was started and has not ended.
    pub fn runs(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            child.kill().ok();
            child.wait().expect("it is our child");
        }
    }

    /// SIGTERM. It may take its time: see [`Self::runs`].
    pub fn terminate(&self) {
        signal(self.child.as_ref(), Signal::TERM);
    }

    /// SIGSTOP.
    pub fn stop(&self) {
        signal(self.child.as_ref(), Signal::STOP);
    }

    /// SIGCONT.
    pub fn cont(&self) {
        signal(self.child.as_ref(), Signal::CONT);
    }

    /// The last lines of what it said.
    #[must_use]
    pub fn said(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(20).collect();
        lines.iter().rev().map(|line| format!("{line}\n")).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
