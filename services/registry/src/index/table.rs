//! Rows by key, each with a small number that other rows can keep instead of the key.

use std::collections::BTreeMap;
use std::collections::btree_map::Range;
use std::ops::RangeBounds;

use slab::Slab;

/// Rows by key. A row's number is reused once the row is gone.
#[derive(Debug)]
pub(super) struct Table<K, V> {
    by_key: BTreeMap<K, u32>,
    rows: Slab<(K, V)>,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self { by_key: BTreeMap::new(), rows: Slab::new() }
    }
}

impl<K: Ord + Clone, V: Default> Table<K, V> {
    /// The number of the key's row, which is made if it is not there.
    pub(super) fn ensure(&mut self, key: &K) -> u32 {
        if let Some(number) = self.by_key.get(key) {
            return *number;
        }
        let number = self.rows.insert((key.clone(), V::default()));
        let number = u32::try_from(number).expect("fewer than 4 billion rows fit into memory");
        self.by_key.insert(key.clone(), number);
        number
    }

    pub(super) fn number(&self, key: &K) -> Option<u32> {
        self.by_key.get(key).copied()
    }

    pub(super) fn find(&self, key: &K) -> Option<&V> {
        self.number(key).map(|number| self.row(number))
    }

    /// The row that is made if it is not there.
    pub(super) fn entry(&mut self, key: &K) -> &mut V {
        let number = self.ensure(key);
        self.row_mut(number)
    }

    /// The row of a number that another row keeps.
    pub(super) fn row(&self, number: u32) -> &V {
        &self.rows[index(number)].1
    }

    pub(super) fn row_mut(&mut self, number: u32) -> &mut V {
        &mut self.rows[index(number)].1
    }

    pub(super) fn key(&self, number: u32) -> &K {
        &self.rows[index(number)].0
    }

    /// Forgets a row; nobody may keep its number any longer.
    pub(super) fn remove(&mut self, key: &K) {
        if let Some(number) = self.by_key.remove(key) {
            self.rows.remove(index(number));
        }
    }

    /// Rows by key, from the first after `after`.
    pub(super) fn after<'a>(
        &'a self,
        after: Option<&K>,
    ) -> impl Iterator<Item = (&'a K, &'a V)> + use<'a, K, V> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.range((after.map_or(Unbounded, Excluded), Unbounded))
            .map(|(key, number)| (key, self.row(*number)))
    }

    fn range<'a, 'b>(&'a self, range: impl RangeBounds<&'b K>) -> Range<'a, K, u32>
    where
        K: 'b,
    {
        let bounds = (range.start_bound().cloned().cloned(), range.end_bound().cloned().cloned());
        self.by_key.range(bounds)
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).expect("an address is at least 32 bits wide")
}
