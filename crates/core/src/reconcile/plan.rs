//! One turn of planning: what is due, what has ended, then each workload that changed.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::head::Head;
use crate::id::WorkloadKey;
use crate::time::Timestamp;
use crate::workload::Kind;

use super::picture::{Work, at};
use super::slot::Unit;
use super::wake::{News, Turnout};
use super::why::Why;
use super::{Decision, Engine, Plan};

/// What one call of `plan` has at hand.
#[derive(Debug)]
pub(super) struct Turn {
    pub now: Timestamp,
    pub plan: Plan,
    /// How many more placements it may make.
    pub left: usize,
    /// Nothing is moved because of loss.
    pub brake: bool,
}

/// One workload's turn.
#[derive(Debug)]
pub(super) struct Pass {
    pub work: u32,
    pub head: Arc<Head>,
    pub units: Vec<Unit>,
    pub wants: Vec<Want>,
    pub wake: Option<Timestamp>,
    /// How many steps of an update were made.
    pub steps: u32,
    /// Something is kept on a lost node.
    pub kept: bool,
    /// A slot whose fenced instance has to go and for which there is no other place.
    pub nowhere: Option<u32>,
    /// Others must be ready first.
    pub waits: bool,
}

impl Pass {
    /// The workload has to be looked at again then.
    pub fn later(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }
}

/// An instance that is to be placed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Want {
    pub slot: u32,
    /// The instance that it replaces, which runs on until this one is ready.
    pub replaces: Option<u32>,
    pub why: Why,
    /// That node or nowhere.
    pub to: Option<u32>,
    /// Anywhere but there.
    pub not: Option<u32>,
}

impl Want {
    /// Something for a slot that has nothing, anywhere.
    pub fn fill(slot: u32) -> Self {
        Self { slot, replaces: None, why: Why::None, to: None, not: None }
    }
}

impl Engine {
    /// Decides what is to be done about all that changed. Planning again gives nothing.
    pub fn plan(&mut self, now: Timestamp) -> Plan {
        let left = self.settings.batch.max(1);
        let plan = std::mem::take(&mut self.again);
        let mut turn = Turn { now, plan, left, brake: false };
        self.sort_nodes();
        self.fields.begin();
        self.hopeless.clear();
        self.restore_holds();
        self.due(now);
        self.brake(&mut turn);
        self.obey(&mut turn);
        self.keep_even(&mut turn);
        for (_, _, work) in self.queue() {
            self.settle(work, &mut turn);
        }
        self.judge_feasibility(&mut turn);
        self.wake_waiting();
        self.wake_blocked(now);
        let mut queue = self.queue();
        while let Some((_, _, work)) = queue.pop_first() {
            self.dirty.remove(&work);
            if turn.left == 0 {
                self.dirty.insert(work);
                continue;
            }
            let line = self.place_in_line(work).filter(|_| self.works[at(work)].woken);
            self.reconcile(work, &mut turn);
            let waits = self.waits(work);
            queue.extend(line.into_iter().flat_map(|line| self.next_in_line(&line, waits, now)));
        }
        self.judge_feasibility(&mut turn);
        self.wake_waiting();
        self.wake_blocked(now);
        self.follow_orders(&mut turn);
        self.fields.end();
        self.note_begun();
        turn.plan.more = !self.dirty.is_empty();
        if !turn.plan.more {
            self.news = News::default();
        }
        turn.plan
    }

    /// Workloads to look at: the more important first, then by name.
    fn queue(&self) -> BTreeSet<Turnout> {
        self.dirty.iter().map(|work| self.turnout(*work)).collect()
    }

    pub(super) fn sort_nodes(&mut self) {
        if self.order.is_empty() {
            self.order = self.node_names.values().copied().collect();
            self.places = vec![0; self.nodes.len()];
            for (place, node) in self.order.iter().enumerate() {
                self.places[at(*node)] = super::picture::index(place);
            }
            self.columns.clear();
        }
    }

