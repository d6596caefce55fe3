//! What failed or was declined somewhere is not tried there again at once.

use ostler_core::id::{InstanceId, NodeName, PoolName, Version, WorkloadKey};
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
        let Some(term) = self.schedulers[r].reign().map(|reign| reign.term) else { return wrong };
        let pool = self.schedulers[r].pool.clone();
        for (key, node, version) in self.learnt(r, before) {
            let of = (pool.clone(), term, key, node);
            self.ledger.unwritten.insert(of, (version, self.now));
        }
        wrong
    }

    /// A leader wrote something: what it had learnt about that is remembered from now on, whoever
    /// leads. It has to be in what is kept of the workload, and that has to be written before the
    /// entry that failed is dropped from its node's manifest.
    pub fn failures_written(&mut self, pool: &PoolName, key: &str) {
        let Some((term, _)) = self.server.term(pool) else { return };
        let about = |of: &WorkloadKey, node: &NodeName| {
            key == node.as_str() || key.strip_prefix("_workload.") == Some(of.token().as_str())
        };
        let learnt = &self.ledger.unwritten;
        let written = learnt.iter().filter(|((of, by, workload, node), _)| {
            of == pool && *by == term && about(workload, node)
        });
        let written: Vec<_> = written.map(|(of, what)| (of.clone(), *what)).collect();
        for ((pool, term, workload, node), what) in written {
            self.ledger.unwritten.remove(&(pool.clone(), term, workload.clone(), node.clone()));
            self.ledger.failed.insert((pool, workload, node), what);
        }
    }

    /// Nothing of a workload is left, so nothing is remembered: its next life is another one.
    pub fn failures_forgotten(&mut self, key: &str) {
        let Some(token) = key.strip_prefix("_workload.") else { return };
        self.ledger.failed.retain(|(_, of, _), _| of.token() != token);
        self.ledger.unwritten.retain(|(_, _, of, _), _| of.token() != token);
    }

    fn tried_again(
        &self,
        r: usize,
        id: InstanceId,
        (key, version): (&WorkloadKey, Version),
        node: &NodeName,
    ) -> Option<String> {
        let (pool, term) = (self.schedulers[r].pool.clone(), self.schedulers[r].reign()?.term);
        let own = (pool.clone(), term, key.clone(), node.clone());
        let known = [
            self.ledger.failed.get(&(pool, key.clone(), node.clone())),
            self.ledger.unwritten.get(&own),
        ];
        let same = known.iter().flatten().any(|(failed, when)| {
            *failed == version && self.now.since(*when) < self.settings.exclude_for
        });
        let progress = self.schedulers[r].reign()?.engine.progress(key).unwrap_or_default();
        same.then(|| {
            let kind = self.heard_text(r, key).map(|text| text.kind);
            let excluded = progress.excluded;
            format!(
                "{id} of {key} version {version}, {kind:?}, is placed on {node}, where it has just \
                 failed: {known:?}; passed over: {excluded:?}"
            )
        })
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
