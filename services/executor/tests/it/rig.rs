//! A fleet of one executor: a private NATS, a registry that admits everybody, manifests by hand.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ostler_bus::{Batch, Bus, Caller, Pings};
use ostler_core::id::{
    Generation, InstanceId, NodeName, PoolName, Slot, SpecHash, Term, Version, WorkloadKey,
};
use ostler_core::instance::{Desired, Entry, Group, Manifest, PortGrant, Report, Spec, Status};
use ostler_core::workload::{DriverKind, from_toml};
use ostler_executor::Config;
use ostler_schemas::bucket::{Bucket, Key, LeaseRecord, ManifestKey, ReportKey, SpecKey};
use ostler_schemas::pb;
use ostler_service::Program;
use ostler_testkit::NatsServer;
use sha2::{Digest, Sha256};

/// The specification of a workload `web` with what is given besides; a sleeping process unless
/// `driver` is said.
pub fn spec(more: &str) -> Spec {
    let (top, tables): (Vec<&str>, Vec<&str>) = {
        let split = more.find("\n[").map_or(more.len(), |at| at + 1);
        let split = if more.starts_with('[') { 0 } else { split };
        (vec![&more[..split]], vec![&more[split..]])
    };
    let mut text = format!("name = \"web\"\n{}\n", top.concat());
    if !text.contains("driver =") {
        text.push_str("driver = \"process\"\n");
    }
    text.push_str(&tables.concat());
    if text.contains("\"process\"") && !text.contains("[process]") {
        text.push_str("\n[process]\ncommand = [\"sleep\", \"1000\"]\n");
    }
    from_toml(&text).unwrap_or_else(|error| panic!("{error:?}\n{text}")).spec()
}

/// An id for a test.
pub fn id(number: u128) -> InstanceId {
    InstanceId::from_bits((1_700_000_000_000 << 32) + number)
}

/// Where the groups of a test are: no two tests share any.
pub fn cgroup(dir: &Path) -> String {
    let name = dir.file_name().and_then(|name| name.to_str()).expect("a name");
    format!("/ostler-test{name}")
}

/// Settings of a node in a directory.
pub fn config(dir: &Path, drivers: &[DriverKind]) -> Config {
    Config {
        name: Some("node-1".parse().expect("a name")),
        data_dir: Some(dir.to_owned()),
        addresses: vec!["127.0.0.1".to_owned()],
        hardware: Some("test".to_owned()),
        drivers: drivers.to_vec(),
        cgroup: cgroup(dir),
        guardian: env!("CARGO_BIN_EXE_ostler-executor").into(),
        ..Config::default()
    }
}

/// What is ordered of one instance.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub spec: Spec,
    pub desired: Desired,
    pub generation: u64,
    pub ports: Vec<PortGrant>,
}

impl Wanted {
    pub fn run(spec: Spec) -> Self {
        Self { spec, desired: Desired::Run, generation: 1, ports: Vec::new() }
    }

    pub fn with(mut self, desired: Desired, generation: u64) -> Self {
        (self.desired, self.generation) = (desired, generation);
        self
    }

    pub fn port(mut self, name: &str, first: u16) -> Self {
        self.ports.push(PortGrant { name: name.parse().expect("a name"), first, count: 1 });
        self
    }
}

/// The key of a node's report, for what is no report.
pub struct Scribble;

impl Key for Scribble {
    type Value = LeaseRecord;
    fn bucket(&self) -> Bucket {
        Bucket::Reports
    }
}

impl std::fmt::Display for Scribble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", Rig::node())
    }
}

/// The fleet.
pub struct Rig {
    pub nats: NatsServer,
    pub bus: Bus,
    pub program: Program,
    pub dir: tempfile::TempDir,
    pub wanted: BTreeMap<InstanceId, Wanted>,
    /// Of each goodbye, whether the node was said to be empty.
    pub goodbyes: Arc<Mutex<Vec<bool>>>,
    /// The node was removed: until the next hello nobody knows it.
    pub removed: Arc<AtomicBool>,
    /// The pool that the registry says the node is in.
    pub given_to: Arc<Mutex<PoolName>>,
    /// The pool whose manifests are written.
    pub pool: PoolName,
}

