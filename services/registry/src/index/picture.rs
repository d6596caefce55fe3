//! The picture of the fleet that lists and reads are answered from: one owner, facts in, no I/O.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use ostler_core::artifact::{Artifact, ArtifactName, Blob};
use ostler_core::command::{Command, Outcome};
use ostler_core::head::Head;
use ostler_core::id::{ContentHash, Namespace, NodeName, PoolName, Revision, WorkloadKey};
use ostler_core::instance::Status;
use ostler_core::node::{Heartbeat, Node};
use ostler_core::reconcile::Progress;
use ostler_core::resources::Resources;
use ostler_core::time::Timestamp;
use ostler_schemas::bucket::{QuotaRecord, TermRecord};

use super::fact::{Fact, Learned};
use super::row::{Id, Row};
use super::table::Table;
use super::tally::Tallies;

/// A node as it is known.
#[derive(Debug, Default)]
pub(super) struct NodeRow {
    pub(super) record: Option<(Box<Node>, Revision)>,
    pub(super) beat: Option<(Heartbeat, Timestamp)>,
    /// What its manifests name: one for each pool that has it, or had it and left something.
    pub(super) placed: BTreeMap<PoolName, Placed>,
    /// What it reported of instances that no manifest names (yet), by id.
    pub(super) orphans: Vec<Status>,
}

/// What one manifest names.
#[derive(Debug, Default)]
pub(super) struct Placed {
    /// The instances, by id.
    pub(super) ids: Vec<Id>,
    /// What those occupy.
    pub(super) asked: Resources,
}

impl NodeRow {
    /// Everything that its manifests name, by id.
    pub(super) fn instances(&self) -> Cow<'_, [Id]> {
        let mut placed = self.placed.values();
        match (placed.next(), placed.next()) {
            (None, _) => Cow::Borrowed(&[]),
            (Some(one), None) => Cow::Borrowed(&one.ids),
            (Some(_), Some(_)) => {
                let all = self.placed.values().flat_map(|placed| placed.ids.iter().copied());
                let mut all: Vec<Id> = all.collect();
                all.sort_unstable();
                Cow::Owned(all)
            }
        }
    }

    /// How many instances its manifests name.
    pub(super) fn count(&self) -> usize {
        self.placed.values().map(|placed| placed.ids.len()).sum()
    }

    /// What all of them occupy.
    pub(super) fn asked(&self) -> Resources {
        let asked = self.placed.values().map(|placed| placed.asked);
        asked.fold(Resources::default(), Resources::plus)
    }

    /// The pool whose manifest names it.
    pub(super) fn pool_of(&self, id: Id) -> Option<&PoolName> {
        let mut placed = self.placed.iter();
        placed.find(|(_, placed)| placed.ids.binary_search(&id).is_ok()).map(|(pool, _)| pool)
    }
}

/// A workload as it is known.
#[derive(Debug, Default)]
pub(super) struct WorkloadRow {
    pub(super) head: Option<(Box<Head>, Revision)>,
    /// What is remembered of it, by the pool whose leader does.
    pub(super) progress: BTreeMap<PoolName, Box<Progress>>,
    pub(super) instances: BTreeSet<Id>,
    pub(super) tallies: Tallies,
}

/// Everything that is known of the fleet.
#[derive(Debug, Default)]
pub struct Picture {
    pub(super) nodes: Table<NodeName, NodeRow>,
    pub(super) workloads: Table<WorkloadKey, WorkloadRow>,
    pub(super) instances: BTreeMap<Id, Row>,
    /// By id, which sorts by time.
    pub(super) commands: BTreeMap<String, Box<Command>>,
    /// The ids of commands by their last 80 bits, which tell whose operation gave them.
    pub(super) marks: BTreeMap<u128, String>,
    pub(super) outcomes: BTreeMap<PoolName, BTreeMap<String, Outcome>>,
    pub(super) terms: BTreeMap<PoolName, TermRecord>,
    pub(super) artifacts: BTreeMap<ArtifactName, Box<Artifact>>,
    pub(super) blobs: BTreeMap<ContentHash, (Box<Blob>, Revision)>,
    pub(super) quotas: BTreeMap<Namespace, (Box<QuotaRecord>, Revision)>,
}

