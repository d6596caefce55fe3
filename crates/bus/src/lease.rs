//! Leases: one holder at a time, by compare-and-set and the server's clock.

mod keeper;
mod slot;

pub mod pledge;

use std::fmt;
use std::time::{Duration, Instant};

use async_nats::Subscriber;
use futures::StreamExt as _;
use ostler_core::id::Revision;
use ostler_service::clock;
use rand::Rng as _;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{debug, info};

use crate::connection::Bus;
use crate::jetstream::AskError;
use crate::kv::{WriteError, is_marker};
use slot::{Slot, State};

/// A lease that is held and renewed every third of its time to live by a task of its own. The
/// holder stops acting when two thirds have passed since the *sending* of its last confirmed
/// renewal. Given up when the program stops; when it is only dropped, it is no longer renewed and
/// expires.
pub struct Lease {
    slot: Slot,
    /// Until when it may be acted upon; `None` when it is lost.
    valid: watch::Receiver<Option<Instant>>,
    release: CancellationToken,
    done: CancellationToken,
    _dropped: DropGuard,
}

/// Who stands for a lease.
#[derive(Clone, Copy)]
pub struct Candidate<'a> {
    /// Its name: of this process alone.
    pub holder: &'a str,
    /// How long it leaves a lease that is free to others; asked each time.
    pub hesitation: &'a (dyn Fn() -> Duration + Send + Sync),
}

impl fmt::Debug for Candidate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate").field("holder", &self.holder).finish_non_exhaustive()
    }
}

impl Candidate<'_> {
    /// Takes it as it was read, unless another was faster meanwhile.
    async fn take(self, slot: &mut Slot, at: Revision) -> Result<Instant, AskError> {
        let hesitation = (self.hesitation)();
        if hesitation > Duration::ZERO {
            tokio::time::sleep(hesitation).await;
        }
        slot.take(at).await
    }
}

/// How often a lease that should have expired is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Another's lease is taken when it was not renewed for so many times its life.
const OVERDUE: u32 = 2;
/// Between two tries when there is no answer, in milliseconds.
const RETRY_MS: std::ops::Range<u64> = 50..300;

impl Lease {
    /// Waits until the lease is ours: takes it when it is free, watches it otherwise. Dropping the
    /// future gives up. `purpose` such as `scheduler-default`; `ttl` in whole seconds, 3 s for
    /// leaders. `holder` must be of this process alone: who finds its own name there waits like
    /// everybody else. An error means that the server refuses it for good.
    pub async fn acquire(
        bus: &Bus,
        purpose: &str,
        holder: &str,
        ttl: Duration,
    ) -> Result<Self, WriteError> {
        let who = Candidate { holder, hesitation: &|| Duration::ZERO };
        Self::acquire_as(bus, purpose, who, ttl).await
    }

    /// As [`Lease::acquire`], by a candidate that leaves a lease which is free to others first.
    pub async fn acquire_as(
        bus: &Bus,
        purpose: &str,
        who: Candidate<'_>,
        ttl: Duration,
    ) -> Result<Self, WriteError> {
        let mut slot = Slot::new(bus, purpose, who.holder, ttl);
        // Hints only: what counts is read from the stream's leader.
        let mut hints = loop {
            match bus.listen(&slot.usual_subject()).await {
                Ok(hints) => break hints,
                Err(error) => debug!(purpose, %error, "cannot listen for the lease yet: {error}"),
            }
            pause().await;
        };
        let mut outlook = Outlook::new(ttl);
        loop {
            let state = slot.read().await.map(|state| outlook.judge(state));
            match state {
                Ok(State::Free(revision)) => match who.take(&mut slot, revision).await {
                    Ok(sent) => return Ok(Self::held(slot, sent)),
                    Err(AskError::Fault(fault)) if !fault.is_conflict() => {
                        return Err(slot.error(AskError::Fault(fault)));
                    }
                    Err(AskError::Unsent(why)) => return Err(slot.error(AskError::Unsent(why))),
                    // Somebody else was faster, or we are told by reading again.
                    Err(_) => pause().await,
                },
                Ok(State::Ours(sent)) => return Ok(Self::held(slot, sent)),
                Ok(State::Theirs(_)) => outlook.wait(&mut hints).await,
                Err(why) => {
                    debug!(purpose, error = %why, "the lease cannot be read yet: {why}");
                    pause().await;
                }
            }
        }
    }

