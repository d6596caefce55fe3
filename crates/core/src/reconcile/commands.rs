//! Orders of people: each is obeyed once.

use crate::command::{Command, Order, Verdict};
use crate::id::{InstanceId, NodeName};
use crate::instance::Desired;

use super::Engine;
use super::picture::{NONE, at};
use super::plan::Turn;
use super::why::Why;

/// What became of an order for now.
pub(super) struct Answer(pub Verdict, pub String);

impl Answer {
    pub fn done() -> Self {
        Self(Verdict::Done, String::new())
    }
    pub fn refused(reason: String) -> Self {
        Self(Verdict::Refused, reason)
    }
    pub fn running(reason: String) -> Self {
        Self(Verdict::Running, reason)
    }
}

impl Engine {
    /// Takes up the orders that came since the last plan, by id.
    pub(super) fn obey(&mut self, turn: &mut Turn) {
        for (id, command) in std::mem::take(&mut self.orders.waiting) {
            let before = self.orders.outcomes.get(&id);
            let (verdict, generation) =
                before.map_or((None, None), |before| (Some(before.verdict), before.generation));
            let answer = match verdict {
                Some(Verdict::Done) => {
                    self.insist(&command.order, generation, turn);
                    continue;
                }
                Some(Verdict::Refused) => continue,
                Some(Verdict::Running) => self.take_up(&command, Why::None, turn),
                None if self.orders.forgot(&id) => continue,
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
            Order::Rebalance { max_moves } => self.take_up_evening(*max_moves, first, turn),
        }
    }

    /// One that is ordered to run and whose end was not seen: that is settled first, and remembered
    /// of its node.
    pub(super) fn running_instance(&self, id: InstanceId) -> Result<u32, Answer> {
        match self.known(id) {
            Some(index) if self.instances[at(index)].ended => {
                Err(Answer::refused(format!("instance `{id}` has just ended")))
            }
            Some(index) if self.instances[at(index)].desired == Desired::Run => Ok(index),
            Some(index) => {
                let desired = self.instances[at(index)].desired.as_str();
                Err(Answer::refused(format!("instance `{id}` is ordered to `{desired}`")))
            }
            None => Err(Answer::refused(format!("there is no instance `{id}`"))),
        }
    }

    pub(super) fn stop_instance(&mut self, id: InstanceId, turn: &mut Turn) -> Answer {
        match self.running_instance(id) {
            Ok(index) => {
                self.order_stop(index, Why::Command, turn);
                self.dirty.insert(self.instances[at(index)].work);
                Answer::done()
            }
            Err(refused) => refused,
        }
    }

    pub(super) fn restart_instance(&mut self, id: InstanceId, turn: &mut Turn) -> Answer {
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

    fn take_up_evening(&mut self, max_moves: u32, first: Why, turn: &mut Turn) -> Answer {
        // What a leader before us had begun goes on by itself.
        if first == Why::None || self.begin_evening(max_moves, turn) == 0 {
            return Answer::done();
        }
        self.follow_evening(turn)
    }

    pub(super) fn follow_evening(&mut self, turn: &mut Turn) -> Answer {
        match self.evening_moves(turn) {
            0 => Answer::done(),
            left => Answer::running(format!("{left} being moved")),
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
        let state = &mut self.works[at(work)];
        if let Some((version, reason)) = &state.progress.failed {
            return Answer::refused(format!("the update to version {version} failed: {reason}"));
        }
        if state.progress.promoted < head.compatible_since && state.progress.step_since.is_some() {
            // What comes now has all its time, however long the canaries were looked at.
            state.progress.step_since = Some(turn.now);
        }
        state.progress.promoted = head.version;
        turn.plan.progress.insert(self.works[at(work)].key.clone());
        self.dirty.insert(work);
        Answer::done()
    }
}

pub(super) fn unknown_node(name: &NodeName) -> Answer {
    Answer::refused(format!("there is no node `{name}`"))
}
