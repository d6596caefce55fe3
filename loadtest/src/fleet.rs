//! A whole fleet for one measurement: NATS, the services as children, simulated executors here.
//!
//! Everything listens on loopback, and everything ends with the fleet, also when the measurement
//! fails: children see their standard input close, however this process ends.

mod bare;
mod child;
mod executors;
mod nats;
mod rest;
mod serve;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use ostler_bus::{Bus, Pings};
use ostler_core::id::PoolName;
use ostler_schemas::bucket::{Bucket, LeaseKey};
use ostler_service::{Program, clock};
use tempfile::TempDir;

pub use bare::{Load, bare};
pub use child::{Child, Role};
pub use executors::{Executors, Online, is_ours, name};
pub use serve::serve;

use crate::args::{Means, Servers, Service};
use crate::machine;
use crate::report::Report;
use nats::Nats;

/// So many nodes join at once: more would only wait for each other.
const TOGETHER: usize = 1_000;

/// What a fleet is made of.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Which NATS.
    pub servers: Servers,
    /// How many simulated executors in this process.
    pub nodes: u32,
    /// Connections that they share.
    pub connections: u32,
    /// Simulated executors in processes of their own, so many in each.
    pub groups: Vec<u32>,
    /// Nodes that run real processes, each in a process of its own.
    pub real: u32,
    /// Where Docker listens, if those run containers, too.
    pub docker: Option<PathBuf>,
    /// How many registries and schedulers.
    pub replicas_of_services: u32,
    /// Whether there is a metrics service.
    pub metrics: bool,
    /// How many placements the scheduler makes in one plan.
    pub batch: Option<usize>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            servers: Servers::default(),
            nodes: 0,
            connections: 16,
            groups: Vec::new(),
            real: 0,
            docker: None,
            replicas_of_services: 1,
            metrics: false,
            batch: None,
        }
    }
}

impl Setup {
    /// The children, in the order in which they are started.
    fn roles(&self) -> Vec<Role> {
        let mut roles = Vec::new();
        for number in 1..=self.replicas_of_services {
            let name = |what: &str| match self.replicas_of_services {
                1 => what.to_owned(),
                _ => format!("{what}-{number}"),
            };
            roles.push(Role::new(Service::Registry, name("registry")));
            let scheduler = Role::new(Service::Scheduler, name("scheduler"));
            roles.push(Role { batch: self.batch, ..scheduler });
        }
        roles.push(Role::new(Service::Gateway, "gateway"));
        roles.extend(self.metrics.then(|| Role::new(Service::Metrics, "metrics")));
        let mut first = self.nodes;
        for (number, count) in self.groups.iter().enumerate() {
            let role = Role::new(Service::Executors, format!("nodes-{number}"));
            roles.push(Role { nodes: (first, *count, Means::Sim), ..role });
            first += count;
        }
        for number in 0..self.real {
            let role = Role::new(Service::Executors, format!("node-{number}"));
            let (nodes, docker) = ((first, 1, Means::Process), self.docker.clone());
            roles.push(Role { nodes, docker, ..role });
            first += 1;
        }
        roles
    }

    /// How many nodes there are in all.
    pub fn all_nodes(&self) -> u32 {
        self.nodes + self.groups.iter().sum::<u32>() + self.real
    }
}

/// A fleet that is ready.
pub struct Fleet {
    /// The measurement's own connection.
    pub bus: Bus,
    /// The REST interface, such as `http://127.0.0.1:40001`.
    pub api: String,
    /// For requests to it; connections are kept.
    pub client: reqwest::Client,
    executors: Executors,
    children: Vec<Child>,
    program: Program,
    nats: Nats,
    _home: TempDir,
}

/// What makes a bus a fleet.
struct Parts {
    api: String,
    executors: Executors,
    children: Vec<Child>,
}

impl Parts {
    async fn start(
        setup: &Setup,
        (config, bus): (&ostler_bus::Config, &Bus),
        home: &Path,
    ) -> anyhow::Result<Self> {
        let mut online = Online::begin(bus, setup.all_nodes()).await?;
        let mut children = Vec::new();
        for role in setup.roles() {
            children.push(Child::start(role, config, home)?);
        }
        for child in &mut children {
            child.ready().await?;
        }
        let gateway = children.iter().find(|child| child.service() == Service::Gateway);
        let api = gateway.map(|child| format!("http://{}", child.address()));
        let api = api.context("a gateway was started")?;
        let connections = setup.connections.min(setup.nodes).max(1);
        let executors = Executors::connect(config, connections).await?;
        for first in (0..setup.nodes).step_by(TOGETHER) {
            let count = u32::try_from(TOGETHER)?.min(setup.nodes - first);
            executors.start(first, count)?;
            online.until(first + count).await?;
        }
        online.until(setup.all_nodes()).await?;
        Ok(Self { api, executors, children })
    }
}

