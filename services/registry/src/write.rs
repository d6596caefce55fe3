//! Writes by compare-and-set: read from the leader, decide, write, and again if somebody was faster.

use std::future::Future;
use std::time::{Duration, Instant};

use ostler_bus::{Bus, Caller, Fence, ReadError, WriteError};
use ostler_core::head::Head;
use ostler_core::id::Revision;
use ostler_core::node::Node;
use ostler_core::time::Timestamp;
use ostler_schemas::bucket::{Key, QuotaRecord, SettingsRecord};
use ostler_schemas::pb;
use ostler_schemas::problem::{Code, Problem};
use ostler_service::{Backoff, clock};
use rand::Rng as _;
use sha2::{Digest as _, Sha256};
use tracing::error;

use crate::refusal::{not_found, revision_mismatch, unread, unwritten};

/// Somebody is always faster: give up.
const TRIES: u32 = 40;
/// Between two tries, in milliseconds.
const PAUSE_MS: std::ops::Range<u64> = 5..50;

/// So many operations before the last one are remembered of a record.
const EARLIER: usize = 8;

/// A value that carries the id of the operation that wrote it.
pub trait Stamped: Clone {
    /// Which operation wrote it.
    fn op_id(&self) -> &str;

    /// The operations that wrote it before that, the oldest first, where they are kept.
    fn earlier(&self) -> &[String] {
        &[]
    }

    /// Keeps which operations wrote what it takes the place of.
    fn keep_earlier(&mut self, _: Vec<String>) {}
}
impl Stamped for Head {
    fn op_id(&self) -> &str {
        &self.op_id
    }

    fn earlier(&self) -> &[String] {
        &self.earlier
    }

    fn keep_earlier(&mut self, earlier: Vec<String>) {
        self.earlier = earlier;
    }
}
impl Stamped for Node {
    fn op_id(&self) -> &str {
        &self.op_id
    }

    fn earlier(&self) -> &[String] {
        &self.kept.earlier
    }

    fn keep_earlier(&mut self, earlier: Vec<String>) {
        self.kept.earlier = earlier;
    }
}

/// Whether this operation wrote it, now or not long ago.
pub fn was_by<V: Stamped>(value: &V, op_id: &str) -> bool {
    value.op_id() == op_id || value.earlier().iter().any(|op| op == op_id)
}

/// What takes the place of `before`, with the operations that wrote that.
pub fn following<V: Stamped>(before: &V, mut next: V) -> V {
    let all = before.earlier().iter().map(String::as_str).chain([before.op_id()]);
    let mut all: Vec<String> = all.filter(|op| !op.is_empty()).map(ToOwned::to_owned).collect();
    all.drain(..all.len().saturating_sub(EARLIER));
    next.keep_earlier(all);
    next
}

impl Stamped for QuotaRecord {
    fn op_id(&self) -> &str {
        &self.op_id
    }
}
impl Stamped for SettingsRecord {
    fn op_id(&self) -> &str {
        &self.op_id
    }
}

/// How a change ended.
#[derive(Debug, Clone)]
pub struct Changed<V> {
    /// What is there now.
    pub value: V,
    /// Since which revision.
    pub revision: Revision,
    /// What was there before, if it was written.
    pub before: Option<V>,
    /// Whether anything was written by this call.
    pub wrote: bool,
    /// Whether the same operation had written it already, in a call whose answer was lost: what
    /// follows from the write may not have been done.
    pub repeated: bool,
}

impl<V> Changed<V> {
    /// Whether this operation made the change, now or before.
    pub const fn ours(&self) -> bool {
        self.wrote || self.repeated
    }
}

/// The id of the event that tells what an operation wrote: the operation's own, so that history has
/// it once, however often it is told.
pub fn event_id(op_id: &str) -> String {
    op_id.parse::<ulid::Ulid>().map(|id| id.to_string()).unwrap_or_default()
}

/// The same for one of several things that the operation did.
pub fn event_id_of(op_id: &str, number: u32) -> String {
    let whole = op_id.parse::<ulid::Ulid>();
    let written = whole.map_or(0, |id| id.timestamp_ms());
    farewell_id(&format!("part.{number}"), op_id, Timestamp::from_millis(written))
}

/// The id of the event that tells that what an operation wrote is no more: told before it is removed,
/// and by whoever has to remove it once more, it is one event.
pub fn farewell_id(kind: &str, op_id: &str, written: Timestamp) -> String {
    let hash = Sha256::digest(format!("{kind} {op_id}"));
    let chance = hash.iter().take(10).fold(0, |bits: u128, byte| (bits << 8) | u128::from(*byte));
    ulid::Ulid::from_parts(written.as_millis(), chance).to_string()
}

