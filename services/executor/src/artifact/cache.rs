//! What is kept, who holds it, and what goes when room is needed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ostler_core::id::{ContentHash, InstanceId};
use tracing::info;

/// What is kept of some content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The file as it was fetched.
    Content,
    /// What it was unpacked to.
    Tree,
}

pub(super) type Key = (Kind, ContentHash);

/// Why there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is larger than all that may be kept.
    TooLarge { most: u64 },
    /// All that is kept is held.
    Full,
}

#[derive(Debug, Default)]
struct Entry {
    bytes: u64,
    /// The larger, the later it was used.
    used: u64,
    holders: BTreeSet<InstanceId>,
}

#[derive(Debug, Default)]
struct State {
    entries: BTreeMap<Key, Entry>,
    uses: u64,
}

#[derive(Debug)]
pub(super) struct Cache {
    dir: PathBuf,
    most: u64,
    state: Mutex<State>,
    gates: Mutex<BTreeMap<ContentHash, Arc<tokio::sync::Mutex<()>>>>,
}

impl State {
    fn bytes(&self) -> u64 {
        self.entries.values().map(|entry| entry.bytes).sum()
    }

    fn touch(&mut self, key: Key, id: InstanceId) -> &mut Entry {
        self.uses += 1;
        let used = self.uses;
        let entry = self.entries.entry(key).or_default();
        entry.used = used;
        entry.holders.insert(id);
        entry
    }

    /// What has to go so that `bytes` more fit, the least recently used first; `None`: too much is
    /// held.
    fn victims(&self, bytes: u64, most: u64) -> Option<Vec<Key>> {
        let mut excess = self.bytes().saturating_add(bytes).saturating_sub(most);
        let mut idle: Vec<(&Key, &Entry)> =
            self.entries.iter().filter(|(_, entry)| entry.holders.is_empty()).collect();
        idle.sort_by_key(|(_, entry)| entry.used);
        let mut going = Vec::new();
        for (key, entry) in idle {
            if excess == 0 {
                break;
            }
            excess = excess.saturating_sub(entry.bytes);
            going.push(*key);
        }
        (excess == 0).then_some(going)
    }
}

impl Cache {
    /// What an executor before this one left, oldest first; what is not whole goes.
    pub(super) fn read(dir: &Path, most: u64) -> Self {
        let mut found = Vec::new();
        for (kind, part) in [(Kind::Content, "content"), (Kind::Tree, "trees")] {
            let inside = std::fs::read_dir(dir.join(part)).into_iter().flatten().flatten();
            for file in inside {
                let name = file.file_name().to_string_lossy().into_owned();
                let Ok(meta) = file.metadata() else { continue };
                let Ok(hash) = name.parse::<ContentHash>() else {
                    if kind == Kind::Tree && name.ends_with(super::tree::PART) {
                        drop(std::fs::remove_dir_all(file.path()));
                    }
                    continue;
                };
                let bytes = match kind {
                    Kind::Content => meta.len(),
                    Kind::Tree => super::tree::noted_size(&file.path()),
                };
                found.push((meta.modified().ok(), (kind, hash), bytes));
            }
        }
        found.sort_by_key(|(modified, key, _)| (*modified, *key));
        let mut state = State::default();
        for (_, key, bytes) in found {
            state.uses += 1;
            let used = state.uses;
            state.entries.insert(key, Entry { bytes, used, holders: BTreeSet::new() });
        }
        let gates = Mutex::default();
        Self { dir: dir.to_owned(), most, state: Mutex::new(state), gates }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One at a time may fetch or unpack the same content.
    pub(super) fn gate(&self, hash: ContentHash) -> Arc<tokio::sync::Mutex<()>> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that nobody waits at are not kept.
        gates.retain(|_, gate| Arc::strong_count(gate) > 1);
        Arc::clone(gates.entry(hash).or_default())
    }