impl Fleet {
    /// Measures with a fleet of its own. The report tells how long that took to be ready and what
    /// its parts used; it is stopped whatever became of the measurement.
    pub async fn with<T>(
        setup: &Setup,
        report: &mut Report,
        measure: impl AsyncFnOnce(&mut Self, &mut Report) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let began = clock::instant();
        let mut fleet = Self::start(setup).await?;
        report.took("fleet: all nodes online after", clock::since(began));
        let measured = measure(&mut fleet, report).await;
        let described = fleet.describe(report).await;
        let stopped = fleet.stop().await;
        let measured = measured?;
        described.and(stopped)?;
        Ok(measured)
    }

    /// Starts everything and waits until all nodes are online.
    async fn start(setup: &Setup) -> anyhow::Result<Self> {
        let home = tempfile::Builder::new().prefix("ostler-loadtest-").tempdir()?;
        let nats = Nats::start(&setup.servers).await;
        let program = Program::new();
        let config = nats.config();
        let bus = Bus::connect(&config, "loadtest", Pings::Usual, &program).await?;
        bus.provision(&[PoolName::default()]).await?;
        match Parts::start(setup, (&config, &bus), home.path()).await {
            Ok(parts) => {
                let Parts { api, executors, children } = parts;
                let client = reqwest::Client::new();
                Ok(Self { bus, api, client, executors, children, program, nats, _home: home })
            }
            Err(failed) => {
                // Nothing of ours stays where others are, also when nothing came of it.
                nats.clean(&bus).await.ok();
                Err(failed)
            }
        }
    }

    /// Everything that runs, by name.
    pub fn processes(&self) -> Vec<(String, u32)> {
        let mut processes = vec![("executors and client".to_owned(), std::process::id())];
        processes.extend(self.children.iter().map(|child| (child.name().to_owned(), child.pid())));
        let nats = self.nats.pids();
        let alone = nats.len() == 1;
        for (number, pid) in (1..).zip(nats) {
            let name =
                if alone { "nats-server".to_owned() } else { format!("nats-server-{number}") };
            processes.push((name, pid));
        }
        processes
    }

    /// Ends a child as a power cut would.
    pub fn kill(&mut self, name: &str) -> anyhow::Result<()> {
        let place = self.children.iter().position(|child| child.name() == name);
        self.children.remove(place.with_context(|| format!("no `{name}` runs"))?).kill()
    }

    /// Which child holds a lease, such as `scheduler-default`.
    pub async fn holder(&self, purpose: &str) -> anyhow::Result<String> {
        let lease = self.bus.get(&LeaseKey(purpose.to_owned())).await?;
        let holder = lease.with_context(|| format!("nobody holds `{purpose}`"))?.value.holder;
        Ok(holder.split('/').next().unwrap_or_default().to_owned())
    }

    /// Peak memory, processor time and versions of everything that took part.
    async fn describe(&self, report: &mut Report) -> anyhow::Result<()> {
        report.setup("nats", self.nats.version(&self.bus).await);
        for (name, pid) in self.processes() {
            if let Some(peak) = machine::peak_rss_mib(pid) {
                let peak = f64::from(u32::try_from(peak)?);
                report.figure(&format!("peak memory, {name}"), peak, "MiB");
                report.peak(&name, peak);
            }
            if let Some(cpu) = machine::cpu_ms(pid) {
                report.took(&format!("processor time, {name}"), Duration::from_millis(cpu));
            }
        }
        Ok(())
    }

    /// The sum of a metric of the scheduler: its value, or what its name ends in asks for.
    pub async fn scheduler_metric(&self, name: &str) -> Option<f64> {
        self.metric(Service::Scheduler, name).await
    }

    /// The same of the gateway.
    pub async fn gateway_metric(&self, name: &str) -> Option<f64> {
        self.metric(Service::Gateway, name).await
    }

    /// Where a client speaks plain NATS.
    pub fn nats_address(&self) -> String {
        let url = self.nats.config().url;
        let first = url.split(',').next().unwrap_or_default();
        first.trim_start_matches("nats://").to_owned()
    }

    async fn metric(&self, service: Service, name: &str) -> Option<f64> {
        let found = self.children.iter().find(|child| child.service() == service);
        let address = found.map(Child::address)?;
        let answer = reqwest::get(format!("http://{address}/metrics")).await.ok()?;
        let text = answer.text().await.ok()?;
        let lines = text
            .lines()
            .filter(|line| line.split(['{', ' ']).next().is_some_and(|metric| metric == name));
        let values =
            lines.map(|line| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()));
        // The sum of nothing is negative zero.
        values.sum::<Option<f64>>().map(|sum| sum + 0.0)
    }

    /// How many messages the placements of the pool ever had.
    pub async fn placement_revision(&self) -> anyhow::Result<u64> {
        Ok(self.bus.last_revision(&Bucket::Placements(PoolName::default())).await?.0)
    }

    /// Stops everything, executors first.
    async fn stop(self) -> anyhow::Result<()> {
        self.executors.stop().await;
        let (hosts, others): (Vec<Child>, Vec<Child>) =
            self.children.into_iter().partition(|child| child.service() == Service::Executors);
        for child in hosts.into_iter().chain(others.into_iter().rev()) {
            child.stop().await;
        }
        let cleaned = self.nats.clean(&self.bus).await;
        self.program.tasks.shut_down(Duration::from_secs(5)).await;
        self.bus.drain().await;
        cleaned
    }
}
