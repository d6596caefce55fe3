//! Private nats-servers with JetStream, started from the very files in `deploy/nats`.

mod clock;
mod cluster;
pub(crate) mod process;

use std::path::{Path, PathBuf};
use std::process::Child;

use tempfile::TempDir;

pub use cluster::NatsCluster;

use crate::disk::SmallDisk;
use crate::ports::Ports;

/// One nats-server on a free port, its store in a folder that goes with it. Killed on drop, and by
/// the kernel when the test dies.
#[derive(Debug)]
pub struct NatsServer {
    start: process::Start,
    child: Option<Child>,
    home: TempDir,
}

impl NatsServer {
    /// Starts one that is ready. Panics, saying how to install it, where there is no nats-server.
    pub async fn start() -> Self {
        let home = process::home();
        let store = home.path().join("store");
        Self::start_with(home, store, Vec::new()).await
    }

    /// Starts one that is reached at every address of its host.
    pub async fn start_on_all_addresses() -> Self {
        let mut server = Self::start().await;
        server.start.address = "0.0.0.0";
        server.restart().await;
        server
    }

    /// Starts one whose store is on this disk.
    pub async fn start_on(disk: &SmallDisk) -> Self {
        Self::start_with(process::home(), disk.path().join("store"), disk.enter()).await
    }

    async fn start_with(home: TempDir, store: PathBuf, enter: Vec<String>) -> Self {
        let config = process::config("single.conf");
        let mut tries = 0;
        loop {
            let start = process::Start {
                config: config.clone(),
                home: home.path().to_owned(),
                store: store.clone(),
                enter: enter.clone(),
                address: process::LOOPBACK,
                port: Ports::free(),
                monitor: Ports::free(),
                more: Vec::new(),
            };
            tries += 1;
            match start.run().await {
                Ok(child) => return Self { start, child: Some(child), home },
                // Somebody took the port between the draw and the start.
                Err(why) if tries == 3 => panic!("nats-server does not start: {why}"),
                Err(_) => {}
            }
        }
    }

    /// Where clients reach it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.start.port)
    }

    /// The port at which clients reach it.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.start.port
    }

    /// Its wall clock jumps: so many seconds off from now on, until it is started again. Messages
    /// and leases live and die by that clock.
    pub fn clock_jumps(&self, seconds: i64) {
        clock::put_forward(self.pid().expect("it runs"), seconds);
    }

    /// Its process id while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// The folder of its store and log.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Kills it with SIGKILL. Its store stays.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it is our child");
            child.wait().expect("it is our child");
        }
    }

    /// Starts it again on the same port and store; kills it before if it runs.
    pub async fn restart(&mut self) {
        self.kill();
        let child = self.start.run().await.expect("it ran before");
        self.child = Some(child);
    }

    /// Stops it with SIGSTOP: connections stay open, nothing answers.
    pub fn stop(&self) {
        process::signal(self.child.as_ref(), rustix::process::Signal::STOP);
    }

    /// Lets it run again with SIGCONT.
    pub fn cont(&self) {
        process::signal(self.child.as_ref(), rustix::process::Signal::CONT);
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The nats-server that tests use: of `.tools/bin`, else of PATH.
fn binary() -> PathBuf {
    let ours = workspace().join(".tools/bin/nats-server");
    let on_path = std::env::var_os("PATH")
        .into_iter()
        .flat_map(|path| std::env::split_paths(&path).collect::<Vec<_>>())
        .map(|folder| folder.join("nats-server"))
        .find(|file| file.is_file());
    match on_path {
        _ if ours.is_file() => ours,
        Some(file) => file,
        None => panic!("no nats-server in .tools/bin or on PATH: run `scripts/setup.sh test`"),
    }
}

fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
