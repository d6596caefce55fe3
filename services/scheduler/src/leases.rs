//! Whose own lease is looked for, a few at a time, others each time; and whether one that is gone has lapsed.
//!
//! A lease ends by the server's clock, and guardians kill by their hosts'. If the server's clock jumps
//! ahead, the lease is gone at once and what was started under it lives on. So a lease has lapsed when
//! it went at the time at which it had to; otherwise once it has been gone for as long as a
//! guardian that was renewed just before lets anything live.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ostler_bus::lease::pledge::KEPT;
use ostler_core::id::{NodeName, Revision, Term};

/// Nodes whose own lease is looked for at a time.
const AT_A_TIME: usize = 64;

/// So much earlier than it had to may a lease go: a guardian kills a second before.
const EARLY: Duration = Duration::from_millis(500);

/// A node whose own lease is to be looked for, and where its orders stand before the look.
pub(crate) type Look = (NodeName, (Term, Revision));

/// A look, and what it found.
pub(crate) type Looked = (Look, Found);

/// What a look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// There is one. It goes then, if it is not renewed.
    Expires(Instant),
    /// There is none.
    Nothing,
}

/// What is known of a node's lease.
#[derive(Debug, Clone, Copy)]
struct Sight {
    /// When the one that was there had to go.
    expires: Option<Instant>,
    /// Since when there has been none.
    gone: Option<Instant>,
}

/// Remembers who was last looked for, and what was found.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    last: Option<NodeName>,
    sights: BTreeMap<NodeName, Sight>,
}

impl Leases {
    /// The next few of all that are to be looked for, which come in the order of names.
    pub fn next(&mut self, all: &[Look]) -> Vec<Look> {
        let first = all.partition_point(|(node, _)| Some(node) <= self.last.as_ref());
        let (again, rest) = all.split_at(first);
        let next: Vec<Look> = rest.iter().chain(again).take(AT_A_TIME).cloned().collect();
        self.last = next.last().map(|(node, _)| node.clone());
        self.sights.retain(|node, _| all.binary_search_by(|(name, _)| name.cmp(node)).is_ok());
        next
    }

    /// Takes in what was found. Whether the lease has surely lapsed.
    pub fn lapsed(&mut self, node: &NodeName, found: Found, now: Instant) -> bool {
        let sight = self.sights.entry(node.clone()).or_insert(Sight { expires: None, gone: None });
        match found {
            Found::Expires(at) => {
                *sight = Sight { expires: Some(at), gone: None };
                false
            }
            Found::Nothing => {
                let gone = *sight.gone.get_or_insert(now);
                let in_time = sight.expires.is_some_and(|at| gone + EARLY >= at);
                in_time || now.saturating_duration_since(gone) >= KEPT
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ostler_service::clock;

    use super::*;

    fn name(number: usize) -> NodeName {
        format!("n{number:03}").parse().expect("a name")
    }

    #[test]
    fn leases_that_stay_do_not_keep_others_from_being_looked_for() {
        let all: Vec<Look> = (0..100).map(|n| (name(n), (Term(1), Revision(1)))).collect();
        let mut leases = Leases::default();
        let mut ends = || {
            let next = leases.next(&all);
            (next[0].0.to_string(), next[next.len() - 1].0.to_string())
        };
        assert_eq!(ends(), ("n000".to_owned(), "n063".to_owned()));
        assert_eq!(ends(), ("n064".to_owned(), "n027".to_owned()));
    }

    #[test]
    fn a_lease_that_goes_when_it_had_to_has_lapsed() {
        let (mut leases, node, now) = (Leases::default(), name(1), clock::instant());
        let seconds = |count: u64| now + Duration::from_secs(count);
        assert!(!leases.lapsed(&node, Found::Expires(seconds(6)), now));
        assert!(!leases.lapsed(&node, Found::Expires(seconds(6)), seconds(5)));
        assert!(leases.lapsed(&node, Found::Nothing, seconds(6)));
    }

    #[test]
    fn a_lease_that_is_gone_before_its_time_lapses_once_guardians_have_killed() {
        let now = clock::instant();
        let seconds = |count: u64| now + Duration::from_secs(count);
        for seen in [None, Some(Found::Expires(seconds(60)))] {
            let (mut leases, node) = (Leases::default(), name(1));
            assert!(seen.is_none_or(|seen| !leases.lapsed(&node, seen, now)));
            assert!(!leases.lapsed(&node, Found::Nothing, seconds(1)), "{seen:?}");
            assert!(!leases.lapsed(&node, Found::Nothing, seconds(11)), "{seen:?}");
            assert!(leases.lapsed(&node, Found::Nothing, seconds(12)), "{seen:?}");
        }
    }

    #[test]
    fn a_lease_that_comes_back_is_waited_for_anew() {
        let (mut leases, node, now) = (Leases::default(), name(1), clock::instant());
        let seconds = |count: u64| now + Duration::from_secs(count);
        assert!(!leases.lapsed(&node, Found::Nothing, now));
        assert!(!leases.lapsed(&node, Found::Expires(seconds(20)), seconds(9)));
        assert!(!leases.lapsed(&node, Found::Nothing, seconds(12)), "it went before its time");
        assert!(
            !leases.lapsed(&node, Found::Nothing, seconds(21)),
            "it may have been renewed just before"
        );
        assert!(leases.lapsed(&node, Found::Nothing, seconds(23)));
    }

    #[test]
    fn what_was_seen_of_a_node_is_forgotten_when_nobody_waits_for_its_lease() {
        let (mut leases, node) = (Leases::default(), name(1));
        leases.lapsed(&node, Found::Nothing, clock::instant());
        leases.next(&[(name(2), (Term(1), Revision(1)))]);
        assert!(leases.sights.is_empty());
    }
}
