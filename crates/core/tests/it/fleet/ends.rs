//! Instances end on their nodes, whoever can see it.

use ostler_core::id::NodeName;
use ostler_core::instance::Observed;
use ostler_core::reconcile::Event;

use super::Fleet;

impl Fleet {
    /// No node that is looked for has its lease any more; false if none was looked for.
    pub fn look_for_leases(&mut self) -> bool {
        let looks = self.engine.leases_to_look_for();
        let any = !looks.is_empty();
        looks.into_iter().for_each(|(node, since)| self.tell(Event::NodeLeaseGone { node, since }));
        self.settle();
        any
    }

    /// What runs of this workload on this node ends; told at once if the node can be heard, else
    /// when it is back.
    pub fn end(&mut self, node: &str, workload: &str, how: Observed) {
        let name: NodeName = node.parse().expect("a node name");
        let executor = self.executors.get_mut(&name).expect("a known node");
        let groups = executor.manifest.groups.iter();
        let ids: Vec<_> = groups
            .filter(|group| group.key.name.as_str() == workload)
            .flat_map(|group| group.entries.iter().map(|entry| entry.id))
            .collect();
        for id in ids {
            let status = executor.statuses.get_mut(&id).expect("it reported");
            if !status.observed.ended() {
                (status.observed, status.ready) = (how, false);
            }
        }
        if executor.alive {
            let report = Box::new(executor.report());
            self.tell(Event::Report(name, report));
            self.settle();
        }
    }
}
