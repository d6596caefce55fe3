//! Thousands of simulated hosts: the executor's own code with the `sim` driver, in one process, on
//! connections that they share; or one real one.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use futures::future::try_join_all;
use indicatif::ProgressBar;
use ostler_bus::{Bus, Pings, Watch, WatchEvent};
use ostler_core::id::NodeName;
use ostler_core::node::{Liveness, Node};
use ostler_core::resources::{Bytes, Resources};
use ostler_core::workload::DriverKind;
use ostler_executor::config::{Capacity, Events, OnStop};
use ostler_executor::{Buses, Config};
use ostler_schemas::bucket::Bucket;
use ostler_service::{Program, Tasks};

/// How long all nodes may take to join.
const ONLINE_WITHIN: Duration = Duration::from_secs(180);
/// What names of nodes begin with.
const PREFIX: &str = "load-";

/// Some executors of this process.
pub struct Executors {
    program: Program,
    shared: Vec<Buses>,
}

impl Executors {
    /// None yet, but the connections that they will share.
    pub async fn connect(bus: &ostler_bus::Config, connections: u32) -> anyhow::Result<Self> {
        let program = Program::new();
        let shared = try_join_all((0..connections).map(|_| connect(bus, &program))).await?;
        Ok(Self { program, shared })
    }

    /// Starts so many simulated ones, beginning with number `first`, without waiting.
    pub fn start(&self, first: u32, count: u32) -> anyhow::Result<()> {
        for (number, buses) in (first..first + count).zip(self.shared.iter().cycle()) {
            let config = simulated(number)?;
            let tasks = Tasks::under(self.program.tasks.stop_token().child_token());
            let own = Program { tasks, ..Program::new() };
            let run = ostler_executor::run_with(config, buses.clone(), own);
            self.program.tasks.spawn("executor", run);
        }
        Ok(())
    }

    /// Stops all of them.
    pub async fn stop(self) {
        self.program.tasks.shut_down(Duration::from_secs(60)).await;
    }
}

/// Which of our nodes the registry has called online.
pub struct Online {
    watch: Watch,
    nodes: BTreeSet<String>,
    bar: ProgressBar,
}

impl Online {
    /// Begins to count, before any node is there.
    pub async fn begin(bus: &Bus, nodes: u32) -> anyhow::Result<Self> {
        let bar = ProgressBar::new(nodes.into()).with_message("nodes online");
        Ok(Self { watch: bus.watch(&Bucket::Nodes).await?, nodes: BTreeSet::new(), bar })
    }

    /// Waits until there are so many.
    pub async fn until(&mut self, nodes: u32) -> anyhow::Result<()> {
        let done = tokio::time::timeout(ONLINE_WITHIN, self.count(nodes)).await;
        done.with_context(|| format!("only {} of {nodes} nodes joined", self.nodes.len()))?
    }

    async fn count(&mut self, nodes: u32) -> anyhow::Result<()> {
        while self.nodes.len() < usize::try_from(nodes)? {
            match self.watch.next().await {
                Some(WatchEvent::Put { key, value, .. }) if is_ours(&key) => {
                    let node: Node = WatchEvent::decode(&value)?;
                    if node.liveness == Liveness::Online {
                        self.nodes.insert(key);
                    }
                }
                Some(_) => {}
                None => anyhow::bail!("the program stops"),
            }
            self.bar.set_position(u64::try_from(self.nodes.len())?);
        }
        Ok(())
    }
}

impl Drop for Online {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

async fn connect(bus: &ostler_bus::Config, program: &Program) -> anyhow::Result<Buses> {
    let main = Bus::connect(bus, "loadtest-executors", Pings::Usual, program).await?;
    let beats = main.another("loadtest-beats", Pings::Heartbeat).await?;
    Ok(Buses { main, beats })
}

/// Whether a node is one of the simulated ones.
pub fn is_ours(node: &str) -> bool {
    node.starts_with(PREFIX)
}

/// The name of a node.
pub fn name(number: u32) -> anyhow::Result<NodeName> {
    Ok(format!("{PREFIX}{number:05}").parse()?)
}

fn simulated(number: u32) -> anyhow::Result<Config> {
    let name = name(number)?;
    Ok(Config {
        hardware: Some(name.to_string()),
        name: Some(name),
        zone: format!("zone-{}", number % 3),
        labels: [("rack".to_owned(), format!("r{}", number % 100))].into(),
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
        events: Events::Trouble,
        ..Config::default()
    })
}

/// One that runs real processes, as it is deployed: with a journal, in a folder of its own.
pub fn real(number: u32, home: &Path, docker: Option<&Path>) -> anyhow::Result<Config> {
    let mut config = simulated(number)?;
    config.drivers = vec![DriverKind::Process];
    if let Some(socket) = docker {
        config.drivers.push(DriverKind::Docker);
        config.docker_socket = socket.to_owned();
        // Whoever runs this may not be allowed to let containers have more.
        config.max_files = 1024;
    }
    config.data_dir = Some(home.join(name(number)?.to_string()));
    config.on_stop = OnStop::Stop;
    config.events = Events::All;
    Ok(config)
}
