//! A rehearsal: the engine plans on, and executors that do at once what they are told answer it.

use crate::id::{NodeName, Revision, Term};
use crate::instance::{Desired, Observed, Report, Status, Usage};
use crate::resources::Resources;
use crate::time::{Span, Timestamp};

use super::occupy::uses_its_ask;
use super::picture::at;
use super::{Decision, Engine};

/// The reign of rehearsals: after any that was real.
const TERM: Term = Term(u64::MAX);

/// An engine of its own that is led on, and the time there.
pub(super) struct Rehearsal<'a> {
    pub engine: Engine,
    pub now: Timestamp,
    began: Timestamp,
    revision: Revision,
    /// Asked before every plan; once it says no, the rehearsal is broken off.
    go_on: &'a mut dyn FnMut() -> bool,
    /// Whether it came to its end so far.
    pub complete: bool,
}

impl<'a> Rehearsal<'a> {
    pub fn new(engine: Engine, now: Timestamp, go_on: &'a mut dyn FnMut() -> bool) -> Self {
        Self { engine, now, began: now, revision: Revision(0), go_on, complete: true }
    }

    /// How long it has taken there.
    pub fn took(&self) -> Span {
        self.now.since(self.began)
    }

    /// Everything that is on its way arrives.
    pub fn arrive(&mut self) {
        let nodes: Vec<u32> = (0..super::picture::index(self.engine.nodes.len())).collect();
        nodes.into_iter().for_each(|node| self.answer(node));
    }

    /// Plans and answers until there is no more to do at this instant.
    pub fn settle(&mut self, told: &mut dyn FnMut(Decision)) {
        loop {
            if !(self.go_on)() {
                self.complete = false;
                return;
            }
            let plan = self.engine.plan(self.now);
            let quiet = plan.manifests.is_empty() && !plan.more;
            plan.decisions.into_iter().for_each(&mut *told);
            for name in &plan.manifests {
                self.commit(name);
            }
            if quiet {
                return;
            }
        }
    }

    /// Lets time pass, and settles whenever something is due.
    pub fn advance(&mut self, span: Span, told: &mut dyn FnMut(Decision)) {
        let end = self.now.plus(span);
        while let Some(next) = self.engine.wake_at().filter(|next| *next <= end) {
            // What is wanted in the past would be due for ever.
            self.now = next.max(self.now.plus(Span::from_millis(1)));
            self.settle(told);
            if !self.complete {
                return;
            }
        }
    }

    fn commit(&mut self, name: &NodeName) {
        self.revision = self.revision.next();
        self.engine.committed(name, TERM, self.revision);
        if let Some(node) = self.engine.node_names.get(name) {
            self.answer(*node);
        }
    }

    /// The node says that all is as it was told; a node that cannot be asked says nothing.
    fn answer(&mut self, node: u32) {
        if !self.engine.nodes[at(node)].reachable() {
            return;
        }
        let entries: Vec<u32> = self.engine.nodes[at(node)].entries.iter().copied().collect();
        let statuses = entries.iter().filter_map(|index| self.status(*index)).collect();
        self.count_use(node, &entries);
        let state = &mut self.engine.nodes[at(node)];
        state.manifest_known = true;
        let report = Report {
            epoch: state.epoch(),
            incarnation: state.incarnation.max(self.engine.incarnation),
            term: TERM,
            applied: self.revision,
            pool: None,
            statuses,
        };
        let name = state.name.clone();
        self.engine.observe_report(&name, Box::new(report), self.now);
    }

    fn status(&self, index: u32) -> Option<Status> {
        let instance = &self.engine.instances[at(index)];
        let (observed, ready) = match instance.desired {
            Desired::Run => (Observed::Running, true),
            Desired::Stop => (Observed::Stopped, false),
            Desired::Hibernate => (Observed::Hibernated, false),
            Desired::Keep => (instance.observed.unwrap_or(Observed::Running), instance.ready),
        };
        Some(Status {
            id: instance.id,
            generation: instance.generation,
            observed,
            ready,
            proven: ready,
            since: self.now,
            ready_at: ready.then_some(self.now),
            proven_at: None,
            restarts: 0,
            exit: None,
            reason: String::new(),
            pid: None,
            version: self.engine.version(index),
            usage: Usage::default(),
        })
    }

    /// What starts uses what it asked for from now on, what stops does not any more.
    fn count_use(&mut self, node: u32, entries: &[u32]) {
        let (mut more, mut less) = (Resources::default(), Resources::default());
        for index in entries {
            let instance = &self.engine.instances[at(*index)];
            let ask = self.engine.texts[at(instance.text)].ask;
            let used = instance.observed.is_some_and(uses_its_ask);
            match (instance.desired, used) {
                (Desired::Run, false) => more = more.plus(ask),
                (Desired::Stop | Desired::Hibernate, true) => less = less.plus(ask),
                (Desired::Run, true)
                | (Desired::Stop | Desired::Hibernate, false)
                | (Desired::Keep, _) => {}
            }
        }
        if let Some(used) = &mut self.engine.nodes[at(node)].seat.used {
            let turn = |was: u64, more: u64, less: u64| was.saturating_sub(less) + more;
            used.cpu = turn(used.cpu, more.cpu, less.cpu);
            used.memory = turn(used.memory, more.memory.0, less.memory.0);
            used.disk = turn(used.disk, more.disk.0, less.disk.0);
            used.network = turn(used.network, more.network, less.network);
        }
    }
}
