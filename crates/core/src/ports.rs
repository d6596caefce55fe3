//! The ports of one node: which are taken, and which are given next.

use std::collections::BTreeMap;

use crate::placement::score::mix;

/// Ports that are taken on one node, as blocks that do not overlap, and where the search for the
/// next dynamic block begins: ports that were just freed are not given again at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortTable {
    first: u16,
    last: u16,
    next: u16,
    blocks: BTreeMap<u16, u16>,
}

/// What a block of dynamic ports must be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// How many, side by side; at least 1.
    pub count: u16,
    /// The first is a multiple of this; 0 and 1 ask nothing.
    pub align: u16,
}

impl PortTable {
    /// A node whose dynamic ports are `first` to `last`, both included.
    #[must_use]
    pub fn new((first, last): (u16, u16)) -> Self {
        Self { first, last, next: first, blocks: BTreeMap::new() }
    }

    /// The dynamic range, when the node says another; what is taken stays taken. The search begins
    /// somewhere in it that depends on `whose`, the node's key: several fleets on one host would
    /// otherwise all want the lowest ports first, and decline each other's. Without a key it begins
    /// at the first port.
    pub fn set_range(&mut self, (first, last): (u16, u16), whose: &str) {
        if (self.first, self.last) != (first, last) {
            (self.first, self.last, self.next) = (first, last, first);
            self.next = first.saturating_add(offset(whose, last.saturating_sub(first)));
        }
    }

    /// Whether none of `count` ports from `first` is taken.
    #[must_use]
    pub fn is_free(&self, first: u16, count: u16) -> bool {
        let Some(last) = first.checked_add(count.saturating_sub(1)) else { return false };
        self.taken_within(first, last).is_none()
    }

    /// Marks `count` ports from `first` as taken; false, and nothing changed, if one of them is.
    pub fn take(&mut self, first: u16, count: u16) -> bool {
        let free = count > 0 && self.is_free(first, count);
        if free {
            self.blocks.insert(first, count);
        }
        free
    }

    /// Gives back the block that begins at `first`; nothing if there is none.
    pub fn free(&mut self, first: u16) {
        self.blocks.remove(&first);
    }

    /// The first port of the next free dynamic block; `None` if there is none.
    #[must_use]
    pub fn find(&self, block: Block) -> Option<u16> {
        let from = self.next.clamp(self.first, self.last);
        self.search(block, from, self.last).or_else(|| self.search(block, self.first, self.last))
    }

    /// Takes the next free dynamic block and moves on past it.
    pub fn grant(&mut self, block: Block) -> Option<u16> {
        let first = self.find(block)?;
        self.blocks.insert(first, block.count.max(1));
        self.next = match first.checked_add(block.count.max(1)) {
            Some(next) if next <= self.last => next,
            Some(_) | None => self.first,
        };
        Some(first)
    }

    /// The search goes on from where it stands in `other`, a copy in which ports were granted.
    pub(crate) fn pass(&mut self, other: &Self) {
        self.next = other.next;
    }

    fn search(&self, block: Block, from: u16, last: u16) -> Option<u16> {
        let (count, align) = (u32::from(block.count.max(1)), u32::from(block.align.max(1)));
        let mut start = u32::from(from).next_multiple_of(align);
        while start + count - 1 <= u32::from(last) {
            let first = u16::try_from(start).expect("not above `last`");
            let end = u16::try_from(start + count - 1).expect("not above `last`");
            match self.taken_within(first, end) {
                None => return Some(first),
                Some(taken) => start = (u32::from(taken) + 1).next_multiple_of(align),
            }
        }
        None
    }

    /// The last port of the last block that touches `first..=last`.
    fn taken_within(&self, first: u16, last: u16) -> Option<u16> {
        let (begin, count) = self.blocks.range(..=last).next_back()?;
        let end = begin.saturating_add(count.saturating_sub(1));
        (end >= first).then_some(end)
    }
}

/// A number up to `most`, included; 0 for nobody.
fn offset(whose: &str, most: u16) -> u16 {
    if whose.is_empty() {
        return 0;
    }
    let all = whose.bytes().fold(0, |sum, byte| mix(sum ^ u64::from(byte)));
    u16::try_from(all % (u64::from(most) + 1)).expect("not above `most`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one() -> Block {
        Block { count: 1, align: 1 }
    }

    #[test]
    fn a_port_that_was_just_freed_is_not_given_again_at_once() {
        let mut table = PortTable::new((10, 12));
        assert_eq!(table.grant(one()), Some(10));
        table.free(10);
        assert_eq!(table.grant(one()), Some(11));
        assert_eq!(table.grant(one()), Some(12));
        assert_eq!(table.grant(one()), Some(10));
        assert_eq!(table.grant(one()), None);
    }

    #[test]
    fn a_block_is_contiguous_and_aligned() {
        let mut table = PortTable::new((10, 40));
        assert!(table.take(17, 1));
        assert_eq!(table.grant(Block { count: 4, align: 8 }), Some(24));
        assert_eq!(table.grant(Block { count: 4, align: 8 }), Some(32));
        assert_eq!(table.grant(Block { count: 4, align: 8 }), None);
        assert_eq!(table.grant(Block { count: 7, align: 1 }), Some(10));
    }

    #[test]
    fn the_ends_of_the_range_and_of_all_ports_belong_to_it() {
        let mut table = PortTable::new((65_534, 65_535));
        assert_eq!(table.grant(one()), Some(65_534));
        assert_eq!(table.grant(one()), Some(65_535));
        assert_eq!(table.grant(one()), None);
        assert!(!table.is_free(65_535, 2));
    }

    #[test]
    fn fleets_that_share_a_host_begin_at_other_ports_and_each_gets_all_of_its_range() {
        let range = (20_000, 29_999);
        let begin = |key: &str| {
            let mut table = PortTable::new((0, 0));
            table.set_range(range, key);
            table
        };
        let firsts: Vec<u16> = ["", "UA", "UB", "UC"]
            .iter()
            .map(|key| begin(key).grant(Block { count: 4, align: 8 }).expect("there is room"))
            .collect();
        assert_eq!(firsts[0], 20_000);
        assert!(firsts.iter().all(|first| first % 8 == 0 && range.0 <= *first));
        assert!(firsts[1..].iter().all(|first| firsts.iter().filter(|f| f == &first).count() == 1));
        let mut table = begin("UA");
        assert_eq!(table.find(one()), begin("UA").find(one()), "the same key, the same place");
        for _ in range.0..=range.1 {
            assert!(table.grant(one()).is_some_and(|port| (range.0..=range.1).contains(&port)));
        }
        assert_eq!(table.grant(one()), None);
    }

    #[test]
    fn a_static_port_that_is_taken_is_refused() {
        let mut table = PortTable::new((1, 2));
        assert!(table.take(8080, 1));
        assert!(!table.take(8080, 1));
        assert!(!table.is_free(8079, 3));
        table.free(8080);
        assert!(table.take(8080, 1));
    }
}
