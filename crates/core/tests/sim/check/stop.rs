//! P9 and P10: what may be told to end, and when.

use std::collections::{BTreeMap, BTreeSet};

use ostler_core::command::Order;
use ostler_core::id::{InstanceId, NodeName, Slot, WorkloadKey};
use ostler_core::instance::Desired;
use ostler_core::node::{Liveness, Node};
use ostler_core::reconcile::{Decision, Engine, InstanceView, Note, Plan};
use ostler_core::workload::{Kind, OnNodeLoss};

use crate::bus::{Bucket, Val};
use crate::world::World;

impl World {
    /// A node as this leader has heard of it.
    pub fn heard_node(&self, r: usize, name: &NodeName) -> Option<&Node> {
        let told = self.schedulers[r].ears[&Bucket::Nodes].cache.get(name.as_str())?;
        match &told.value {
            Some(Val::Node(node)) => Some(node),
            _other => None,
        }
    }

    /// The orders that this leader has heard of.
    fn orders_heard(&self, r: usize) -> impl Iterator<Item = &Order> {
        let told = self.schedulers[r].ears[&Bucket::Commands].cache.values();
        told.filter_map(|told| match &told.value {
            Some(Val::Command(command)) => Some(&command.order),
            _other => None,
        })
    }

    /// Nothing is waited for there: it cannot be heard, a deadline has passed, or somebody said so.
    fn forces(&self, r: usize, node: &Node) -> bool {
        let said = |order: &Order| match order {
            Order::Drain { node: of, force } => *force && *of == node.name,
            Order::Evacuate { node: of } => *of == node.name,
            _others => false,
        };
        let up = matches!(node.liveness, Liveness::Online | Liveness::Suspect);
        let late = node.drain_deadline.is_some_and(|deadline| deadline <= self.now);
        !up || late || self.orders_heard(r).any(said)
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
        let forced = self.heard_node(r, was.node).is_none_or(|node| self.forces(r, node));
        let plain = text.kind == Kind::Service && text.reschedule.on_node_loss != OnNodeLoss::Fence;
        // Somebody asked for a restart: that is less than ready for a while, whatever else is planned.
        // For an update only what was ordered of one instance counts: the others take their turns.
        let restarts = |id: InstanceId| {
            let of = |one: &Decision| matches!(one, Decision::Restart { id: of, .. } if *of == id);
            let asked = Order::RestartInstance { instance: id };
            let ordered = || self.orders_heard(r).any(|order| *order == asked);
            plan.decisions.iter().any(of) && (reason != "updated" || ordered())
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
        if text.pool != self.schedulers[r].pool {
            // It was put into another pool; here all of it ends.
            return None;
        }
        let moves = ["drain", "moved", "replaced", "returned", "surplus"];
        if moves.contains(&reason) && !replaced {
            return Some(format!(
                "P10: {id} of {}/{} is ended ({reason}) before another is ready; {}",
                was.key,
                was.slot,
                slots_of(was.key, before, &plan.decisions)
            ));
        }
        // Canaries are beside what is counted.
        if reason != "updated" || replaced || was.slot.0 >= text.count {
            return None;
        }
        // It was ready, and is told to restart by the same order that would have restarted this one.
        let follows = |view: &InstanceView<'_>| {
            let same = view.key == was.key && view.slot == was.slot && view.id != id;
            same && view.desired == Desired::Run && was_ready.contains(&view.id)
        };
        let first = text.count <= text.update.max_parallel && !after.values().any(follows);
        if first && !said_to_stop_first(plan, was.key, was.slot) {
            return Some(format!(
                "P10: {id} of {}/{} is ended before its update is ready; {}",
                was.key,
                was.slot,
                slots_of(was.key, before, &plan.decisions)
            ));
        }
        self.check_parallel(r, (before, plan), &was, after)
    }

    /// P9: this one is ended for an update, and not too many others are down.
    fn check_parallel(
        &self,
        r: usize,
        (before, plan): (&Engine, &Plan),
        was: &InstanceView<'_>,
        after: &BTreeMap<InstanceId, InstanceView<'_>>,
    ) -> Option<String> {
        let text = self.heard_text(r, was.key)?;
        let parallel = text.update.max_parallel;
        // What is on a silent node holds up no update.
        let silent = |node: &NodeName| {
            self.heard_node(r, node).is_none_or(|node| node.liveness != Liveness::Online)
        };
        let counts = |view: &&InstanceView<'_>| {
            let runs = view.desired == Desired::Run && (view.ready || silent(view.node));
            runs && view.key == was.key && view.slot.0 < text.count
        };
        let there: BTreeSet<Slot> = after.values().filter(counts).map(|view| view.slot).collect();
        let there = u32::try_from(there.len()).expect("small");
        (parallel > 0 && there + parallel < text.count).then(|| {
            format!(
                "P9: after {} of {} is ended only {there} of {} are ready; {}",
                was.id,
                was.key,
                text.count,
                slots_of(was.key, before, &plan.decisions)
            )
        })
    }
}

/// The plan says that there is no room for both.
fn said_to_stop_first(plan: &Plan, key: &WorkloadKey, of: Slot) -> bool {
    plan.decisions.iter().any(|one| match one {
        Decision::Noted { workload, note: Note::StopsFirst { slot } } => {
            workload == key && *slot == of
        }
        _others => false,
    })
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
