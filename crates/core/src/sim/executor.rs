//! A simulated executor: obeys manifests by its script, and reports.

use std::collections::{BTreeMap, BTreeSet};

use super::life::Life;
use super::registry::Registry;
use super::script::Behaviour;
use crate::id::{InstanceId, Revision};
use crate::instance::{Desired, Entry, Group, Manifest, Report};
use crate::node::{Heartbeat, Liveness, Node, Use};
use crate::resources::Resources;
use crate::time::Timestamp;

/// The executor of one node, and the node's record.
#[derive(Debug)]
pub(super) struct Executor {
    pub node: Node,
    pub behaviour: Behaviour,
    /// What something that is not ours uses; `None` until a scenario says so.
    pub foreign: Option<Use>,
    /// What was last committed for it, whether or not it can read it.
    pub wanted: Manifest,
    applied: Manifest,
    lives: BTreeMap<InstanceId, Life>,
    pub last: Report,
}

impl Executor {
    pub(super) fn new(node: Node, behaviour: Behaviour) -> Self {
        let last = Report { epoch: node.epoch, ..Report::default() };
        let (wanted, applied) = (Manifest::default(), Manifest::default());
        Self { node, behaviour, foreign: None, wanted, applied, lives: BTreeMap::new(), last }
    }

    /// It reads manifests and reports.
    pub(super) fn alive(&self) -> bool {
        match self.node.liveness {
            Liveness::Online | Liveness::Suspect => true,
            Liveness::Offline | Liveness::Left | Liveness::Asleep => false,
        }
    }

    /// It is back, as the next life of the node's executor; `powered_off` says that nothing of what
    /// it had is running any more.
    pub(super) fn returns(&mut self, was: Liveness) {
        self.node.epoch = self.node.epoch.next();
        if was == Liveness::Asleep {
            self.lives.clear();
        }
    }

    /// Obeys the manifest that stands for it and does what is due; then reports, if there is
    /// anything new to say. Names instances that run though nothing orders them any more.
    pub(super) fn step(&mut self, registry: &Registry, now: Timestamp) -> (Option<Report>, bool) {
        let mut forgotten = false;
        if self.applied != self.wanted {
            self.applied = self.wanted.clone();
            forgotten = self.obey(registry, now);
        }
        for life in self.lives.values_mut() {
            life.step(now);
        }
        let report = self.report(now);
        let news = report != self.last;
        if news {
            self.last = report.clone();
        }
        (news.then_some(report), forgotten)
    }

    /// What it is told at the beginning it was told before, wherever it is now.
    pub(super) fn obey_at_once(&mut self, registry: &Registry, now: Timestamp) {
        self.applied = self.wanted.clone();
        self.obey(registry, now);
    }

    fn obey(&mut self, registry: &Registry, now: Timestamp) -> bool {
        let mut named = BTreeSet::new();
        let manifest = std::mem::take(&mut self.applied);
        for group in &manifest.groups {
            for entry in &group.entries {
                named.insert(entry.id);
                self.obey_entry(group, entry, registry, now);
            }
        }
        self.applied = manifest;
        // Absence is no order: what runs goes on, and the runner says so.
        let unnamed = self.lives.iter().any(|(id, life)| !named.contains(id) && !life.ended());
        self.lives.retain(|id, life| named.contains(id) || !life.ended());
        unnamed
    }

    fn obey_entry(&mut self, group: &Group, entry: &Entry, registry: &Registry, now: Timestamp) {
        let behaviour = &self.behaviour;
        let begin = || {
            let workload = registry.text(&group.key, group.version);
            let script = behaviour.script(workload, group.version);
            Life::begin(group.version, entry.generation, group.ask, script, now)
        };
        let known = self.lives.contains_key(&entry.id);
        let life = self.lives.entry(entry.id).or_insert_with(|| match entry.desired {
            Desired::Run => begin(),
            Desired::Stop | Desired::Hibernate | Desired::Keep => begin().unknown(now),
        });
        life.version = group.version;
        match entry.desired {
            Desired::Run if known && entry.generation > life.generation => {
                life.restart(entry.generation, now);
            }
            Desired::Stop | Desired::Hibernate => life.stop(now),
            Desired::Run | Desired::Keep => {}
        }
    }

    fn report(&self, now: Timestamp) -> Report {
        let entries = self.applied.groups.iter().flat_map(|group| &group.entries);
        let mut ids: Vec<InstanceId> = entries.map(|entry| entry.id).collect();
        ids.sort();
        let status = |id: InstanceId| Some(self.lives.get(&id)?.status(id, now));
        Report {
            epoch: self.node.epoch,
            incarnation: self.applied.incarnation,
            term: self.applied.term,
            applied: self.applied.revision,
            pool: None,
            statuses: ids.into_iter().filter_map(status).collect(),
        }
    }

    /// What was last obeyed.
    pub(super) fn obeyed(&self) -> impl Iterator<Item = &Group> {
        self.applied.groups.iter()
    }

    /// Whether it is here and has not ended, whatever is known of it elsewhere.
    pub(super) fn runs(&self, id: InstanceId) -> bool {
        self.lives.get(&id).is_some_and(|life| !life.ended())
    }

    /// A beat, from nodes of which a scenario says what else uses them.
    pub(super) fn heartbeat(&self, now: Timestamp) -> Option<Heartbeat> {
        let foreign = self.foreign?;
        let ours = self.lives.values().map(Life::using).fold(Resources::default(), Resources::plus);
        let used = Use {
            cpu: foreign.cpu.saturating_add(ours.cpu),
            memory: foreign.memory.saturating_add(ours.memory.0),
            disk: foreign.disk.saturating_add(ours.disk.0),
            network: foreign.network.saturating_add(ours.network),
        };
        Some(Heartbeat {
            node: self.node.name.clone(),
            epoch: self.node.epoch,
            applied: Revision(self.applied.revision.0),
            used,
            load: [0; 3],
            instances: u32::try_from(self.lives.len()).unwrap_or(u32::MAX),
            clock: now,
            server: String::new(),
            bid: None,
            battery: false,
        })
    }

    /// The process of this instance exits; false if it does not run here.
    pub(super) fn exits(&mut self, id: InstanceId, code: i32, now: Timestamp) -> bool {
        self.lives.get_mut(&id).is_some_and(|life| life.exits(code, now))
    }

    /// When something is due next here, after `now`.
    pub(super) fn due(&self, now: Timestamp) -> Option<Timestamp> {
        self.lives.values().filter_map(|life| life.due(now)).min()
    }

    /// Nothing here is on its way to another state.
    pub(super) fn settled(&self, now: Timestamp) -> bool {
        self.lives.values().all(|life| life.settled(now))
    }
}
