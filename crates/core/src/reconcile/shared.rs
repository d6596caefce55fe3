//! Lists that two engines share until one of them changes something: a copy of an engine costs little,
//! however much runs, and who goes on planning copies only what it changes, a piece at a time.

use std::ops::{Bound, Index, IndexMut, RangeBounds};
use std::sync::Arc;

/// A list by place, in pieces of `SIZE`.
#[derive(Debug, Clone)]
pub(super) struct Pieces<T, const SIZE: usize> {
    pieces: Vec<Arc<Vec<T>>>,
    len: usize,
}

impl<T, const SIZE: usize> Default for Pieces<T, SIZE> {
    fn default() -> Self {
        Self { pieces: Vec::new(), len: 0 }
    }
}

impl<T: Clone, const SIZE: usize> Pieces<T, SIZE> {
    /// Adds one at the end.
    pub fn push(&mut self, one: T) {
        if self.len.is_multiple_of(SIZE) {
            self.pieces.push(Arc::new(Vec::with_capacity(SIZE.min(4))));
        }
        self.len += 1;
        let last = self.pieces.last_mut().expect("there is room in the last piece");
        Arc::make_mut(last).push(one);
    }

    pub const fn len(&self) -> usize {
        self.len
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> + Clone {
        self.pieces.iter().flat_map(|piece| piece.iter())
    }
}

impl<T: Clone, const SIZE: usize> Index<usize> for Pieces<T, SIZE> {
    type Output = T;
    fn index(&self, place: usize) -> &T {
        &self.pieces[place / SIZE][place % SIZE]
    }
}

impl<T: Clone, const SIZE: usize> IndexMut<usize> for Pieces<T, SIZE> {
    fn index_mut(&mut self, place: usize) -> &mut T {
        &mut Arc::make_mut(&mut self.pieces[place / SIZE])[place % SIZE]
    }
}

/// A piece of a sorted list has at most so many.
const FULL: usize = 256;

/// A set in order. Most of what is added is greater than all that is there.
#[derive(Debug, Clone)]
pub(super) struct Sorted<T> {
    /// The least of each piece; no piece is empty.
    firsts: Vec<T>,
    pieces: Vec<Arc<Vec<T>>>,
    len: usize,
}

impl<T> Default for Sorted<T> {
    fn default() -> Self {
        Self { firsts: Vec::new(), pieces: Vec::new(), len: 0 }
    }
}

impl<T: Copy + Ord> Sorted<T> {
    pub const fn len(&self) -> usize {
        self.len
    }

    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The piece in which it is, if it is there.
    fn piece_of(&self, one: &T) -> usize {
        self.firsts.partition_point(|first| first <= one).saturating_sub(1)
    }

    /// Adds it, if it is not there.
    pub fn insert(&mut self, one: T) {
        if self.pieces.is_empty() {
            self.begin(0, vec![one]);
            self.len += 1;
            return;
        }
        let place = self.piece_of(&one);
        let piece = &mut self.pieces[place];
        let Err(within) = piece.binary_search(&one) else { return };
        self.len += 1;
        if piece.len() == FULL {
            return self.insert_into_full(place, within, one);
        }
        Arc::make_mut(piece).insert(within, one);
        self.firsts[place] = self.pieces[place][0];
    }

    /// Splits the piece; not where it goes to the end of it, since more of that kind will follow.
    fn insert_into_full(&mut self, place: usize, within: usize, one: T) {
        if within == FULL {
            return self.begin(place + 1, vec![one]);
        }
        let piece = Arc::make_mut(&mut self.pieces[place]);
        let rest = piece.split_off(FULL / 2);
        self.begin(place + 1, rest);
        let (place, within) =
            if within > FULL / 2 { (place + 1, within - FULL / 2) } else { (place, within) };
        Arc::make_mut(&mut self.pieces[place]).insert(within, one);
        self.firsts[place] = self.pieces[place][0];
    }

    fn begin(&mut self, place: usize, piece: Vec<T>) {
        self.firsts.insert(place, piece[0]);
        self.pieces.insert(place, Arc::new(piece));
    }

