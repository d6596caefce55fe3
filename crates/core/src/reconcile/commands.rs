//! Orders of people: each is obeyed once, and what became of it is kept for a day.

use crate::command::{Command, Order, Outcome, Verdict};
use crate::id::{InstanceId, NodeName};
use crate::instance::Desired;
use crate::node::Admin;
use crate::time::Span;

use super::Engine;
use super::picture::{NONE, at};
use super::plan::Turn;
use super::why::Why;

/// For how long outcomes are kept.
const KEPT: Span = Span::from_secs(24 * 3600);
/// A drain is ordered after the node's record says so; both have been heard by then.
const TAKEN_BACK: Span = Span::from_secs(60);

/// What became of an order for now.
struct Answer(Verdict, String);

impl Answer {
    fn done() -> Self {
        Self(Verdict::Done, String::new())
    }
    fn refused(reason: String) -> Self {
        Self(Verdict::Refused, reason)
    }
    fn running(reason: String) -> Self {
        Self(Verdict::Running, reason)
    }
}

impl Engine {
    /// Takes up the orders that came since the last plan, by id.
    pub(super) fn obey(&mut self, turn: &mut Turn) {
        for (id, command) in std::mem::take(&mut self.orders.waiting) {
            let before = self.orders.outcomes.get(&id).map(|outcome| outcome.verdict);
            let answer = match before {
                Some(Verdict::Done | Verdict::Refused) => continue,
                Some(Verdict::Running) => self.take_up(&command, Why::None, turn),
                None => self.take_up(&command, Why::Command, turn),
            };
            if answer.0 == Verdict::Running {
                self.orders.running.insert(id, command.clone());
            }
            self.note_outcome(&command, answer, turn);
        }
    }

    /// Starts to obey. `first` is [`Why::None`] when a leader before us had started.
    fn take_up(&mut self, command: &Command, first: Why, turn: &mut Turn) -> Answer {
        match &command.order {
            Order::StopInstance { instance } => self.stop_instance(*instance, turn),
            Order::RestartInstance { instance } => self.restart_instance(*instance, turn),
            Order::MoveInstance { instance, node } => {
                self.move_instance(*instance, node.as_ref(), first)
            }
            Order::Drain { node, force } => {
                let Some(index) = self.node_names.get(node).copied() else {
                    return unknown_node(node);
                };
                if *force {
                    self.orders.forced.insert(index);
                }
                self.mark_node(index);
                Answer::running("taken up".to_owned())
            }
            Order::Evacuate { node } => {
                let Some(index) = self.node_names.get(node).copied() else {
                    return unknown_node(node);
                };
                self.orders.evacuated.insert(index);
                self.mark_node(index);
                Answer::running("taken up".to_owned())
            }
            Order::Promote { workload } => self.promote(workload, turn),
            Order::Rebalance { .. } => {
                Answer::refused("rebalancing is not in this version yet".to_owned())
            }
        }
    }

    fn running_instance(&self, id: InstanceId) -> Result<u32, Answer> {
        match self.ids.get(&id).copied() {
            Some(index) if self.instances[at(index)].desired == Desired::Run => Ok(index),
            Some(index) => {
                let desired = self.instances[at(index)].desired.as_str();
                Err(Answer::refused(format!("instance `{id}` is ordered to `{desired}`")))
            }
            None => Err(Answer::refused(format!("there is no instance `{id}`"))),
        }
    }

    fn stop_instance(&mut self, id: InstanceId, turn: &mut Turn) -> Answer {
        match self.running_instance(id) {
            Ok(index) => {
                self.order_stop(index, Why::Command, turn);
                self.dirty.insert(self.instances[at(index)].work);
                Answer::done()
            }
            Err(refused) => refused,
        }
    }

    fn restart_instance(&mut self, id: InstanceId, turn: &mut Turn) -> Answer {
        match self.running_instance(id) {
            Ok(index) => {
                let restarted = self.instances[at(index)].restarted;
                self.order_restart(index, restarted, turn);
                Answer::done()
            }
            Err(refused) => refused,
        }
    }

    fn move_instance(&mut self, id: InstanceId, to: Option<&NodeName>, first: Why) -> Answer {
        let to = match to.map(|name| self.node_names.get(name).copied().ok_or(name)) {
            None => NONE,
            Some(Ok(node)) => node,
            Some(Err(name)) => return unknown_node(name),
        };
        match self.running_instance(id) {
            Ok(index) if self.instances[at(index)].node == to => Answer::done(),
            Ok(index) => {
                self.instances[at(index)].moving = Some(to);
                let work = self.instances[at(index)].work;
                self.works[at(work)].woken = true;
                self.dirty.insert(work);
                Answer::running("its replacement is being started".to_owned())
            }
            // Another leader had started to move it, and it has gone since.
            Err(_) if first == Why::None => Answer::done(),
            Err(refused) => refused,
        }
    }

