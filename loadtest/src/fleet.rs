//! A whole fleet for one measurement: NATS, the services as children, simulated executors here.
//!
//! Everything listens on loopback, and everything ends with the fleet, also when the measurement
//! fails: children see their standard input close, however this process ends.

mod child;
mod executors;
mod nats;
mod rest;
mod serve;

use std::time::Duration;

use anyhow::Context as _;
use ostler_bus::{Bus, Pings};
use ostler_core::id::PoolName;
use ostler_schemas::bucket::{Bucket, LeaseKey};
use ostler_service::Program;
use tempfile::TempDir;

pub use child::{Child, Role};
pub use executors::{Executors, name};
pub use serve::serve;

use crate::args::{Means, Service};
use crate::machine;
use crate::report::Report;
use nats::Nats;

/// What a fleet is made of.
#[derive(Debug, Clone)]
pub struct Setup {
    /// A NATS server that is there already.
    pub nats: Option<String>,
    /// Servers of a private NATS cluster, if none is there.
    pub replicas: u32,
    /// How many simulated executors in this process.
    pub nodes: u32,
    /// Connections that they share.
    pub connections: u32,
    /// Simulated executors in processes of their own, so many in each.
    pub groups: Vec<u32>,
    /// Nodes that run real processes, each in a process of its own.
    pub real: u32,
    /// How many registries and schedulers.
    pub replicas_of_services: u32,
    /// Whether there is a metrics service.
    pub metrics: Option<Service>,
    /// How many placements the scheduler makes in one plan.
    pub batch: Option<usize>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            nats: None,
            replicas: 1,
            nodes: 0,
            connections: 16,
            groups: Vec::new(),
            real: 0,
            replicas_of_services: 1,
            metrics: None,
            batch: None,
        }
    }
}

impl Setup {
    /// The children, in the order in which they are started.
    fn roles(&self) -> Vec<Role> {
        let mut roles = Vec::new();
        for number in 1..=self.replicas_of_services {
            roles.push(Role::new(Service::Registry, format!("registry-{number}")));
            let scheduler = Role::new(Service::Scheduler, format!("scheduler-{number}"));
            roles.push(Role { batch: self.batch, ..scheduler });
        }
        roles.push(Role::new(Service::Gateway, "gateway"));
        roles.extend(self.metrics.map(|service| Role::new(service, "metrics")));
        let mut first = self.nodes;
        for (number, count) in self.groups.iter().enumerate() {
            let role = Role::new(Service::Executors, format!("nodes-{number}"));
            roles.push(Role { nodes: (first, *count, Means::Sim), ..role });
            first += count;
        }
        for number in 0..self.real {
            let role = Role::new(Service::Executors, format!("node-{number}"));
            roles.push(Role { nodes: (first, 1, Means::Process), ..role });
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
        for role in setup.roles() {
            children.push(Child::start(role, &nats.url(), home.path())?);
        }
        for child in &mut children {
            child.ready().await?;
        }
        let gateway = children.iter().find(|child| child.service() == Service::Gateway);
        let api = gateway.map(|child| format!("http://{}", child.address()));
        let api = api.context("a gateway was started")?;
        let executors = Executors::simulate(&config, 0, setup.nodes, setup.connections).await?;
        executors::online(&bus, setup.all_nodes()).await?;
        let client = reqwest::Client::new();
        Ok(Self { bus, api, client, executors, children, program, nats, _home: home })
    }

    /// Everything that runs, by name.
    pub fn processes(&self) -> Vec<(String, u32)> {
        let mut processes = vec![("executors and client".to_owned(), std::process::id())];
        processes.extend(self.children.iter().map(|child| (child.name().to_owned(), child.pid())));
        let nats = self.nats.pids().into_iter();
        processes.extend(nats.map(|pid| ("nats-server".to_owned(), pid)));
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
    pub async fn describe(&self, report: &mut Report) -> anyhow::Result<()> {
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
        let found = self.children.iter().find(|child| child.service() == Service::Scheduler);
        let address = found.map(Child::address)?;
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
        let (hosts, others): (Vec<Child>, Vec<Child>) =
            self.children.into_iter().partition(|child| child.service() == Service::Executors);
        for child in hosts.into_iter().chain(others.into_iter().rev()) {
            child.stop().await;
        }
        self.program.tasks.shut_down(Duration::from_secs(5)).await;
        self.bus.drain().await;
    }
}
