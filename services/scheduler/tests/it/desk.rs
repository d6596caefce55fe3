//! Writes what registry and executors would write, and reads what the scheduler wrote.

use std::collections::BTreeSet;

use ostler_bus::{Batch, Bus, Entry, Pings, ReadError};
use ostler_core::head::Head;
use ostler_core::id::{
    Epoch, Generation, InstanceId, NodeName, PoolName, Revision, SpecHash, Term, Version,
};
use ostler_core::instance::{Desired, Manifest};
use ostler_core::node::{Admin, Facts, Kept, Liveness, Node};
use ostler_core::resources::{Bytes, Resources};
use ostler_core::time::Timestamp;
use ostler_core::workload;
use ostler_schemas::bucket::{
    Bucket, HeadKey, Key, LeaseRecord, ManifestKey, NodeKey, Outcomes, OutcomesKey, TermKey,
    TermRecord,
};
use ostler_service::Program;
use ostler_testkit::{NatsServer, eventually};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

/// A provisioned bus with nodes and no services.
pub struct Desk {
    nats: NatsServer,
    bus: Bus,
    nodes: Vec<NodeName>,
}

/// Where one slot was placed.
pub type Placed = (u32, InstanceId, NodeName);

fn pool() -> PoolName {
    PoolName::default()
}

impl Desk {
    /// Starts a nats-server and writes this many nodes.
    pub async fn open(nodes: u32) -> Self {
        let nats = NatsServer::start().await;
        let config = ostler_bus::Config { url: nats.url(), ..ostler_bus::Config::default() };
        let bus = Bus::connect(&config, "desk", Pings::Usual, &Program::new()).await;
        let bus = bus.expect("NATS is there");
        bus.provision(&[pool()]).await.expect("an empty server takes all streams");
        let mut desk = Self { nats, bus, nodes: Vec::new() };
        for number in 0..nodes {
            let node = node(number);
            desk.bus.put(&NodeKey(node.name.clone()), &node).await.expect("written");
            desk.nodes.push(node.name);
        }
        desk
    }

    /// Another pool, with this many nodes.
    pub async fn also(&mut self, other: &PoolName, nodes: u32) {
        self.bus.provision(&[pool(), other.clone()]).await.expect("there is room");
        for number in 0..nodes {
            let name = format!("{other}-{number:03}").parse().expect("a name");
            let node = Node { name, pool: other.clone(), ..node(number) };
            self.bus.put(&NodeKey(node.name.clone()), &node).await.expect("written");
        }
    }

    /// Who leads a pool.
    pub async fn leader_of(&self, pool: &PoolName) -> String {
        let entry = self.bus.get(&TermKey(pool.clone())).await.expect("NATS answers");
        entry.map(|entry| entry.value.holder).unwrap_or_default()
    }

    /// The slots of a workload in this pool's manifests, sorted; the nodes are those of `also`.
    pub async fn slots_in(&self, pool: &PoolName, name: &str, nodes: u32) -> Vec<u32> {
        let mut slots = Vec::new();
        for number in 0..nodes {
            let node = format!("{pool}-{number:03}").parse().expect("a name");
            let key = ManifestKey { pool: pool.clone(), node };
            let entry = self.bus.get(&key).await.expect("NATS answers");
            let groups = entry.into_iter().flat_map(|entry| entry.value.groups);
            let ours = groups.filter(|group| group.key.name.to_string() == name);
            slots.extend(ours.flat_map(|group| group.entries).map(|entry| entry.slot.0));
        }
        slots.sort_unstable();
        slots
    }

    /// The most that the server takes in one message of the pool's placements.
    pub async fn limit_placements(&self, bytes: i64) {
        let name = format!("KV_placements-{}", pool());
        let address = self.url().trim_start_matches("nats://").to_owned();
        let mut raw = tokio::net::TcpStream::connect(address).await.expect("it listens");
        let info = format!("$JS.API.STREAM.INFO.{name}");
        let answer = ask(&mut raw, &info, "").await;
        let mut config = answer["config"].clone();
        config["max_msg_size"] = bytes.into();
        let update = format!("$JS.API.STREAM.UPDATE.{name}");
        let answer = ask(&mut raw, &update, &config.to_string()).await;
        assert_eq!(answer["config"]["max_msg_size"], bytes, "{answer}");
    }

