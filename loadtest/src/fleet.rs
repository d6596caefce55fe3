//! A whole fleet for one measurement: NATS, the services as children, simulated executors here.
//!
//! Everything listens on loopback, and everything ends with the fleet, also when the measurement
//! fails: children see their standard input close, however this process ends.

mod child;
mod executors;
mod nats;
mod serve;

use std::time::Duration;

use anyhow::Context as _;
use ostler_bus::{Bus, Pings};
use ostler_core::id::PoolName;
use ostler_schemas::bucket::Bucket;
use ostler_service::Program;
use tempfile::TempDir;

pub use child::Child;
pub use executors::Executors;
pub use serve::serve;

use crate::args::Service;
use crate::machine;
use crate::report::Report;
use nats::Nats;

/// What a fleet is made of.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// A NATS server that is there already.
    pub nats: Option<String>,
    /// Servers of a private NATS cluster, if none is there.
    pub replicas: u32,
    /// How many simulated executors.
    pub nodes: u32,
    /// Connections that they share.
    pub connections: u32,
    /// How many placements the scheduler makes in one plan.
    pub batch: Option<usize>,
}

/// A fleet that is ready.
pub struct Fleet {
    /// The measurement's own connection.
    pub bus: Bus,
    /// The REST interface, such as `http://127.0.0.1:40001`.
    pub api: String,
    executors: Executors,
    children: Vec<(Service, Child)>,
    program: Program,
    nats: Nats,
    _home: TempDir,
}

impl Fleet {
    /// Starts everything and waits until all nodes are online.
    pub async fn start(setup: &Setup) -> anyhow::Result<Self> {
        let home = tempfile::Builder::new().prefix("ostler-loadtest-").tempdir()?;
        let nats = Nats::start(setup).await;
        let program = Program::new();
        let config = ostler_bus::Config { url: nats.url(), ..ostler_bus::Config::default() };
        let bus = Bus::connect(&config, "loadtest", Pings::Usual, &program).await?;
        bus.provision(&[PoolName::default()]).await?;
        let mut children = Vec::new();
        for service in Service::ALL {
            let child = Child::start(service, &nats.url(), home.path(), setup.batch);
            children.push((service, child?));
        }
        for (_, child) in &mut children {
            child.ready().await?;
        }
        let gateway = children.iter().find(|(service, _)| *service == Service::Gateway);
        let api = gateway.map(|(_, child)| format!("http://{}", child.address()));
        let api = api.context("a gateway was started")?;
        let executors = Executors::start(&config, setup).await?;
        executors.online(&bus).await?;
        Ok(Self { bus, api, executors, children, program, nats, _home: home })
    }

    /// Peak memory, processor time and versions of everything that took part.
    pub async fn describe(&self, report: &mut Report) -> anyhow::Result<()> {
        report.setup("nats", self.nats.version(&self.bus).await);
        let ours = std::process::id();
        let mut processes = vec![("executors and client", ours)];
        processes
            .extend(self.children.iter().map(|(service, child)| (service.as_str(), child.pid())));
        processes.extend(self.nats.pids().into_iter().map(|pid| ("nats-server", pid)));
        for (name, pid) in processes {
            if let Some(peak) = machine::peak_rss_mib(pid) {
                let peak = f64::from(u32::try_from(peak)?);
                report.figure(&format!("peak memory, {name}"), peak, "MiB");
            }
            if let Some(cpu) = machine::cpu_ms(pid) {
                report.took(&format!("processor time, {name}"), Duration::from_millis(cpu));
            }
        }
        Ok(())
    }

    /// The sum of a metric of the scheduler: its value, or what its name ends in asks for.
    pub async fn scheduler_metric(&self, name: &str) -> Option<f64> {
        let found = self.children.iter().find(|(service, _)| *service == Service::Scheduler);
        let address = found.map(|(_, child)| child.address())?;
        let answer = reqwest::get(format!("http://{address}/metrics")).await.ok()?;
        let text = answer.text().await.ok()?;
        let lines = text
            .lines()
            .filter(|line| line.split(['{', ' ']).next().is_some_and(|metric| metric == name));
        lines.map(|line| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok())).sum()
    }

    /// How many messages the placements of the pool ever had.
    pub async fn placement_revision(&self) -> anyhow::Result<u64> {
        Ok(self.bus.last_revision(&Bucket::Placements(PoolName::default())).await?.0)
    }

    /// Stops everything, executors first.
    pub async fn stop(self) {
        self.executors.stop().await;
        for (_, child) in self.children.into_iter().rev() {
            child.stop().await;
        }
        self.program.tasks.shut_down(Duration::from_secs(5)).await;
        self.bus.drain().await;
    }
}
