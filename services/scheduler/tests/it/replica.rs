//! Replicas of the scheduler: in this process, or as a child that can be killed.

use std::process::{Command, Stdio};
use std::time::Duration;

use ostler_bus::{Bus, Pings};
use ostler_core::id::PoolName;
use ostler_scheduler::Config;
use ostler_service::Program;

use crate::desk::Desk;

/// A replica in this process.
pub struct Replica {
    program: Program,
}

impl Replica {
    /// Starts one; its id is its name.
    pub async fn start(desk: &Desk, name: &str) -> Self {
        Self::start_for(desk, name, &[]).await
    }

    /// The same for these pools.
    pub async fn start_for(desk: &Desk, name: &str, pools: &[PoolName]) -> Self {
        let program = Program::new();
        let bus = Bus::connect(&desk.config(), name, Pings::Usual, &program).await;
        let bus = bus.expect("NATS is there");
        let config = Config { id: name.to_owned(), pools: pools.to_vec(), ..Config::default() };
        program.tasks.spawn("scheduler", ostler_scheduler::run(config, bus, program.clone()));
        Self { program }
    }

    /// It leads, or could.
    pub fn ready(&self) -> bool {
        self.program.health.ready().is_ok()
    }

    /// What it says of its health.
    pub fn health(&self) -> Result<(), String> {
        self.program.health.ready()
    }

    /// Stops it cleanly.
    pub async fn stop(self) {
        let end = self.program.clone().tasks.shut_down(Duration::from_secs(20)).await;
        assert_eq!((end.left, end.failure), (0, None));
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.program.tasks.stop();
    }
}

/// A replica as a process.
pub struct Child(std::process::Child);

impl Child {
    /// Starts one; its id is its name.
    pub fn start(desk: &Desk, name: &str, batch: u32) -> Self {
        Self::start_for(desk, name, batch, "[\"default\"]")
    }

    /// The same for these pools, as a setting has them.
    pub fn start_for(desk: &Desk, name: &str, batch: u32, pools: &str) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_ostler-scheduler"))
            .env("OSTLER_BUS__URL", desk.url())
            .env("OSTLER_SCHEDULER__ID", name)
            .env("OSTLER_SCHEDULER__POOLS", pools)
            .env("OSTLER_SCHEDULER__BATCH", batch.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.expect("our own binary starts"))
    }

    /// Sends it a signal by name.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args(["-s", signal, &self.0.id().to_string()]).status();
        assert!(sent.expect("kill is there").success());
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
