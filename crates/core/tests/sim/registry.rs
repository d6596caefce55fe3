//! Replicas of the registry: who is alive, by the product's own detector, and what is forgotten; and
//! what people ask of it, as the service answers.

use std::collections::BTreeMap;

use ostler_core::id::{Epoch, NodeName, WorkloadKey};
use ostler_core::liveness::{self, Effect, Event, Watch};
use ostler_core::node::{Liveness, Node};
use ostler_core::time::{Span, Timestamp};

use crate::bus::{Answer, Ask, Bucket, Told, Val};
use crate::world::{Cut, Ear, Ev, Topic, Who, World, say};

mod api;

pub use api::{drain, removing};

#[derive(Debug)]
pub struct Registry {
    pub ears: BTreeMap<Bucket, Ear>,
    watch: Watch,
    begun: Timestamp,
    renewed: Option<Timestamp>,
    rounds: u32,
}

/// A deleted head stays at least so long.
const LINGER: Span = Span::from_secs(2);

impl Registry {
    pub fn new() -> Self {
        let watch = Watch::new(liveness::Settings::default());
        let begun = Timestamp::default();
        Self { ears: BTreeMap::new(), watch, begun, renewed: None, rounds: 0 }
    }

    /// How many instances manifests name, by what says whether one is meant.
    fn count(&self, meant: impl Fn(&str, &WorkloadKey) -> bool) -> usize {
        let placements = self.ears.iter().filter(|(of, _)| matches!(of, Bucket::Placements(_)));
        let told = placements.flat_map(|(_, ear)| ear.cache.values());
        told.map(|told| match &told.value {
            Some(Val::Manifest(manifest)) => {
                let groups = manifest.groups.iter();
                groups.filter(|g| meant(&told.key, &g.key)).map(|g| g.entries.len()).sum()
            }
            _other => 0,
        })
        .sum()
    }

    pub fn instances_of(&self, key: &WorkloadKey) -> usize {
        self.count(|_, of| of == key)
    }

    pub fn instances_on(&self, node: &NodeName) -> usize {
        self.count(|on, _| on == node.as_str())
    }

    fn node(&self, name: &NodeName) -> Option<(Node, u64)> {
        let told = self.ears.get(&Bucket::Nodes)?.cache.get(name.as_str())?;
        match &told.value {
            Some(Val::Node(node)) => Some(((**node).clone(), told.revision)),
            _other => None,
        }
    }
}

impl World {
    pub fn registry_start(&mut self, g: usize) {
        let who = Who::Registry(g);
        let body = self.body(who);
        body.begin();
        let mut registry = Registry::new();
        registry.begun = self.now;
        let pools = self.pools();
        let buckets = [Bucket::Nodes, Bucket::Heads];
        let buckets = buckets.into_iter().chain(pools.into_iter().map(Bucket::Placements));
        registry.ears = buckets.map(|bucket| (bucket, Ear::default())).collect();
        let buckets: Vec<Bucket> = registry.ears.keys().cloned().collect();
        self.registries[g] = registry;
        for bucket in buckets {
            self.pump_soon(who, bucket);
        }
        let life = self.life(who);
        self.later(300, Ev::Hearing(g, life));
        self.later(100, Ev::Tick(who, life));
    }

    pub fn registry_told(&mut self, g: usize, bucket: &Bucket, told: Vec<Told>) {
        if *bucket != Bucket::Nodes {
            return;
        }
        for one in told {
            let event = match one.value {
                Some(Val::Node(node)) => Event::Record {
                    node: node.name.clone(),
                    epoch: node.epoch,
                    liveness: node.liveness,
                    server: None,
                },
                _gone => Event::Removed(one.key.parse().expect("a node's name")),
            };
            self.registry_senses(g, event);
        }
    }

    pub fn registry_hears(&mut self, g: usize, node: &NodeName, epoch: Epoch) {
        let body = self.body(Who::Registry(g));
        if body.up && body.paused.is_none() && matches!(body.cut, Cut::None | Cut::Out) {
            self.registry_senses(g, Event::Beat { node: node.clone(), epoch });
        }
    }

    pub fn registry_probed(
        &mut self,
        g: usize,
        node: NodeName,
        epoch: Epoch,
        answer: liveness::Answer,
    ) {
        self.registry_senses(g, Event::Probed { node, epoch, answer });
    }

    pub fn registry_senses(&mut self, g: usize, event: Event) {
        let registry = &mut self.registries[g];
        let now = Timestamp::from_millis(self.now.since(registry.begun).as_millis());
        for effect in registry.watch.react(event, now) {
            match effect {
                Effect::Probe { node, epoch } => self.probe(g, node, epoch),
                Effect::Suspect { node, epoch, .. } => {
                    self.record(g, &node, epoch, Liveness::Suspect)
                }
                Effect::Offline { node, epoch, .. } => {
                    self.record(g, &node, epoch, Liveness::Offline)
                }
                Effect::Online { node, epoch } => self.record(g, &node, epoch, Liveness::Online),
            }
        }
    }

    pub fn probe(&mut self, g: usize, node: NodeName, epoch: Epoch) {
        let life = self.life(Who::Registry(g));
        let h = self.hosts.iter().position(|host| host.name == node);
        let listens = h.and_then(|h| self.hosts[h].exec.as_ref()).and_then(|exec| exec.epoch);
        let body = h.map(|h| self.body(Who::Host(h)));
        let reached = body.is_none_or(|body| body.cut == Cut::None && body.paused.is_none());
        let (wait, answer) = match (listens, reached) {
            (Some(of), true) if of == epoch => (8, liveness::Answer::Pong),
            (None, true) => (4, liveness::Answer::NoResponders),
            (Some(_), true) | (_, false) => (600, liveness::Answer::Silence),
        };
        self.later(wait, Ev::Probed(g, life, node, epoch, answer));
    }

