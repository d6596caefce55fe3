//! After the storm: exactly what is wanted runs, and what is said of it is true.

use std::collections::{BTreeMap, BTreeSet};

use ostler_core::head::Head;
use ostler_core::id::{InstanceId, Term, WorkloadKey};
use ostler_core::instance::Desired;
use ostler_core::reconcile::{Plan, Unplaced};
use ostler_core::time::Span;
use ostler_core::workload::Kind;

use crate::check::Ordered;
use crate::host::Host;
use crate::scheduler::Reign;
use crate::world::{BEGIN, World};

mod pressure;

/// How long the storm lasts at most, and how long it is quiet before anything is expected.
const STORM: Span = Span::from_secs(400);
const QUIET: Span = Span::from_secs(400);

impl World {
    /// The whole story; what was wrong, if anything was.
    pub fn tell(&mut self) -> Result<(), String> {
        self.people();
        let mut end = BEGIN;
        while self.acts < self.plan.steps && end.since(BEGIN) < STORM {
            end = end.plus(Span::from_secs(1));
            self.run(end)?;
        }
        self.calm_down();
        self.run(end.plus(QUIET))?;
        self.check_end()?;
        self.check_evening()?;
        self.check_end()
    }

    fn check_end(&mut self) -> Result<(), String> {
        let pools: BTreeSet<_> = self.pools().into_iter().collect();
        for pool in &pools {
            let leads = (0..self.schedulers.len()).filter(|r| self.schedulers[*r].pool == *pool);
            let leader = leads.into_iter().find(|r| self.schedulers[*r].reign().is_some());
            let Some(r) = leader else {
                return Err(format!("pool {pool} has no leader at the end"));
            };
            self.check_leader(r)?;
            self.check_successor(r)?;
        }
        for head in self.server.heads() {
            self.check_workload(&head)?;
        }
        self.check_orphans()
    }

    /// The leader's picture is what stands on the bus.
    fn check_leader(&self, r: usize) -> Result<(), String> {
        let reign = self.schedulers[r].reign().expect("it leads");
        if reign.writing {
            return Err(format!("scheduler {r} still writes at the end"));
        }
        for (node, manifest) in self.server.manifests(&self.schedulers[r].pool) {
            let ours = reign.engine.manifest(&node).unwrap_or_default();
            if ours.groups != manifest.groups {
                return Err(format!(
                    "scheduler {r} takes {node} for {ours:?}, the bus has {manifest:?}"
                ));
            }
        }
        Ok(())
    }

    /// P15: whoever takes over now has nothing to do.
    fn check_successor(&self, r: usize) -> Result<(), String> {
        let (mut engine, _) = self.understand(r, Term(u64::from(u32::MAX)));
        let mut plan = engine.plan(self.now);
        plan.reverts.clear();
        let quiet = Plan {
            ended: plan.ended.clone(),
            progress: plan.progress.clone(),
            outcomes: plan.outcomes,
            ..Plan::default()
        };
        if plan != quiet {
            let of = |key| {
                let reign = self.schedulers[r].reign().expect("it leads");
                let mut engine = reign.engine.clone();
                let why = engine.explain_workload(key, None, self.now).map(|why| why.verdicts);
                format!("{key}: {:?} {why:?}", reign.engine.progress(key))
            };
            let known: Vec<String> = plan.progress.iter().map(of).collect();
            return Err(format!("P15: a new leader of a quiet pool would do {plan:?}; {known:?}"));
        }
        Ok(())
    }

    /// What runs on a host; without what was written off when the host was removed from the fleet.
    fn there<'a>(&'a self, host: &'a Host) -> impl Iterator<Item = InstanceId> + 'a {
        let removed = self.ledger.removed.contains(&host.name);
        let counts = move |id: &InstanceId| !removed || !self.ledger.ordered[id].dropped;
        host.alive().map(|(id, _)| id).filter(counts)
    }

    /// Which of a workload runs, by slot: ready or not.
    fn running(&self, key: &WorkloadKey) -> BTreeMap<u32, Vec<InstanceId>> {
        let mut slots: BTreeMap<u32, Vec<InstanceId>> = BTreeMap::new();
        for host in &self.hosts {
            for id in self.there(host) {
                let ordered = &self.ledger.ordered[&id];
                if ordered.key == *key {
                    slots.entry(ordered.slot.0).or_default().push(id);
                }
            }
        }
        slots
    }

