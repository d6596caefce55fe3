//! A fleet in this process: real services and real executors with simulated instances, each part on a
//! wire of its own that can be cut.

use std::collections::BTreeMap;
use std::time::Duration;

use ostler_bus::{Bus, Pings};
use ostler_core::id::NodeName;
use ostler_core::resources::{Bytes, Resources};
use ostler_core::workload::DriverKind;
use ostler_executor::config::Capacity;
use ostler_service::Program;
use ostler_testkit::{Proxy, eventually};
use tempfile::TempDir;

use super::checker::Checked;
use super::client::{Client, config};

/// One part: it and its wire. With several NATS servers there is no wire.
struct Part {
    program: Program,
    wire: Option<Proxy>,
}

/// The fleet, and who asks it.
pub struct Rig {
    pub client: Client,
    pub bus: Bus,
    url: String,
    parts: BTreeMap<String, Part>,
    dir: TempDir,
}

impl Rig {
    /// A registry, the schedulers `s-1` …, the nodes `node-1` …; all are up.
    pub async fn start(url: &str, schedulers: u16, nodes: u16) -> Self {
        let client = Client::start(url).await;
        let (bus, dir) = (client.bus.clone(), TempDir::new().expect("a folder"));
        let (url, parts) = (url.to_owned(), BTreeMap::new());
        let mut rig = Self { client, bus, url, parts, dir };
        rig.start_registry().await;
        for number in 1..=schedulers {
            rig.start_scheduler(&format!("s-{number}")).await;
        }
        for number in 1..=nodes {
            rig.start_node(&format!("node-{number}")).await;
        }
        let health = |name: &str| rig.parts[name].program.health.clone();
        let all: Vec<_> = rig.parts.keys().map(|name| health(name)).collect();
        eventually("all parts are ready", || async {
            all.iter().all(|health| health.ready().is_ok())
        })
        .await;
        rig
    }

    /// The wire of a part.
    pub fn wire(&self, part: &str) -> &Proxy {
        self.parts[part].wire.as_ref().expect("there is one server, so there are wires")
    }

    /// Asks for a workload until that is acknowledged.
    pub async fn put(&mut self, name: &str, count: u32) {
        self.client.put(name, count).await;
    }

    /// The names of all parts.
    pub fn names(&self) -> Vec<String> {
        self.parts.keys().cloned().collect()
    }

    /// How many instances run, by the next beat of each node.
    pub async fn running(&self) -> u32 {
        self.client.running(&self.nodes()).await
    }

    async fn connect(&mut self, name: &str) -> (Program, Bus) {
        let wire = match self.url.contains(',') {
            true => None,
            false => Some(Proxy::to(&self.url).await),
        };
        let url = wire.as_ref().map_or_else(|| self.url.clone(), Proxy::url);
        let program = Program::new();
        let bus = Bus::connect(&config(&url), name, Pings::Usual, &program).await;
        self.parts.insert(name.to_owned(), Part { program: program.clone(), wire });
        (program, bus.expect("NATS is there"))
    }

    async fn start_registry(&mut self) {
        let (program, bus) = self.connect("registry").await;
        let path = self.dir.path().join("registry.db");
        let config = ostler_registry::Config {
            database: format!("sqlite:{}", path.display()),
            ..ostler_registry::Config::default()
        };
        program.tasks.spawn("registry", ostler_registry::run(config, bus, program.clone()));
    }

    async fn start_scheduler(&mut self, name: &str) {
        let (program, bus) = self.connect(name).await;
        let config = ostler_scheduler::Config {
            id: name.to_owned(),
            batch: 150,
            ..ostler_scheduler::Config::default()
        };
        program.tasks.spawn("scheduler", ostler_scheduler::run(config, bus, program.clone()));
    }

    async fn start_node(&mut self, name: &str) {
        let (program, bus) = self.connect(name).await;
        let config = ostler_executor::Config {
            name: Some(name.parse().expect("a name")),
            hardware: Some(name.to_owned()),
            addresses: vec!["127.0.0.1".to_owned()],
            reserved: Resources::default(),
            capacity: Capacity {
                cpu: Some(64_000),
                memory: Some(Bytes::from_mib(65_536)),
                disk: Some(Bytes::from_mib(1 << 20)),
                network: Some(10_000),
            },
            max_instances: 4_000,
            drivers: vec![DriverKind::Sim],
            ..ostler_executor::Config::default()
        };
        program.tasks.spawn("executor", ostler_executor::run(config, bus, program.clone()));
    }

    /// Ends a part cleanly.
    pub async fn end(&mut self, part: &str) {
        let part = self.parts.remove(part).expect("it runs");
        part.program.tasks.shut_down(Duration::from_secs(10)).await;
    }
}

impl Checked for Rig {
    fn client(&self) -> &Client {
        &self.client
    }

    fn nodes(&self) -> Vec<NodeName> {
        let names = self.parts.keys().filter(|name| name.starts_with("node-"));
        names.map(|name| name.parse().expect("a name")).collect()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        for part in self.parts.values() {
            part.program.tasks.stop();
        }
    }
}
