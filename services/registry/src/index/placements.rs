//! Manifests and reports become rows: the first says which there are, the second how they are.

use std::collections::BTreeSet;

use ostler_core::id::{NodeName, PoolName, WorkloadKey};
use ostler_core::instance::{Group, Manifest, Report, Status};
use ostler_core::resources::{Bytes, Resources};

use super::picture::{Picture, Placed};
use super::row::{Id, Row};

fn times(ask: Resources, count: usize) -> Resources {
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    Resources {
        cpu: ask.cpu.saturating_mul(count),
        memory: Bytes(ask.memory.0.saturating_mul(count)),
        disk: Bytes(ask.disk.0.saturating_mul(count)),
        network: ask.network.saturating_mul(count),
    }
}

impl Picture {
    /// Takes over what a pool's leader wants a node to run: rows that it does not name any more are
    /// gone. What other pools want of the node stays.
    pub(super) fn learn_manifest(&mut self, pool: PoolName, name: &NodeName, manifest: Manifest) {
        let node = self.nodes.ensure(name);
        let mut placed = Placed::default();
        for group in manifest.groups {
            placed.asked = placed.asked.plus(times(group.ask, group.entries.len()));
            placed.ids.extend(group.entries.iter().map(|entry| Id::from(entry.id)));
            self.learn_group(node, group);
        }
        placed.ids.sort_unstable();
        let row = self.nodes.row_mut(node);
        let named = |id: &Id| placed.ids.binary_search(id).is_ok();
        row.orphans.retain(|status| !named(&status.id.into()));
        let before = row.placed.remove(&pool).unwrap_or_default();
        let gone: Vec<Id> = before.ids.into_iter().filter(|id| !named(id)).collect();
        if !placed.ids.is_empty() {
            row.placed.insert(pool, placed);
        }
        let left: BTreeSet<WorkloadKey> =
            gone.into_iter().filter_map(|id| self.drop_row(id, node)).collect();
        for key in left {
            self.tidy_workload(&key);
        }
        self.tidy_node(name);
    }

    fn learn_group(&mut self, node: u32, group: Group) {
        let workload = self.workloads.ensure(&group.key);
        for entry in group.entries {
            let id = Id::from(entry.id);
            let known = self.instances.remove(&id).filter(|row| row.workload == workload);
            if let Some(row) = &known {
                self.workloads.row_mut(workload).tallies.take(row);
            }
            let mut row = known.unwrap_or_else(|| Row::new(workload, node));
            row.node = node;
            row.order(group.version.0, entry);
            let orphans = &self.nodes.row(node).orphans;
            if let Ok(at) = orphans.binary_search_by_key(&id, |status| status.id.into()) {
                row.see(&orphans[at]);
            }
            let owner = self.workloads.row_mut(workload);
            owner.tallies.add(&row);
            owner.instances.insert(id);
            self.instances.insert(id, row);
        }
    }

    /// Forgets an instance that this node's manifest does not name any more, and says whose it was.
    fn drop_row(&mut self, id: Id, node: u32) -> Option<WorkloadKey> {
        if self.instances.get(&id)?.node != node || self.nodes.row(node).pool_of(id).is_some() {
            return None;
        }
        let row = self.instances.remove(&id)?;
        let owner = self.workloads.row_mut(row.workload);
        owner.tallies.take(&row);
        owner.instances.remove(&id);
        Some(self.workloads.key(row.workload).clone())
    }

    /// Takes over what a node says; what no manifest names is put aside until one does.
    pub(super) fn learn_report(&mut self, name: &NodeName, report: Report) {
        let node = self.nodes.ensure(name);
        let mut orphans: Vec<Status> = Vec::new();
        for status in report.statuses {
            match self.instances.get_mut(&Id::from(status.id)) {
                Some(row) if row.node == node => {
                    let tallies = &mut self.workloads.row_mut(row.workload).tallies;
                    tallies.take(row);
                    row.see(&status);
                    tallies.add(row);
                }
                Some(_) | None => orphans.push(status),
            }
        }
        orphans.sort_unstable_by_key(|status| status.id);
        self.nodes.row_mut(node).orphans = orphans;
    }
}

#[cfg(test)]
mod tests {
    use ostler_core::id::{Generation, InstanceId, PoolName, Revision, Slot, SpecHash, Version};
    use ostler_core::instance::{Desired, Entry};
    use ostler_core::reconcile::Progress;

    use super::*;
    use crate::index::fact::{Fact, Learned};

    fn pool(name: &str) -> PoolName {
        name.parse().expect("a name")
    }

    fn key() -> WorkloadKey {
        "default/web".parse().expect("a key")
    }

    fn manifest(ids: &[u128]) -> Manifest {
        let entry = |id: &u128| Entry {
            id: InstanceId::from_bits(*id),
            slot: Slot(0),
            desired: Desired::Run,
            generation: Generation(1),
            restarted: Generation(0),
            ports: Vec::new(),
            score: 0,
            reason: String::new(),
        };
        let group = Group {
            key: key(),
            version: Version(1),
            spec: SpecHash([0; 32]),
            ask: Resources { cpu: 100, ..Resources::default() },
            priority: 50,
            entries: ids.iter().map(entry).collect(),
        };
        let groups = if ids.is_empty() { Vec::new() } else { vec![group] };
        Manifest { groups, ..Manifest::default() }
    }

    fn learn(picture: &mut Picture, fact: Fact) {
        picture.learn(Learned { fact, revision: Revision(1) });
    }

    #[test]
    fn the_empty_manifest_of_a_pool_that_a_node_left_hid_what_runs_there() {
        let node: NodeName = "n1".parse().expect("a name");
        let mut picture = Picture::default();
        let told = |pool_name, ids: &[u128]| {
            Fact::Manifest(pool(pool_name), "n1".parse().expect("a name"), manifest(ids))
        };
        learn(&mut picture, told("edge", &[1, 2]));
        learn(&mut picture, told("default", &[]));
        assert_eq!(picture.instances_on(&node), 2);
        learn(&mut picture, told("default", &[3]));
        let row = picture.nodes.find(&node).expect("it is known");
        assert_eq!((row.instances().len(), row.asked().cpu), (3, 300));
        assert_eq!(row.pool_of(Id::from(InstanceId::from_bits(3))), Some(&pool("default")));
        learn(&mut picture, told("edge", &[]));
        assert_eq!((picture.instances_on(&node), picture.instances_of(&key())), (1, 1));
    }

    #[test]
    fn what_one_pool_remembered_of_a_workload_was_taken_for_what_another_does() {
        let mut picture = Picture::default();
        let note = |version| Some(Box::new(Progress { promoted: version, ..Progress::default() }));
        learn(&mut picture, Fact::Progress(pool("edge"), key(), note(Version(2))));
        learn(&mut picture, Fact::Progress(pool("default"), key(), note(Version(1))));
        learn(&mut picture, Fact::Progress(pool("default"), key(), None));
        let row = picture.workloads.find(&key()).expect("it is known");
        assert_eq!(row.progress[&pool("edge")].promoted, Version(2));
        learn(&mut picture, Fact::Progress(pool("edge"), key(), None));
        assert!(picture.workloads.find(&key()).is_none());
    }
}
