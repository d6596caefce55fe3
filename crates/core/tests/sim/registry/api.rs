//! What people, executors and schedulers ask of the registry, as the service answers.

use std::sync::Arc;

use ostler_core::command::{Command, Order};
use ostler_core::head::Head;
use ostler_core::id::{Epoch, Generation, NodeName, PoolName, SpecHash, Version, WorkloadKey};
use ostler_core::node::{Admin, Facts, Kept, Liveness, Node};
use ostler_core::resources::{Bytes, Resources};
use ostler_core::time::Timestamp;
use ostler_core::workload::Workload;

use crate::bus::{Answer, Bucket, Val};
use crate::host::Host;
use crate::world::{Cut, Who, World, say};

impl World {
    /// A replica that answers people, if there is one.
    pub fn registry_there(&self) -> Option<usize> {
        (0..self.registries.len()).find(|g| {
            let body = &self.bodies[&Who::Registry(*g)];
            body.up && body.paused.is_none() && body.cut == Cut::None
        })
    }

    /// At which revision a node's record was last written or removed.
    fn node_revision(&mut self, name: &NodeName) -> u64 {
        let told = self.server.stream(&Bucket::Nodes).keys.get(name.as_str());
        told.map_or(0, |told| told.revision)
    }

    pub fn challenge(&mut self, h: usize) -> Answer {
        if self.registry_there().is_none() {
            return Answer::Unknown;
        }
        let name = self.hosts[h].name.clone();
        Answer::Yes(self.node_revision(&name))
    }

    /// An executor wants to be admitted.
    pub fn hello(&mut self, h: usize, after: u64) -> Answer {
        if self.registry_there().is_none() || self.hosts[h].removed {
            return Answer::Unknown;
        }
        let name = self.hosts[h].name.clone();
        let reported = self.server.report(&name).map_or(Epoch(0), |report| report.epoch);
        let holder = self.server.node(&name).map(|(node, _)| node.clone());
        if self.node_revision(&name) != after {
            return Answer::No;
        }
        let epoch = holder.as_ref().map_or(reported, |node| node.epoch.max(reported)).next();
        let pool = holder.as_ref().map_or_else(|| self.hosts[h].pool.clone(), |n| n.pool.clone());
        let node = Node {
            name: name.clone(),
            pool: pool.clone(),
            admin: holder.as_ref().map(|node| node.admin).unwrap_or_default(),
            liveness: Liveness::Online,
            liveness_since: self.now,
            epoch,
            facts: facts(&self.hosts[h]),
            drain_deadline: holder.as_ref().and_then(|node| node.drain_deadline),
            key: String::new(),
            left_empty: false,
            kept: holder.map(|node| node.kept).unwrap_or_default(),
            op_id: String::new(),
        };
        self.write_node(node);
        Answer::Welcome { epoch, pool }
    }

    /// An executor says goodbye.
    pub fn leave(&mut self, h: usize) {
        let epoch = self.hosts[h].exec.as_ref().and_then(|exec| exec.epoch);
        let name = self.hosts[h].name.clone();
        let empty = self.hosts[h].exec.as_ref().is_none_or(|exec| exec.roster.occupied() == 0);
        let node = self.server.node(&name).map(|(node, _)| node.clone());
        let Some(node) = node.filter(|node| Some(node.epoch) == epoch) else { return };
        say!(self, "{name} leaves, {}", if empty { "empty" } else { "its instances run on" });
        self.write_node(Node {
            liveness: Liveness::Left,
            liveness_since: self.now,
            left_empty: empty,
            ..node
        });
    }

    pub fn write_node(&mut self, node: Node) {
        let key = node.name.to_string();
        self.server.stream(&Bucket::Nodes).put(&key, Some(Val::Node(Box::new(node))));
        self.written(&Bucket::Nodes);
    }

    pub fn administer(&mut self, name: &NodeName, change: impl FnOnce(&mut Node)) -> Option<Node> {
        let mut node = self.server.node(name)?.0.clone();
        change(&mut node);
        self.write_node(node.clone());
        Some(node)
    }