    /// Takes it out, if it is there.
    pub fn remove(&mut self, one: &T) {
        let place = self.piece_of(one);
        let Some(piece) = self.pieces.get_mut(place) else { return };
        let Ok(within) = piece.binary_search(one) else { return };
        self.len -= 1;
        if piece.len() == 1 {
            self.firsts.remove(place);
            self.pieces.remove(place);
            return;
        }
        Arc::make_mut(piece).remove(within);
        self.firsts[place] = self.pieces[place][0];
    }

    /// All, in order.
    pub fn iter(&self) -> Ordered<'_, T> {
        Ordered { piece: [].iter(), rest: self.pieces.iter() }
    }

    /// Those within these bounds, in order.
    pub fn range(&self, bounds: impl RangeBounds<T>) -> impl Iterator<Item = &T> {
        let before = |one: &T| match bounds.start_bound() {
            Bound::Included(first) => one < first,
            Bound::Excluded(first) => one <= first,
            Bound::Unbounded => false,
        };
        // In the piece before the first one that begins within, there may be some.
        let place = self.firsts.partition_point(before).saturating_sub(1);
        let mut rest = self.pieces[place.min(self.pieces.len())..].iter();
        let piece = rest.next().map_or(&[][..], |piece| &piece[piece.partition_point(before)..]);
        let all = Ordered { piece: piece.iter(), rest };
        all.take_while(move |one| match bounds.end_bound() {
            Bound::Included(last) => *one <= last,
            Bound::Excluded(last) => *one < last,
            Bound::Unbounded => true,
        })
    }
}

impl<'a, T: Copy + Ord> IntoIterator for &'a Sorted<T> {
    type Item = &'a T;
    type IntoIter = Ordered<'a, T>;
    fn into_iter(self) -> Ordered<'a, T> {
        self.iter()
    }
}

/// Goes through a sorted list.
#[derive(Debug, Clone)]
pub(super) struct Ordered<'a, T> {
    piece: std::slice::Iter<'a, T>,
    rest: std::slice::Iter<'a, Arc<Vec<T>>>,
}

impl<'a, T> Iterator for Ordered<'a, T> {
    type Item = &'a T;
    fn next(&mut self) -> Option<&'a T> {
        loop {
            if let Some(one) = self.piece.next() {
                return Some(one);
            }
            self.piece = self.rest.next()?.iter();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is done to it, and to a copy of it.
        #[test]
        fn a_sorted_list_is_a_set_and_leaves_its_copy_alone(
            steps in prop::collection::vec((0u32..2_000, 0u32..4), 0..3_000),
            (from, to) in (0u32..2_000, 0u32..2_000),
        ) {
            let (mut list, mut set) = (Sorted::default(), BTreeSet::new());
            let mut copy = None;
            for (number, (one, what)) in steps.into_iter().enumerate() {
                if what == 0 {
                    list.remove(&one);
                    set.remove(&one);
                } else {
                    list.insert(one);
                    set.insert(one);
                }
                if number == 1_000 {
                    copy = Some((list.clone(), set.clone()));
                }
            }
            for (list, set) in copy.into_iter().chain([(list, set)]) {
                prop_assert!(list.iter().eq(&set));
                prop_assert_eq!((list.len(), list.is_empty()), (set.len(), set.is_empty()));
                let (from, to) = (from.min(to), from.max(to));
                prop_assert!(list.range(from..=to).eq(set.range(from..=to)));
                prop_assert!(list.range(from..to).eq(set.range(from..to)));
                prop_assert!(list.range(from..).eq(set.range(from..)));
            }
        }
    }

    #[test]
    fn what_comes_in_order_fills_its_pieces() {
        let mut list = Sorted::default();
        (0..10_000u32).for_each(|one| list.insert(one));
        assert_eq!(list.pieces.len(), 10_000usize.div_ceil(FULL));
    }

    #[test]
    fn only_the_piece_that_changes_is_copied() {
        let mut pieces: Pieces<u32, 4> = Pieces::default();
        (0..10).for_each(|one| pieces.push(one));
        let copy = pieces.clone();
        pieces[5] = 50;
        pieces.push(10);
        assert_eq!((pieces[5], copy[5], pieces.len(), copy.len()), (50, 5, 11, 10));
        let shared = pieces.pieces.iter().zip(&copy.pieces).map(|(a, b)| Arc::ptr_eq(a, b));
        assert_eq!(shared.collect::<Vec<_>>(), [true, false, false]);
        assert!(copy.iter().copied().eq(0..10));
    }
}
