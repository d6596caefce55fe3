//! The pen: writes rows as fenced batches, one in flight, each at the sequence it was made for.
//!
//! A batch whose outcome is not known is settled by what the stream's leader says; it may be stored
//! later, but never twice, because the second would follow the wrong sequence.

use std::collections::VecDeque;
use std::time::Duration;

use ostler_bus::{Batch, Bus, CommitError, ReadError};
use ostler_core::id::{NodeName, PoolName, Revision};
use ostler_core::reconcile::{Aftermath, Item, Progress, Row};
use ostler_schemas::bucket::TermRecord;
use ostler_schemas::bucket::{
    BrakeKey, BrakeRecord, Bucket, ManifestKey, Outcomes, OutcomesKey, ProgressKey, TermKey,
};
use ostler_service::Backoff;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::metrics::PoolMetrics;

/// Rows that may wait for the pen: the leader plans no more while it is busy.
const WAITING: usize = 1;
/// How long to wait before the server is asked again: at first, at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// So often a batch is refused, though its place is free, before the pen is laid down.
const REFUSALS: u32 = 5;

/// What became of a row.
#[derive(Debug)]
pub(crate) enum Written {
    /// A part of it is in the stream: manifests and their revisions.
    Batch(Vec<(NodeName, Revision)>),
    /// All of it is.
    Row(Box<Aftermath>),
    /// No more will be written.
    Failed(Failure),
}

/// Why the pen was laid down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Another leader has written its term.
    Deposed,
    /// The term is ours, and yet somebody wrote: the picture cannot be trusted.
    Foreign,
    /// The server does not take what is to be written, and would not however often it were asked.
    Refused,
    /// The pen itself is gone: its task ended without a word.
    Lost,
}

impl Written {
    /// What the pen says; a pen that says nothing any more is lost, and with it the reign.
    pub fn heard(said: Option<Self>) -> Self {
        said.unwrap_or(Self::Failed(Failure::Lost))
    }
}

/// The two ends that the leader holds.
#[derive(Debug)]
pub(crate) struct Pen {
    /// Takes rows.
    pub rows: mpsc::Sender<Row>,
    /// Tells what became of them. Closed when nothing is being written any more.
    pub written: mpsc::Receiver<Written>,
}

/// Writes on behalf of one reign.
#[derive(Debug)]
pub(crate) struct Writer {
    bus: Bus,
    pool: PoolName,
    term: TermRecord,
    after: Revision,
    metrics: PoolMetrics,
    stop: CancellationToken,
}

/// A batch, what it holds, and the messages that did not fit.
struct Packed {
    batch: Batch,
    manifests: Vec<(NodeName, Revision)>,
}

/// What is true of a batch whose commit did not succeed.
enum Settled {
    Stored,
    Absent,
    Failed(Failure),
}

impl Writer {
    /// A pen for the reign that began with the record of `term` at revision `after`.
    pub fn new(bus: &Bus, term: TermRecord, pool: PoolName, metrics: PoolMetrics) -> Self {
        let stop = CancellationToken::new();
        Self { bus: bus.clone(), pool, term, after: Revision(0), metrics, stop }
    }

    /// Starts writing after this revision. Ends after the batch in flight when `stop` is cancelled.
    pub fn start(mut self, after: Revision, stop: CancellationToken) -> Pen {
        (self.after, self.stop) = (after, stop);
        let (rows, mut waiting) = mpsc::channel(WAITING);
        let (tell, written) = mpsc::channel(64);
        let tasks = self.bus.program().tasks.clone();
        tasks.spawn_brief(async move {
            while let Some(row) = self.next(&mut waiting).await {
                if let Err(failure) = self.write(row, &tell).await {
                    // The leader may be gone already: then nobody needs to know.
                    drop(tell.send(Written::Failed(failure)).await);
                    break;
                }
            }
        });
        Pen { rows, written }
    }

