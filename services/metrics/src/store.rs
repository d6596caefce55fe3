//! What is known of nodes, instances and the fleet, now and over time. Pure: the time is given.

use std::collections::{BTreeMap, BTreeSet};

use ostler_core::id::{InstanceId, NodeName};
use ostler_core::node::{Heartbeat, Node, Use};
use ostler_core::resources::Resources;
use ostler_core::time::{Span, Timestamp};
use ostler_schemas::pb;

use crate::config::Config;
use crate::series::Track;

/// What was heard is taken into series for so long; after that a node leaves a hole.
const FRESH: Span = Span::from_secs(12);

/// The columns of a node's series.
pub const NODE: [&str; 6] = ["cpu", "memory", "disk", "network", "load", "instances"];
/// The columns of an instance's series.
pub const INSTANCE: [&str; 2] = ["cpu", "memory"];
/// The columns of the fleet's series.
pub const FLEET: [&str; 6] = ["cpu", "memory", "disk", "network", "nodes", "instances"];

/// A node: what was heard last, and its series.
#[derive(Debug)]
pub struct NodeSeries {
    /// When it was last heard.
    pub heard: Timestamp,
    /// Its live use.
    pub used: Use,
    /// Load averages in hundredths.
    pub load: [u32; 3],
    /// How many instances it runs.
    pub instances: u32,
    /// Live cpu of each core, in thousandths.
    pub cores: Vec<u32>,
    /// What it has.
    pub capacity: Resources,
    /// Its series, by the columns [`NODE`].
    pub track: Track<6>,
}

/// An instance: where it is, what it used last, its series.
#[derive(Debug)]
pub struct InstanceSeries {
    /// On which node.
    pub node: NodeName,
    /// When it was last heard of.
    pub heard: Timestamp,
    /// Thousandths of a core.
    pub cpu: u64,
    /// Bytes.
    pub memory: u64,
    /// Its series, by the columns [`INSTANCE`].
    pub track: Track<2>,
}

/// Sums over the nodes that were heard lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// How many nodes.
    pub nodes: u32,
    /// How many instances they run.
    pub instances: u32,
    /// What is in use.
    pub used: Use,
    /// What there is.
    pub capacity: Resources,
}

/// Everything that is known, bounded by the settings.
#[derive(Debug)]
pub struct Store {
    nodes: BTreeMap<NodeName, NodeSeries>,
    instances: BTreeMap<InstanceId, InstanceSeries>,
    fleet: Track<6>,
    totals: Totals,
    /// What the registry counts: nodes, workloads and instances by state.
    states: pb::StatusReply,
    refused: u64,
    config: Config,
}

#[expect(clippy::cast_precision_loss, reason = "series are for eyes; 24 bits are enough")]
fn float(number: u64) -> f32 {
    number as f32
}

