//! Manifests and reports become rows: the first says which there are, the second how they are.

use std::collections::BTreeSet;

use ostler_core::id::{NodeName, WorkloadKey};
use ostler_core::instance::{Group, Manifest, Report, Status};
use ostler_core::resources::{Bytes, Resources};

use super::picture::Picture;
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
    /// Takes over what a node should run: rows that it does not name any more are gone.
    pub(super) fn learn_manifest(&mut self, name: &NodeName, manifest: Manifest) {
        let node = self.nodes.ensure(name);
        let mut asked = Resources::default();
        let mut named = Vec::new();
        for group in manifest.groups {
            asked = asked.plus(times(group.ask, group.entries.len()));
            named.extend(group.entries.iter().map(|entry| Id::from(entry.id)));
            self.learn_group(node, group);
        }
        named.sort_unstable();
        let row = self.nodes.row_mut(node);
        row.asked = asked;
        let before = std::mem::replace(&mut row.instances, named);
        let kept: Vec<Id> = row.instances.clone();
        row.orphans.retain(|status| kept.binary_search(&status.id.into()).is_err());
        let mut left = BTreeSet::new();
        for id in before.into_iter().filter(|id| kept.binary_search(id).is_err()) {
            left.extend(self.drop_row(id, node));
        }
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
        if self.instances.get(&id)?.node != node {
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
