//! Tells the fleet how things stand: newest wins, one write in flight, by compare-and-set.

use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ostler_bus::{Bus, ReadError, WriteError};
use ostler_core::id::{Epoch, NodeName, Revision};
use ostler_core::instance::Report;
use ostler_schemas::bucket::ReportKey;
use ostler_schemas::pb;
use ostler_service::{Backoff, clock};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use crate::agent::{Message, Snapshot};
use crate::shared::Shared;

/// Another executor is this node now. Nothing was touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("this node's executor is at epoch {theirs}, this one was {ours}: it is replaced")]
pub struct Replaced {
    /// Our own epoch.
    pub ours: Epoch,
    /// The epoch that was found.
    pub theirs: Epoch,
}

/// Writes the node's reports.
#[derive(Debug)]
pub struct Reporter {
    bus: Bus,
    key: ReportKey,
    agent: mpsc::Sender<Message>,
    shared: Arc<Shared>,
    pace: Pace,
    again: Backoff,
    last: Option<Revision>,
}

/// So many reports may follow each other at once, if they name few instances: from an order to its
/// instance running there are two or three.
const AT_ONCE: u32 = 4;
/// So many instances are few.
const FEW: usize = 50;

/// How far apart reports are: an interval in the long run.
#[derive(Debug)]
struct Pace {
    interval: Duration,
    /// When the next would be due if none had come early.
    due: Option<Instant>,
    small: bool,
}

impl Pace {
    fn new(interval: Duration) -> Self {
        Self { interval, due: None, small: true }
    }

    /// How many instances the last one named.
    fn named(&mut self, instances: usize) {
        self.small = instances <= FEW;
    }

    /// When the next one may be sent after one that was sent then.
    fn next(&mut self, sent: Instant) -> Instant {
        let due = self.due.map_or(sent, |due| due.max(sent)) + self.interval;
        self.due = Some(due);
        let early = if self.small { AT_ONCE - 1 } else { 0 };
        due.checked_sub(self.interval * early).unwrap_or(sent).max(sent)
    }
}

/// How long at most to wait after the first write that failed, and after many: thousands of nodes
/// whose server takes no more must not ask it again together.
const AGAIN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(4));

impl Reporter {
    /// Reports once per `interval`, and small reports a few at once after a while without any.
    #[must_use]
    pub fn new(
        bus: Bus,
        node: NodeName,
        agent: mpsc::Sender<Message>,
        shared: Arc<Shared>,
        interval: Duration,
    ) -> Self {
        let (pace, again) = (Pace::new(interval), Backoff::new(AGAIN.0, AGAIN.1));
        Self { bus, key: ReportKey(node), agent, shared, pace, again, last: None }
    }

    /// Runs until stopped, or until another executor turns out to have taken over.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Replaced> {
        let mut changes = self.shared.changes();
        let mut state = self.bus.state();
        loop {
            changes.mark_unchanged();
            let connected = state.borrow_and_update().up;
            let written = connected && self.report().await?;
            let sent = clock::instant();
            let next = if written || !connected {
                self.again.reset();
                self.pace.next(sent)
            } else {
                sent + self.again.next_wait()
            };
            if written || !connected {
                tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    changed = changes.changed() => if changed.is_err() { return Ok(()) },
                    changed = state.changed() => {
                        if changed.is_err() {
                            return Ok(());
                        }
                        // Whoever was away may have missed one.
                        self.last = None;
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep_until(next.into()) => {}
            }
        }
    }

    /// Writes one report; whether it was written.
    pub async fn report(&mut self) -> Result<bool, Replaced> {
        let Some(after) = self.previous().await? else { return Ok(false) };
        let (reply, snapshot) = oneshot::channel();
        if self.agent.send(Message::Snapshot(reply)).await.is_err() {
            return Ok(true);
        }
        let Ok(Snapshot { pool, applied, statuses, .. }) = snapshot.await else { return Ok(true) };
        let report = Report {
            epoch: self.shared.epoch(),
            incarnation: applied.incarnation,
            term: applied.term,
            applied: applied.revision,
            pool,
            statuses,
        };
        self.pace.named(report.statuses.len());
        match self.bus.update(&self.key, &report, after).await {
            Ok(revision) => {
                self.last = Some(revision);
                Ok(true)
            }
            Err(error @ (WriteError::Conflict { .. } | WriteError::Unknown { .. })) => {
                debug!(%error, "the report is written again");
                self.last = None;
                Ok(false)
            }
            Err(error @ WriteError::Refused { .. }) => {
                tracing::warn!(%error, "the report was refused: {error}");
                self.last = None;
                Ok(false)
            }
        }
    }

    /// The revision of the node's last report; `None` if it cannot be known now.
    async fn previous(&mut self) -> Result<Option<Revision>, Replaced> {
        if self.last.is_some() {
            return Ok(self.last);
        }
        let (ours, found) = (self.shared.epoch(), self.bus.get(&self.key).await);
        match found {
            Ok(Some(entry)) if entry.value.epoch > ours => {
                Err(Replaced { ours, theirs: entry.value.epoch })
            }
            Ok(Some(entry)) => Ok(Some(entry.revision)),
            Ok(None) => Ok(Some(Revision(0))),
            // Nobody but this node's executor may write there: it is written over.
            Err(ReadError::Value { revision, source, .. }) => {
                self.alarm(&source);
                Ok(Some(revision))
            }
            Err(error @ ReadError::Unavailable { .. }) => {
                debug!(%error, "the node's last report was not read");
                Ok(None)
            }
        }
    }

    fn alarm(&self, cause: &impl Display) {
        let node = &self.key.0;
        error!(%node, "the last report of {node} is not ours and cannot be read: {cause}");
        self.bus.emit(pb::Event {
            source: format!("node-{node}"),
            actor: format!("node-{node}"),
            kind: "report.unreadable".to_owned(),
            node: node.to_string(),
            reason: format!("it is written over: {cause}"),
            ..pb::Event::default()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(50);

    /// When reports are sent that name so many instances, if there is always something to tell.
    fn sent(instances: usize, reports: u32) -> Vec<Duration> {
        let (begun, mut pace) = (clock::instant(), Pace::new(INTERVAL));
        let mut now = begun;
        let mut each = || {
            let at = now - begun;
            pace.named(instances);
            now = pace.next(now);
            at
        };
        (0..reports).map(|_| each()).collect()
    }

    #[test]
    fn a_few_small_reports_follow_at_once_and_then_one_an_interval() {
        let ms = [0, 0, 0, 0, 50, 100, 150].map(Duration::from_millis);
        assert_eq!(sent(FEW, 7), ms);
    }

    #[test]
    fn large_reports_are_an_interval_apart() {
        let ms = [0, 50, 100, 150].map(Duration::from_millis);
        assert_eq!(sent(FEW + 1, 4), ms);
    }
}
