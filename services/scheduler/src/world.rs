//! What a standby keeps: the last value of every key, as it came, ready to be understood at once.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ostler_bus::WatchEvent;
use ostler_core::id::Revision;
use ostler_core::node::Heartbeat;
use ostler_core::reconcile::Source;

use crate::feed::Heard;
use crate::takeover::Memory;

/// The last value of every key of one bucket.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    values: BTreeMap<String, Bytes>,
    seen: Revision,
    /// How many messages were heard.
    heard: u64,
    caught_up: bool,
    /// While a watch begins anew: keys that were not told again yet.
    untold: Option<BTreeSet<String>>,
}

impl Kept {
    fn hear(&mut self, event: WatchEvent) {
        self.heard += 1;
        match event {
            WatchEvent::Put { key, value, revision, at: _ } => {
                self.told(&key, revision);
                self.values.insert(key, value);
            }
            WatchEvent::Gone { key, revision } => {
                self.told(&key, revision);
                self.values.remove(&key);
            }
            WatchEvent::CaughtUp { revision } => {
                for key in self.untold.take().unwrap_or_default() {
                    self.values.remove(&key);
                }
                self.seen = self.seen.max(revision);
                self.caught_up = true;
            }
            WatchEvent::Resync => self.begin_anew(),
        }
    }

    fn told(&mut self, key: &str, revision: Revision) {
        self.seen = self.seen.max(revision);
        if let Some(untold) = &mut self.untold {
            untold.remove(key);
        }
    }

    fn begin_anew(&mut self) {
        self.untold = Some(self.values.keys().cloned().collect());
        self.caught_up = false;
    }

    /// Whether everything up to this revision was heard.
    pub fn reached(&self, revision: Revision) -> bool {
        self.caught_up && self.seen >= revision
    }

    /// Each key with its last value.
    pub fn values(&self) -> impl Iterator<Item = (&str, &Bytes)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The last value of one key.
    pub fn value(&self, key: &str) -> Option<&Bytes> {
        self.values.get(key)
    }
}

/// Everything that was heard, by bucket, and each node's last beat.
#[derive(Debug, Default)]
pub(crate) struct World {
    buckets: BTreeMap<Source, Kept>,
    beats: BTreeMap<String, Heartbeat>,
    /// What this replica's own reign knew that has just ended.
    pub memory: Option<Memory>,
}

impl World {
    /// Nothing was heard yet, and this is remembered.
    pub fn after(memory: Option<Memory>) -> Self {
        Self { memory, ..Self::default() }
    }

    /// Takes in a message.
    pub fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Told(source, event) => self.bucket_mut(source).hear(event),
            Heard::Beat(beat) => {
                // Of nodes only: anybody's beats would add up.
                let node = beat.node.to_string();
                if self.bucket(Source::Nodes).is_some_and(|kept| kept.value(&node).is_some()) {
                    self.beats.insert(node, beat);
                }
            }
        }
    }

    /// A watch begins anew: what it does not tell again is gone.
    pub fn begin_anew(&mut self, source: Source) {
        self.bucket_mut(source).begin_anew();
    }

    /// What is kept of a bucket.
    pub fn bucket(&self, source: Source) -> Option<&Kept> {
        self.buckets.get(&source)
    }

    /// Whether every watch has caught up.
    pub fn caught_up(&self) -> bool {
        Source::ALL.iter().all(|source| self.reached(*source, Revision(0)))
    }

    /// Whether a watch has told everything up to this revision.
    pub fn reached(&self, source: Source, revision: Revision) -> bool {
        self.bucket(source).is_some_and(|kept| kept.reached(revision))
    }

    /// How many messages of a watch were heard.
    pub fn told(&self, source: Source) -> u64 {
        self.bucket(source).map_or(0, |kept| kept.heard)
    }

    /// Each node's last beat.
    pub fn beats(&self) -> impl Iterator<Item = &Heartbeat> {
        self.beats.values()
    }

    fn bucket_mut(&mut self, source: Source) -> &mut Kept {
        self.buckets.entry(source).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ostler_core::time::Timestamp;

    fn put(key: &str, revision: u64) -> Heard {
        let (key, value) = (key.to_owned(), Bytes::from_static(b"x"));
        let (revision, at) = (Revision(revision), Timestamp::from_millis(0));
        Heard::Told(Source::Nodes, WatchEvent::Put { key, value, revision, at })
    }

    fn caught_up(revision: u64) -> Heard {
        Heard::Told(Source::Nodes, WatchEvent::CaughtUp { revision: Revision(revision) })
    }

    fn keys(world: &World) -> Vec<&str> {
        world.bucket(Source::Nodes).expect("heard of").values().map(|(key, _)| key).collect()
    }

    #[test]
    fn nothing_is_reached_before_a_watch_says_that_it_has_caught_up() {
        let mut world = World::default();
        world.hear(put("a", 7));
        assert!(!world.reached(Source::Nodes, Revision(7)));
        world.hear(caught_up(7));
        assert!(world.reached(Source::Nodes, Revision(7)));
        assert!(!world.reached(Source::Nodes, Revision(8)));
    }

    #[test]
    fn what_is_not_told_again_after_a_resync_is_gone_but_only_once_it_has_caught_up() {
        let mut world = World::default();
        [put("a", 1), put("b", 2), caught_up(2)].into_iter().for_each(|each| world.hear(each));
        world.hear(Heard::Told(Source::Nodes, WatchEvent::Resync));
        world.hear(put("b", 2));
        assert_eq!(keys(&world), ["a", "b"]);
        world.hear(caught_up(3));
        assert_eq!(keys(&world), ["b"]);
    }
}
