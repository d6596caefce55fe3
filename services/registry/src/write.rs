//! Writes by compare-and-set: read from the leader, decide, write, and again if somebody was faster.

use std::future::Future;
use std::time::Duration;

use ostler_bus::{Bus, Caller, Entry, Fence, WriteError};
use ostler_core::head::Head;
use ostler_core::id::Revision;
use ostler_core::node::Node;
use ostler_core::time::Timestamp;
use ostler_schemas::bucket::{Key, QuotaRecord, SettingsRecord};
use ostler_schemas::problem::{Code, Problem};
use rand::Rng as _;
use sha2::{Digest as _, Sha256};

use crate::refusal::{revision_mismatch, unread, unwritten};

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
}

impl<'a> Terms<'a> {
    /// Whatever is there.
    pub fn of(caller: &'a Caller) -> Self {
        Self { op_id: &caller.op_id, if_revision: None, dry_run: false }
    }
}

/// What a change has to pass besides.
pub trait Gate<V> {
    /// Asked before each try: what nobody else may write meanwhile, if anything.
    fn open(&self) -> impl Future<Output = Result<Option<Fence>, Problem>> + Send;

    /// Whether this may be written in the place of that. Nothing is changed when it refuses.
    fn admit(&self, before: Option<&V>, after: &V) -> Result<(), Problem>;
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
        let fence = gate.open().await?;
        let entry = bus.get(&key).await.map_err(unread)?;
        let found = entry.as_ref().map_or(Revision(0), |entry| entry.revision);
        let ours = entry.as_ref().filter(|_| !terms.dry_run);
        if let Some(entry) = ours.filter(|entry| entry.value.op_id() == terms.op_id) {
            let again = Changed { repeated: true, ..unchanged(entry) };
            let wrote = |before| Changed { before, wrote: true, repeated: false, ..again.clone() };
            return Ok(open.map_or_else(|| again.clone(), wrote));
        }
        if let Some(entry) = ours.filter(|entry| was_by(&entry.value, terms.op_id)) {
            // Done, and something else was done since: it is told once more, nothing else follows.
            let before = Some(entry.value.clone());
            return Ok(Changed { before, repeated: true, ..unchanged(entry) });
        }
        if let Some(expected) = terms.if_revision
            && expected != found.0
        {
            return Err(revision_mismatch(&key, expected, found.0));
        }
        let Some(value) = step(entry.as_ref().map(|entry| &entry.value))? else {
            let left = entry.as_ref().map(unchanged);
            return left.ok_or_else(|| crate::refusal::not_found("key", &key));
        };
        gate.admit(entry.as_ref().map(|entry| &entry.value), &value)?;
        if terms.dry_run {
            let before = entry.map(|entry| entry.value);
            return Ok(Changed { value, revision: found, before, wrote: false, repeated: false });
        }
        let value = match &entry {
            Some(entry) => following(&entry.value, value),
            None => value,
        };
        let wrote = match &fence {
            // What was read was written after the fence was seen: it is not what was counted.
            Some(fence) if found > fence.at => continue,
            Some(fence) => bus.update_within(&key, &value, fence).await,
            None => bus.update(&key, &value, found).await,
        };
        match wrote {
            Ok(revision) => {
                let before = entry.map(|entry| entry.value);
                return Ok(Changed { value, revision, before, wrote: true, repeated: false });
            }
            // Whether it was written shows when it is read again: by its operation id.
            Err(WriteError::Unknown { .. }) => open = Some(entry.map(|entry| entry.value)),
            Err(WriteError::Conflict { .. }) => {}
            Err(refused @ WriteError::Refused { .. }) => return Err(unwritten(refused)),
        }
        let pause = rand::rng().random_range(PAUSE_MS);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    Err(Problem::new(Code::Unavailable, format!("`{key}` is being changed by too many at once")))
}

fn unchanged<V: Stamped>(entry: &Entry<V>) -> Changed<V> {
    let (value, revision) = (entry.value.clone(), entry.revision);
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
