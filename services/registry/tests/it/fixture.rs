//! A registry on a private nats-server, a caller, and hands that play executor and scheduler.

use nkeys::KeyPair;
use ostler_bus::{Batch, Bus, Caller, Config, Pings};
use ostler_core::id::{InstanceId, NodeName, PoolName, Slot, SpecHash, Version, WorkloadKey};
use ostler_core::instance::{Desired, Entry, Group, Manifest, Observed, Report, Status, Usage};
use ostler_core::node::{Facts, Heartbeat, Use};
use ostler_core::resources::{Bytes, Resources};
use ostler_core::time::{Span, Timestamp};
use ostler_registry::Config as RegistryConfig;
use ostler_schemas::api::Call;
use ostler_schemas::bucket::{Bucket, Key, ManifestKey, ReportKey};
use ostler_schemas::contract::HeartbeatOf;
use ostler_schemas::pb;
use ostler_schemas::problem::{Code, Problem};
use ostler_service::{Program, clock};
use ostler_testkit::{NatsServer, eventually};
use tempfile::TempDir;

/// Since when instances run.
const SINCE: u64 = 1_700_000_000_000;

/// A registry that runs, and a caller of it.
pub struct Fleet {
    pub server: NatsServer,
    pub bus: Bus,
    pub folder: TempDir,
    first: std::sync::Mutex<Option<Program>>,
}

pub fn bus_config(url: &str) -> Config {
    Config { url: url.to_owned(), request_timeout: Span::from_secs(5), ..Config::default() }
}

pub fn caller() -> Caller {
    Caller { actor: "tester".to_owned(), ..Caller::program("test") }
}

impl Fleet {
    /// A nats-server, its streams, one registry with SQLite.
    pub async fn start() -> Self {
        let server = NatsServer::start().await;
        let program = Program::new();
        let bus = Bus::connect(&bus_config(&server.url()), "test", Pings::Usual, &program).await;
        let bus = bus.expect("the server runs");
        bus.provision(&[PoolName::default()]).await.expect("an empty server takes all");
        let folder = TempDir::new().expect("a folder");
        let fleet = Self { server, bus, folder, first: std::sync::Mutex::default() };
        fleet.replace(fleet.config()).await;
        fleet
    }

    /// Stops the fixture's registry, if it runs, and starts another in its place.
    pub async fn replace(&self, config: RegistryConfig) {
        let first = self.first.lock().expect("nobody panicked").take();
        if let Some(first) = first {
            first.finish().await.expect("it stops cleanly");
        }
        let program = self.registry_with(config).await;
        *self.first.lock().expect("nobody panicked") = Some(program);
    }

    /// The settings of a registry with its database in the fixture's folder.
    pub fn config(&self) -> RegistryConfig {
        let path = self.folder.path().join("registry.db");
        RegistryConfig {
            database: format!("sqlite:{}", path.display()),
            ..RegistryConfig::default()
        }
    }

    /// Another registry; it is ready when this returns.
    pub async fn registry_with(&self, config: RegistryConfig) -> Program {
        let program = Program::new();
        let bus =
            Bus::connect(&bus_config(&self.server.url()), "registry", Pings::Usual, &program).await;
        let running = ostler_registry::run(config, bus.expect("it runs"), program.clone());
        program.tasks.spawn("registry", running);
        let health = program.health.clone();
        eventually("the registry is ready", || async { health.ready().is_ok() }).await;
        program
    }

    pub async fn call<R: Call>(&self, request: R) -> Result<R::Reply, Problem> {
        self.bus.call(&request, &caller()).await
    }

    /// What the call is refused with.
    pub async fn refused<R: Call>(&self, request: R) -> Code
    where
        R::Reply: std::fmt::Debug,
    {
        self.call(request).await.expect_err("it is refused").code
    }

    pub async fn put(&self, toml: &str) -> Result<pb::WorkloadPutReply, Problem> {
        self.call(put(toml)).await
    }

    pub async fn node(&self, name: &str) -> pb::NodeView {
        self.call(pb::NodeGet { name: name.to_owned() }).await.expect("it is there")
    }

    /// Plays scheduler: writes whatever is wanted into the pool's placements.
    pub async fn place<K: Key>(&self, key: &K, value: &K::Value) {
        let mut batch = Batch::new();
        batch.put(key, value).expect("there is room");
        self.commit(batch).await;
    }

    pub async fn commit(&self, batch: Batch) {
        let pool = PoolName::default();
        let after = self.bus.last_revision(&Bucket::Placements(pool.clone())).await;
        let after = after.expect("it answers");
        self.bus.commit(&pool, batch, after).await.expect("nobody else writes");
    }

    /// Plays executor: says how its instances are.
    pub async fn report(&self, node: &str, report: &Report) {
        self.bus.put(&ReportKey(node_name(node)), report).await.expect("it is written");
    }