/// Under which conditions a change is made.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// Which operation makes it: asked for again, it is not made again.
    pub op_id: &'a str,
    /// The revision that the caller names; 0: absent.
    pub if_revision: Option<u64>,
    /// Say what would be, and write nothing.
    pub dry_run: bool,
    /// Nothing is tried anew after this: whoever asked has been told that it is not known, and
    /// may have asked for something else since, which must not be written over.
    pub until: Instant,
}

impl<'a> Terms<'a> {
    /// Whatever is there.
    pub fn of(caller: &'a Caller) -> Self {
        let (op_id, until) = (&caller.op_id, clock::instant() + caller.timeout);
        Self { op_id, if_revision: None, dry_run: false, until }
    }
}

/// What a change has to pass besides.
pub trait Gate<V> {
    /// Asked before each try: what nobody else may write meanwhile, if anything.
    fn open(&self) -> impl Future<Output = Result<Option<Fence>, Problem>> + Send;

    /// Whether this may be written in the place of that. Nothing is changed when it refuses.
    fn admit(&self, before: Option<&V>, after: &V) -> Result<(), Problem>;

    /// What stands for a value that somebody else wrote and that cannot be read, so that it is
    /// written over: what was known of it, or `None` for nothing. Or it stays, and this fails.
    fn instead(
        &self,
        unreadable: ReadError,
    ) -> impl Future<Output = Result<Option<V>, Problem>> + Send {
        async { Err(unread(unreadable)) }
    }
}

/// No gate at all.
pub struct Free;

impl<V: Sync> Gate<V> for Free {
    async fn open(&self) -> Result<Option<Fence>, Problem> {
        Ok(None)
    }

    fn admit(&self, _: Option<&V>, _: &V) -> Result<(), Problem> {
        Ok(())
    }
}

/// No gate either, for what is said anew as a whole: what cannot be read is as good as absent.
pub struct Anew;

impl<V: Sync> Gate<V> for Anew {
    async fn open(&self) -> Result<Option<Fence>, Problem> {
        Ok(None)
    }

    fn admit(&self, _: Option<&V>, _: &V) -> Result<(), Problem> {
        Ok(())
    }

    async fn instead(&self, _: ReadError) -> Result<Option<V>, Problem> {
        Ok(None)
    }
}

/// Changes one key. `step` decides from what is there: a new value, or `None` to leave it as it is.
/// It may be asked several times. Nothing is changed when it refuses.
pub async fn change<K>(
    bus: &Bus,
    key: K,
    terms: Terms<'_>,
    step: impl FnMut(Option<&K::Value>) -> Result<Option<K::Value>, Problem>,
) -> Result<Changed<K::Value>, Problem>
where
    K: Key,
    K::Value: Stamped,
{
    change_through(bus, key, terms, &Free, step).await
}

