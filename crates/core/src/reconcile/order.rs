//! The orders that a plan can give an instance, each with its decision.

use crate::id::Generation;
use crate::instance::{Desired, Observed};

use super::picture::{Text, at};
use super::plan::{Pass, Turn};
use super::why::Why;
use super::{Decision, Engine};

impl Engine {
    pub(super) fn touch(&self, index: u32, turn: &mut Turn) {
        let node = self.instances[at(index)].node;
        turn.plan.manifests.insert(self.nodes[at(node)].name.clone());
    }

    /// Tells it to end. Where nobody is left to tell, it is taken out at once.
    pub(super) fn order_stop(&mut self, index: u32, why: Why, turn: &mut Turn) {
        if self.instances[at(index)].desired == Desired::Stop {
            return;
        }
        let instance = &self.instances[at(index)];
        let decision = Decision::Stop {
            id: instance.id,
            workload: self.works[at(instance.work)].key.clone(),
            slot: crate::id::Slot(instance.slot),
            node: self.nodes[at(instance.node)].name.clone(),
            reason: why.as_str(),
        };
        self.decide(turn, decision);
        self.touch(index, turn);
        self.set_desired(index, Desired::Stop, why);
        if self.nodes[at(self.instances[at(index)].node)].gone {
            self.drop_instance(index);
        }
    }

    /// Its node is lost: start nothing, stop nothing.
    pub(super) fn order_keep(&mut self, index: u32, turn: &mut Turn) {
        let instance = &self.instances[at(index)];
        let decision = Decision::Lost {
            id: instance.id,
            workload: self.works[at(instance.work)].key.clone(),
            slot: crate::id::Slot(instance.slot),
            node: self.nodes[at(instance.node)].name.clone(),
        };
        let (work, slot) = (instance.work, instance.slot);
        let node = self.nodes[at(instance.node)].name.clone();
        self.decide(turn, decision);
        self.touch(index, turn);
        self.set_desired(index, Desired::Keep, Why::NodeLost);
        self.works[at(work)].origins.insert(slot, (node, Why::NodeLost));
    }

    /// Its node came back, and nothing took its place.
    pub(super) fn order_run(&mut self, index: u32, turn: &mut Turn) {
        let instance = &self.instances[at(index)];
        self.works[at(instance.work)].origins.remove(&instance.slot);
        self.touch(index, turn);
        self.set_desired(index, Desired::Run, Why::None);
    }

    /// Tells it to restart where it is.
    pub(super) fn order_restart(&mut self, index: u32, restarted: Generation, turn: &mut Turn) {
        let instance = &mut self.instances[at(index)];
        instance.generation = instance.generation.next();
        instance.restarted = restarted;
        instance.committed = None;
        let decision = Decision::Restart {
            id: instance.id,
            workload: self.works[at(instance.work)].key.clone(),
            node: self.nodes[at(instance.node)].name.clone(),
        };
        self.decide(turn, decision);
        self.touch(index, turn);
        self.set_seen(index, Some(Observed::Starting), false);
    }

    /// Takes it out of its node's manifest.
    pub(super) fn remove(&mut self, index: u32, turn: &mut Turn) {
        self.touch(index, turn);
        self.drop_instance(index);
    }

    /// Instances that are up to date but for what needs no restart take the new text where they
    /// are: same id, same generation.
    pub(super) fn adopt(&mut self, pass: &Pass, turn: &mut Turn) {
        let head = &pass.head;
        let text = Text {
            version: head.version,
            spec: head.spec_hash,
            ask: head.spec.ask(),
            priority: head.spec.priority,
        };
        let text = self.text_index(pass.work, text);
        for unit in &pass.units {
            for index in unit.running() {
                if self.current(head, index) && self.instances[at(index)].text != text {
                    self.instances[at(index)].text = text;
                    self.touch(index, turn);
                }
            }
        }
    }
}
