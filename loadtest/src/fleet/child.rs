//! One service as a child of this process: the same binary, asked to serve.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use ostler_bus::Config;
use ostler_service::clock;

use crate::args::{Means, Service};

/// How long a service may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// What a child is to be.
#[derive(Debug, Clone)]
pub struct Role {
    /// Which service.
    pub service: Service,
    /// What this one of them is called; a scheduler's and a registry's lease is held in that name.
    pub name: String,
    /// How many placements a scheduler makes in one plan.
    pub batch: Option<usize>,
    /// Which nodes executors are: the number of the first, how many, and how they run things.
    pub nodes: (u32, u32, Means),
    /// Where Docker listens, for those that run containers.
    pub docker: Option<PathBuf>,
}

impl Role {
    /// One of a service.
    pub fn new(service: Service, name: impl Into<String>) -> Self {
        let nodes = (0, 0, Means::Sim);
        Self { service, name: name.into(), batch: None, nodes, docker: None }
    }
}

/// A running service. It ends when its standard input is closed, so also when we die.
pub struct Child {
    role: Role,
    process: std::process::Child,
    home: PathBuf,
    address: String,
}

impl Child {
    /// Starts one without waiting.
    pub fn start(role: Role, nats: &Config, home: &Path) -> anyhow::Result<Self> {
        let log = std::fs::File::create(home.join(format!("{}.log", role.name)))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", role.service.as_str(), "--name", &role.name]);
        command.args(["--nats", &nats.url, "--root", &nats.root]).arg("--home").arg(home);
        if let Some(batch) = role.batch {
            command.args(["--batch", &batch.to_string()]);
        }
        let (first, count, means) = role.nodes;
        command.args(["--first", &first.to_string(), "--count", &count.to_string()]);
        command.args(["--means", means.as_str()]);
        if let Some(docker) = &role.docker {
            command.arg("--docker").arg(docker);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        let process = command.spawn().context("cannot start our own binary")?;
        Ok(Self { role, process, home: home.to_owned(), address: String::new() })
    }

    /// Waits until it says where it can be reached.
    pub async fn ready(&mut self) -> anyhow::Result<()> {
        let began = clock::instant();
        let file = ready_file(&self.home, &self.role.name);
        while clock::since(began) < READY_WITHIN {
            if let Ok(address) = std::fs::read_to_string(&file) {
                self.address = address;
                return Ok(());
            }
            if let Some(status) = self.process.try_wait()? {
                bail!("`{}` ended: {status}\n{}", self.role.name, self.log());
            }
            tokio::time::sleep(POLL).await;
        }
        bail!("`{}` is not ready after {READY_WITHIN:?}\n{}", self.role.name, self.log())
    }

    /// What it is.
    pub fn service(&self) -> Service {
        self.role.service
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.role.name
    }

    /// Where it serves: the gateway its API, others health and metrics.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Ends it as a power cut would.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Lets it end by itself, and kills it if it does not.
    pub async fn stop(mut self) {
        drop(self.process.stdin.take());
        let began = clock::instant();
        while clock::since(began) < Duration::from_secs(10) {
            if matches!(self.process.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn log(&self) -> String {
        let file = self.home.join(format!("{}.log", self.role.name));
        std::fs::read_to_string(file).unwrap_or_default()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Where a service tells its address once it is ready.
pub fn ready_file(home: &Path, name: &str) -> PathBuf {
    home.join(format!("{name}.ready"))
}