/// The same through a gate.
pub async fn change_through<K>(
    bus: &Bus,
    key: K,
    terms: Terms<'_>,
    gate: &(impl Gate<K::Value> + Sync),
    mut step: impl FnMut(Option<&K::Value>) -> Result<Option<K::Value>, Problem>,
) -> Result<Changed<K::Value>, Problem>
where
    K: Key,
    K::Value: Stamped,
{
    // What was there before a write of ours whose answer was lost.
    let mut open = None;
    for _ in 0..TRIES {
        let Seen { fence, at, value, unreadable } = look(bus, &key, gate, open.is_some()).await?;
        let ours = value.as_ref().filter(|_| !unreadable && !terms.dry_run);
        if let Some(value) = ours.filter(|value| value.op_id() == terms.op_id) {
            let again = Changed { repeated: true, ..unchanged(value.clone(), at) };
            let wrote = |before| Changed { before, wrote: true, repeated: false, ..again.clone() };
            return Ok(open.map_or_else(|| again.clone(), wrote));
        }
        if let Some(value) = ours.filter(|value| was_by(*value, terms.op_id)) {
            // Done, and something else was done since: it is told once more, nothing else follows.
            let before = Some(value.clone());
            return Ok(Changed { before, repeated: true, ..unchanged(value.clone(), at) });
        }
        if clock::instant() > terms.until {
            break;
        }
        if let Some(expected) = terms.if_revision
            && expected != at.0
        {
            return Err(revision_mismatch(&key, expected, at.0));
        }
        let next = match step(value.as_ref())? {
            Some(next) => next,
            // Nothing changes, but that it can be read again.
            None if unreadable => value.clone().ok_or_else(|| not_found("key", &key))?,
            None => {
                let left = value.map(|value| unchanged(value, at));
                return left.ok_or_else(|| not_found("key", &key));
            }
        };
        gate.admit(value.as_ref(), &next)?;
        if terms.dry_run {
            let (value, before) = (next, value);
            return Ok(Changed { value, revision: at, before, wrote: false, repeated: false });
        }
        let next = match &value {
            Some(before) => following(before, next),
            None => next,
        };
        let wrote = match &fence {
            // What was read was written after the fence was seen: it is not what was counted.
            Some(fence) if at > fence.at => continue,
            Some(fence) => bus.update_within(&key, &next, fence).await,
            None => bus.update(&key, &next, at).await,
        };
        match wrote {
            Ok(revision) => {
                if unreadable {
                    alarm(bus, &key, at);
                }
                let (value, before) = (next, value);
                return Ok(Changed { value, revision, before, wrote: true, repeated: false });
            }
            // Whether it was written shows when it is read again: by its operation id.
            Err(WriteError::Unknown { .. }) => open = Some(value),
            Err(WriteError::Conflict { .. }) => {}
            Err(refused @ WriteError::Refused { .. }) => return Err(unwritten(refused)),
        }
        let pause = rand::rng().random_range(PAUSE_MS);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    Err(Problem::new(Code::Unavailable, format!("`{key}` was not changed in time")))
}

/// Somebody else had written there what cannot be read, and it was written over.
pub fn alarm(bus: &Bus, key: &impl Key, at: Revision) {
    let what = format!("{}/{key}", key.bucket());
    error!("`{what}` was written by somebody else at revision {at}, not to be read: written over");
    let details = [("key".to_owned(), what), ("revision".to_owned(), at.to_string())];
    bus.emit(pb::Event {
        source: "registry".to_owned(),
        actor: "registry".to_owned(),
        kind: "record.unreadable".to_owned(),
        reason: "somebody else wrote it; it was written over".to_owned(),
        details: details.into(),
        ..pb::Event::default()
    });
}

/// What there is before a try.
struct Seen<V> {
    /// What nobody else may write meanwhile.
    fence: Option<Fence>,
    /// Where the key was last written; 0: it is absent.
    at: Revision,
    /// What is there, or stands for it.
    value: Option<V>,
    /// What is there cannot be read.
    unreadable: bool,
}

/// Between two looks at what a write has come to that nobody answered.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// What there is. Where a write of ours is `open`, it may have been made, and only who reads it knows
/// that it has to be told: until the bus answers.
async fn look<K: Key>(
    bus: &Bus,
    key: &K,
    gate: &(impl Gate<K::Value> + Sync),
    open: bool,
) -> Result<Seen<K::Value>, Problem> {
    let mut again = Backoff::new(AGAIN.0, AGAIN.1);
    loop {
        match glance(bus, key, gate).await {
            Err(Problem { code: Code::Unavailable, .. }) if open => again.wait().await,
            seen => return seen,
        }
    }
}

async fn glance<K: Key>(
    bus: &Bus,
    key: &K,
    gate: &(impl Gate<K::Value> + Sync),
) -> Result<Seen<K::Value>, Problem> {
    let fence = gate.open().await?;
    let (at, value, unreadable) = match bus.get(key).await {
        Ok(Some(entry)) => (entry.revision, Some(entry.value), false),
        Ok(None) => (Revision(0), None, false),
        Err(error @ ReadError::Value { revision, .. }) => {
            (revision, gate.instead(error).await?, true)
        }
        Err(error @ ReadError::Unavailable { .. }) => return Err(unread(error)),
    };
    Ok(Seen { fence, at, value, unreadable })
}

/// Reads what a write has come to that nobody answered, until the bus does.
pub async fn settle<K>(bus: &Bus, key: &K) -> Result<Option<(K::Value, Revision)>, Problem>
where
    K: Key,
{
    let seen = look(bus, key, &Anew, true).await?;
    Ok(seen.value.map(|value| (value, seen.at)))
}

fn unchanged<V: Stamped>(value: V, revision: Revision) -> Changed<V> {
    Changed { value, revision, before: None, wrote: false, repeated: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_farewell_is_one_event_however_often_it_is_told_and_each_write_has_its_own() {
        let (at, op) = (Timestamp::from_millis(1_790_000_000_000), "01M7ZG4KTW49991F4M0W53BK2P");
        let id = farewell_id("workload.ended", op, at);
        assert_eq!(id, farewell_id("workload.ended", op, at));
        assert_ne!(id, farewell_id("workload.ended", "01M7ZG4KTW49991F4M0W53BK2Q", at));
        assert_ne!(id, farewell_id("node.removed", op, at));
        assert!(id.parse::<ulid::Ulid>().is_ok_and(|id| id.timestamp_ms() == at.as_millis()));
    }
}
