//! What must hold of every plan.

use std::collections::BTreeMap;

use ostler_core::constraint::Requirement;
use ostler_core::id::{InstanceId, NodeName, Slot, WorkloadKey};
use ostler_core::instance::Desired;
use ostler_core::node::{Admin, Liveness};
use ostler_core::reconcile::{Decision, Engine, InstanceView, Plan};
use ostler_core::workload::{Kind, Mode, Workload};

use crate::bus::{Bucket, Val};
use crate::world::World;

impl World {
    /// P2, P4, P9, P10, P16 of one plan.
    pub fn check_plan(&mut self, r: usize, before: &Engine, plan: &Plan) {
        let mut wrong = self.check_failures(r, before, plan);
        let Some(reign) = self.schedulers[r].reign() else { return };
        if !plan.more {
            let mut engine = reign.engine.clone();
            let again = engine.plan(self.now);
            if again != Plan::default() {
                let (first, then) = (reign.engine.outcomes(), engine.outcomes());
                let other = first.iter().zip(&then).find(|(one, other)| one != other);
                wrong.push(format!("P4: planning again gives {again:?}, {other:?} after {plan:?}"));
            }
        }
        let after: BTreeMap<InstanceId, InstanceView<'_>> =
            reign.engine.instances().map(|view| (view.id, view)).collect();
        for decision in &plan.decisions {
            match decision {
                Decision::Place { id, workload, node, .. } => {
                    wrong.extend(self.check_place(r, *id, workload, node));
                    wrong.extend(self.check_once(r, (before, plan), decision));
                }
                Decision::Stop { id, reason, .. } => {
                    wrong.extend(self.check_stop(r, (before, plan), *id, (reason, &after)));
                }
                Decision::Preempt { id, by, by_slot, .. } => {
                    wrong.extend(self.check_preempt(r, (before, plan), *id, (by, *by_slot)));
                }
                Decision::Restart { .. }
                | Decision::Lost { .. }
                | Decision::UpdateFailed { .. }
                | Decision::Updated { .. }
                | Decision::Unplaced { .. }
                | Decision::Drained { .. }
                | Decision::Noted { .. }
                | Decision::MassLoss { .. } => {}
            }
        }
        let mut slots: BTreeMap<(&WorkloadKey, Slot), u32> = BTreeMap::new();
        for view in after.values().filter(|view| view.desired == Desired::Run) {
            *slots.entry((view.key, view.slot)).or_default() += 1;
        }
        if let Some(((key, slot), count)) = slots.into_iter().find(|(_, count)| *count > 2) {
            wrong.push(format!("P9: {count} of {key}/{slot} are ordered to run"));
        }
        if let Some(first) = wrong.into_iter().next() {
            self.ledger.fail(format!("scheduler {r}: {first}"));
        }
    }

    /// A slot that is held gets a second one only to replace the first: that moves, or is older.
    pub fn check_once(
        &self,
        r: usize,
        (before, plan): (&Engine, &Plan),
        placed: &Decision,
    ) -> Option<String> {
        let Decision::Place { id, workload, slot, version, moved, .. } = placed else {
            return None;
        };
        if self.heard_text(r, workload)?.kind == Kind::System {
            return None;
        }
        let same = |one: &&Decision| match one {
            Decision::Place { workload: of, slot: there, .. } => of == workload && there == slot,
            _others => false,
        };
        if plan.decisions.iter().filter(same).count() > 1 {
            return Some(format!("{id}: {workload}/{slot} is placed twice in one plan"));
        }
        let stays = |view: &InstanceView<'_>| {
            let engine = self.schedulers[r].reign().map(|reign| &reign.engine);
            let after =
                engine.into_iter().flat_map(Engine::instances).find(|one| one.id == view.id);
            after.is_some_and(|one| one.desired == Desired::Run)
        };
        let held = before.instances().find(|view| {
            let there = view.key == workload && view.slot == *slot;
            there && view.desired == Desired::Run && view.version == *version && stays(view)
        });
        let held = held.filter(|_| moved.is_none())?;
        Some(format!(
            "{id} is placed for {workload}/{slot}, which {} on {} holds",
            held.id, held.node
        ))
    }

    /// The text as this leader has heard it.
    pub fn heard_text(&self, r: usize, key: &WorkloadKey) -> Option<&Workload> {
        let told = self.schedulers[r].ears.get(&Bucket::Heads)?.cache.get(&key.token())?;
        match &told.value {
            Some(Val::Head(head)) => Some(&head.spec),
            _other => None,
        }
    }

    pub fn check_place(
        &self,
        r: usize,
        id: InstanceId,
        key: &WorkloadKey,
        on: &NodeName,
    ) -> Option<String> {
        let told = self.schedulers[r].ears[&Bucket::Nodes].cache.get(on.as_str());
        let Some(Val::Node(node)) = told.and_then(|told| told.value.as_ref()) else {
            return Some(format!("P2: {id} is placed on {on}, which is not known"));
        };
        let text = self.heard_text(r, key)?;
        let holds = |text: &String| text.parse::<Requirement>().is_ok_and(|rule| rule.holds(node));
        let broken = [
            ("pool", node.pool != text.pool),
            ("liveness", node.liveness != Liveness::Online),
            ("admin", node.admin != Admin::Active),
            ("require", !text.placement.require.iter().all(holds)),
            ("anti_affinity", self.near_its_kind(r, id, text, on)),
        ];
        let broken = broken.into_iter().find(|(_, broken)| *broken);
        broken.map(|(rule, _)| format!("P2: {id} of {key} is placed on {on} against {rule}"))
    }

    pub fn near_its_kind(&self, r: usize, id: InstanceId, text: &Workload, on: &NodeName) -> bool {
        let hard = text.placement.anti_affinity.iter().any(|rule| rule.mode == Mode::Hard);
        let reign = self.schedulers[r].reign();
        hard && reign.is_some_and(|reign| {
            reign.engine.instances().any(|view| {
                let same = view.node == on && *view.key == text.key() && view.id != id;
                same && view.desired != Desired::Keep
            })
        })
    }
}
