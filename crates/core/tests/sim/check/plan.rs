//! What must hold of every plan.

use std::collections::{BTreeMap, BTreeSet};

use ostler_core::constraint::Requirement;
use ostler_core::id::{InstanceId, NodeName, Slot, WorkloadKey};
use ostler_core::instance::Desired;
use ostler_core::node::{Admin, Liveness};
use ostler_core::reconcile::{Decision, Engine, InstanceView, Plan};
use ostler_core::workload::{Kind, Mode, OnNodeLoss, Workload};

use crate::bus::{Bucket, Val};
use crate::world::World;

impl World {
    /// P2, P4, P9, P10, P16 of one plan.
    pub fn check_plan(&mut self, r: usize, before: &Engine, plan: &Plan) {
        let Some(reign) = self.schedulers[r].reign() else { return };
        let mut wrong = Vec::new();
        if !plan.more {
            let again = reign.engine.clone().plan(self.now);
            if again != Plan::default() {
                wrong.push(format!("P4: planning again gives {again:?} after {plan:?}"));
            }
        }
        let after: BTreeMap<InstanceId, InstanceView<'_>> =
            reign.engine.instances().map(|view| (view.id, view)).collect();
        for decision in &plan.decisions {
            match decision {
                Decision::Place { id, workload, node, .. } => {
                    wrong.extend(self.check_place(r, *id, workload, node));
                }
                Decision::Stop { id, reason, .. } => {
                    wrong.extend(self.check_stop(r, (before, plan), *id, (reason, &after)));
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

    /// P10 and P9: nothing that is ready is told to end before another has its place, and no more at
    /// a time than the update allows.
    pub fn check_stop(
        &self,
        r: usize,
        (before, plan): (&Engine, &Plan),
        id: InstanceId,
        (reason, after): (&str, &BTreeMap<InstanceId, InstanceView<'_>>),
    ) -> Option<String> {
        let was = before.instances().find(|view| view.id == id)?;
        let text = self.heard_text(r, was.key)?;
        let told = self.schedulers[r].ears[&Bucket::Nodes].cache.get(was.node.as_str());
        let forced = match told.and_then(|told| told.value.as_ref()) {
            Some(Val::Node(node)) => {
                node.admin != Admin::Active || node.liveness != Liveness::Online
            }
            _other => true,
        };
        let plain = text.kind == Kind::Service && text.reschedule.on_node_loss != OnNodeLoss::Fence;
        // Somebody asked for a restart: that is less than ready for a while, whatever else is planned.
        let restarts = |id: InstanceId| {
            let of = |one: &Decision| matches!(one, Decision::Restart { id: of, .. } if *of == id);
            plan.decisions.iter().any(of)
        };
        if !was.ready || was.desired != Desired::Run || !plain || forced || restarts(id) {
            return None;
        }
        let was_ready: BTreeSet<InstanceId> =
            before.instances().filter(|view| view.ready).map(|view| view.id).collect();
        let ready = |view: &&InstanceView<'_>| {
            let up = view.ready || (was_ready.contains(&view.id) && restarts(view.id));
            up && view.desired == Desired::Run
        };
        let mut stays = after.values().filter(ready);
        let replaced = stays.any(|view| view.key == was.key && view.slot == was.slot);
        let moves = ["drain", "moved", "replaced", "returned", "surplus"];
        if moves.contains(&reason) && !replaced {
            return Some(format!(
                "P10: {id} of {}/{} is ended ({reason}) before another is ready",
                was.key, was.slot
            ));
        }
        let parallel = text.update.max_parallel;
        if reason != "updated" || replaced || parallel == 0 {
            return None;
        }
        // What is on a silent node holds up no update.
        let silent = |node: &NodeName| {
            let told = self.schedulers[r].ears[&Bucket::Nodes].cache.get(node.as_str());
            match told.and_then(|told| told.value.as_ref()) {
                Some(Val::Node(node)) => node.liveness != Liveness::Online,
                _other => true,
            }
        };
        let counts = |view: &&InstanceView<'_>| {
            let runs = view.desired == Desired::Run && (view.ready || silent(view.node));
            runs && view.key == was.key && view.slot.0 < text.count
        };
        let there: BTreeSet<Slot> = after.values().filter(counts).map(|view| view.slot).collect();
        let there = u32::try_from(there.len()).expect("small");
        (there + parallel < text.count).then(|| {
            format!(
                "P9: after {id} of {} is ended only {there} of {} are ready; {}",
                was.key,
                text.count,
                slots_of(was.key, before, &plan.decisions)
            )
        })
    }
}

/// How a workload stood, and what was decided about it.
fn slots_of(key: &WorkloadKey, before: &Engine, decisions: &[Decision]) -> String {
    let of = |view: &InstanceView<'_>| {
        let (desired, ready) = (view.desired.as_str(), if view.ready { " ready" } else { "" });
        format!("{}/{} v{} {desired}{ready} on {}", view.id, view.slot, view.version, view.node)
    };
    let views = before.instances().filter(|view| view.key == key);
    let views: Vec<String> = views.map(|view| of(&view)).collect();
    format!("before: {}; decided: {decisions:?}", views.join(", "))
}
