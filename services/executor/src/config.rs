//! The section `[executor]`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use ostler_core::id::{NodeName, PoolName};
use ostler_core::resources::{Bytes, Resources};
use ostler_core::time::Span;
use ostler_core::workload::DriverKind;
use serde::{Deserialize, Serialize};

/// What this executor is, and what it may use of its host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The node's name; the host's name if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<NodeName>,
    /// Whose scheduler gives it work.
    pub pool: PoolName,
    /// The failure domain; `site/rack` is allowed.
    pub zone: String,
    /// Key/values for people and selectors.
    pub labels: BTreeMap<String, String>,
    /// Labels that commands find out, by their names: the first line that one prints, or `true`,
    /// where it succeeds; `false` where it fails. Asked every ten seconds.
    pub predicates: crate::predicate::Predicates,
    /// Which physical machine this is; from the machine id if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardware: Option<String>,
    /// Where instances can be reached; the first is the main one. The host's if empty.
    pub addresses: Vec<String>,
    /// Journal, node key, instances and logs. If absent `/var/lib/ostler`, or for others than root
    /// `ostler` in the user's state directory; with the `sim` driver alone nothing is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// What is kept for the host itself.
    pub reserved: Resources,
    /// What it offers, where that is not what the host has.
    pub capacity: Capacity,
    /// At most so many instances.
    pub max_instances: u32,
    /// The first and the last dynamic port.
    pub ports: (u16, u16),
    /// How instances can be run; `sim` only when it is named.
    pub drivers: Vec<DriverKind>,
    /// Where the groups of instances are made: `auto` below the executor's own, `none` for no
    /// groups, or a path from the root of each hierarchy such as `/ostler`.
    pub cgroup: String,
    /// At most so many tasks in one instance.
    pub max_pids: u32,
    /// At most so many open files in one process of an instance.
    pub max_files: u64,
    /// What becomes of instances when the executor stops.
    pub on_stop: OnStop,
    /// At most so many starts at a time.
    pub start_parallel: usize,
    /// Reports are at least so far apart.
    pub report_interval: Span,
    /// How long instances that died while the executor was away wait for the leader's will, if the
    /// bus cannot be reached.
    pub alone_after: Span,
    /// Which events are sent.
    pub events: Events,
    /// Whether what instances write is published though nobody follows, for a stream that keeps it.
    pub ship_logs: bool,
    /// Where Docker or Podman listens, for the driver `docker`.
    pub docker_socket: PathBuf,
    /// Artifacts that were fetched are kept in so many bytes; what is not in use goes first.
    pub artifact_cache: Bytes,
    /// What one artifact may be when it is unpacked.
    pub artifact_unpacked: Bytes,
    /// A fetch of which nothing comes for so long is given up.
    pub artifact_patience: Span,
    /// Where `/healthz`, `/readyz` and `/metrics` are; port 0 takes any.
    pub health_listen: SocketAddr,
    /// The program that calls [`crate::guardian::stand_if_asked`] first of all; no setting.
    #[serde(skip, default = "itself")]
    pub guardian: PathBuf,
    /// Who lets others reach the ports of what runs here.
    pub firewall: crate::firewall::Settings,
    /// What it takes of others' work, and at what price.
    pub bid: crate::bid::Policy,
}

/// This program, also when its file was replaced.
fn itself() -> PathBuf {
    "/proc/self/exe".into()
}

/// What a node offers, where that is not what the host has.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Capacity {
    /// Thousandths of a core.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u64>,
    /// Memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Bytes>,
    /// Disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<Bytes>,
    /// Network, Mbit/s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<u64>,
}

/// What becomes of instances when the executor stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnStop {
    /// They run on; the next executor adopts them.
    #[default]
    Leave,
    /// They are stopped, each in its own way.
    Stop,
}

/// Which events are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Events {
    /// All.
    #[default]
    All,
    /// Exits, restarts, failures and refusals.
    Trouble,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: None,
            pool: PoolName::default(),
            zone: "default".to_owned(),
            labels: BTreeMap::new(),
            predicates: BTreeMap::new(),
            hardware: None,
            addresses: Vec::new(),
            data_dir: None,
            reserved: Resources::default(),
            capacity: Capacity::default(),
            max_instances: 50,
            ports: (20_000, 29_999),
            drivers: vec![DriverKind::Process],
            cgroup: "auto".to_owned(),
            max_pids: 8192,
            max_files: 65_536,
            on_stop: OnStop::Leave,
            start_parallel: 32,
            report_interval: Span::from_millis(50),
            alone_after: Span::from_secs(30),
            events: Events::All,
            ship_logs: false,
            docker_socket: PathBuf::from("/var/run/docker.sock"),
            artifact_cache: Bytes(10 << 30),
            artifact_unpacked: Bytes(16 << 30),
            artifact_patience: Span::from_secs(120),
            health_listen: (Ipv4Addr::LOCALHOST, 0).into(),
            guardian: itself(),
            firewall: crate::firewall::Settings::default(),
            bid: crate::bid::Policy::default(),
        }
    }
}

impl Config {
    /// Whether nothing of it touches the host.
    #[must_use]
    pub fn is_simulated(&self) -> bool {
        self.drivers.iter().all(|driver| *driver == DriverKind::Sim)
    }
}
