//! What failed or was declined somewhere is not tried there again at once.

use ostler_core::id::{InstanceId, NodeName, Version, WorkloadKey};
use ostler_core::instance::{Desired, Observed};
use ostler_core::reconcile::{Decision, Engine, Plan};

use crate::bus::{Bucket, Val};
use crate::world::World;

impl World {
    /// Nothing is placed where this leader, or one before it, has just seen it fail; then what it
    /// learns with this plan is noted.
    pub fn check_failures(&mut self, r: usize, before: &Engine, plan: &Plan) -> Vec<String> {
        let again = |one: &Decision| match one {
            Decision::Place { id, workload, version, node, .. } => {
                self.tried_again(r, *id, (workload, *version), node)
            }
            _others => None,
        };
        let wrong = plan.decisions.iter().filter_map(again).collect();
        let pool = self.schedulers[r].pool.clone();
        for (key, node, version) in self.learnt(r, before) {
            self.ledger.failed.insert((pool.clone(), key, node), (version, self.now));
        }
        wrong
    }

    fn tried_again(
        &self,
        r: usize,
        id: InstanceId,
        (key, version): (&WorkloadKey, Version),
        node: &NodeName,
    ) -> Option<String> {
        let pool = self.schedulers[r].pool.clone();
        let (failed, when) = self.ledger.failed.get(&(pool, key.clone(), node.clone()))?;
        let same = *failed == version && self.now.since(*when) < self.settings.exclude_for;
        same.then(|| format!("{id} of {key} is placed on {node}, where it has just failed"))
    }

    /// What was ordered to run when the plan was made, and is said to have failed.
    fn learnt(&self, r: usize, before: &Engine) -> Vec<(WorkloadKey, NodeName, Version)> {
        let Some(reign) = self.schedulers[r].reign() else { return Vec::new() };
        let left: Vec<InstanceId> = reign.engine.instances().map(|view| view.id).collect();
        let ended = before.instances().filter(|view| {
            view.desired == Desired::Run
                && matches!(view.observed, Some(Observed::Failed | Observed::Declined))
                && left.binary_search(&view.id).is_err()
        });
        let current = |key: &WorkloadKey| match self.schedulers[r].ears.get(&Bucket::Heads) {
            Some(ear) => match ear.cache.get(&key.token()).and_then(|told| told.value.as_ref()) {
                Some(Val::Head(head)) => Some(head.version),
                _other => None,
            },
            None => None,
        };
        // What an older text did there says nothing about this one.
        ended
            .filter(|view| current(view.key) == Some(view.version))
            .map(|view| (view.key.clone(), view.node.clone(), view.version))
            .collect()
    }
}