    pub fn registry_leads(&self, g: usize) -> bool {
        self.registries[g].renewed.is_some_and(|at| self.now.since(at) < Span::from_secs(2))
    }

    /// Writes what is believed of a node, if its record still allows it.
    pub fn record(&mut self, g: usize, name: &NodeName, epoch: Epoch, liveness: Liveness) {
        let who = Who::Registry(g);
        let topic = Topic::Record(name.clone());
        if !self.registry_leads(g) || self.asking(who, |open| *open == topic) {
            return;
        }
        let Some((node, revision)) = self.registries[g].node(name) else { return };
        let lost = liveness != Liveness::Online;
        let follows = match node.liveness {
            Liveness::Online => lost,
            Liveness::Suspect => liveness != Liveness::Suspect,
            Liveness::Offline => !lost,
            Liveness::Left | Liveness::Asleep => false,
        };
        let hears_itself = self.body(who).cut == Cut::None;
        if !follows || node.epoch != epoch || (lost && !hears_itself) {
            return;
        }
        say!(self, "{name} is recorded as {}", liveness.as_str());
        let node = Node { liveness, liveness_since: self.now, ..node };
        let value = Some(Val::Node(Box::new(node)));
        let key = name.to_string();
        let ask = Ask::Update { bucket: Bucket::Nodes, key, value, after: Some(revision) };
        self.ask(who, topic, ask);
    }

    pub fn registry_tick(&mut self, g: usize) {
        let who = Who::Registry(g);
        let life = self.life(who);
        self.later(250, Ev::Tick(who, life));
        self.registry_senses(g, Event::Tick);
        self.registries[g].rounds += 1;
        if self.registries[g].rounds.is_multiple_of(4)
            && !self.asking(who, |t| matches!(t, Topic::Lease(_)))
        {
            let ask = Ask::Lease { key: "registry".to_owned(), holder: g, ttl: Span::from_secs(3) };
            self.ask(who, Topic::Lease(self.now), ask);
        }
        if self.registries[g].rounds.is_multiple_of(2) && self.registry_leads(g) {
            self.forget_ended(g);
            self.remove_empty(g);
        }
    }

    /// Whether the replica has heard everything that was placed.
    pub fn sees_placements(&mut self, g: usize) -> bool {
        let pools = self.pools();
        pools.into_iter().map(Bucket::Placements).all(|bucket| {
            let last = self.server.stream(&bucket).last;
            self.registries[g].ears[&bucket].heard >= last
        })
    }

    /// Purges heads of deleted workloads of which nothing is left.
    pub fn forget_ended(&mut self, g: usize) {
        let registry = &self.registries[g];
        let progress = |key: &WorkloadKey| {
            let name = format!("_workload.{}", key.token());
            registry.ears.values().any(|ear| ear.cache.contains_key(&name))
        };
        let heads = registry.ears[&Bucket::Heads].cache.values();
        let ended: Vec<(WorkloadKey, u64)> = heads
            .filter_map(|told| match &told.value {
                Some(Val::Head(head)) => Some((head, told.revision)),
                _other => None,
            })
            .filter(|(head, _)| head.deleted && self.now.since(head.updated_at) >= LINGER)
            .filter(|(head, _)| registry.instances_of(&head.key()) == 0 && !progress(&head.key()))
            .map(|(head, revision)| (head.key(), revision))
            .collect();
        for (key, revision) in ended {
            let topic = Topic::Forget(key.clone());
            let who = Who::Registry(g);
            if self.sees_placements(g) && !self.asking(who, |open| *open == topic) {
                say!(self, "{key} is forgotten");
                let (bucket, key) = (Bucket::Heads, key.token());
                self.ask(
                    who,
                    topic,
                    Ask::Update { bucket, key, value: None, after: Some(revision) },
                );
            }
        }
    }

    /// Removes nodes that were to be removed by force and are empty.
    pub fn remove_empty(&mut self, g: usize) {
        let registry = &self.registries[g];
        let nodes = registry.ears[&Bucket::Nodes].cache.values();
        let removing: Vec<(NodeName, u64)> = nodes
            .filter_map(|told| match &told.value {
                Some(Val::Node(node)) if node.kept.removing => {
                    Some((node.name.clone(), told.revision))
                }
                _other => None,
            })
            .filter(|(name, _)| registry.instances_on(name) == 0)
            .collect();
        for (name, revision) in removing {
            let topic = Topic::Remove(name.clone());
            let who = Who::Registry(g);
            if self.sees_placements(g) && !self.asking(who, |open| *open == topic) {
                say!(self, "{name} is empty and removed");
                let (bucket, key) = (Bucket::Nodes, name.to_string());
                self.ask(
                    who,
                    topic,
                    Ask::Update { bucket, key, value: None, after: Some(revision) },
                );
            }
        }
    }

    pub fn registry_answered(&mut self, g: usize, topic: &Topic, answer: &Answer) {
        if let Topic::Lease(sent) = topic {
            match answer {
                Answer::Yes(_) => self.registries[g].renewed = Some(*sent),
                Answer::No => self.registries[g].renewed = None,
                _unknown => {}
            }
        }
    }
}