    /// It was taken by what was sent then.
    fn held(slot: Slot, sent: Instant) -> Self {
        info!(lease = slot.purpose(), holder = slot.holder(), "holding lease {}", slot.purpose());
        let (valid, watch) = watch::channel(Some(sent + slot.trust()));
        let [release, done, dropped] = <[CancellationToken; 3]>::default();
        let keeper = keeper::Keeper {
            slot: slot.clone(),
            valid,
            release: release.clone(),
            dropped: dropped.clone(),
        };
        let finished = done.clone().drop_guard();
        slot.bus().program().tasks.spawn_brief(async move {
            keeper.keep(sent).await;
            drop(finished);
        });
        Self { slot, valid: watch, release, done, _dropped: dropped.drop_guard() }
    }

    /// Whether it may still be acted upon.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.valid.borrow().is_some_and(|until| clock::instant() < until)
    }

    /// Resolves when it may not be acted upon any more.
    pub async fn lost(&self) {
        let mut valid = self.valid.clone();
        loop {
            let until = *valid.borrow_and_update();
            let Some(until) = until.filter(|until| clock::instant() < *until) else { return };
            tokio::select! {
                () = tokio::time::sleep_until(until.into()) => {}
                changed = valid.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Gives it up, so that another can take it at once.
    pub async fn release(self) {
        self.release.cancel();
        self.done.cancelled().await;
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("purpose", &self.slot.purpose())
            .field("holds", &self.holds())
            .finish_non_exhaustive()
    }
}

async fn pause() {
    let pause = rand::rng().random_range(RETRY_MS);
    tokio::time::sleep(Duration::from_millis(pause)).await;
}

/// When another's lease is worth another look. A hint comes before what it hints at is committed,
/// and what was sent just before we listened is not heard: so reading is what counts, soon at
/// first, then less and less often until the lease should have expired.
struct Outlook {
    ttl: Duration,
    /// What it was at last, and since when by our own clock.
    known: Option<(Revision, Instant)>,
    expires: Instant,
    next: Duration,
}

impl Outlook {
    fn new(ttl: Duration) -> Self {
        Self { ttl, known: None, expires: clock::instant(), next: LOOK_AGAIN }
    }

    /// What was read, as it is to be taken: another's lease that was not renewed for longer than it
    /// lives is free, though the server keeps it still. Its clock went back; ours tells that its
    /// holder has long ceased to act.
    fn judge(&mut self, state: State) -> State {
        let State::Theirs(revision) = state else { return state };
        let now = clock::instant();
        self.next = (self.next * 2).min(self.ttl);
        match self.known {
            Some((known, since)) if known == revision => {
                let overdue = now.duration_since(since) > self.ttl * OVERDUE;
                if overdue { State::Free(revision) } else { state }
            }
            _ => {
                (self.known, self.expires) = (Some((revision, now)), now + self.ttl);
                state
            }
        }
    }

    /// Waits until it is worth another look.
    async fn wait(&mut self, hints: &mut Subscriber) {
        loop {
            let left = self.expires.saturating_duration_since(clock::instant());
            let left = left.min(self.next).max(LOOK_AGAIN);
            match tokio::time::timeout(left, hints.next()).await {
                Err(_) => return,
                Ok(None) => return pause().await,
                Ok(Some(message)) if message.headers.as_ref().is_some_and(is_marker) => {
                    self.expires = clock::instant();
                    return;
                }
                Ok(Some(_)) => self.expires = clock::instant() + self.ttl,
            }
        }
    }
}