    fn check_workload(&self, head: &Head) -> Result<(), String> {
        let key = head.key();
        let running = self.running(&key);
        if let Some((slot, ids)) = running.iter().find(|(_, ids)| ids.len() > 1) {
            return Err(format!("{key}/{slot} runs {} times at the end: {ids:?}", ids.len()));
        }
        if head.deleted || head.stopped {
            let left = running.values().flatten().next();
            let Some(id) = left else { return Ok(()) };
            return Err(format!("{id} of {key} runs, which is deleted or stopped"));
        }
        let Some(reign) = self.reign_of(head) else { return Ok(()) };
        if head.spec.kind == Kind::System {
            return Ok(());
        }
        let progress = reign.engine.progress(&key).unwrap_or_default();
        let unplaced: BTreeSet<u32> =
            progress.unplaced.iter().flat_map(Unplaced::each).map(|slot| slot.0).collect();
        for slot in 0..head.spec.count {
            let byte = progress.completed.get(usize::try_from(slot / 8).expect("small"));
            let done = byte.is_some_and(|byte| byte & (1 << (slot % 8)) != 0);
            let (runs, waits) = (running.contains_key(&slot), unplaced.contains(&slot));
            if self.may_live_outside(&key, slot) {
                continue;
            }
            if usize::from(runs) + usize::from(waits) + usize::from(done) != 1 {
                return Err(format!(
                    "{key}/{slot} of {}: runs {runs}, has no place {waits}, is done {done}; {progress:?}",
                    head.spec.count
                ));
            }
        }
        self.check_places(head, reign)?;
        self.check_progress(head, reign, &running)
    }

    /// What is said of a workload is true.
    fn check_progress(
        &self,
        head: &Head,
        reign: &Reign,
        running: &BTreeMap<u32, Vec<InstanceId>>,
    ) -> Result<(), String> {
        let key = head.key();
        let (status, progress) = (reign.engine.status(&key), reign.engine.progress(&key));
        let (status, progress) = (status.unwrap_or_default(), progress.unwrap_or_default());
        let runs = u32::try_from(running.len()).expect("small");
        let outside = (0..head.spec.count).any(|slot| self.may_live_outside(&key, slot));
        if status.running != runs && !outside {
            return Err(format!(
                "{key} is said to run {} times and runs {runs} times",
                status.running
            ));
        }
        let old = reign.engine.instances().filter(|view| {
            *view.key == key && view.version != head.version && view.desired == Desired::Run
        });
        let held = progress.failed.is_some()
            || (head.spec.update.canary > 0 && progress.promoted < head.version);
        if let Some(view) = old.into_iter().next()
            && !held
            && progress.unplaced.is_empty()
        {
            return Err(format!(
                "{} of {key} on {} is still at version {} of {}, {} since: {progress:?}",
                view.id, view.node, view.version, head.version, head.compatible_since
            ));
        }
        if !held && progress.step_since.is_some() && progress.unplaced.is_empty() {
            return Err(format!("{key} is said to be updated still: {progress:?}"));
        }
        Ok(())
    }

    /// It is alive on a host that was removed from the fleet though something had just been placed
    /// there: what is fenced waits for ever for its end.
    fn may_live_outside(&self, key: &WorkloadKey, slot: u32) -> bool {
        let removed = self.hosts.iter().filter(|host| self.ledger.removed.contains(&host.name));
        removed.flat_map(Host::alive).any(|(id, proc)| {
            let ordered = &self.ledger.ordered[&id];
            proc.fenced && ordered.key == *key && ordered.slot.0 == slot
        })
    }

    fn reign_of(&self, head: &Head) -> Option<&Reign> {
        let led = self.schedulers.iter().filter(|replica| replica.pool == head.spec.pool);
        led.into_iter().find_map(|replica| replica.reign())
    }

    /// Nothing runs that nobody wants.
    fn check_orphans(&self) -> Result<(), String> {
        let wanted: BTreeMap<InstanceId, Desired> = self
            .pools()
            .iter()
            .flat_map(|pool| self.server.manifests(pool))
            .flat_map(|(_, manifest)| manifest.groups)
            .flat_map(|group| group.entries)
            .map(|entry| (entry.id, entry.desired))
            .collect();
        for host in &self.hosts {
            for id in self.there(host) {
                let Ordered { key, slot, .. } = &self.ledger.ordered[&id];
                if self.may_live_outside(key, slot.0) {
                    continue;
                }
                let (order, head) = (wanted.get(&id), self.server.head(key));
                if order != Some(&Desired::Run) || head.is_none() {
                    let known = if head.is_some() { "known" } else { "forgotten" };
                    return Err(format!(
                        "{id} of {key}, which is {known}, runs on {} and is ordered {order:?}",
                        host.name
                    ));
                }
            }
        }
        Ok(())
    }
}