    fn reconcile(&mut self, work: u32, turn: &mut Turn) {
        let Some(head) = self.works[at(work)].head.clone() else {
            self.forget(work, turn);
            return;
        };
        let before = self.works[at(work)].progress.clone();
        if !before.at_rest.is_empty() && !head.deleted && !head.stopped {
            self.wake_up(work, &head);
        }
        let units = Vec::new();
        let mut pass = Pass {
            work,
            head,
            units,
            wants: Vec::new(),
            wake: None,
            steps: 0,
            kept: false,
            nowhere: None,
            waits: false,
        };
        self.prune(&mut pass, turn.now);
        self.keep_schedule(&mut pass, turn);
        self.take_stock(&mut pass, turn);
        self.wait_for_others(&mut pass);
        self.adopt(&pass, turn);
        self.force_away(&mut pass, turn);
        // A run goes on with the text that it began with, and others are waited for first.
        let rolls = pass.head.spec.kind != Kind::Cron && !pass.waits;
        if rolls {
            self.roll(&mut pass, turn);
        }
        self.move_away(&mut pass, turn);
        self.place(&mut pass, turn);
        self.note_holds(&pass);
        if rolls {
            self.judge_update(&mut pass, turn);
            self.ask_back(&pass, turn);
        }
        self.rest(&pass, turn);
        if self.works[at(work)].progress != before {
            turn.plan.progress.insert(self.works[at(work)].key.clone());
        }
    }

    /// What is left to note once a workload has had its turn.
    fn rest(&mut self, pass: &Pass, turn: &mut Turn) {
        let generation = pass.head.restart_generation;
        let restarting = pass
            .units
            .iter()
            .flat_map(Unit::running)
            .any(|index| self.instances[at(index)].restarted < generation);
        let state = &mut self.works[at(pass.work)];
        let busy = pass.units.iter().any(Unit::unsettled);
        let rolling =
            state.progress.step_since.is_some() || state.progress.good_version.0 == 0 || restarting;
        state.watch = busy && (rolling || pass.units.iter().any(Unit::watched))
            || !state.progress.waiting.is_empty()
            || pass.kept;
        let known = state.progress.good_version == pass.head.version;
        let wanted = pass.units.iter().filter(|unit| !unit.done()).count();
        state.all_ready = if known { u32::MAX } else { super::picture::index(wanted) };
        if let Some(old) = std::mem::replace(&mut state.wake, pass.wake) {
            self.timers.remove(&(old, pass.work));
        }
        if let Some(new) = pass.wake {
            self.timers.insert((new, pass.work));
        }
        self.works[at(pass.work)].looked = true;
        self.look_for_canaries(pass);
        let state = &mut self.works[at(pass.work)];
        if !state.slots.is_empty() {
            return;
        }
        let head = &pass.head;
        if head.spec.pool != self.pool {
            self.end_workload(pass.work);
        } else if head.deleted {
            let key = self.end_workload(pass.work);
            self.works[at(pass.work)].progress.at_rest.clone_from(&head.op_id);
            turn.plan.ended.push(key);
        } else if head.stopped {
            state.progress.at_rest.clone_from(&head.op_id);
        }
    }

    /// It is wanted again. What had come to rest in an earlier life says nothing of this one.
    fn wake_up(&mut self, work: u32, head: &Head) {
        let progress = &mut self.works[at(work)].progress;
        progress.at_rest.clear();
        if progress.good_version > head.version || progress.completed_version > head.version {
            *progress = super::Progress::default();
        }
    }

    fn end_workload(&mut self, work: u32) -> WorkloadKey {
        self.wait_no_more(work);
        self.let_all_go(work);
        let state = &mut self.works[at(work)];
        let (key, wake) = (state.key.clone(), state.wake);
        // Versions count from 1 again in its next life: nothing of this one may be taken for that.
        *state = Work { wake, ..Work::new(key.clone()) };
        self.systems.remove(&work);
        self.waiting.remove(&work);
        self.conditional.remove(&work);
        key
    }

    /// A workload without a head is left alone; once nothing of it is there, so is its progress.
    fn forget(&mut self, work: u32, turn: &mut Turn) {
        self.wait_no_more(work);
        self.let_all_go(work);
        let state = &mut self.works[at(work)];
        if state.slots.is_empty() && state.progress != super::Progress::default() {
            state.progress = super::Progress::default();
            turn.plan.progress.insert(state.key.clone());
        }
        state.blocked = false;
        if let Some(old) = state.wake.take() {
            self.timers.remove(&(old, work));
        }
    }

    pub(super) fn decide(&self, turn: &mut Turn, decision: Decision) {
        turn.plan.decisions.push(decision);
    }
}
