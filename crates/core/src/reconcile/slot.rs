//! One slot of a workload: which instance holds it, and what is to become of the others.

use crate::head::Head;
use crate::instance::Desired;
use crate::node::Liveness;
use crate::time::Timestamp;
use crate::workload::{Kind, OnNodeLoss};

use super::Engine;
use super::ending::OTHERS;
use super::loss::Loss;
use super::picture::at;
use super::plan::{Pass, Turn};
use super::why::Why;

/// How a slot is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// By nothing: it is to be filled.
    Missing,
    /// By nothing, and it is not to be filled before its back-off is over.
    Waiting,
    /// By something that has not ended, or whose fate is open: it must not be filled yet.
    Held,
    /// By a job that is done.
    Done,
    /// By an instance that is ordered to run, and perhaps by one that is to take its place.
    Running {
        /// The one that holds it.
        holder: u32,
        /// The one that will.
        incoming: Option<u32>,
    },
}

/// One slot, or for kind `system` one node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unit {
    pub slot: u32,
    pub hold: Hold,
    /// The holder's text needs no new instance.
    pub current: bool,
    /// The holder may get traffic.
    pub ready: bool,
    /// The holder was ready for long enough.
    pub available: bool,
    /// The holder has to go from where it is.
    pub leaving: Option<Why>,
    /// The holder's node is silent.
    pub silent: bool,
    /// For kind `system`: the node.
    pub node: Option<u32>,
}

impl Unit {
    pub fn new(slot: u32, hold: Hold) -> Self {
        Self {
            slot,
            hold,
            current: true,
            ready: false,
            available: false,
            leaving: None,
            silent: false,
            node: None,
        }
    }

    /// Its instances that are ordered to run.
    pub fn running(&self) -> impl Iterator<Item = u32> {
        let (holder, incoming) = match self.hold {
            Hold::Running { holder, incoming } => (Some(holder), incoming),
            Hold::Missing | Hold::Waiting | Hold::Held | Hold::Done => (None, None),
        };
        holder.into_iter().chain(incoming)
    }

    /// The one instance that holds it, if nothing is to take its place yet.
    pub fn sole(&self) -> Option<u32> {
        match self.hold {
            Hold::Running { holder, incoming: None } => Some(holder),
            Hold::Running { incoming: Some(_), .. }
            | Hold::Missing
            | Hold::Waiting
            | Hold::Held
            | Hold::Done => None,
        }
    }

    pub fn done(&self) -> bool {
        self.hold == Hold::Done
    }

    /// A replacement is under way.
    pub fn replacing(&self) -> bool {
        matches!(self.hold, Hold::Running { incoming: Some(_), .. })
    }

    /// A step of a roll-out is under way here: the next must wait for it.
    pub fn in_flight(&self) -> bool {
        match self.hold {
            Hold::Missing | Hold::Waiting | Hold::Held => true,
            Hold::Running { incoming: Some(_), .. } => true,
            Hold::Running { incoming: None, .. } => self.current && !self.available && !self.silent,
            Hold::Done => false,
        }
    }

    /// One less is up here than should be, or may be: nothing more is taken away for an update.
    pub fn busy(&self) -> bool {
        // An old one that is not ready is replaced before others; not where it has to leave.
        let waits_to_leave = self.leaving.is_some() && !self.ready && !self.silent;
        self.in_flight() || (waits_to_leave && self.sole().is_some())
    }

    /// It is as it should be.
    pub fn settled(&self) -> bool {
        match self.hold {
            Hold::Done => true,
            Hold::Running { incoming: None, .. } => {
                self.current && self.available && self.leaving.is_none()
            }
            Hold::Running { incoming: Some(_), .. }
            | Hold::Missing
            | Hold::Waiting
            | Hold::Held => false,
        }
    }

    /// It was as it should be when it was last seen.
    pub fn only_silent(&self) -> bool {
        self.silent && self.current && self.sole().is_some()
    }

    pub fn unsettled(&self) -> bool {
        !self.settled()
    }

    /// What happens to its instances decides about others or about its second one.
    pub fn watched(&self) -> bool {
        self.replacing() || self.leaving.is_some() || !self.current || self.hold == Hold::Held
    }
}

