//! Tells the fleet how things stand: newest wins, one write in flight, by compare-and-set.

use std::sync::Arc;
use std::time::Duration;

use ostler_bus::{Bus, WriteError};
use ostler_core::id::{Epoch, NodeName, Revision};
use ostler_core::instance::Report;
use ostler_schemas::bucket::ReportKey;
use ostler_service::clock;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::debug;

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
    interval: Duration,
    last: Option<Revision>,
}

/// How long to wait after a write that failed.
const AGAIN: Duration = Duration::from_millis(250);

impl Reporter {
    /// Reports at most once per `interval`.
    #[must_use]
    pub fn new(
        bus: Bus,
        node: NodeName,
        agent: mpsc::Sender<Message>,
        shared: Arc<Shared>,
        interval: Duration,
    ) -> Self {
        Self { bus, key: ReportKey(node), agent, shared, interval, last: None }
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
            let wait = if written || !connected { self.interval } else { AGAIN };
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
                () = tokio::time::sleep_until((sent + wait).into()) => {}
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
        let Ok(Snapshot { applied, statuses }) = snapshot.await else { return Ok(true) };
        let report = Report {
            epoch: self.shared.epoch(),
            incarnation: applied.incarnation,
            term: applied.term,
            applied: applied.revision,
            statuses,
        };
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
            Err(error) => {
                debug!(%error, "the node's last report was not read");
                Ok(None)
            }
        }
    }
}
