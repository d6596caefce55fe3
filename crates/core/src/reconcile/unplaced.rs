//! Slots that have no place: said once for all that have the same reasons, however many they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{NodeName, Slot};
use crate::placement::Reason;

/// No more runs of slots are listed; the hull and the count still tell of all.
const MOST_RUNS: usize = 1000;

/// Slots of one workload that have no place for the same reasons.
///
/// The reasons are shared: a million slots, or ten thousand workloads that ask for the same, keep
/// them once.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Unplaced {
    /// The first and the last of them.
    pub slots: (Slot, Slot),
    /// The runs of slots between those, each with its first and last; empty if there is no gap.
    /// The first thousand are listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<(Slot, Slot)>,
    /// How many slots there are; 0 in what older leaders wrote, who left no gaps.
    #[serde(default)]
    pub count: u32,
    /// How many nodes were passed over for each reason. All reasons of a node count.
    #[serde(with = "shared")]
    pub reasons: Arc<BTreeMap<Reason, u32>>,
    /// The reasons node by node; at most 100 nodes are kept.
    #[serde(with = "shared")]
    pub nodes: Arc<BTreeMap<NodeName, Vec<Reason>>>,
}

impl Unplaced {
    /// These slots, which rise, for the reasons of `why`; `None` if there is no slot.
    pub(super) fn of(slots: &[u32], why: &Self) -> Option<Self> {
        let (first, last) = (*slots.first()?, *slots.last()?);
        let run = |run: &[u32]| (Slot(run[0]), Slot(run[run.len() - 1]));
        let mut runs = slots.chunk_by(|a, b| a + 1 == *b).map(run);
        let whole = runs.clone().nth(1).is_none();
        let listed = if whole { Vec::new() } else { runs.by_ref().take(MOST_RUNS).collect() };
        Some(Self {
            slots: (Slot(first), Slot(last)),
            runs: listed,
            count: super::picture::index(slots.len()),
            reasons: Arc::clone(&why.reasons),
            nodes: Arc::clone(&why.nodes),
        })
    }

    /// Reasons, for slots that are said later.
    pub(super) fn because(
        reasons: BTreeMap<Reason, u32>,
        nodes: BTreeMap<NodeName, Vec<Reason>>,
    ) -> Self {
        Self { reasons: Arc::new(reasons), nodes: Arc::new(nodes), ..Self::default() }
    }

    /// How many slots.
    #[must_use]
    pub fn count(&self) -> u32 {
        let (first, last) = self.slots;
        if self.count > 0 { self.count } else { last.0.saturating_sub(first.0).saturating_add(1) }
    }

    /// Each listed slot.
    pub fn each(&self) -> impl Iterator<Item = Slot> {
        let whole = self.runs.is_empty().then_some(self.slots);
        let runs = self.runs.iter().copied().chain(whole);
        runs.flat_map(|(first, last)| (first.0..=last.0).map(Slot))
    }

    /// Whether all of its slots are among those of `other`, as far as these are listed.
    pub(super) fn within(&self, other: &Self) -> bool {
        let hull = |one: &Self| one.slots;
        let outer = if other.runs.is_empty() { vec![hull(other)] } else { other.runs.clone() };
        let inner = if self.runs.is_empty() { vec![hull(self)] } else { self.runs.clone() };
        let mut rest = outer.iter().peekable();
        inner.iter().all(|(first, last)| {
            while rest.peek().is_some_and(|(_, end)| end < first) {
                rest.next();
            }
            rest.peek().is_some_and(|(begin, end)| begin <= first && last <= end)
        })
    }
}

/// A shared value as the value itself.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<T: Serialize, S: Serializer>(
        value: &Arc<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        T::serialize(value, serializer)
    }

    pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<T>, D::Error> {
        T::deserialize(deserializer).map(Arc::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(slots: &[u32]) -> Unplaced {
        Unplaced::of(slots, &Unplaced::default()).expect("there are slots")
    }

    #[test]
    fn slots_in_a_row_are_one_run_and_gaps_are_listed() {
        let whole = of(&[3, 4, 5]);
        assert_eq!((whole.slots, whole.runs.len(), whole.count()), ((Slot(3), Slot(5)), 0, 3));
        let gaps = of(&[1, 2, 7, 9, 10]);
        assert_eq!(gaps.runs, [(1, 2), (7, 7), (9, 10)].map(|(a, b)| (Slot(a), Slot(b))));
        assert_eq!(gaps.each().map(|slot| slot.0).collect::<Vec<_>>(), [1, 2, 7, 9, 10]);
    }

    #[test]
    fn every_second_of_a_million_slots_stays_small_and_keeps_the_count() {
        let slots: Vec<u32> = (0..500_000).map(|slot| slot * 2).collect();
        let found = of(&slots);
        assert_eq!((found.count(), found.runs.len()), (500_000, MOST_RUNS));
        assert_eq!(found.slots, (Slot(0), Slot(999_998)));
    }

    #[test]
    fn a_note_of_an_older_leader_reads_as_one_run() {
        let old = r#"{"slots":[2,5],"reasons":{"cpu":3},"nodes":{"n1":["cpu"]}}"#;
        let read: Unplaced = serde_json::from_str(old).expect("reads");
        assert_eq!((read.count(), read.each().count()), (4, 4));
        let again: Unplaced =
            serde_json::from_str(&serde_json::to_string(&read).expect("writes")).expect("reads");
        assert_eq!(again, read);
    }

    #[test]
    fn fewer_slots_are_within_more() {
        for (inner, outer, within) in [
            (&[4, 5][..], &[3, 4, 5, 6][..], true),
            (&[4, 6], &[3, 4, 6], true),
            (&[4, 5, 6], &[3, 4, 6], false),
            (&[7], &[3, 4], false),
        ] {
            assert_eq!(of(inner).within(&of(outer)), within, "{inner:?} {outer:?}");
        }
    }
}
