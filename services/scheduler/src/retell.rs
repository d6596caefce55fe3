//! What the leader before may have died before it told: the placements that it committed last.
//!
//! The event of a placement has the id of its instance, so that it is one event, whoever tells it:
//! the server drops what it has, and so does history. It lacks why; that its leader took along.

use ostler_core::id::{InstanceId, NodeName, PoolName};
use ostler_core::instance::{Desired, Manifest};
use ostler_core::schedule::rfc3339;
use ostler_core::time::{Span, Timestamp};
use ostler_schemas::pb;

use crate::history;

/// What is older was told, or will not be missed: the server knows its ids for two minutes.
const RECENT: Span = Span::from_secs(60);
/// At most so many are told again, the newest: more are told in sums.
const MOST: usize = 1_000;

/// Marks the ids of events of placements among all others.
const MARK: u128 = 0x70_6c61_6365;

/// The id of the event that tells of a placement.
pub(crate) fn id(instance: InstanceId) -> String {
    let number = instance.bits() & u128::from(u32::MAX);
    ulid::Ulid::from_parts(instance.created().as_millis(), (MARK << 32) | number).to_string()
}

/// Placements of the last minute.
#[derive(Debug)]
pub(crate) struct Recent<'a> {
    pool: &'a PoolName,
    now: Timestamp,
    found: Vec<(InstanceId, pb::Event)>,
}

impl<'a> Recent<'a> {
    /// None yet.
    pub fn new(pool: &'a PoolName, now: Timestamp) -> Self {
        Self { pool, now, found: Vec::new() }
    }

    /// Notes what a manifest orders since recently.
    pub fn note(&mut self, node: &NodeName, manifest: &Manifest) {
        for group in &manifest.groups {
            let fresh = |id: InstanceId| self.now.since(id.created()) < RECENT;
            let run = group.entries.iter().filter(|one| one.desired == Desired::Run);
            for entry in run.filter(|one| fresh(one.id)) {
                let details = [
                    ("term", manifest.term.to_string()),
                    ("revision", manifest.revision.to_string()),
                    ("slot", entry.slot.to_string()),
                    ("score", entry.score.to_string()),
                ];
                let event = pb::Event {
                    id: id(entry.id),
                    time: rfc3339(entry.id.created()),
                    namespace: group.key.namespace.to_string(),
                    workload: group.key.name.to_string(),
                    instance: entry.id.to_string(),
                    node: node.to_string(),
                    version: group.version.0,
                    ..history::of_pool(self.pool, "instance.placed", &details)
                };
                self.found.push((entry.id, event));
            }
        }
    }

    /// The newest of them as events, oldest first.
    pub fn events(mut self) -> Vec<pb::Event> {
        self.found.sort_by_key(|(id, _)| *id);
        let older = self.found.len().saturating_sub(MOST);
        self.found.drain(..older);
        self.found.into_iter().map(|(_, event)| event).collect()
    }
}

#[cfg(test)]
mod tests {
    use ostler_core::id::{Generation, Revision, Slot, SpecHash, Term, Version};
    use ostler_core::instance::{Entry, Group};
    use ostler_core::resources::Resources;

    use super::*;

    const NOW: u64 = 1_790_000_000_000;

    fn instance(age_ms: u64, number: u32) -> InstanceId {
        InstanceId::from_bits((u128::from(NOW - age_ms) << 32) | u128::from(number))
    }

    fn entry(id: InstanceId, desired: Desired) -> Entry {
        Entry {
            id,
            slot: Slot(3),
            desired,
            generation: Generation(1),
            restarted: Generation(0),
            ports: Vec::new(),
            score: 77,
            reason: String::new(),
        }
    }

    fn told(entries: Vec<Entry>) -> Vec<String> {
        let group = Group {
            key: "default/web".parse().expect("a key"),
            version: Version(2),
            spec: SpecHash([1; 32]),
            ask: Resources::default(),
            priority: 50,
            entries,
        };
        let manifest =
            Manifest { incarnation: 1, term: Term(4), revision: Revision(9), groups: vec![group] };
        let (pool, now) = (PoolName::default(), Timestamp::from_millis(NOW));
        let mut recent = Recent::new(&pool, now);
        recent.note(&"n1".parse().expect("a name"), &manifest);
        recent.events().into_iter().map(|event| event.instance).collect()
    }

    #[test]
    fn what_was_placed_recently_and_is_to_run_is_told_again_oldest_first() {
        let (old, middle, new) = (instance(61_000, 1), instance(5_000, 2), instance(1_000, 3));
        let stopped = instance(2_000, 4);
        let entries = vec![
            entry(new, Desired::Run),
            entry(old, Desired::Run),
            entry(stopped, Desired::Stop),
            entry(middle, Desired::Run),
        ];
        assert_eq!(told(entries), [middle.to_string(), new.to_string()]);
    }

    #[test]
    fn of_very_many_the_newest_are_told() {
        let entries = (0..1_500).map(|n| entry(instance(30_000 - u64::from(n), n), Desired::Run));
        let told = told(entries.collect());
        assert_eq!((told.len(), &told[999]), (1_000, &instance(30_000 - 1_499, 1_499).to_string()));
    }

    #[test]
    fn each_placement_has_an_id_of_its_own_that_sorts_by_its_time() {
        let (first, second) = (instance(2_000, 1), instance(1_000, 1));
        assert_eq!(id(first), id(first));
        assert!(id(first) < id(second));
        assert_ne!(id(instance(1_000, 1)), id(instance(1_000, 2)));
    }
}
