//! Renews a lease until it is lost or given up.

use std::time::{Duration, Instant};

use ostler_service::{Backoff, clock};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::slot::{Slot, State};
use crate::jetstream::AskError;

/// Between two tries to renew within one beat: at most so long.
const RETRY: Duration = Duration::from_millis(200);

pub(super) struct Keeper {
    pub(super) slot: Slot,
    pub(super) valid: watch::Sender<Option<Instant>>,
    pub(super) release: CancellationToken,
    pub(super) dropped: CancellationToken,
}

/// What came of a try to renew.
enum Renewed {
    /// Confirmed; when it was sent.
    Yes(Instant),
    /// Try again soon.
    Unclear,
    /// It is somebody else's, or nobody's.
    No,
}

impl Keeper {
    /// `sent`: when what took the lease was sent.
    pub(super) async fn keep(mut self, sent: Instant) {
        let stop = self.slot.bus().program().tasks.stop_token();
        let (release, dropped) = (self.release.clone(), self.dropped.clone());
        let give_up = tokio::select! {
            biased;
            () = release.cancelled() => true,
            () = stop.cancelled() => true,
            () = dropped.cancelled() => false,
            late = self.renew_on(sent) => late,
        };
        self.valid.send_replace(None);
        if give_up {
            self.give_up().await;
        }
    }

    /// Whether it is still ours in the end, though too late to be acted upon.
    async fn renew_on(&mut self, mut sent: Instant) -> bool {
        let mut pause = Backoff::steady(RETRY);
        loop {
            let due = sent + self.slot.beat();
            tokio::time::sleep_until(due.into()).await;
            match self.renew().await {
                // Who was told once that it is lost must not be told that it is not.
                Renewed::Yes(_) if clock::since(sent) >= self.slot.trust() => return true,
                Renewed::Yes(at) => {
                    sent = at;
                    self.valid.send_replace(Some(sent + self.slot.trust()));
                }
                Renewed::Unclear if clock::since(sent) < self.slot.trust() => {
                    pause.wait().await;
                }
                Renewed::Unclear => {
                    warn!(lease = self.slot.purpose(), "no renewal is confirmed, lease is lost");
                    return true;
                }
                Renewed::No => {
                    warn!(lease = self.slot.purpose(), "somebody else has the lease");
                    return false;
                }
            }
        }
    }

    async fn renew(&mut self) -> Renewed {
        match self.slot.renew().await {
            Ok(sent) => return Renewed::Yes(sent),
            Err(AskError::Fault(fault)) if fault.is_conflict() => {}
            Err(error) => {
                debug!(lease = self.slot.purpose(), %error, "a renewal failed: {error}");
            }
        }
        // An earlier renewal whose answer was lost may be what is there.
        match self.slot.read().await {
            Ok(State::Ours(sent)) => Renewed::Yes(sent),
            Ok(State::Free(_)) => Renewed::No,
            Ok(State::Theirs(revision)) if revision != self.slot.revision() => Renewed::No,
            Ok(State::Theirs(_)) | Err(_) => Renewed::Unclear,
        }
    }

    async fn give_up(&mut self) {
        let mut gone = self.slot.give_up().await;
        if matches!(&gone, Err(AskError::Fault(fault)) if fault.is_conflict())
            && matches!(self.slot.read().await, Ok(State::Ours(_)))
        {
            gone = self.slot.give_up().await;
        }
        match gone {
            Ok(()) => info!(lease = self.slot.purpose(), "gave up lease {}", self.slot.purpose()),
            Err(error) => {
                debug!(lease = self.slot.purpose(), %error, "the lease expires: {error}");
            }
        }
    }
}
