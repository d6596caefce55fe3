//! How a scenario may begin: with workloads whose instances are on their nodes already.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::scenario::Scenario;
use super::world::World;
use crate::id::{Generation, IdSource, NodeName, PortName, Slot, WorkloadKey};
use crate::instance::{Desired, Entry, Group, Manifest, PortGrant};

/// One instance that is there when the scenario begins, in the text that the scenario has.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Standing {
    /// Of which workload; one of `workloads`.
    pub workload: WorkloadKey,
    /// Its index.
    pub slot: Slot,
    /// Where; one of `nodes`.
    pub node: NodeName,
    /// 0 to 10,000, when it was placed.
    #[serde(default)]
    pub score: u32,
    /// The first of each of its ports, by the name that its workload gives them.
    #[serde(default)]
    pub ports: BTreeMap<PortName, u16>,
}

/// Its ids are told apart from those that leaders make.
const SEED: u32 = 0x8000_0000;

impl World {
    /// Puts what is there at the beginning: leaders read it as after a takeover.
    pub(super) fn begin(&mut self, scenario: &Scenario) {
        for workload in &scenario.workloads {
            self.pool(&workload.pool);
            self.registry.put(workload.clone(), self.now);
        }
        let mut ids = IdSource::new(scenario.seed ^ SEED);
        let mut groups: BTreeMap<&NodeName, BTreeMap<&WorkloadKey, Group>> = BTreeMap::new();
        for standing in &scenario.instances {
            let Some(head) = self.registry.head(&standing.workload) else { continue };
            let group = groups.entry(&standing.node).or_default();
            let group = group.entry(&standing.workload).or_insert_with(|| Group {
                key: standing.workload.clone(),
                version: head.version,
                spec: head.spec_hash,
                ask: head.spec.ask(),
                priority: head.spec.priority,
                entries: Vec::new(),
            });
            let port = |port: &crate::workload::PortSpec| {
                let first = standing.ports.get(&port.name).copied().or(port.fixed)?;
                Some(PortGrant { name: port.name.clone(), first, count: port.count.max(1) })
            };
            group.entries.push(Entry {
                id: ids.next(self.now),
                slot: standing.slot,
                desired: Desired::Run,
                generation: Generation(1),
                restarted: Generation(0),
                ports: head.spec.ports.iter().filter_map(port).collect(),
                score: standing.score,
                reason: String::new(),
            });
        }
        let term = self.term;
        for (node, groups) in groups {
            let Some(executor) = self.executors.get_mut(node) else { continue };
            self.revision = self.revision.next();
            let groups = groups.into_values().collect();
            executor.wanted = Manifest { incarnation: 1, term, revision: self.revision, groups };
            executor.obey_at_once(&self.registry, self.now);
            self.busy.insert(node.clone());
        }
        if !scenario.workloads.is_empty() {
            self.take_over();
        }
    }
}
