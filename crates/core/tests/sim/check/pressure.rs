//! P11: who is told to end for more important work has to, and nobody who could have been spared.

use std::collections::{BTreeMap, BTreeSet};

use ostler_core::id::{InstanceId, NodeName, Slot, WorkloadKey};
use ostler_core::instance::Desired;
use ostler_core::reconcile::{Decision, Engine, InstanceView, Plan};
use ostler_core::workload::Workload;

use crate::world::World;

/// So much less important is who has to go.
const GAP: u8 = 10;

impl World {
    /// The victim is less important by far, and without its end there would be no room.
    pub fn check_preempt(
        &self,
        r: usize,
        (before, plan): (&Engine, &Plan),
        id: InstanceId,
        (by, by_slot): (&WorkloadKey, Slot),
    ) -> Option<String> {
        let victim = before.instances().find(|view| view.id == id)?;
        let (text, other) = (self.heard_text(r, by)?, self.heard_text(r, victim.key)?);
        if other.priority.saturating_add(GAP) > text.priority {
            return Some(format!(
                "P11: {id} of {} ({}) is ended for {by}/{by_slot} ({})",
                victim.key, other.priority, text.priority
            ));
        }
        let fixed = |text: &Workload| -> BTreeSet<u16> {
            text.ports.iter().filter_map(|port| port.fixed).collect()
        };
        let engine = &self.schedulers[r].reign()?.engine;
        let there = self.there_when(id, (before, plan), engine);
        let (cpu, free) = self.left_on(victim.node, r, (before, &there))?;
        let ask = self.ask_of(&victim);
        let in_the_way = !fixed(text).is_disjoint(&fixed(other));
        (!in_the_way && cpu >= ask && free > 0).then(|| {
            format!(
                "P11: {id} of {} is ended on {} for {by}/{by_slot} and could have been spared: \
                 {cpu} cpu and {free} places are left; {}; after {:?}",
                victim.key,
                victim.node,
                slots_on(victim.node, before),
                plan.decisions
            )
        })
    }

    fn ask_of(&self, view: &InstanceView<'_>) -> u64 {
        let text = self.ledger.texts.get(&(view.key.clone(), view.version));
        text.map_or(0, |text| text.ask().cpu)
    }

    /// What is not told to end where the victim is, once all have been told that go with it.
    fn there_when<'a>(
        &self,
        id: InstanceId,
        (before, plan): (&Engine, &Plan),
        engine: &'a Engine,
    ) -> Vec<InstanceView<'a>> {
        let with = |one: &Decision| match one {
            Decision::Preempt { by, by_slot, node, .. } => {
                Some((by.clone(), *by_slot, node.clone()))
            }
            _others => None,
        };
        let is_it = |one: &Decision| matches!(one, Decision::Preempt { id: of, .. } if *of == id);
        let group = plan.decisions.iter().find(|one| is_it(one)).and_then(with);
        let last = plan.decisions.iter().rposition(|one| with(one) == group).unwrap_or(0) + 1;
        let later: BTreeMap<InstanceId, Desired> = plan.decisions[last + 1..]
            .iter()
            .filter_map(|one| match one {
                Decision::Place { id, .. } => Some((*id, Desired::Run)),
                Decision::Stop { id, .. } => Some((*id, Desired::Stop)),
                _others => None,
            })
            .collect();
        let known: BTreeSet<InstanceId> = before.instances().map(|view| view.id).collect();
        let counts = |view: &InstanceView<'_>| match (later.get(&view.id), view.desired) {
            (Some(Desired::Run), _) if !known.contains(&view.id) => false,
            (Some(_), _) => true,
            (None, desired) => desired != Desired::Stop,
        };
        engine.instances().filter(|view| counts(view)).collect()
    }

    /// How much cpu and how many places are left on a node beside these and what is kept there.
    fn left_on(
        &self,
        node: &NodeName,
        r: usize,
        (before, there): (&Engine, &[InstanceView<'_>]),
    ) -> Option<(u64, usize)> {
        let facts = &self.server.node(node)?.0.facts;
        let ours = there.iter().filter(|view| view.node == node);
        let mut cpu: u64 = ours.clone().map(|view| self.ask_of(view)).sum();
        let mut count = ours.count();
        let engine = &self.schedulers[r].reign()?.engine;
        for key in self.server.heads().iter().map(ostler_core::head::Head::key) {
            let Some(text) = self.heard_text(r, &key) else { continue };
            // A place that was kept before may have been taken since.
            let kept = [before, engine].map(|one| one.progress(&key).unwrap_or_default().reserved);
            let kept: BTreeSet<_> = kept.iter().flatten().filter(|(_, on)| on == node).collect();
            let kept = kept.len();
            cpu += text.ask().cpu * u64::try_from(kept).expect("few");
            count += kept;
        }
        let most = usize::try_from(facts.max_instances).expect("small");
        Some((facts.capacity.cpu.saturating_sub(cpu), most.saturating_sub(count)))
    }
}

/// What is on a node.
fn slots_on(node: &NodeName, engine: &Engine) -> String {
    let there = engine.instances().filter(|view| view.node == node);
    let told: Vec<String> =
        there.map(|view| format!("{} {} {}", view.key, view.slot, view.desired.as_str())).collect();
    told.join(", ")
}
