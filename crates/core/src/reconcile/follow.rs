//! Orders that take their time: which are done, and what holds up the others.

use std::collections::BTreeSet;

use crate::command::{Command, Order, Verdict};
use crate::id::{InstanceId, NodeName};
use crate::instance::Desired;
use crate::node::Admin;
use crate::placement::Reason;
use crate::time::{Span, Timestamp};

use super::commands::{Answer, unknown_node};
use super::picture::{NONE, at};
use super::plan::Turn;
use super::{Decision, Engine};

/// A drain is ordered after the node's record says so; both have been heard by then.
const TAKEN_BACK: Span = Span::from_secs(60);
/// No more than so many workloads are listed.
const LISTED: usize = 20;

impl Engine {
    /// Looks at the orders that take their time: which are done, and what blocks the others.
    pub(super) fn follow_orders(&mut self, turn: &mut Turn) {
        for (id, command) in self.orders.running.clone() {
            let answer = match &command.order {
                Order::Drain { node, .. } => self.follow_drain(node, command.at, turn.now),
                Order::Evacuate { node } => self.follow_evacuation(node, command.at, turn.now),
                Order::MoveInstance { instance, .. } => self.follow_move(*instance),
                Order::Rebalance { .. } => self.follow_evening(turn),
                Order::StopInstance { .. }
                | Order::RestartInstance { .. }
                | Order::Promote { .. } => Answer::done(),
            };
            if answer.0 != Verdict::Running {
                self.orders.running.remove(&id);
                self.tell_drained(&command.order, answer.0, turn);
                self.release(&command);
            }
            self.note_outcome(&command, answer, turn);
        }
    }

    /// A node is empty: told once, with the confirmation of the last end.
    fn tell_drained(&self, order: &Order, verdict: Verdict, turn: &mut Turn) {
        let Order::Drain { node, .. } = order else { return };
        let drained = Decision::Drained { node: node.clone() };
        if verdict == Verdict::Done && !turn.plan.decisions.contains(&drained) {
            self.decide(turn, drained);
        }
    }

    fn release(&mut self, command: &Command) {
        match &command.order {
            Order::Drain { node, .. } => {
                if let Some(index) = self.node_names.get(node) {
                    self.orders.forced.remove(index);
                }
            }
            Order::Evacuate { node } => {
                if let Some(index) = self.node_names.get(node) {
                    self.orders.evacuated.remove(index);
                }
            }
            Order::StopInstance { .. }
            | Order::RestartInstance { .. }
            | Order::MoveInstance { .. }
            | Order::Promote { .. }
            | Order::Rebalance { .. } => {}
        }
    }

    /// Done only when nothing of ours is left: every end was confirmed and its entry dropped.
    /// Refused when the node is not being emptied `after` so long: the drain was taken back.
    fn follow_drain(&self, name: &NodeName, ordered: Timestamp, now: Timestamp) -> Answer {
        let Some(node) = self.node_names.get(name) else { return unknown_node(name) };
        let state = &self.nodes[at(*node)];
        match state.admin() {
            Admin::Draining | Admin::Maintenance if state.entries.is_empty() => Answer::done(),
            Admin::Draining | Admin::Maintenance => {
                Answer::running(format!("{} left{}", state.entries.len(), self.immovable(*node)))
            }
            Admin::Active | Admin::Cordoned if now.since(ordered) >= TAKEN_BACK => {
                Answer::refused(format!("the drain of node `{name}` was taken back"))
            }
            Admin::Active | Admin::Cordoned => {
                Answer::running(format!("node `{name}` is not draining"))
            }
        }
    }

    /// What cannot be moved from this node for now, each workload with its reasons.
    fn immovable(&self, node: u32) -> String {
        let state = &self.nodes[at(node)];
        let works: BTreeSet<u32> = state
            .entries
            .iter()
            .map(|index| &self.instances[at(*index)])
            .filter(|instance| instance.desired == Desired::Run)
            .map(|instance| instance.work)
            .collect();
        let mut lines: Vec<String> =
            works.into_iter().filter_map(|work| self.hindrance(work)).collect();
        lines.sort();
        lines.truncate(LISTED);
        lines.concat()
    }

    /// Why instances of a workload do not go from where they are.
    fn hindrance(&self, work: u32) -> Option<String> {
        let state = &self.works[at(work)];
        let key = &state.key;
        let Some(head) = &state.head else {
            return Some(format!("; {key} is not known"));
        };
        if head.spec.kind.runs_to_completion() {
            return Some(format!("; {key} is a job and may finish until the deadline"));
        }
        let count = |(reason, count): (&Reason, &u32)| format!("{} {count}", reason.as_str());
        let counts: Vec<String> = state.stuck.as_ref()?.reasons.iter().map(count).collect();
        Some(format!("; {key} has no other place: {}", counts.join(", ")))
    }

    /// Done when everything that was there runs elsewhere. Refused when the node takes work again:
    /// its removal was taken back.
    fn follow_evacuation(&self, name: &NodeName, ordered: Timestamp, now: Timestamp) -> Answer {
        let Some(node) = self.node_names.get(name) else { return unknown_node(name) };
        let state = &self.nodes[at(*node)];
        if state.record.is_some() && !state.emptying() && now.since(ordered) >= TAKEN_BACK {
            return Answer::refused(format!("the removal of node `{name}` was taken back"));
        }
        let open = state.entries.iter().filter(|index| !self.replaced(**index)).count();
        if open == 0 { Answer::done() } else { Answer::running(format!("{open} left")) }
    }

    /// It is kept on a lost node, and another has its slot and is ready.
    fn replaced(&self, index: u32) -> bool {
        let instance = &self.instances[at(index)];
        let slots = &self.works[at(instance.work)].slots;
        let mut others = slots.range((instance.slot, 0)..=(instance.slot, NONE));
        match instance.desired {
            Desired::Keep => others.any(|(_, other)| {
                let other = &self.instances[at(*other)];
                other.desired == Desired::Run && other.ready
            }),
            Desired::Stop => !self.nodes[at(instance.node)].reachable(),
            Desired::Run | Desired::Hibernate => false,
        }
    }

    fn follow_move(&self, id: InstanceId) -> Answer {
        let Some(index) = self.known(id) else { return Answer::done() };
        let instance = &self.instances[at(index)];
        match instance.desired {
            Desired::Run if self.works[at(instance.work)].stuck.is_some() => {
                Answer::running(format!("no place{}", self.immovable(instance.node)))
            }
            Desired::Run => Answer::running("its replacement is being started".to_owned()),
            Desired::Stop | Desired::Keep | Desired::Hibernate => {
                Answer::running("it is being stopped".to_owned())
            }
        }
    }
}