    pub fn write_head(&mut self, head: Head) {
        let key = head.key().token();
        if head.deleted {
            // Its next life has the same numbers and none of its failures.
            self.ledger.failed.retain(|(_, of, _), _| *of != head.key());
        }
        self.ledger.texts.insert((head.key(), head.version), head.spec.clone());
        self.server.specs.insert(head.spec_hash, Arc::new(head.spec.spec()));
        self.server.stream(&Bucket::Heads).put(&key, Some(Val::Head(Box::new(head))));
        self.written(&Bucket::Heads);
    }

    /// `workload.put`
    pub fn api_put(&mut self, g: usize, spec: Workload) -> bool {
        let key = spec.key();
        let old = self.server.head(&key).cloned();
        if old.as_ref().is_some_and(|old| old.deleted || old.spec == spec) {
            return false;
        }
        let there = self.registries[g].instances_of(&key);
        if old.as_ref().is_some_and(|old| old.spec.pool != spec.pool && there > 0) {
            return false;
        }
        let version = old.as_ref().map_or(Version(1), |old| old.version.next());
        let kept = old.as_ref().filter(|old| !old.spec.destructive(&spec));
        let head = Head {
            version,
            compatible_since: kept.map_or(version, |old| old.compatible_since),
            spec_hash: hash(&spec),
            restart_generation: old.as_ref().map_or(Generation(0), |old| old.restart_generation),
            reload_generation: Generation(0),
            stopped: old.is_some_and(|old| old.stopped),
            deleted: false,
            purge: false,
            updated_at: self.now,
            op_id: String::new(),
            earlier: Vec::new(),
            spec,
        };
        let within = self.within_quota(&head);
        if within {
            self.write_head(head);
        }
        within
    }

    /// `workload.rollback`, as the scheduler asks it.
    pub fn api_rollback(&mut self, key: &WorkloadKey, good: Version, failed: Version) {
        let (Some(g), Some(head)) = (self.registry_there(), self.server.head(key)) else { return };
        let count = head.spec.count;
        if head.version != failed || head.deleted {
            return;
        }
        let Some(text) = self.ledger.texts.get(&(key.clone(), good)) else { return };
        let text = Workload { count, ..text.clone() };
        say!(self, "{key} goes back from {failed} to {good}");
        self.api_put(g, text);
    }

    pub fn order(&mut self, pool: &PoolName, order: Order) {
        self.commands += 1;
        let id = format!("{:026}", self.commands);
        say!(self, "order {}: {order:?}", self.commands);
        let key = format!("{pool}.{id}");
        let (pool, actor, at) = (pool.clone(), "somebody".to_owned(), self.now);
        let command = Command { id, pool, order, actor, at };
        let value = Some(Val::Command(Box::new(command)));
        self.server.stream(&Bucket::Commands).put(&key, value);
        self.written(&Bucket::Commands);
    }

    pub fn pools(&self) -> Vec<PoolName> {
        let mut pools: Vec<PoolName> = self.schedulers.iter().map(|r| r.pool.clone()).collect();
        pools.dedup();
        pools
    }
}

pub fn drain(node: &mut Node, until: Timestamp) {
    (node.admin, node.drain_deadline) = (Admin::Draining, Some(until));
}

pub fn removing(node: &mut Node) {
    (node.admin, node.drain_deadline) = (Admin::Draining, None);
    node.kept = Kept { removing: true, ..node.kept.clone() };
}

pub fn facts(host: &Host) -> Facts {
    let memory = Bytes::from_mib(8_192);
    Facts {
        arch: "amd64".to_owned(),
        os: "linux".to_owned(),
        kernel: String::new(),
        boot_id: String::new(),
        hardware: String::new(),
        zone: String::new(),
        capacity: Resources {
            cpu: host.cpu,
            memory,
            disk: Bytes::from_mib(100_000),
            network: 1_000,
        },
        reserved: Resources::default(),
        max_instances: 8,
        drivers: [("sim".to_owned(), "1.0".to_owned())].into(),
        labels: host.labels.clone(),
        addresses: Vec::new(),
        ports: (20_000, 20_009),
        version: String::new(),
        battery: false,
    }
}

/// Equal for equal specifications (FNV-1a); not the real content address.
fn hash(spec: &Workload) -> SpecHash {
    let text = format!("{:?}", spec.spec());
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, fold).to_be_bytes();
    let mut all = [0; 32];
    all.chunks_exact_mut(8).for_each(|part| part.copy_from_slice(&hash));
    SpecHash(all)
}
