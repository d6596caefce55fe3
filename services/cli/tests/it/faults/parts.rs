//! A fleet of real processes, each with a folder, a wire and perhaps a host of its own: what can be
//! killed, stopped, cut off, filled, and started again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ostler_bus::Bus;
use ostler_core::id::NodeName;
use ostler_testkit::{Process, Proxy, eventually};
use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;

use super::checker::Checked;
use super::client::Client;
use crate::fleet::{processes_in, signal};

const OSTLER: &str = env!("CARGO_BIN_EXE_ostler");

/// Where a part runs.
pub struct Place {
    /// The URL at which it finds NATS.
    pub url: String,
    /// What its command line begins with, to be on another host or disk.
    pub enter: Vec<String>,
    /// Where its data lies, if not in a folder of ours.
    pub data: Option<PathBuf>,
}

impl Place {
    /// On this host, on our disk.
    pub fn here(url: &str) -> Self {
        Self { url: url.to_owned(), enter: Vec::new(), data: None }
    }
}

/// The fleet, and who asks it.
pub struct Parts {
    pub client: Client,
    pub bus: Bus,
    parts: BTreeMap<String, Process>,
    wires: BTreeMap<String, Proxy>,
    dir: TempDir,
}

impl Parts {
    /// Nobody but NATS and who asks.
    pub async fn none(url: &str) -> Self {
        let mut client = Client::start(url).await;
        client.kind = r#""driver": "process", "process": { "command": ["sleep", "100000"] },
            "resources": { "cpu": 5, "memory": "2MiB" }, "stop": { "grace": "1s" }"#
            .to_owned();
        let (bus, dir) = (client.bus.clone(), TempDir::new().expect("a folder"));
        Self { client, bus, parts: BTreeMap::new(), wires: BTreeMap::new(), dir }
    }

    /// A registry, the schedulers `scheduler-1` …, the nodes `node-1` …, each on a wire.
    pub async fn start(url: &str, schedulers: u16, nodes: u16) -> Self {
        let mut parts = Self::none(url).await;
        let names = |what: &'static str, count| (1..=count).map(move |n| format!("{what}-{n}"));
        let all = names("registry", 1).chain(names("scheduler", schedulers));
        for name in all.chain(names("node", nodes)) {
            let wire = Proxy::to(url).await;
            parts.add(&name, &Place::here(&wire.url()));
            parts.wires.insert(name, wire);
        }
        parts.until_online(usize::from(nodes)).await;
        parts
    }

    /// Starts a part there: a service and the number of its replica, or a node.
    pub fn add(&mut self, name: &str, place: &Place) {
        let dir = place.data.clone().unwrap_or_else(|| self.dir.path().join(name));
        let beside = self.dir.path().join(format!("{name}.settings"));
        write_settings(&beside, name, place, &dir);
        let (service, number) = name.split_once('-').expect("a kind and a number");
        let ours = std::process::id().to_string();
        let mut words = place.enter.clone();
        words.extend([OSTLER, "dev"].map(str::to_owned));
        words.extend(match service {
            "node" => ["node", name].map(str::to_owned).to_vec(),
            service => ["service", service, "--replica", number].map(str::to_owned).to_vec(),
        });
        words.extend(["--parent".to_owned(), ours, "--data".to_owned()]);
        words.push(beside.display().to_string());
        let log = self.dir.path().join(format!("{name}.log"));
        self.parts.insert(name.to_owned(), Process::start(words, log));
    }

    /// Waits until so many nodes are online.
    pub async fn until_online(&self, nodes: usize) {
        let wait = eventually("all nodes are online", || async {
            let keys = self.nodes();
            let mut online = 0;
            for node in keys {
                let record = self.bus.get(&ostler_schemas::bucket::NodeKey(node)).await;
                let record = record.ok().flatten();
                let there = |node: ostler_core::node::Node| node.liveness.as_str() == "online";
                online += usize::from(record.is_some_and(|entry| there(entry.value)));
            }
            online >= nodes
        });
        let outcome = futures::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(wait)).await;
        if let Err(panic) = outcome {
            eprintln!("{}", self.said());
            std::panic::resume_unwind(panic);
        }
    }

    /// Asks for a workload until that is acknowledged.
    pub async fn put(&mut self, name: &str, count: u32) {
        self.client.put(name, count).await;
    }

    /// A part: to be killed, stopped, and started again.
    pub fn part(&mut self, name: &str) -> &mut Process {
        self.parts.get_mut(name).unwrap_or_else(|| panic!("there is no {name}"))
    }

    /// The wire of a part.
    pub fn wire(&self, name: &str) -> &Proxy {
        &self.wires[name]
    }

    /// The names of all parts.
    pub fn names(&self) -> Vec<String> {
        self.parts.keys().cloned().collect()
    }

    /// A folder that instances may write to as well.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What all parts said last, for failures.
    pub fn said(&self) -> String {
        let said = |(name, part): (&String, &Process)| format!("--- {name}\n{}", part.said());
        self.parts.iter().map(said).collect()
    }
}

/// The data folder of a dev fleet as `ostler dev` would have made it for this part.
fn write_settings(beside: &Path, name: &str, place: &Place, dir: &Path) {
    let fleet = json!({
        "nodes": 99, "schedulers": 9, "listen": "127.0.0.1:0", "nats_port": 1, "keep": true, "pids": {},
    });
    let home = if name.starts_with("node-") { beside.join(name) } else { beside.to_owned() };
    std::fs::create_dir_all(&home).expect("a folder");
    std::fs::create_dir_all(dir).ok();
    std::fs::write(beside.join("fleet.json"), fleet.to_string()).expect("written");
    let number: u16 =
        name.rsplit_once('-').and_then(|(_, number)| number.parse().ok()).expect("a number");
    let ports = 30_000 + number * 20;
    let (url, data) = (&place.url, dir.display());
    let text = format!(
        r#"[bus]
url = "{url}"
request_timeout = "1500ms"
[registry]
database = "sqlite:{data}/registry.db"
replica = "{name}"
[executor]
name = "{name}"
hardware = "{name}"
addresses = ["127.0.0.1"]
data_dir = "{data}"
capacity = {{ cpu = 64000, memory = "64GiB", disk = "64GiB", network = 10000 }}
max_instances = 500
ports = [{ports}, {}]
drivers = ["process", "sim"]
cgroup = "none"
alone_after = "1s"
[telemetry]
filter = "info"
"#,
        ports + 19
    );
    std::fs::write(home.join("ostler.toml"), text).expect("written");
}

impl Checked for Parts {
    fn client(&self) -> &Client {
        &self.client
    }

    fn nodes(&self) -> Vec<NodeName> {
        let names = self.parts.keys().filter(|name| name.starts_with("node-"));
        names.map(|name| name.parse().expect("a name")).collect()
    }

    fn said(&self) -> String {
        Self::said(self)
    }
}

impl Drop for Parts {
    /// Executors first: nothing is restarted then.
    fn drop(&mut self) {
        self.parts.clear();
        let left: BTreeSet<u32> = processes_in(self.dir.path()).into_iter().collect();
        for pid in left {
            signal(pid, Signal::KILL);
        }
    }
}