/// What is in one slot, sorted out by what is ordered.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    pub running: Vec<u32>,
    kept: Vec<u32>,
    /// Something has not ended, or may be alive where nobody can ask.
    pub held: bool,
    /// Something was told to stop and may be alive.
    stopping: bool,
}

impl Engine {
    /// Whether an instance's text needs no new instance.
    pub(super) fn current(&self, head: &Head, index: u32) -> bool {
        let text = &self.texts[at(self.instances[at(index)].text)];
        (text.version >= head.compatible_since || text.spec == head.spec_hash)
            && text.ask == head.spec.ask()
    }

    /// Looks at all that is in one slot, settles what can be settled, and says how it is held.
    pub(super) fn judge(&mut self, pass: &mut Pass, group: &[u32], turn: &mut Turn) -> Unit {
        let slot = self.instances[at(group[0])].slot;
        let mut sorted = self.sort_out(pass, group, turn);
        self.note_origin(pass, slot, &sorted);
        self.settle_returned(pass, &mut sorted, turn);
        self.settle_doubles(pass, &mut sorted, turn);
        let hold = match sorted.running[..] {
            [] if sorted.held => Hold::Held,
            [] => self.empty(pass, slot, turn.now),
            [holder] => Hold::Running { holder, incoming: None },
            [holder, incoming, ..] => Hold::Running { holder, incoming: Some(incoming) },
        };
        let mut unit = Unit::new(slot, hold);
        if let Some(holder) = sorted.running.first() {
            self.describe(pass, &mut unit, *holder, turn);
        }
        unit
    }

    /// A leader that finds a slot of which there is only a lost instance knows where it was.
    fn note_origin(&mut self, pass: &Pass, slot: u32, sorted: &Sorted) {
        let state = &mut self.works[at(pass.work)];
        if let (false, [], false, Some(lost)) =
            (state.looked, &sorted.running[..], sorted.stopping, sorted.kept.last())
        {
            let node = self.nodes[at(self.instances[at(*lost)].node)].name.clone();
            state.origins.insert(slot, (node, Why::NodeLost));
        }
    }

    /// How a slot stands in which there is nothing.
    pub(super) fn empty(&self, pass: &mut Pass, slot: u32, now: Timestamp) -> Hold {
        let progress = &self.works[at(pass.work)].progress;
        let waiting = progress.waiting.binary_search_by_key(&slot, |(one, _, _)| one.0);
        let others = progress.waiting.last().filter(|(one, _, _)| *one == OTHERS).copied();
        match waiting.ok().map(|place| progress.waiting[place]).or(others) {
            Some((_, until, _)) if until > now => {
                pass.later(until);
                Hold::Waiting
            }
            Some(_) | None => Hold::Missing,
        }
    }

    pub(super) fn describe(&self, pass: &mut Pass, unit: &mut Unit, holder: u32, turn: &Turn) {
        let instance = &self.instances[at(holder)];
        unit.current = self.current(&pass.head, holder);
        unit.silent = !matches!(self.loss(&pass.head, instance.node, turn), Loss::Here);
        unit.ready = instance.ready && !unit.silent;
        unit.available = self.available(pass, holder, turn.now) && !unit.silent;
        unit.leaving = self.leaving(&pass.head, holder);
    }

    /// Whether it was ready for `min_ready`, or is proven; if it is only ready, the workload is
    /// looked at again when it will have been.
    pub(super) fn available(&self, pass: &mut Pass, index: u32, now: Timestamp) -> bool {
        let instance = &self.instances[at(index)];
        if !instance.ready {
            return false;
        }
        let then = instance.ready_since.plus(pass.head.spec.update.min_ready);
        let long = instance.proven || then <= now;
        if !long {
            pass.later(then);
        }
        long
    }

    /// Why it has to go from where it is, if it has.
    pub(super) fn leaving(&self, head: &Head, index: u32) -> Option<Why> {
        let instance = &self.instances[at(index)];
        let node = &self.nodes[at(instance.node)];
        if instance.moving.is_some() {
            let evened = self.is_evened(index);
            return Some(if evened { Why::Rebalanced } else { Why::Moved });
        }
        let evacuated = self.orders.evacuated.contains(&instance.node) && node.reachable();
        let goes = node.emptying() || evacuated || node.gone || !node.is_of(&self.pool);
        (goes && head.spec.kind != Kind::System).then_some(Why::Drain)
    }