    /// A hello with these facts as an executor signs it, for the nonce that it is given.
    pub async fn hello(&self, node: &str, key: &KeyPair, facts: &Facts) -> pb::Hello {
        let challenge = pb::Challenge { node: node.to_owned() };
        let nonce = self.call(challenge).await.expect("it answers").nonce;
        let text = format!("hello\n{node}\n{}\n{nonce}", facts.hardware);
        pb::Hello {
            node: node.to_owned(),
            key: key.public_key(),
            signed_at_ms: clock::wall_ms(),
            signature: key.sign(text.as_bytes()).expect("a key pair signs"),
            facts_json: serde_json::to_string(facts).expect("facts are JSON"),
            nonce,
            ..pb::Hello::default()
        }
    }

    /// Says hello with the usual facts.
    pub async fn join(&self, node: &str, key: &KeyPair) -> Result<pb::HelloReply, Problem> {
        self.call(self.hello(node, key, &facts()).await).await
    }

    /// Plays executor: one beat.
    pub async fn beat(&self, node: &str, epoch: u64) {
        self.beat_through("", node, epoch).await;
    }

    /// Plays executor: one beat of a node that is connected to this NATS server.
    pub async fn beat_through(&self, server: &str, node: &str, epoch: u64) {
        let beat = Heartbeat {
            node: node_name(node),
            epoch: ostler_core::id::Epoch(epoch),
            applied: ostler_core::id::Revision(7),
            used: Use { cpu: 500, memory: 1 << 29, disk: 0, network: 0 },
            load: [50, 40, 30],
            instances: 1,
            clock: Timestamp::from_millis(clock::wall_ms()),
            server: server.to_owned(),
            bid: None,
            battery: false,
        };
        let to = HeartbeatOf(node_name(node));
        // Beats are skipped while disconnected, never queued.
        drop(self.bus.publish(&to, &beat).await);
    }
}

pub fn put(toml: &str) -> pb::WorkloadPut {
    let workload = ostler_core::workload::from_toml(toml).expect("the test's text is right");
    pb::WorkloadPut { spec: Some(workload.into()), ..Default::default() }
}

pub fn node_name(name: &str) -> NodeName {
    name.parse().expect("a name")
}

pub fn manifest_key(node: &str) -> ManifestKey {
    ManifestKey { pool: PoolName::default(), node: node_name(node) }
}

pub fn facts() -> Facts {
    Facts {
        arch: "amd64".to_owned(),
        os: "linux".to_owned(),
        kernel: "6.1".to_owned(),
        boot_id: "boot".to_owned(),
        hardware: "machine-1".to_owned(),
        zone: "east".to_owned(),
        capacity: Resources {
            cpu: 4_000,
            memory: Bytes(8 << 30),
            disk: Bytes(100 << 30),
            network: 1_000,
        },
        reserved: Resources::default(),
        max_instances: 50,
        drivers: [("sim".to_owned(), "1".to_owned())].into(),
        labels: [("rack".to_owned(), "r1".to_owned())].into(),
        addresses: vec!["127.0.0.1".to_owned()],
        ports: (20_000, 29_999),
        version: "0.1.0".to_owned(),
        battery: false,
    }
}

/// A goodbye as an executor signs it.
pub fn leave(node: &str, key: &KeyPair, epoch: u64, empty: bool) -> pb::Leave {
    let text = format!("leave\n{node}\n{epoch}\n{empty}");
    let signature = key.sign(text.as_bytes()).expect("a key pair signs");
    pb::Leave { node: node.to_owned(), epoch, empty, signature }
}

/// A manifest with so many instances of a workload, the first with this id.
pub fn manifest(workload: &str, first: u128, count: u32) -> Manifest {
    let entry = |index: u32| Entry {
        id: InstanceId::from_bits(first + u128::from(index)),
        slot: Slot(index),
        desired: Desired::Run,
        generation: ostler_core::id::Generation(0),
        restarted: ostler_core::id::Generation(0),
        ports: Vec::new(),
        score: 9_000,
        reason: String::new(),
    };
    let key = WorkloadKey::new(Default::default(), workload.parse().expect("a name"));
    let group = Group {
        key,
        version: Version(1),
        spec: SpecHash([0; 32]),
        ask: Resources { cpu: 100, memory: Bytes::from_mib(64), ..Resources::default() },
        priority: 50,
        entries: (0..count).map(entry).collect(),
    };
    Manifest { groups: vec![group], ..Manifest::default() }
}

/// How an instance is that runs.
pub fn running(id: u128) -> Status {
    Status {
        id: InstanceId::from_bits(id),
        generation: ostler_core::id::Generation(0),
        observed: Observed::Running,
        ready: true,
        proven: true,
        since: Timestamp::from_millis(SINCE),
        ready_at: Some(Timestamp::from_millis(SINCE + 250)),
        proven_at: Some(Timestamp::from_millis(SINCE + 10_000)),
        restarts: 2,
        exit: None,
        reason: String::new(),
        pid: Some(4_711),
        version: Version(1),
        usage: Usage { cpu: 12, memory: 34 },
    }
}

pub fn report(statuses: Vec<Status>) -> Report {
    Report { epoch: ostler_core::id::Epoch(1), statuses, ..Report::default() }
}