impl Store {
    /// Nothing known.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            nodes: BTreeMap::new(),
            instances: BTreeMap::new(),
            fleet: Track::of_a_day(),
            totals: Totals::default(),
            states: pb::StatusReply::default(),
            refused: 0,
            config,
        }
    }

    /// A node told what it and its instances use.
    pub fn on_sample(&mut self, name: &NodeName, sample: pb::NodeSample, now: Timestamp) {
        for instance in &sample.instances {
            self.on_instance(name, instance, now);
        }
        let Some(node) = self.node_of(name) else { return };
        let used = sample.used.unwrap_or_default();
        node.heard = now;
        node.used =
            Use { cpu: used.cpu, memory: used.memory, disk: used.disk, network: used.network };
        node.load = [0, 1, 2].map(|i| sample.load.get(i).copied().unwrap_or_default());
        node.instances = u32::try_from(sample.instances.len()).unwrap_or(u32::MAX);
        node.cores = sample.cores;
        if let Some(capacity) = sample.capacity {
            node.capacity = capacity.into();
        }
    }

    fn on_instance(&mut self, node: &NodeName, sample: &pb::InstanceSample, now: Timestamp) {
        let Some(id) = id_of(&sample.id) else {
            self.refused += 1;
            return;
        };
        let most = usize::try_from(self.config.max_instances).unwrap_or(usize::MAX);
        if self.instances.len() >= most && !self.instances.contains_key(&id) {
            self.refused += 1;
            return;
        }
        let new = || InstanceSeries {
            node: node.clone(),
            heard: now,
            cpu: 0,
            memory: 0,
            track: Track::of_an_hour(),
        };
        let instance = self.instances.entry(id).or_insert_with(new);
        instance.node = node.clone();
        instance.heard = now;
        instance.cpu = sample.cpu;
        instance.memory = sample.memory;
    }

    /// A node beat: it tells less than a sample, but every second.
    pub fn on_beat(&mut self, beat: &Heartbeat, now: Timestamp) {
        let Some(node) = self.node_of(&beat.node) else { return };
        node.heard = now;
        node.used = beat.used;
        node.load = beat.load;
        node.instances = beat.instances;
    }

    /// The registry wrote a node.
    pub fn on_node(&mut self, record: &Node) {
        let capacity = record.facts.capacity;
        if let Some(node) = self.node_of(&record.name) {
            node.capacity = capacity;
        }
    }

    /// A node is removed: its series go with it.
    pub fn on_node_gone(&mut self, name: &NodeName) {
        self.nodes.remove(name);
    }

    /// These are the nodes that there are: series of others go.
    pub fn keep_nodes(&mut self, there: &BTreeSet<NodeName>) {
        self.nodes.retain(|name, _| there.contains(name));
    }

    /// The registry's counts by state.
    pub fn on_states(&mut self, states: pb::StatusReply) {
        self.states = states;
    }

    /// Takes what was heard lately into the series. Called every [`FINE`](crate::series::FINE).
    pub fn on_tick(&mut self, now: Timestamp) {
        let mut totals = Totals::default();
        for node in self.nodes.values_mut().filter(|node| now.since(node.heard) <= FRESH) {
            let used = node.used;
            let row = [used.cpu, used.memory, used.disk, used.network].map(float);
            let load = float(node.load[0].into()) / 100.0;
            let instances = float(node.instances.into());
            node.track.push(now, [row[0], row[1], row[2], row[3], load, instances]);
            totals.add(node);
        }
        for instance in self.instances.values_mut().filter(|i| now.since(i.heard) <= FRESH) {
            instance.track.push(now, [float(instance.cpu), float(instance.memory)]);
        }
        let forget = self.config.forget_instances_after;
        self.instances.retain(|_, instance| now.since(instance.heard) <= forget);
        let used = totals.used;
        let row = [used.cpu, used.memory, used.disk, used.network].map(float);
        let counts = [totals.nodes, totals.instances].map(|count| float(count.into()));
        self.fleet.push(now, [row[0], row[1], row[2], row[3], counts[0], counts[1]]);
        self.totals = totals;
    }

    /// A node by its name, made when it is new and there is room.
    fn node_of(&mut self, name: &NodeName) -> Option<&mut NodeSeries> {
        let most = usize::try_from(self.config.max_nodes).unwrap_or(usize::MAX);
        if self.nodes.len() >= most && !self.nodes.contains_key(name) {
            self.refused += 1;
            return None;
        }
        let new = || NodeSeries {
            heard: Timestamp::default(),
            used: Use::default(),
            load: [0; 3],
            instances: 0,
            cores: Vec::new(),
            capacity: Resources::default(),
            track: Track::of_a_day(),
        };
        Some(self.nodes.entry(name.clone()).or_insert_with(new))
    }

    /// The nodes, by name.
    #[must_use]
    pub fn nodes(&self) -> &BTreeMap<NodeName, NodeSeries> {
        &self.nodes
    }

    /// The instances, by id.
    #[must_use]
    pub fn instances(&self) -> &BTreeMap<InstanceId, InstanceSeries> {
        &self.instances
    }

    /// The fleet's series, by the columns [`FLEET`].
    #[must_use]
    pub fn fleet(&self) -> &Track<6> {
        &self.fleet
    }

    /// Sums over the nodes that were heard lately, at the last tick.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// What the registry counts by state.
    #[must_use]
    pub fn states(&self) -> &pb::StatusReply {
        &self.states
    }

    /// How many samples were passed over: no room, or no id.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

impl Totals {
    fn add(&mut self, node: &NodeSeries) {
        self.nodes += 1;
        self.instances = self.instances.saturating_add(node.instances);
        self.used.cpu = self.used.cpu.saturating_add(node.used.cpu);
        self.used.memory = self.used.memory.saturating_add(node.used.memory);
        self.used.disk = self.used.disk.saturating_add(node.used.disk);
        self.used.network = self.used.network.saturating_add(node.used.network);
        self.capacity = self.capacity.plus(node.capacity);
    }
}

/// The id in its 10 bytes.
fn id_of(bytes: &[u8]) -> Option<InstanceId> {
    let whole = (bytes.len() == 10).then_some(bytes)?;
    let bits = whole.iter().fold(0u128, |bits, byte| (bits << 8) | u128::from(*byte));
    Some(InstanceId::from_bits(bits))
}