    /// Where NATS is.
    pub fn url(&self) -> String {
        self.nats.url()
    }

    /// The section `[bus]` of a replica.
    pub fn config(&self) -> ostler_bus::Config {
        self.bus.config().clone()
    }

    /// Writes the first version of a workload.
    pub async fn put(&self, name: &str, count: u32) {
        self.put_in(&pool(), name, count).await;
    }

    /// The same in another pool.
    pub async fn put_in(&self, pool: &PoolName, name: &str, count: u32) {
        let text = format!(
            r#"{{"name": "{name}", "driver": "sim", "count": {count}, "pool": "{pool}",
                "resources": {{"cpu": 10, "memory": "8MiB"}}}}"#
        );
        let spec = workload::from_json(&text).expect("a workload");
        let head = Head {
            spec,
            version: Version(1),
            compatible_since: Version(1),
            spec_hash: SpecHash([7; 32]),
            restart_generation: Generation(0),
            reload_generation: Generation(0),
            stopped: false,
            deleted: false,
            purge: false,
            updated_at: self.bus.pool_time(),
            op_id: ostler_bus::op_id(),
            earlier: Vec::new(),
        };
        self.bus.put(&HeadKey(head.key()), &head).await.expect("written");
    }

    /// What is there, if it can be read.
    async fn read<K: Key>(&self, key: &K) -> Option<Entry<K::Value>> {
        match self.bus.get(key).await {
            Err(ReadError::Value { .. }) => None,
            entry => entry.expect("NATS answers"),
        }
    }

    /// The term in force.
    pub async fn term(&self) -> Option<TermRecord> {
        self.read(&TermKey(pool())).await.map(|entry| entry.value)
    }

    /// Waits until this replica leads.
    pub async fn until_led_by(&self, replica: &str) {
        let leads = async || self.term().await.is_some_and(|term| term.holder == replica);
        eventually(&format!("{replica} leads"), leads).await;
    }

    /// All manifests, by node.
    pub async fn manifests(&self) -> Vec<Manifest> {
        let mut manifests = Vec::new();
        for node in &self.nodes {
            let key = ManifestKey { pool: pool(), node: node.clone() };
            if let Some(entry) = self.read(&key).await {
                assert_eq!(entry.value.revision, entry.revision, "{node} names another revision");
                manifests.push(entry.value);
            }
        }
        manifests
    }

    /// Where a workload's instances are, in the order of the nodes.
    pub async fn placed(&self, name: &str) -> Vec<Placed> {
        let mut placed = Vec::new();
        for node in &self.nodes {
            let key = ManifestKey { pool: pool(), node: node.clone() };
            let entry = self.read(&key).await;
            let groups = entry.into_iter().flat_map(|entry| entry.value.groups);
            let ours = groups.filter(|group| group.key.name.to_string() == name);
            let entries = ours.flat_map(|group| group.entries);
            placed.extend(entries.map(|entry| (entry.slot.0, entry.id, node.clone())));
        }
        placed
    }

    /// How many instances of a workload are ordered to run.
    pub async fn ordered_to_run(&self, name: &str) -> usize {
        let groups = self.manifests().await.into_iter().flat_map(|manifest| manifest.groups);
        let ours = groups.filter(|group| group.key.name.to_string() == name);
        ours.flat_map(|group| group.entries).filter(|one| one.desired == Desired::Run).count()
    }

    /// Waits until so many instances are placed.
    pub async fn until_placed(&self, name: &str, count: usize) -> Vec<Placed> {
        let all = async || self.placed(name).await.len() >= count;
        eventually(&format!("{count} of {name} are placed"), all).await;
        self.placed(name).await
    }

    /// Each slot has one instance, and there is no other.
    pub async fn assert_each_slot_once(&self, name: &str, count: u32) {
        let placed = self.placed(name).await;
        let slots: BTreeSet<u32> = placed.iter().map(|(slot, _, _)| *slot).collect();
        let ids: BTreeSet<InstanceId> = placed.iter().map(|(_, id, _)| *id).collect();
        assert_eq!(slots, (0..count).collect());
        assert_eq!((placed.len(), ids.len()), (slots.len(), slots.len()));
    }

    /// Writes a term as another leader would.
    pub async fn usurp(&self, term: Term) {
        let holder = "usurper".to_owned();
        let since = self.bus.pool_time();
        let record = TermRecord { incarnation: 1, term, holder, since };
        let mut batch = Batch::new();
        batch.put(&TermKey(pool()), &record).expect("there is room");
        self.commit(batch).await;
    }

    /// Writes what nobody but the leader may write, without a term.
    pub async fn scribble(&self) {
        let mut batch = Batch::new();
        batch.put(&OutcomesKey(pool()), &Outcomes::default()).expect("there is room");
        self.commit(batch).await;
    }

    /// Writes what nobody can read under any key of the placements.
    pub async fn garble(&self, key: &str) {
        let mut batch = Batch::new();
        let value = LeaseRecord { holder: "nobody".to_owned(), renewals: 0 };
        batch.put(&Garbled(key.to_owned()), &value).expect("there is room");
        self.commit(batch).await;
    }

    async fn commit(&self, batch: Batch) {
        let bucket = Bucket::Placements(pool());
        let after: Revision = self.bus.last_revision(&bucket).await.expect("NATS answers");
        self.bus.commit(&pool(), batch, after).await.expect("nobody else writes now");
    }
}