    fn sort_out(&mut self, pass: &mut Pass, group: &[u32], turn: &mut Turn) -> Sorted {
        let mut sorted = Sorted::default();
        for index in group.iter().copied() {
            let instance = &self.instances[at(index)];
            let (desired, node) = (instance.desired, instance.node);
            match desired {
                Desired::Run => match self.loss(&pass.head, node, turn) {
                    Loss::Here => sorted.running.push(index),
                    Loss::Silent(then) => {
                        then.into_iter().for_each(|then| pass.later(then));
                        sorted.running.push(index);
                    }
                    Loss::Lost => {
                        self.order_keep(index, turn);
                        pass.kept = true;
                        sorted.kept.push(index);
                        sorted.held |= self.fenced(pass, index, turn);
                    }
                },
                Desired::Keep => {
                    pass.kept = true;
                    sorted.kept.push(index);
                    sorted.held |= self.fenced(pass, index, turn);
                }
                Desired::Hibernate => sorted.held = true,
                Desired::Stop => {
                    sorted.stopping |= self.still_stopping(pass, index, turn);
                    sorted.held |= sorted.stopping;
                }
            }
        }
        sorted
    }

    /// It was told to stop and its end is waited for; not on a node that cannot say so.
    fn still_stopping(&mut self, pass: &mut Pass, index: u32, turn: &mut Turn) -> bool {
        let node = self.instances[at(index)].node;
        if self.nodes[at(node)].reachable() || self.fenced(pass, index, turn) {
            return true;
        }
        if self.nodes[at(node)].gone {
            self.remove(index, turn);
        }
        false
    }

    /// Instances whose node came back: each is run or stopped, never both, never neither.
    fn settle_returned(&mut self, pass: &Pass, sorted: &mut Sorted, turn: &mut Turn) {
        let mut back: Vec<u32> = sorted.kept.iter().copied().filter(|i| self.is_back(*i)).collect();
        back.sort_by_key(|index| {
            let instance = &self.instances[at(*index)];
            (!instance.ready, instance.id)
        });
        let here = |engine: &Self, holder: u32| {
            let instance = &engine.instances[at(holder)];
            instance.ready && engine.nodes[at(instance.node)].reachable()
        };
        // Of a fenced one that has been replaced nothing was left alive when that was allowed, and
        // to start it again while its replacement ends, or may be alive elsewhere, would make two.
        let fenced = pass.head.spec.reschedule.on_node_loss == OnNodeLoss::Fence;
        let taken = fenced && (sorted.stopping || !sorted.running.is_empty());
        let newest = sorted.kept.iter().copied().max_by_key(|index| self.instances[at(*index)].id);
        let mut replaced = taken || sorted.running.iter().any(|holder| here(self, *holder));
        for index in back {
            let older = fenced && newest != Some(index);
            if replaced || older {
                self.order_stop(index, Why::Replaced, turn);
                sorted.held |= older;
                continue;
            }
            replaced = true;
            self.order_run(index, turn);
            for other in std::mem::replace(&mut sorted.running, vec![index]) {
                self.order_stop(other, Why::Returned, turn);
            }
        }
        if sorted.running.iter().any(|index| self.instances[at(*index)].ready) {
            self.forget_removed(&sorted.kept, turn);
        }
    }

    /// Its node is online again and has said how it stands, knowing that it is kept.
    fn is_back(&self, index: u32) -> bool {
        let instance = &self.instances[at(index)];
        let node = &self.nodes[at(instance.node)];
        let online = !node.gone && node.liveness() == Liveness::Online;
        online && instance.committed.is_some_and(|committed| committed <= node.applied)
    }

    /// Entries of a node that was removed from the fleet are dropped once they are replaced.
    fn forget_removed(&mut self, kept: &[u32], turn: &mut Turn) {
        for index in kept.iter().copied() {
            let instance = &self.instances[at(index)];
            if instance.desired == Desired::Keep && self.nodes[at(instance.node)].gone {
                self.remove(index, turn);
            }
        }
    }
}
