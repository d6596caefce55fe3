//! The few operations that change what occupies a node, and the counts that follow from them.

use std::sync::Arc;

use crate::instance::{Desired, Observed};

use super::Engine;
use super::picture::{Instance, NONE, at, index};
use super::why::Why;

impl Engine {
    /// Adds an instance: it occupies its node from now on.
    pub(super) fn add(&mut self, instance: Instance) -> u32 {
        let index = match self.free.pop() {
            Some(index) => index,
            None => index(self.instances.len()),
        };
        let ask = self.texts[at(instance.text)].ask;
        let node = &mut self.nodes[at(instance.node)];
        node.entries.insert(index);
        node.kept += u32::from(instance.desired == Desired::Keep);
        node.seat.instances += 1;
        node.seat.requested = node.seat.requested.plus(ask);
        node.seat.pending = node.seat.pending.plus(ask);
        for grant in &instance.ports {
            node.ports.take(grant.first, grant.count);
        }
        self.fields.changed(instance.node);
        self.works[at(instance.work)].slots.insert((instance.slot, index));
        self.evenness.stale = true;
        self.ids.insert((instance.id, index));
        self.newest = self.newest.max(Some((instance.id, instance.node)));
        let counts = instance.desired != Desired::Keep;
        let (work, node) = (instance.work, instance.node);
        if at(index) == self.instances.len() {
            self.instances.push(instance);
        } else {
            self.instances[at(index)] = instance;
        }
        self.room_changed();
        if counts {
            self.tally(work, node, Tally::More);
        }
        index
    }

    /// Takes an instance out of its node's manifest: it occupies nothing any more.
    pub(super) fn drop_instance(&mut self, index: u32) {
        self.set_seen(index, None, false);
        let instance = &mut self.instances[at(index)];
        let (work, node, slot) = (instance.work, instance.node, instance.slot);
        let counted = instance.desired != Desired::Keep;
        let withdrawn = instance.why == Why::Infeasible;
        let ports = std::mem::take(&mut instance.ports);
        let ask = self.texts[at(instance.text)].ask;
        self.ids.remove(&(instance.id, index));
        instance.work = NONE;
        let state = &mut self.nodes[at(node)];
        state.entries.remove(&index);
        state.kept -= u32::from(!counted);
        state.seat.instances -= 1;
        state.seat.requested = state.seat.requested.minus(ask);
        state.seat.pending = state.seat.pending.minus(ask);
        for grant in &ports {
            state.ports.free(grant.first);
        }
        self.fields.changed(node);
        self.works[at(work)].slots.remove(&(slot, index));
        self.free.push(index);
        self.freed.insert(node);
        // The room that one leaves may let the next one stay.
        self.fleet_changed |= withdrawn;
        self.room_changed();
        self.evenness.stale = true;
        self.tell_holders(node);
        if counted {
            self.tally(work, node, Tally::Less);
        } else {
            self.reopen(node);
        }
        self.mark_last_to_go(node);
        self.wake_alone(work);
    }

    /// Notes what is seen of an instance, and keeps the counts that follow from it.
    pub(super) fn set_seen(&mut self, index: u32, observed: Option<Observed>, ready: bool) {
        let instance = &mut self.instances[at(index)];
        let before = instance.observed.is_some_and(uses_its_ask);
        let after = observed.is_some_and(uses_its_ask);
        let counted = |ready: bool, desired: Desired| ready && desired == Desired::Run;
        let was = counted(instance.ready, instance.desired);
        let is = counted(ready, instance.desired);
        (instance.observed, instance.ready) = (observed, ready);
        instance.proven &= ready;
        let ask = self.texts[at(instance.text)].ask;
        let seat = &mut self.nodes[at(instance.node)].seat;
        match (before, after) {
            (false, true) => seat.pending = seat.pending.minus(ask),
            (true, false) => seat.pending = seat.pending.plus(ask),
            (true, true) | (false, false) => {}
        }
        if before != after {
            self.fields.changed(instance.node);
        }
        let work = &mut self.works[at(instance.work)];
        match (was, is) {
            (false, true) => work.ready += 1,
            (true, false) => work.ready -= 1,
            (true, true) | (false, false) => {}
        }
    }

