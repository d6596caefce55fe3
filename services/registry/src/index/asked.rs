//! What namespaces may ask for, and what they do ask for.

use ostler_core::head::Head;
use ostler_core::id::{Namespace, PoolName, WorkloadKey};
use ostler_core::quota::Totals;
use ostler_core::workload::Kind;

use super::picture::Picture;

impl Picture {
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
