//! What this executor is, once settings and host are known.

use std::path::PathBuf;

use ostler_core::id::{NodeName, PoolName};
use ostler_core::node::Facts;
use ostler_core::resources::{Bytes, Resources};

use crate::config::Config;
use crate::host;

/// A node's identity and means.
#[derive(Debug, Clone)]
pub struct Site {
    /// Its name.
    pub node: NodeName,
    /// Whose scheduler gives it work, as far as the settings say.
    pub pool: PoolName,
    /// The failure domain.
    pub zone: String,
    /// Where instances can be reached.
    pub address: String,
    /// Where state is kept; `None`: nothing is written.
    pub data_dir: Option<PathBuf>,
    /// All that the host has.
    pub host: Resources,
    /// What it tells the fleet.
    pub facts: Facts,
    /// What does not work here, and why.
    pub missing: Vec<String>,
}

impl Site {
    /// What settings and host make together.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let node = config.name.clone().unwrap_or_else(host::name);
        let simulated = config.is_simulated();
        let data_dir = match &config.data_dir {
            Some(dir) => Some(dir.clone()),
            None => (!simulated).then(host::data_dir),
        };
        let addresses = match config.addresses.as_slice() {
            [] => vec![host::address()],
            given => given.to_vec(),
        };
        let host = host::capacity(data_dir.as_deref().unwrap_or("/".as_ref()));
        Self {
            pool: config.pool.clone(),
            zone: config.zone.clone(),
            address: addresses.first().cloned().unwrap_or_default(),
            data_dir,
            host,
            facts: facts(config, host, addresses),
            missing: Vec::new(),
            node,
        }
    }
}

fn facts(config: &Config, host: Resources, addresses: Vec<String>) -> Facts {
    let capacity = Resources {
        cpu: config.capacity.cpu.unwrap_or(host.cpu),
        memory: config.capacity.memory.unwrap_or(host.memory),
        disk: config.capacity.disk.unwrap_or(host.disk),
        network: config.capacity.network.unwrap_or(host.network),
    };
    let mut labels = config.labels.clone();
    if !config.is_simulated() {
        for (name, value) in host::labels() {
            labels.entry(name).or_insert(value);
        }
    }
    let mut reserved = config.reserved;
    reserved.memory = Bytes(reserved.memory.0.min(capacity.memory.0));
    Facts {
        arch: host::arch(),
        os: std::env::consts::OS.to_owned(),
        kernel: host::kernel(),
        boot_id: host::boot_id(),
        hardware: config.hardware.clone().unwrap_or_else(host::hardware),
        zone: config.zone.clone(),
        capacity,
        reserved,
        max_instances: config.max_instances,
        drivers: std::collections::BTreeMap::new(),
        labels,
        addresses,
        ports: config.ports,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        battery: !config.is_simulated() && host::on_battery(),
    }
}