    /// Changes what is ordered of an instance. The order counts as committed when the shell says.
    pub(super) fn set_desired(&mut self, index: u32, desired: Desired, why: Why) {
        let (observed, ready, proven) = {
            let instance = &self.instances[at(index)];
            (instance.observed, instance.ready, instance.proven)
        };
        self.set_seen(index, observed, false);
        let instance = &mut self.instances[at(index)];
        let (before, work, node) = (instance.desired, instance.work, instance.node);
        (instance.desired, instance.why, instance.committed) = (desired, why, None);
        self.set_seen(index, observed, ready);
        self.instances[at(index)].proven = proven;
        match (before == Desired::Keep, desired == Desired::Keep) {
            (false, true) => {
                self.nodes[at(node)].kept += 1;
                self.closed_or_open(node);
                // Its group has one less: that may help on other nodes.
                self.freed.insert(node);
                self.tally(work, node, Tally::Less);
            }
            (true, false) => {
                self.closed_or_open(node);
                self.nodes[at(node)].kept -= 1;
                self.tally(work, node, Tally::More);
                self.reopen(node);
            }
            (true, true) | (false, false) => {}
        }
        if before == Desired::Run {
            self.wake_alone(work);
        }
    }

    /// What a node keeps may close it: fields whose columns go by open nodes are worth nothing now.
    fn closed_or_open(&mut self, node: u32) {
        self.fields.changed(node);
        self.fields.forget();
    }

    /// Once all that a node kept is settled it takes work again.
    fn reopen(&mut self, node: u32) {
        if self.nodes[at(node)].kept == 0 {
            self.freed.insert(node);
            self.dirty.extend(self.systems.iter().copied());
        }
    }

    /// Counts an instance for the groups and sticky keys of its workload. Instances that are kept
    /// for a lost node do not count.
    fn tally(&mut self, work: u32, node: u32, change: Tally) {
        for tag in &self.works[at(work)].tags {
            if !self.tallies.contains_key(tag) {
                self.tallies.insert(tag.clone(), Arc::default());
            }
            let nodes = Arc::make_mut(self.tallies.get_mut(tag).expect("just put there"));
            let count = nodes.entry(node).or_insert(0);
            match change {
                Tally::More => *count += 1,
                Tally::Less => *count = count.saturating_sub(1),
            }
            if *count == 0 {
                nodes.remove(&node);
            }
            if nodes.is_empty() {
                self.tallies.remove(tag);
            }
        }
    }

    /// Gives a workload other tags; its instances are counted under these from now on.
    pub(super) fn retag(&mut self, work: u32, tags: Vec<String>) {
        if self.works[at(work)].tags == tags {
            return;
        }
        let slots = self.works[at(work)].slots.clone();
        let counted =
            |engine: &Self, index: &u32| engine.instances[at(*index)].desired != Desired::Keep;
        let nodes: Vec<u32> = slots
            .iter()
            .map(|(_, index)| *index)
            .filter(|index| counted(self, index))
            .map(|index| self.instances[at(index)].node)
            .collect();
        nodes.iter().for_each(|node| self.tally(work, *node, Tally::Less));
        // Who waits for such a node because of the group that was left may go there now.
        self.freed.extend(nodes.iter().copied());
        self.works[at(work)].tags = tags;
        nodes.iter().for_each(|node| self.tally(work, *node, Tally::More));
    }
}

enum Tally {
    More,
    Less,
}

/// It has started, so the host's live use has it in it.
pub(super) fn uses_its_ask(observed: Observed) -> bool {
    match observed {
        Observed::Running | Observed::Stopping | Observed::Hibernating => true,
        Observed::Accepted
        | Observed::Declined
        | Observed::Preparing
        | Observed::Starting
        | Observed::Stopped
        | Observed::Completed
        | Observed::Failed
        | Observed::Hibernated
        | Observed::Lost => false,
    }
}
