//! What the registry does, as far as the engine sees it: versions and heads of workloads.

use std::collections::BTreeMap;

use crate::head::Head;
use crate::id::{Generation, SpecHash, Version, WorkloadKey};
use crate::time::Timestamp;
use crate::workload::Workload;

/// Heads and all their versions.
#[derive(Debug, Default)]
pub(super) struct Registry {
    heads: BTreeMap<WorkloadKey, Head>,
    texts: BTreeMap<(WorkloadKey, Version), Workload>,
}

impl Registry {
    pub(super) fn heads(&self) -> impl Iterator<Item = &Head> {
        self.heads.values()
    }

    pub(super) fn head(&self, key: &WorkloadKey) -> Option<&Head> {
        self.heads.get(key)
    }

    /// The text that instances of this version run.
    pub(super) fn text(&self, key: &WorkloadKey, version: Version) -> &Workload {
        self.texts.get(&(key.clone(), version)).expect("the engine orders versions it was told of")
    }

    /// Writes a workload. An identical text changes nothing.
    pub(super) fn put(&mut self, spec: Workload, now: Timestamp) -> Option<Head> {
        let key = spec.key();
        let before = self.heads.get(&key);
        if before.is_some_and(|head| head.spec == spec && !head.deleted) {
            return None;
        }
        let version = before.map_or(Version(1), |head| head.version.next());
        let compatible = before.filter(|head| !head.deleted && !head.spec.destructive(&spec));
        let head = Head {
            version,
            compatible_since: compatible.map_or(version, |head| head.compatible_since),
            spec_hash: hash(&spec),
            restart_generation: Generation(0),
            reload_generation: Generation(0),
            stopped: false,
            deleted: false,
            purge: false,
            updated_at: now,
            op_id: String::new(),
            earlier: Vec::new(),
            spec: spec.clone(),
        };
        self.texts.insert((key.clone(), version), spec);
        self.heads.insert(key, head.clone());
        Some(head)
    }

    /// The same text with another count.
    pub(super) fn scale(&mut self, key: &WorkloadKey, count: u32, now: Timestamp) -> Option<Head> {
        let spec = Workload { count, ..self.heads.get(key)?.spec.clone() };
        self.put(spec, now)
    }

    /// Sets a workload back to the text of an older version.
    pub(super) fn revert(
        &mut self,
        key: &WorkloadKey,
        to: Version,
        now: Timestamp,
    ) -> Option<Head> {
        let count = self.heads.get(key)?.spec.count;
        let spec = Workload { count, ..self.texts.get(&(key.clone(), to))?.clone() };
        self.put(spec, now)
    }

    /// Marks a workload as to be ended.
    pub(super) fn remove(&mut self, key: &WorkloadKey, now: Timestamp) -> Option<Head> {
        let head = self.heads.get_mut(key)?;
        (head.deleted, head.updated_at) = (true, now);
        Some(head.clone())
    }

    /// Forgets an ended workload; its texts stay, since executors may still report of them.
    pub(super) fn purge(&mut self, key: &WorkloadKey) {
        self.heads.remove(key);
    }
}

/// Something that is equal for equal specifications; not the real content address, which needs
/// more than the core has.
fn hash(spec: &Workload) -> SpecHash {
    let text = serde_json::to_vec(&spec.spec()).expect("a specification has only text keys");
    let mut hash = [0u8; 32];
    for (lane, bytes) in hash.chunks_exact_mut(8).enumerate() {
        // FNV-1a, from another start for each quarter.
        let start = 0xcbf2_9ce4_8422_2325_u64.wrapping_add(u64::try_from(lane).unwrap_or(0));
        let step =
            |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        bytes.copy_from_slice(&text.iter().fold(start, step).to_be_bytes());
    }
    SpecHash(hash)
}