/// Any key of the placements, with a value that has no place there.
struct Garbled(String);

impl Key for Garbled {
    type Value = LeaseRecord;
    fn bucket(&self) -> Bucket {
        Bucket::Placements(pool())
    }
}

impl std::fmt::Display for Garbled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn node(number: u32) -> Node {
    Node {
        name: format!("node-{number:03}").parse().expect("a name"),
        pool: pool(),
        admin: Admin::Active,
        liveness: Liveness::Online,
        liveness_since: Timestamp::from_millis(1),
        epoch: Epoch(1),
        facts: Facts {
            arch: "amd64".to_owned(),
            os: "linux".to_owned(),
            kernel: "6.1.0".to_owned(),
            boot_id: String::new(),
            hardware: String::new(),
            zone: "z".to_owned(),
            capacity: Resources {
                cpu: 64_000,
                memory: Bytes::from_mib(65_536),
                disk: Bytes::from_mib(65_536),
                network: 10_000,
            },
            reserved: Resources::default(),
            max_instances: 4_000,
            drivers: [("sim".to_owned(), "1.0".to_owned())].into(),
            labels: std::collections::BTreeMap::new(),
            addresses: Vec::new(),
            ports: (20_000, 29_999),
            version: String::new(),
            battery: false,
        },
        drain_deadline: None,
        key: String::new(),
        left_empty: false,
        kept: Kept::default(),
        op_id: String::new(),
    }
}

/// One request by hand, as no program of ours could send it.
async fn ask(raw: &mut tokio::net::TcpStream, subject: &str, body: &str) -> serde_json::Value {
    let hello = "CONNECT {\"verbose\":false}\r\nSUB _INBOX.desk 1\r\n";
    let request = format!("{hello}PUB {subject} _INBOX.desk {}\r\n{body}\r\n", body.len());
    raw.write_all(request.as_bytes()).await.expect("it is connected");
    let mut lines = BufReader::new(raw);
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).await.expect("it is connected");
        if let Some(length) = line.strip_prefix("MSG ").and_then(|rest| rest.split(' ').next_back())
        {
            let mut body = vec![0; length.trim().parse().expect("a length")];
            lines.read_exact(&mut body).await.expect("it comes");
            return serde_json::from_slice(&body).expect("JSON");
        }
    }
}
