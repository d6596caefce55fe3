//! What namespaces may ask for, and what they do ask for.

use ostler_core::head::Head;
use ostler_core::id::{Namespace, PoolName, Revision, WorkloadKey};
use ostler_core::quota::{Quota, Totals};
use ostler_core::workload::Kind;
use ostler_schemas::bucket::QuotaRecord;

use super::picture::Picture;

impl Picture {
    /// Every namespace that has a quota, with the quota's revision.
    pub fn quotas(&self) -> Vec<(Namespace, Quota, u64)> {
        let each =
            |(namespace, (record, revision)): (&Namespace, &(Box<QuotaRecord>, Revision))| {
                (namespace.clone(), record.limits, revision.0)
            };
        self.quotas.iter().map(each).collect()
    }

    /// What all workloads of a namespace ask for, `but` one.
    pub fn asked_in(&self, namespace: &Namespace, but: Option<&WorkloadKey>) -> Totals {
        let ours = self.workloads.after(None);
        let ours = ours.filter(|(key, _)| key.namespace == *namespace && Some(*key) != but);
        let heads = ours.filter_map(|(_, row)| row.head.as_ref().map(|(head, _)| &**head));
        let asked = |head: &Head| {
            let everywhere = head.spec.kind == Kind::System;
            let nodes = if everywhere { self.nodes_of(&head.spec.pool) } else { 0 };
            Totals::of_head(head, nodes)
        };
        heads.map(asked).fold(Totals::default(), Totals::plus)
    }

    /// How many nodes a pool has.
    pub fn nodes_of(&self, pool: &PoolName) -> u32 {
        let records = self.nodes.after(None).filter_map(|(_, row)| row.record.as_ref());
        let ours = records.filter(|(node, _)| node.pool == *pool);
        u32::try_from(ours.count()).unwrap_or(u32::MAX)
    }
}