impl Picture {
    /// Takes in one fact.
    pub fn learn(&mut self, Learned { fact, revision }: Learned) {
        match fact {
            Fact::Head(key, head) => {
                self.workloads.entry(&key).head = head.map(|head| (head, revision));
                self.tidy_workload(&key);
            }
            Fact::Progress(pool, key, progress) => {
                let known = &mut self.workloads.entry(&key).progress;
                match progress {
                    Some(progress) => known.insert(pool, progress),
                    None => known.remove(&pool),
                };
                self.tidy_workload(&key);
            }
            Fact::Node(name, node) => {
                self.nodes.entry(&name).record = node.map(|node| (node, revision));
                self.tidy_node(&name);
            }
            Fact::Manifest(pool, name, manifest) => self.learn_manifest(pool, &name, manifest),
            Fact::Report(name, report) => self.learn_report(&name, report.unwrap_or_default()),
            Fact::Beat(beat, at) => {
                let number = self.nodes.number(&beat.node);
                let row = number.map(|number| self.nodes.row_mut(number));
                let epoch = |row: &NodeRow| row.record.as_ref().map(|(node, _)| node.epoch);
                // A beat of an earlier life says nothing of this one.
                if let Some(row) = row.filter(|row| epoch(row) == Some(beat.epoch)) {
                    row.beat = Some((beat, at));
                }
            }
            Fact::Command(id, command) => self.learn_command(id, command),
            Fact::Artifact(name, artifact) => {
                match artifact {
                    Some(artifact) => self.artifacts.insert(name, artifact),
                    None => self.artifacts.remove(&name),
                };
            }
            Fact::Blob(hash, blob) => {
                match blob {
                    Some(blob) => self.blobs.insert(hash, (blob, revision)),
                    None => self.blobs.remove(&hash),
                };
            }
            Fact::Outcomes(pool, outcomes) => {
                let by_id = outcomes.into_iter().map(|outcome| (outcome.id.clone(), outcome));
                self.outcomes.insert(pool, by_id.collect());
            }
            Fact::Quota(namespace, record) => {
                match record {
                    Some(record) => self.quotas.insert(namespace, (record, revision)),
                    None => self.quotas.remove(&namespace),
                };
            }
            Fact::Term(pool, term) => {
                match term {
                    Some(term) => self.terms.insert(pool, term),
                    None => self.terms.remove(&pool),
                };
            }
        }
    }

    fn learn_command(&mut self, id: String, command: Option<Box<Command>>) {
        let mark = id.parse::<ulid::Ulid>().map(|id| id.random()).unwrap_or_default();
        match command {
            Some(command) => {
                self.marks.insert(mark, id.clone());
                self.commands.insert(id, command);
            }
            None => {
                self.commands.remove(&id);
                if self.marks.get(&mark) == Some(&id) {
                    self.marks.remove(&mark);
                }
            }
        }
    }

    /// Forgets a workload of which nothing is known any more.
    pub(super) fn tidy_workload(&mut self, key: &WorkloadKey) {
        let empty = self.workloads.find(key).is_some_and(|row| {
            row.head.is_none() && row.progress.is_empty() && row.instances.is_empty()
        });
        if empty {
            self.workloads.remove(key);
        }
    }

    /// Forgets a node of which nothing is known any more.
    pub(super) fn tidy_node(&mut self, name: &NodeName) {
        let empty =
            self.nodes.find(name).is_some_and(|row| row.record.is_none() && row.placed.is_empty());
        if empty {
            self.nodes.remove(name);
        }
    }
}
