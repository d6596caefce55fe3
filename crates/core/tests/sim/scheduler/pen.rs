//! The pen: a row as fenced batches, one in flight.

use ostler_core::id::Revision;
use ostler_core::reconcile::{Aftermath, Item, Revert};

use super::Mode;
use crate::bus::{Answer, Ask, Val, revision};
use crate::world::{Topic, Who, World, say};

impl World {
    /// Packs and sends the next batch; when there is none, the row is written.
    pub fn pen_goes_on(&mut self, r: usize) {
        let size = usize::try_from(self.plan.seed % 7).expect("fits");
        let size = if size == 0 { 200 } else { size };
        let Mode::Leading(reign) = &mut self.schedulers[r].mode else { return };
        let (pen, term) = (&mut reign.pen, reign.term);
        if !pen.batch.is_empty() {
            return;
        }
        if pen.items.is_empty() {
            if let Some(aftermath) = pen.aftermath.take() {
                self.row_written(r, aftermath);
            }
            return;
        }
        (pen.doubt, pen.manifests) = (false, Vec::new());
        while pen.batch.len() < size
            && let Some(item) = pen.items.pop_front()
        {
            let at = pen.after + 1 + u64::try_from(pen.batch.len()).expect("fits");
            let write = match item {
                Item::Manifest(node, mut manifest) => {
                    (manifest.incarnation, manifest.term) = (1, term);
                    manifest.revision = revision(at);
                    pen.manifests.push((node.clone(), at));
                    (node.to_string(), Some(Val::Manifest(manifest)))
                }
                Item::Progress(key, progress) => {
                    (format!("_workload.{}", key.token()), progress.map(Val::Progress))
                }
                Item::Brake(until) => ("_brake".to_owned(), Some(Val::Brake(until))),
                Item::Outcomes(outcomes) => ("_commands".to_owned(), Some(Val::Outcomes(outcomes))),
            };
            pen.batch.push(write);
        }
        self.send_batch(r);
    }

    pub fn send_batch(&mut self, r: usize) {
        let replica = &self.schedulers[r];
        let Mode::Leading(reign) = &replica.mode else { return };
        let (pool, after) = (replica.pool.clone(), reign.pen.after);
        let ask = Ask::Commit { pool, after, writes: reign.pen.batch.clone() };
        self.ask(Who::Scheduler(r), Topic::Batch, ask);
    }

    pub fn batch_answered(&mut self, r: usize, answer: &Answer) {
        let pool = self.schedulers[r].pool.clone();
        let Mode::Leading(reign) = &mut self.schedulers[r].mode else { return };
        match answer {
            Answer::Yes(_) => self.batch_stored(r),
            unconfirmed => {
                reign.pen.doubt |= matches!(unconfirmed, Answer::Unknown);
                self.ask(Who::Scheduler(r), Topic::Stand, Ask::Stand { pool });
            }
        }
    }

    pub fn batch_stored(&mut self, r: usize) {
        let Mode::Leading(reign) = &mut self.schedulers[r].mode else { return };
        let pen = &mut reign.pen;
        pen.after += u64::try_from(pen.batch.len()).expect("fits");
        pen.batch.clear();
        let manifests = std::mem::take(&mut pen.manifests);
        self.pen_goes_on(r);
        if !self.scheduler_input(r) {
            return;
        }
        let Mode::Leading(reign) = &mut self.schedulers[r].mode else { return };
        for (node, at) in manifests {
            reign.engine.committed(&node, reign.term, Revision(at));
            reign.behind.insert(node, (at, 0));
        }
        self.scheduler_plans(r);
    }

    pub fn stand_answered(&mut self, r: usize, answer: &Answer) {
        let pool = self.schedulers[r].pool.clone();
        let Mode::Leading(reign) = &mut self.schedulers[r].mode else { return };
        let Answer::Stand(last, term) = answer else {
            return self.ask(Who::Scheduler(r), Topic::Stand, Ask::Stand { pool });
        };
        let stored = reign.pen.after + u64::try_from(reign.pen.batch.len()).expect("fits");
        if *term != Some((reign.term, r)) {
            say!(self, "scheduler {r} is deposed");
            let ask = Ask::Release { key: self.lease_of(r), holder: r };
            self.ask(Who::Scheduler(r), Topic::Nothing, ask);
            self.schedulers[r].renewed = None;
            self.scheduler_stands_by(r);
        } else if *last == stored && reign.pen.doubt {
            self.batch_stored(r);
        } else if *last == reign.pen.after {
            self.send_batch(r);
        } else {
            self.ledger.fail(format!("scheduler {r} finds a foreign write at {last}"));
        }
    }

    pub fn row_written(&mut self, r: usize, aftermath: Aftermath) {
        let Mode::Leading(reign) = &mut self.schedulers[r].mode else { return };
        (reign.writing, reign.dirty) = (false, true);
        for Revert { workload, failed, good } in aftermath.reverts {
            self.api_rollback(&workload, good, failed);
        }
    }
}
