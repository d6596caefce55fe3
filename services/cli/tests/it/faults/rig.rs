//! A fleet in this process: real services and real executors with simulated instances, each part on a
//! wire of its own that can be cut. What was asked for is kept, to be checked in the end.

use std::collections::BTreeMap;
use std::time::Duration;

use ostler_bus::{Bus, Caller, Config, Pings};
use ostler_core::id::NodeName;
use ostler_core::resources::{Bytes, Resources};
use ostler_core::time::Span;
use ostler_core::workload::{self, DriverKind};
use ostler_executor::config::Capacity;
use ostler_schemas::contract::HeartbeatOf;
use ostler_schemas::pb;
use ostler_schemas::problem::Code;
use ostler_service::Program;
use ostler_testkit::{Proxy, eventually, eventually_within};
use tempfile::TempDir;

/// How long a write may take to be acknowledged, whatever breaks.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(60);

/// One part: it and its wire. With several NATS servers there is no wire.
struct Part {
    program: Program,
    wire: Option<Proxy>,
}

/// A write that was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acked {
    pub name: String,
    pub version: u32,
    pub count: u32,
}

/// The fleet, seen over a connection that no fault touches but those of the servers.
pub struct Rig {
    pub bus: Bus,
    url: String,
    parts: BTreeMap<String, Part>,
    dir: TempDir,
    /// Every write that was acknowledged, in order.
    pub acked: Vec<Acked>,
}

impl Rig {
    /// A registry, the schedulers `s-1` …, the nodes `node-1` …; all are up.
    pub async fn start(url: &str, schedulers: u16, nodes: u16) -> Self {
        let program = Program::new();
        let bus = Bus::connect(&config(url), "test", Pings::Usual, &program).await;
        let bus = bus.expect("NATS is there");
        bus.provision(&bus.config().pools.clone()).await.expect("an empty server takes all");
        let dir = TempDir::new().expect("a folder");
        let mut rig = Self { bus, url: url.to_owned(), parts: BTreeMap::new(), dir, acked: vec![] };
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

    /// The names of all nodes.
    pub fn nodes(&self) -> Vec<NodeName> {
        let names = self.parts.keys().filter(|name| name.starts_with("node-"));
        names.map(|name| name.parse().expect("a name")).collect()
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

    /// Asks for a workload, again and again as one operation, until that is acknowledged.
    pub async fn put(&mut self, name: &str, count: u32) {
        let request = put(name, count);
        let caller = Caller { actor: "tester".to_owned(), ..Caller::program("test") };
        let reply = std::sync::Mutex::new(None);
        eventually_within(ACKNOWLEDGED_WITHIN, &format!("{name} is acknowledged"), || async {
            match self.bus.call(&request, &caller).await {
                Ok(said) => *reply.lock().expect("unbroken") = said.workload,
                Err(problem) => {
                    let again = matches!(problem.code, Code::Unavailable | Code::Timeout);
                    assert!(again, "`{name}` is refused: {problem}");
                }
            }
            reply.lock().expect("unbroken").is_some()
        })
        .await;
        let view = reply.into_inner().expect("unbroken").expect("just waited for");
        self.acked.push(Acked { name: name.to_owned(), version: view.version, count });
    }

    /// Begins to ask, once, and does not wait for an answer.
    pub async fn ask(&self, name: &str, count: u32) -> Result<pb::WorkloadPutReply, Code> {
        let caller = Caller { timeout: Duration::from_secs(3), ..Caller::program("test") };
        self.bus.call(&put(name, count), &caller).await.map_err(|problem| problem.code)
    }

    /// How many instances run, by the next beat of each node: no store has a part in that.
    pub async fn running(&self) -> u32 {
        let mut beats = self.bus.subscribe::<HeartbeatOf>(None).await.expect("NATS is there");
        let mut told = BTreeMap::new();
        while told.len() < self.nodes().len() {
            if let Some(Ok((_, beat))) = beats.next().await {
                told.insert(beat.node, beat.instances);
            }
        }
        told.values().sum()
    }

    /// Ends a part cleanly.
    pub async fn end(&mut self, part: &str) {
        let part = self.parts.remove(part).expect("it runs");
        part.program.tasks.shut_down(Duration::from_secs(10)).await;
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        for part in self.parts.values() {
            part.program.tasks.stop();
        }
    }
}

/// Answers are waited for only so long, so that those which were lost are soon missed.
fn config(url: &str) -> Config {
    Config { url: url.to_owned(), request_timeout: Span::from_millis(1_500), ..Config::default() }
}

fn put(name: &str, count: u32) -> pb::WorkloadPut {
    let text = format!(
        r#"{{"name": "{name}", "driver": "sim", "count": {count},
            "resources": {{"cpu": 10, "memory": "8MiB"}}}}"#
    );
    let spec = workload::from_json(&text).expect("a workload");
    pb::WorkloadPut { spec: Some(spec.into()), ..Default::default() }
}
