//! The node's pledge, for instances of which at most one may be alive.
//!
//! A node that runs any renews its pledge. A guardian kills what it guards when [`HOLDS`] has passed
//! since the sending of the last renewal that was acknowledged; the scheduler places a replacement
//! when the pledge is gone from the server, which is a second later. An instance belongs to one
//! unbroken period of the pledge: once that is over it never starts again, since it may run elsewhere.
//!
//! A period that has just begun is not enough: while there was no pledge the scheduler may have given
//! its place to another. So each life of the executor reads its manifest from the stream's leader
//! under the pledge, and starts nothing before that was applied: either the order not to run it was
//! committed by then, or the scheduler, who looks for the pledge only after that, finds it there.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ostler_bus::Bus;
use ostler_bus::lease::pledge::{KEPT, NotRenewed, Pledge, Pledged};
use ostler_core::id::NodeName;
use ostler_service::clock;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::agent::Message;
use crate::host;

/// So long after the sending of a renewal what is fenced may be alive.
pub const HOLDS: Duration = Duration::from_secs(10);
/// How often it is renewed.
const RENEWED_EVERY: Duration = Duration::from_secs(2);
/// Between two tries.
const AGAIN: Duration = Duration::from_millis(250);
/// Nothing is started so shortly before the end.
const MARGIN: Duration = Duration::from_secs(1);

/// What the node knows of its pledge; in memory, and in a file that guardians read.
#[derive(Debug)]
pub struct Fence {
    path: Option<PathBuf>,
    file: Option<File>,
    sent: AtomicU64,
    known: Mutex<Pledged>,
    /// In which period the manifest was read from its leader and applied; 0: in none.
    cleared: AtomicU64,
    wanted: watch::Sender<bool>,
}

pub use crate::supervise::Leave;

/// Nanoseconds since boot, suspends included: what guardians count in.
#[must_use]
pub fn boot_time() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let (seconds, nanos) = (u64::try_from(now.tv_sec), u64::try_from(now.tv_nsec));
    seconds.unwrap_or(0).saturating_mul(1_000_000_000) + nanos.unwrap_or(0)
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// A file of this boot only: another boot's clock says nothing.
fn open(dir: &Path) -> io::Result<(PathBuf, File)> {
    let mine = format!("fence.{}", host::boot_id());
    fs::create_dir_all(dir)?;
    for entry in fs::read_dir(dir)?.flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with("fence.") && name != mine) {
            fs::remove_file(entry.path())?;
        }
    }
    let path = dir.join(mine);
    let mut options = OpenOptions::new();
    let file =
        options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
    Ok((path, file))
}

impl Fence {
    /// The pledge of a node that keeps its state in `dir`, where an earlier life of its executor
    /// left off. Without a directory, or where that cannot be written, nothing can be fenced.
    #[must_use]
    pub fn new(dir: Option<&Path>) -> Self {
        let opened = dir.map(open).transpose();
        let opened = opened.unwrap_or_else(|error| {
            warn!(%error, "nothing can be fenced here: {error}");
            None
        });
        let (path, file) = opened.unzip();
        let word = |at: u64| {
            let mut word = [0; 8];
            let read = file.as_ref().map(|file: &File| file.read_exact_at(&mut word, at));
            if matches!(read, Some(Ok(()))) { u64::from_le_bytes(word) } else { 0 }
        };
        let (sent, period, revision) = (word(0), word(8), word(16));
        Self {
            sent: AtomicU64::new(sent.min(boot_time())),
            known: Mutex::new(Pledged { period, revision }),
            cleared: AtomicU64::new(0),
            wanted: watch::Sender::new(false),
            path,
            file,
        }
    }

    /// Where guardians read until when what they guard may be alive; `None`: nothing can be fenced.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Whether anything here needs the pledge.
    pub fn want(&self, wanted: bool) {
        self.wanted.send_if_modified(|before| std::mem::replace(before, wanted) != wanted);
    }

    /// Whether an instance of this period, or of none yet, may be started now.
    #[must_use]
    pub fn leave(&self, period: Option<u64>) -> Leave {
        let now = self.known().period;
        let until = self.sent.load(Ordering::Acquire) + nanos(HOLDS - MARGIN);
        let cleared = now > 0 && self.cleared.load(Ordering::Acquire) == now;
        let stands = cleared && boot_time() < until;
        match period {
            Some(period) if period < now => Leave::Never,
            Some(_) | None if stands => Leave::Granted(now),
            Some(_) | None => Leave::Later,
        }
    }

    /// The period in which the manifest has to be read from its leader before anything is started.
    #[must_use]
    pub fn uncleared(&self) -> Option<u64> {
        let now = self.known().period;
        (now > 0 && self.cleared.load(Ordering::Acquire) != now).then_some(now)
    }

    /// What the manifest's leader said after this period had begun is applied.
    pub fn clear(&self, period: u64) {
        self.cleared.store(period, Ordering::Release);
    }

