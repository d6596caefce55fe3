//! What Prometheus sees of the fleet, set anew at every tick.

use std::collections::{BTreeMap, BTreeSet};

use ostler_core::id::NodeName;
use prometheus::{
    Error, GaugeVec, Histogram, HistogramOpts, IntCounter, IntGauge, IntGaugeVec, Opts,
};
use prometheus::{Registry, core::Collector};

use crate::store::{NodeSeries, Store};

/// The gauges of the fleet and of its nodes. States are labels from closed enums; node names are
/// bounded by `max_nodes` and can be left out by `node_gauges = false`.
#[derive(Debug)]
pub struct Gauges {
    nodes: IntGaugeVec,
    instances: IntGaugeVec,
    workloads: IntGaugeVec,
    cpu: IntGaugeVec,
    memory: IntGaugeVec,
    series: IntGaugeVec,
    refused: IntGauge,
    /// How long a tick takes.
    pub tick_seconds: Histogram,
    /// What was heard.
    pub samples: IntCounter,
    per_node: Option<PerNode>,
}

#[derive(Debug)]
struct PerNode {
    cpu: IntGaugeVec,
    memory: IntGaugeVec,
    instances: IntGaugeVec,
    load: GaugeVec,
    shown: BTreeSet<NodeName>,
}

fn registered<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> Result<C, Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn vector(registry: &Registry, name: &str, help: &str, label: &str) -> Result<IntGaugeVec, Error> {
    let name = format!("ostler_metrics_{name}");
    registered(registry, IntGaugeVec::new(Opts::new(name, help), &[label])?)
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Gauges {
    /// Registers them all.
    pub fn register(registry: &Registry, node_gauges: bool) -> Result<Self, Error> {
        let tick = HistogramOpts::new("ostler_metrics_tick_duration_seconds", "one tick");
        let samples = IntCounter::new("ostler_metrics_samples_total", "samples and beats heard")?;
        let refused = IntGauge::new(
            "ostler_metrics_samples_refused",
            "samples that were passed over: no room, or no id",
        )?;
        Ok(Self {
            nodes: vector(registry, "fleet_nodes", "nodes by state", "state")?,
            instances: vector(registry, "fleet_instances", "instances by state", "state")?,
            workloads: vector(registry, "fleet_workloads", "workloads by state", "state")?,
            cpu: vector(registry, "fleet_cpu_millicores", "cpu of nodes that report", "kind")?,
            memory: vector(registry, "fleet_memory_bytes", "memory of nodes that report", "kind")?,
            series: vector(registry, "series_tracks", "tracks that are kept", "kind")?,
            refused: registered(registry, refused)?,
            tick_seconds: registered(registry, Histogram::with_opts(tick)?)?,
            samples: registered(registry, samples)?,
            per_node: node_gauges.then(|| PerNode::register(registry)).transpose()?,
        })
    }

    /// Shows what is known.
    pub fn show(&mut self, store: &Store) {
        let states = store.states();
        by_state(&self.nodes, &states.nodes);
        by_state(&self.instances, &states.instances);
        by_state(&self.workloads, &states.workloads);
        let totals = store.totals();
        self.cpu.with_label_values(&["used"]).set(whole(totals.used.cpu));
        self.cpu.with_label_values(&["capacity"]).set(whole(totals.capacity.cpu));
        self.memory.with_label_values(&["used"]).set(whole(totals.used.memory));
        self.memory.with_label_values(&["capacity"]).set(whole(totals.capacity.memory.0));
        let counts = [("node", store.nodes().len()), ("instance", store.instances().len())];
        for (kind, count) in counts {
            self.series.with_label_values(&[kind]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.refused.set(whole(store.refused()));
        if let Some(per_node) = &mut self.per_node {
            per_node.show(store);
        }
    }
}

fn by_state(gauge: &IntGaugeVec, counts: &BTreeMap<String, u32>) {
    gauge.reset();
    for (state, count) in counts {
        gauge.with_label_values(&[state.as_str()]).set(i64::from(*count));
    }
}

impl PerNode {
    fn register(registry: &Registry) -> Result<Self, Error> {
        let load = Opts::new("ostler_metrics_node_load", "load average over one minute");
        Ok(Self {
            cpu: vector(registry, "node_cpu_millicores", "cpu in use", "node")?,
            memory: vector(registry, "node_memory_bytes", "memory in use", "node")?,
            instances: vector(registry, "node_instances", "instances that run", "node")?,
            load: registered(registry, GaugeVec::new(load, &["node"])?)?,
            shown: BTreeSet::new(),
        })
    }

    fn show(&mut self, store: &Store) {
        let gone = self.shown.iter().filter(|name| !store.nodes().contains_key(*name));
        let gone: Vec<NodeName> = gone.cloned().collect();
        for name in &gone {
            self.shown.remove(name);
            // A label that is not there any more is what is wanted.
            self.cpu.remove_label_values(&[name.as_str()]).ok();
            self.memory.remove_label_values(&[name.as_str()]).ok();
            self.instances.remove_label_values(&[name.as_str()]).ok();
            self.load.remove_label_values(&[name.as_str()]).ok();
        }
        for (name, node) in store.nodes() {
            self.show_one(name, node);
        }
    }

    fn show_one(&mut self, node_name: &NodeName, node: &NodeSeries) {
        let name = node_name.as_str();
        self.cpu.with_label_values(&[name]).set(whole(node.used.cpu));
        self.memory.with_label_values(&[name]).set(whole(node.used.memory));
        self.instances.with_label_values(&[name]).set(i64::from(node.instances));
        self.load.with_label_values(&[name]).set(f64::from(node.load[0]) / 100.0);
        if !self.shown.contains(node_name) {
            self.shown.insert(node_name.clone());
        }
    }
}