    async fn next(&self, waiting: &mut mpsc::Receiver<Row>) -> Option<Row> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            row = waiting.recv() => row,
        }
    }

    async fn write(&mut self, row: Row, tell: &mpsc::Sender<Written>) -> Result<(), Failure> {
        let mut items = VecDeque::from(row.items);
        while !items.is_empty() && !self.stop.is_cancelled() {
            let packed = self.pack(&mut items);
            self.commit(packed.batch).await?;
            drop(tell.send(Written::Batch(packed.manifests)).await);
        }
        if items.is_empty() {
            drop(tell.send(Written::Row(Box::new(row.aftermath))).await);
        }
        Ok(())
    }

    /// As many items as fit, encoded for the revisions at which they will be committed.
    fn pack(&self, items: &mut VecDeque<Item>) -> Packed {
        let mut packed = Packed { batch: Batch::of(self.term.term), manifests: Vec::new() };
        while let Some(item) = items.front_mut() {
            let ahead = u64::try_from(packed.batch.len()).expect("a batch is short");
            let revision = Revision(self.after.0 + 1 + ahead);
            if self.put(&mut packed.batch, item, revision).is_err() {
                break;
            }
            if let Some(Item::Manifest(node, _)) = items.pop_front() {
                packed.manifests.push((node, revision));
            }
        }
        packed
    }

    fn put(
        &self,
        batch: &mut Batch,
        item: &mut Item,
        revision: Revision,
    ) -> Result<(), ostler_bus::fenced::Full> {
        let pool = self.pool.clone();
        match item {
            Item::Manifest(node, manifest) => {
                manifest.incarnation = self.term.incarnation;
                manifest.term = self.term.term;
                manifest.revision = revision;
                batch.put(&ManifestKey { pool, node: node.clone() }, manifest)
            }
            Item::Progress(workload, progress) => {
                let key = ProgressKey { pool, workload: workload.clone() };
                match progress.as_deref() {
                    Some(progress) => batch.put::<ProgressKey>(&key, progress as &Progress),
                    None => batch.delete(&key),
                }
            }
            Item::Outcomes(outcomes) => batch.put(&OutcomesKey(pool), &Outcomes(outcomes.clone())),
            Item::Brake(until) => batch.put(&BrakeKey(pool), &BrakeRecord { until: *until }),
        }
    }

    /// Commits, again and again until it is known to be stored or to be refused for good.
    async fn commit(&mut self, batch: Batch) -> Result<(), Failure> {
        if batch.is_empty() {
            return Ok(());
        }
        let began = ostler_service::clock::instant();
        let length = batch.len();
        let stored = Revision(self.after.0 + u64::try_from(length).expect("a batch is short"));
        let mut doubt = false;
        let (mut pause, mut refusals) = (Backoff::new(PAUSE.0, PAUSE.1), 0);
        while let Err(error) = self.bus.commit(&self.pool, batch.clone(), self.after).await {
            warn!(pool = %self.pool, error = %error, "a batch was not confirmed");
            match &error {
                CommitError::Unknown { .. } => doubt = true,
                CommitError::Refused(_) => refusals += 1,
                CommitError::TooLarge { .. } => return Err(self.refused(&error)),
                CommitError::Conflict { .. } => {}
            }
            match self.settle(&error, stored).await {
                Settled::Stored if doubt => break,
                // All tries were refused, so what is there is as long as ours, and is not.
                Settled::Stored => return Err(self.foreign(&error, stored)),
                Settled::Absent if refusals >= REFUSALS => return Err(self.refused(&error)),
                Settled::Absent => self.pause(&mut pause).await?,
                Settled::Failed(failure) => return Err(failure),
            }
        }
        self.after = stored;
        self.metrics.committed(ostler_service::clock::since(began), length);
        Ok(())
    }

    async fn settle(&self, error: &CommitError, stored: Revision) -> Settled {
        let mut pause = Backoff::new(PAUSE.0, PAUSE.1);
        loop {
            match self.ask().await {
                Ok((_, false)) => return Settled::Failed(Failure::Deposed),
                Ok((last, true)) if last == stored => return Settled::Stored,
                Ok((last, true)) if last == self.after => return Settled::Absent,
                Ok((last, true)) => return Settled::Failed(self.foreign(error, last)),
                Err(error) => warn!(pool = %self.pool, error = %error, "cannot ask what is stored"),
            }
            if self.pause(&mut pause).await.is_err() {
                return Settled::Failed(Failure::Deposed);
            }
        }
    }

    fn foreign(&self, error: &CommitError, last: Revision) -> Failure {
        tracing::error!(
            pool = %self.pool, after = self.after.0, last = last.0, error = %error,
            "somebody else wrote placements"
        );
        Failure::Foreign
    }

    fn refused(&self, error: &CommitError) -> Failure {
        tracing::error!(
            pool = %self.pool, after = self.after.0, error = %error,
            "pool {}: placements cannot be written: {error}", self.pool
        );
        Failure::Refused
    }

    /// The last revision, and whether the term is still ours; the term is read last, so that what
    /// was stored before it was read is ours.
    async fn ask(&self) -> Result<(Revision, bool), ReadError> {
        let last = self.bus.last_revision(&Bucket::Placements(self.pool.clone())).await?;
        let term = match self.bus.get(&TermKey(self.pool.clone())).await {
            // Nobody's, so not ours.
            Err(ReadError::Value { .. }) => None,
            read => read?,
        };
        let ours = term.is_some_and(|entry| {
            entry.value.term == self.term.term && entry.value.holder == self.term.holder
        });
        Ok((last, ours))
    }

    async fn pause(&self, pause: &mut Backoff) -> Result<(), Failure> {
        tokio::select! {
            () = self.stop.cancelled() => Err(Failure::Deposed),
            () = pause.wait() => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pen_whose_task_panicked_ends_the_reign_and_does_not_keep_its_lease() {
        let (tell, mut written) = mpsc::channel::<Written>(1);
        drop(tell);
        let said = written.try_recv().ok();
        assert!(matches!(Written::heard(said), Written::Failed(Failure::Lost)));
    }
}
