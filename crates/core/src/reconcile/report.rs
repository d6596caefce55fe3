//! Reports become picture: what is ready, what has ended, what is not there any more.

use crate::id::{NodeName, Revision, Term};
use crate::instance::{Desired, Observed, Report, Status};
use crate::time::Timestamp;

use super::Engine;
use super::picture::at;

impl Engine {
    pub(super) fn observe_report(&mut self, name: &NodeName, report: Box<Report>, now: Timestamp) {
        let node = self.node_index(name);
        let state = &mut self.nodes[at(node)];
        if report.epoch < state.epoch() {
            return;
        }
        let elsewhere = report.pool.as_ref().is_some_and(|pool| *pool != self.pool);
        if elsewhere {
            // Of ours it has applied none, or will apply no more.
            state.applied = (Term(0), Revision(0));
        } else if report.incarnation >= state.incarnation {
            state.applied = (report.term, report.applied);
        }
        state.reports = state.reports.wrapping_add(1);
        let mark = state.reports;
        for status in &report.statuses {
            let Some(index) = self.known(status.id) else { continue };
            if self.instances[at(index)].node == node {
                self.instances[at(index)].mark = mark;
                self.observe_status(index, status, now);
            }
        }
        if elsewhere {
            self.observe_gone_over(node, mark, &report);
        } else {
            self.observe_absent(node, mark, &report);
        }
        let state = &mut self.nodes[at(node)];
        if !state.manifest_known {
            state.early = Some(report);
        }
    }

    /// Entries that the report should name and does not have ended: their executor forgot them.
    fn observe_absent(&mut self, node: u32, mark: u32, report: &Report) {
        let state = &self.nodes[at(node)];
        if report.incarnation < state.incarnation {
            return;
        }
        let applied = state.applied;
        let absent = |index: &u32| {
            let instance = &self.instances[at(*index)];
            instance.mark != mark && instance.committed.is_some_and(|named| named <= applied)
        };
        let gone: Vec<u32> = state.entries.iter().copied().filter(absent).collect();
        for index in gone {
            self.end(index, Observed::Stopped, "its executor does not know it any more");
        }
    }

    /// A node that was given to another pool and obeys that one now: what it does not name has ended,
    /// or will never begin.
    fn observe_gone_over(&mut self, node: u32, mark: u32, report: &Report) {
        let state = &self.nodes[at(node)];
        if report.pool.as_ref().is_none_or(|pool| state.is_of(&self.pool) || !state.is_of(pool)) {
            return;
        }
        let gone = |index: &u32| self.instances[at(*index)].mark != mark;
        let gone: Vec<u32> = state.entries.iter().copied().filter(gone).collect();
        for index in gone {
            self.end(index, Observed::Stopped, "its node is in another pool");
        }
    }

    fn observe_status(&mut self, index: u32, status: &Status, now: Timestamp) {
        let instance = &self.instances[at(index)];
        let (work, desired) = (instance.work, instance.desired);
        let old_life = status.generation < instance.generation;
        if desired == Desired::Run && old_life {
            self.set_seen(index, Some(Observed::Starting), false);
            return;
        }
        if status.observed.ended() {
            self.end(index, status.observed, &status.reason);
            return;
        }
        let before = (instance.observed, instance.ready, instance.proven);
        let ready = status.ready && status.observed == Observed::Running;
        if ready && !instance.ready {
            self.instances[at(index)].ready_since = now;
        }
        self.set_seen(index, Some(status.observed), ready);
        let instance = &mut self.instances[at(index)];
        instance.proven = ready && status.proven;
        let changed = before != (instance.observed, instance.ready, instance.proven);
        let state = &self.works[at(work)];
        let all_ready = ready && !before.1 && state.ready >= state.all_ready;
        if desired == Desired::Keep || all_ready || (changed && state.watch) {
            self.dirty.insert(work);
        }
    }

    fn end(&mut self, index: u32, observed: Observed, said: &str) {
        self.set_seen(index, Some(observed), false);
        let instance = &mut self.instances[at(index)];
        if !instance.ended {
            instance.ended = true;
            let work = instance.work;
            self.works[at(work)].ended.push((index, said.to_owned()));
            self.dirty.insert(work);
        }
    }
}
