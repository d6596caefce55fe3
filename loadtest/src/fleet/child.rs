//! One service as a child of this process: the same binary, asked to serve.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use ostler_service::clock;

use crate::args::Service;

/// How long a service may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// A running service. It ends when its standard input is closed, so also when we die.
pub struct Child {
    service: Service,
    process: std::process::Child,
    home: PathBuf,
    address: String,
}

impl Child {
    /// Starts one without waiting.
    pub fn start(
        service: Service,
        nats: &str,
        home: &Path,
        batch: Option<usize>,
    ) -> anyhow::Result<Self> {
        let log = std::fs::File::create(home.join(format!("{}.log", service.as_str())))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", service.as_str(), "--nats", nats, "--home"]).arg(home);
        if let Some(batch) = batch {
            command.args(["--batch", &batch.to_string()]);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        let process = command.spawn().context("cannot start our own binary")?;
        Ok(Self { service, process, home: home.to_owned(), address: String::new() })
    }

    /// Waits until it says where it can be reached.
    pub async fn ready(&mut self) -> anyhow::Result<()> {
        let began = clock::instant();
        let file = ready_file(&self.home, self.service);
        while clock::since(began) < READY_WITHIN {
            if let Ok(address) = std::fs::read_to_string(&file) {
                self.address = address;
                return Ok(());
            }
            if let Some(status) = self.process.try_wait()? {
                bail!("the {} ended: {status}\n{}", self.service.as_str(), self.log());
            }
            tokio::time::sleep(POLL).await;
        }
        bail!("the {} is not ready after {READY_WITHIN:?}\n{}", self.service.as_str(), self.log())
    }

    /// Where it serves: the gateway its API, others health and metrics.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
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
        let file = self.home.join(format!("{}.log", self.service.as_str()));
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
pub fn ready_file(home: &Path, service: Service) -> PathBuf {
    home.join(format!("{}.ready", service.as_str()))
}