    /// Holds content of this size for an instance, whether or not it is here yet. Makes room.
    pub(super) fn claim(&self, key: Key, id: InstanceId, bytes: u64) -> Result<(), Refused> {
        let mut state = self.state();
        if state.entries.contains_key(&key) {
            state.touch(key, id);
            return Ok(());
        }
        if bytes > self.most {
            return Err(Refused::TooLarge { most: self.most });
        }
        let victims = state.victims(bytes, self.most).ok_or(Refused::Full)?;
        self.remove(&mut state, &victims);
        state.touch(key, id).bytes = bytes;
        Ok(())
    }

    /// Something was made that takes so much room; what is idle makes room for it.
    pub(super) fn note(&self, key: Key, id: InstanceId, bytes: u64) {
        let mut state = self.state();
        state.touch(key, id).bytes = bytes;
        let victims = state.victims(0, self.most).unwrap_or_default();
        self.remove(&mut state, &victims);
    }

    /// Holds what is here of some content.
    pub(super) fn claim_again(&self, hash: ContentHash, id: InstanceId) {
        let mut state = self.state();
        for key in [(Kind::Tree, hash), (Kind::Content, hash)] {
            if state.entries.contains_key(&key) {
                state.touch(key, id);
                return;
            }
        }
    }

    /// The instance does not hold this any more; what never came is forgotten.
    pub(super) fn drop_claim(&self, key: Key, id: InstanceId) {
        let mut state = self.state();
        if let Some(entry) = state.entries.get_mut(&key) {
            entry.holders.remove(&id);
            if entry.holders.is_empty() && !self.path(key).exists() {
                state.entries.remove(&key);
            }
        }
    }

    /// The instance holds nothing any more.
    pub(super) fn release(&self, id: InstanceId) {
        let keys: Vec<Key> = self.state().entries.keys().copied().collect();
        keys.into_iter().for_each(|key| self.drop_claim(key, id));
    }

    fn path(&self, (kind, hash): Key) -> PathBuf {
        let part = match kind {
            Kind::Content => "content",
            Kind::Tree => "trees",
        };
        self.dir.join(part).join(hash.to_string())
    }

    fn remove(&self, state: &mut State, victims: &[Key]) {
        for key in victims {
            let path = self.path(*key);
            let removed = match key.0 {
                Kind::Content => std::fs::remove_file(&path),
                Kind::Tree => super::tree::remove(&path),
            };
            let gone = removed.is_ok() || !path.exists();
            if gone {
                state.entries.remove(key);
                info!("artifact content {} made room", key.1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> Key {
        (Kind::Content, ContentHash([number; 32]))
    }

    fn id(number: u128) -> InstanceId {
        InstanceId::from_bits(number)
    }

    fn cache(most: u64) -> (tempfile::TempDir, Cache) {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("content")).expect("made");
        let cache = Cache::read(dir.path(), most);
        (dir, cache)
    }

    fn put(cache: &Cache, number: u8, bytes: u64) {
        cache.claim(key(number), id(number.into()), bytes).expect("room");
        std::fs::write(cache.path(key(number)), "x").expect("written");
    }

    #[test]
    fn the_least_recently_used_goes_first_and_what_is_held_never() {
        let (_dir, cache) = cache(100);
        for number in 1..=3 {
            put(&cache, number, 30);
        }
        cache.release(id(1));
        cache.release(id(2));
        cache.claim(key(1), id(1), 30).expect("it is there");
        cache.release(id(1));
        put(&cache, 4, 30);
        let there = |number| cache.path(key(number)).exists();
        assert_eq!([1, 2, 3, 4].map(there), [true, false, true, true]);
        assert_eq!(cache.claim(key(5), id(5), 50), Err(Refused::Full));
        assert_eq!(cache.claim(key(5), id(5), 101), Err(Refused::TooLarge { most: 100 }));
        assert!(there(1), "what is refused removes nothing");
    }

    #[test]
    fn the_next_executor_finds_what_was_kept() {
        let (dir, cache) = cache(10);
        put(&cache, 1, 1);
        let next = Cache::read(dir.path(), 10);
        assert_eq!(next.state().bytes(), 1);
        next.claim_again(key(1).1, id(9));
        assert_eq!(next.claim(key(2), id(2), 10), Err(Refused::Full));
    }
}