impl Rig {
    pub async fn start() -> Self {
        let nats = NatsServer::start().await;
        let program = Program::new();
        let config = ostler_bus::Config { url: nats.url(), ..Default::default() };
        let bus = Bus::connect(&config, "test", Pings::Usual, &program).await.expect("connects");
        bus.provision(&[PoolName::default(), "gpu".parse().expect("a name")])
            .await
            .expect("provisions");
        let goodbyes = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&goodbyes);
        let granting = Arc::new(AtomicU64::new(0));
        let removed = Arc::new(AtomicBool::new(false));
        let (of_challenge, of_hello) = (Arc::clone(&removed), Arc::clone(&removed));
        let given_to = Arc::new(Mutex::new(PoolName::default()));
        let (in_challenge, in_hello) = (Arc::clone(&given_to), Arc::clone(&given_to));
        bus.serve("registry", "test")
            .on::<pb::Challenge, _, _>(move |_: Caller, _| {
                let unknown = of_challenge.load(Ordering::SeqCst);
                let pool = in_challenge.lock().expect("a lock").to_string();
                let nonce = "1-0".to_owned();
                async move { Ok(pb::ChallengeReply { nonce, unknown, pool, ..Default::default() }) }
            })
            .on::<pb::Hello, _, _>(move |_: Caller, _| {
                of_hello.store(false, Ordering::SeqCst);
                let epoch = granting.fetch_add(1, Ordering::SeqCst) + 1;
                let pool = in_hello.lock().expect("a lock").to_string();
                async move { Ok(pb::HelloReply { epoch, incarnation: 1, pool }) }
            })
            .on::<pb::Leave, _, _>(move |_: Caller, leave: pb::Leave| {
                heard.lock().expect("a lock").push(leave.empty);
                async { Ok(pb::LeaveReply {}) }
            })
            .start()
            .await
            .expect("serves");
        let dir = tempfile::tempdir().expect("a directory");
        let (pool, wanted) = (PoolName::default(), BTreeMap::new());
        Self { nats, bus, program, dir, wanted, goodbyes, removed, given_to, pool }
    }

    pub fn node() -> NodeName {
        "node-1".parse().expect("a name")
    }

    /// Runs an executor in this process; it ends with the program that is returned.
    pub fn executor(&self, drivers: &[DriverKind]) -> Program {
        self.run(config(self.dir.path(), drivers))
    }

    /// Runs an executor with these settings in this process.
    pub fn run(&self, config: Config) -> Program {
        let program = Program::new();
        let bus = self.bus.clone();
        let of_it = program.clone();
        program
            .tasks
            .spawn("executor", async move { ostler_executor::run(config, bus, of_it).await });
        program
    }

    /// Writes the manifest that `wanted` says.
    pub async fn commit(&mut self) {
        let pool = self.pool.clone();
        let bucket = Bucket::Placements(pool.clone());
        let after = self.bus.last_revision(&bucket).await.expect("a revision");
        let mut groups = Vec::new();
        for (id, wanted) in &self.wanted {
            let json = serde_json::to_vec(&wanted.spec).expect("JSON");
            let hash = SpecHash(Sha256::digest(&json).into());
            self.bus.put(&SpecKey(hash), &wanted.spec).await.expect("a spec");
            groups.push(group(*id, wanted, hash));
        }
        let revision = after.next();
        let manifest = Manifest { incarnation: 1, term: Term(1), revision, groups };
        let mut batch = Batch::new();
        let key = ManifestKey { pool: pool.clone(), node: Self::node() };
        batch.put(&key, &manifest).expect("room");
        self.bus.commit(&pool, batch, after).await.expect("commits");
    }

    /// Orders one instance besides what is ordered already.
    pub async fn order(&mut self, id: InstanceId, wanted: Wanted) {
        self.wanted.insert(id, wanted);
        self.commit().await;
    }

    pub async fn report(&self) -> Option<Report> {
        self.bus.get(&ReportKey(Self::node())).await.ok()?.map(|entry| entry.value)
    }

    pub async fn status(&self, id: InstanceId) -> Option<Status> {
        self.report().await?.statuses.into_iter().find(|status| status.id == id)
    }

    /// Writes into the node's report what cannot be read.
    pub async fn scribble(&self) {
        let value = LeaseRecord { holder: "nobody".to_owned(), renewals: 0 };
        self.bus.put(&Scribble, &value).await.expect("written");
    }

    /// Waits until the report says of an instance what is wanted.
    pub async fn until(&self, what: &str, id: InstanceId, is: impl Fn(&Status) -> bool) -> Status {
        let found = std::sync::Mutex::new(None);
        ostler_testkit::eventually(what, || async {
            let status = self.status(id).await;
            let holds = status.as_ref().is_some_and(&is);
            *found.lock().expect("a lock") = status;
            holds
        })
        .await;
        found.into_inner().expect("a lock").expect("it was found")
    }

    /// Stops an executor and everything it ran.
    pub async fn end(self, executor: Program) {
        executor.tasks.shut_down(Duration::from_secs(20)).await;
        let all = [DriverKind::Process];
        ostler_executor::clean(&config(self.dir.path(), &all)).await.expect("cleans");
        self.program.tasks.stop();
    }
}

fn group(id: InstanceId, wanted: &Wanted, spec: SpecHash) -> Group {
    let entry = Entry {
        id,
        slot: Slot(0),
        desired: wanted.desired,
        generation: Generation(wanted.generation),
        restarted: Generation(0),
        ports: wanted.ports.clone(),
        score: 0,
        reason: String::new(),
    };
    Group {
        key: WorkloadKey::new(wanted.spec.namespace.clone(), wanted.spec.workload.clone()),
        version: Version(1),
        spec,
        ask: ostler_core::resources::Resources::default(),
        priority: 50,
        entries: vec![entry],
    }
}