    fn promote(&mut self, workload: &str, turn: &mut Turn) -> Answer {
        let work = workload.parse().ok().and_then(|key| self.work_keys.get(&key).copied());
        let head = work.and_then(|work| self.works[at(work)].head.clone());
        let (Some(work), Some(head)) = (work, head) else {
            return Answer::refused(format!("there is no workload `{workload}`"));
        };
        if head.spec.update.canary == 0 {
            return Answer::refused(format!("`{workload}` has no canaries"));
        }
        self.works[at(work)].progress.promoted = head.version;
        turn.plan.progress.insert(self.works[at(work)].key.clone());
        self.dirty.insert(work);
        Answer::done()
    }

    /// Looks at the orders that take their time: which are done, and what blocks the others.
    pub(super) fn follow_orders(&mut self, turn: &mut Turn) {
        for (id, command) in self.orders.running.clone() {
            let answer = match &command.order {
                Order::Drain { node, .. } => self.follow_drain(node, turn.now.since(command.at)),
                Order::Evacuate { node } => self.follow_evacuation(node),
                Order::MoveInstance { instance, .. } => self.follow_move(*instance),
                Order::StopInstance { .. }
                | Order::RestartInstance { .. }
                | Order::Promote { .. }
                | Order::Rebalance { .. } => Answer::done(),
            };
            if answer.0 != Verdict::Running {
                self.orders.running.remove(&id);
                self.release(&command);
            }
            self.note_outcome(&command, answer, turn);
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
    fn follow_drain(&self, name: &NodeName, after: Span) -> Answer {
        let Some(node) = self.node_names.get(name) else { return unknown_node(name) };
        let state = &self.nodes[at(*node)];
        match state.admin() {
            Admin::Draining | Admin::Maintenance if state.entries.is_empty() => Answer::done(),
            Admin::Draining | Admin::Maintenance => {
                Answer::running(format!("{} left{}", state.entries.len(), self.immovable(*node)))
            }
            Admin::Active | Admin::Cordoned if after >= TAKEN_BACK => {
                Answer::refused(format!("the drain of node `{name}` was taken back"))
            }
            Admin::Active | Admin::Cordoned => {
                Answer::running(format!("node `{name}` is not draining"))
            }
        }
    }

    /// What cannot be moved from this node, with its reasons.
    fn immovable(&self, node: u32) -> String {
        let mut lines: Vec<String> = Vec::new();
        for index in &self.nodes[at(node)].entries {
            let instance = &self.instances[at(*index)];
            let work = &self.works[at(instance.work)];
            let Some(stuck) = &work.stuck else { continue };
            if instance.desired == Desired::Run {
                let counts: Vec<String> = stuck
                    .reasons
                    .iter()
                    .map(|(reason, count)| format!("{} {count}", reason.as_str()))
                    .collect();
                lines.push(format!("; {} has no other place: {}", work.key, counts.join(", ")));
            }
        }
        lines.sort();
        lines.dedup();
        lines.truncate(20);
        lines.concat()
    }

    fn follow_evacuation(&self, name: &NodeName) -> Answer {
        let Some(node) = self.node_names.get(name) else { return unknown_node(name) };
        let state = &self.nodes[at(*node)];
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
        let Some(index) = self.ids.get(&id) else { return Answer::done() };
        let instance = &self.instances[at(*index)];
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

    fn note_outcome(
        &mut self,
        command: &Command,
        Answer(verdict, reason): Answer,
        turn: &mut Turn,
    ) {
        let same = self
            .orders
            .outcomes
            .get(&command.id)
            .is_some_and(|outcome| (outcome.verdict, &outcome.reason) == (verdict, &reason));
        if same {
            return;
        }
        let outcome = Outcome { id: command.id.clone(), verdict, reason, at: turn.now };
        self.orders.outcomes.insert(command.id.clone(), outcome);
        self.orders.outcomes.retain(|_, outcome| turn.now.since(outcome.at) < KEPT);
        turn.plan.outcomes = true;
    }

    /// What became of the commands of the last 24 hours, by id.
    #[must_use]
    pub fn outcomes(&self) -> Vec<Outcome> {
        self.orders.outcomes.values().cloned().collect()
    }
}

fn unknown_node(name: &NodeName) -> Answer {
    Answer::refused(format!("there is no node `{name}`"))
}