    fn known(&self) -> Pledged {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It was renewed by what was sent then. Guardians know once this returns.
    fn renewed(&self, sent: u64, pledged: Pledged) -> io::Result<()> {
        if let Some(file) = &self.file {
            // The period first: a successor that sees the renewal sees whose it is.
            file.write_all_at(&pledged.period.to_le_bytes(), 8)?;
            file.write_all_at(&pledged.revision.to_le_bytes(), 16)?;
            file.write_all_at(&sent.to_le_bytes(), 0)?;
        }
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = pledged;
        self.sent.store(sent, Ordering::Release);
        Ok(())
    }
}

/// Renews the pledge for as long as it is wanted; tells the loop whenever it stands, and `look`s
/// for the manifest as long as this period needs it.
pub async fn keep(
    fence: Arc<Fence>,
    bus: Bus,
    node: NodeName,
    (agent, look): (mpsc::Sender<Message>, impl Fn()),
    stop: CancellationToken,
) {
    let mut pledge = Pledge::new(&bus, &node, KEPT, fence.known());
    let mut wanted = fence.wanted.subscribe();
    let mut stands = false;
    loop {
        let wants = *wanted.borrow_and_update();
        if !wants && stands {
            give_up(&mut pledge).await;
            stands = false;
        }
        let wait = if wants {
            let before = stands;
            stands = renew(&fence, &mut pledge).await;
            if stands && !before {
                info!("the pledge of node {node} stands");
            }
            if stands && fence.uncleared().is_some() {
                look();
            }
            if stands && agent.send(Message::Pledged).await.is_err() {
                return;
            }
            if stands { RENEWED_EVERY } else { AGAIN }
        } else {
            Duration::MAX
        };
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(wait) => {}
            changed = wanted.changed() => if changed.is_err() { break },
        }
    }
    // What runs on has to be over before it is gone.
    if stands && !*wanted.borrow() {
        give_up(&mut pledge).await;
    }
}

async fn renew(fence: &Fence, pledge: &mut Pledge) -> bool {
    let sent = boot_time();
    let begun = clock::instant();
    let renewed = match pledge.renew().await {
        Ok(pledged) => fence.renewed(sent, pledged).map_err(|error| error.to_string()),
        Err(NotRenewed::Theirs) => {
            debug!("an earlier pledge of this node has to expire first");
            return false;
        }
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = &renewed {
        let took = clock::since(begun).as_millis();
        warn!(error, took_ms = took, "the node's pledge was not renewed: {error}");
    }
    renewed.is_ok()
}

async fn give_up(pledge: &mut Pledge) {
    match pledge.give_up().await {
        Ok(()) => info!("nothing here is fenced any more, the node's pledge is given up"),
        Err(error) => debug!(%error, "the node's pledge expires: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_belongs_to_a_period_that_is_over_never_starts_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let fence = Fence::new(Some(dir.path()));
        assert_eq!(fence.leave(None), Leave::Later);
        fence.renewed(boot_time(), Pledged { period: 4, revision: 9 }).expect("written");
        fence.clear(4);
        assert_eq!(fence.leave(None), Leave::Granted(4));
        assert_eq!(fence.leave(Some(4)), Leave::Granted(4));
        assert_eq!(fence.leave(Some(3)), Leave::Never);
        // The next life goes on where this one left off.
        let next = Fence::new(Some(dir.path()));
        next.clear(4);
        assert_eq!((next.leave(Some(4)), next.known().revision), (Leave::Granted(4), 9));
        let late = boot_time().saturating_sub(nanos(HOLDS));
        next.renewed(late, Pledged { period: 4, revision: 10 }).expect("written");
        assert_eq!((next.leave(Some(4)), next.leave(Some(3))), (Leave::Later, Leave::Never));
    }
    #[test]
    fn nothing_starts_in_a_period_before_the_manifest_was_read_from_its_leader_in_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let fence = Fence::new(Some(dir.path()));
        assert_eq!(fence.uncleared(), None, "there is no pledge");
        fence.renewed(boot_time(), Pledged { period: 1, revision: 1 }).expect("written");
        assert_eq!((fence.uncleared(), fence.leave(None)), (Some(1), Leave::Later));
        fence.clear(1);
        assert_eq!((fence.uncleared(), fence.leave(None)), (None, Leave::Granted(1)));
        // It lapsed and was taken anew: in between another may have got the place.
        fence.renewed(boot_time(), Pledged { period: 2, revision: 5 }).expect("written");
        assert_eq!((fence.uncleared(), fence.leave(None)), (Some(2), Leave::Later));
        fence.clear(1);
        assert_eq!(fence.leave(None), Leave::Later, "what was read before says nothing");
        fence.clear(2);
        assert_eq!(fence.leave(None), Leave::Granted(2));
        // The last life may have died before it applied what it read.
        let next = Fence::new(Some(dir.path()));
        assert_eq!((next.uncleared(), next.leave(Some(2))), (Some(2), Leave::Later));
    }
}
