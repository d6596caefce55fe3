//! The settings of the parts of a dev fleet: the embedded defaults, and what a folder changes.

use std::path::PathBuf;

use ostler_core::id::NodeName;
use ostler_service::config::Settings;
use toml::{Table, Value};

use super::layout::{Layout, write_whole};
use crate::failure::Failure;

/// The dynamic ports of all nodes of this machine together.
const PORTS: (u16, u16) = (20_000, 29_999);

fn section(values: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    Value::Table(values.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn text(value: impl Into<String>) -> Value {
    Value::String(value.into())
}

fn integer(value: u64) -> Value {
    Value::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

/// Writes the settings of the services.
pub fn write_services(layout: &Layout) -> Result<(), Failure> {
    let database = format!("sqlite:{}", layout.dir.join("registry.db").display());
    let mut all = Table::new();
    all.insert("bus".to_owned(), section([("url", text(layout.nats_url()))]));
    all.insert("registry".to_owned(), section([("database", text(database))]));
    let listen = layout.fleet.listen.to_string();
    all.insert("gateway".to_owned(), section([("listen", text(listen))]));
    write_whole(&services_file(layout), &all.to_string())
}

/// Writes the settings of one node: an equal share of this machine, with ports of its own.
pub fn write_node(layout: &Layout, number: u16) -> Result<(), Failure> {
    let name = format!("node-{number}");
    let dir = layout.node_dir(&name);
    std::fs::create_dir_all(&dir).map_err(Failure::failed)?;
    let count = u64::from(layout.fleet.nodes);
    let each = (PORTS.1 - PORTS.0 + 1) / layout.fleet.nodes;
    let first = PORTS.0 + (number - 1) * each;
    let machine = Machine::look()?;
    let capacity = section([
        ("cpu", integer(machine.cpu_millicores / count)),
        ("memory", integer(machine.memory_bytes / count)),
        ("disk", integer(machine.disk_bytes(layout) / count)),
        ("network", integer(1_000 / count)),
    ]);
    let ports = Value::Array(vec![integer(first.into()), integer((first + each - 1).into())]);
    let on_stop = if layout.fleet.keep { "leave" } else { "stop" };
    let executor = section([
        ("name", text(name.as_str())),
        ("addresses", Value::Array(vec![text("127.0.0.1")])),
        ("data_dir", text(dir.display().to_string())),
        ("capacity", capacity),
        ("ports", ports),
        ("on_stop", text(on_stop)),
        ("drivers", Value::Array(vec![text("process"), text("sim")])),
    ]);
    let mut all = Table::new();
    all.insert("bus".to_owned(), section([("url", text(layout.nats_url()))]));
    all.insert("executor".to_owned(), executor);
    write_whole(&node_file(layout, &name), &all.to_string())
}

fn services_file(layout: &Layout) -> PathBuf {
    layout.dir.join("ostler.toml")
}

fn node_file(layout: &Layout, node: &str) -> PathBuf {
    layout.node_dir(node).join("ostler.toml")
}

/// The settings of the services.
pub fn of_services(layout: &Layout) -> Result<Settings, Failure> {
    Settings::load(Some(&services_file(layout))).map_err(Failure::failed)
}

/// The settings of a node.
pub fn of_node(layout: &Layout, node: &NodeName) -> Result<Settings, Failure> {
    if !layout.nodes().contains(&node.to_string()) {
        let nodes = layout.nodes().join(", ");
        return Err(Failure::usage(format!("there is no `{node}` here, only {nodes}")));
    }
    Settings::load(Some(&node_file(layout, node.as_str()))).map_err(Failure::failed)
}

/// What this machine has.
struct Machine {
    cpu_millicores: u64,
    memory_bytes: u64,
}

impl Machine {
    fn look() -> Result<Self, Failure> {
        let cores = std::thread::available_parallelism().map_err(Failure::failed)?;
        let info = std::fs::read_to_string("/proc/meminfo").map_err(Failure::failed)?;
        let kib = info
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:"))
            .and_then(|rest| rest.split_whitespace().next())
            .and_then(|number| number.parse::<u64>().ok())
            .ok_or_else(|| Failure::failed("/proc/meminfo does not tell MemTotal"))?;
        let cpu_millicores = u64::try_from(cores.get()).unwrap_or(1) * 1000;
        Ok(Self { cpu_millicores, memory_bytes: kib * 1024 })
    }

    /// What is free where the data lies.
    fn disk_bytes(&self, layout: &Layout) -> u64 {
        rustix::fs::statvfs(&layout.dir).map_or(0, |stat| stat.f_bavail * stat.f_frsize)
    }
}
