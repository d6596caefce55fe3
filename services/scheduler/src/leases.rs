//! Whose own lease is looked for: a few at a time, others each time.

use ostler_core::id::{NodeName, Revision, Term};

/// Nodes whose own lease is looked for at a time.
const AT_A_TIME: usize = 64;

/// A node whose own lease is to be looked for, and where its orders stand before the look.
pub(crate) type Look = (NodeName, (Term, Revision));

/// Remembers who was last looked for.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    last: Option<NodeName>,
}

impl Leases {
    /// The next few of all that are to be looked for, which come in the order of names.
    pub fn next(&mut self, all: &[Look]) -> Vec<Look> {
        let first = all.partition_point(|(node, _)| Some(node) <= self.last.as_ref());
        let (again, rest) = all.split_at(first);
        let next: Vec<Look> = rest.iter().chain(again).take(AT_A_TIME).cloned().collect();
        self.last = next.last().map(|(node, _)| node.clone());
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_that_stay_do_not_keep_others_from_being_looked_for() {
        let name = |number: usize| format!("n{number:03}").parse().expect("a name");
        let all: Vec<Look> = (0..100).map(|n| (name(n), (Term(1), Revision(1)))).collect();
        let mut leases = Leases::default();
        let mut ends = || {
            let next = leases.next(&all);
            (next[0].0.to_string(), next[next.len() - 1].0.to_string())
        };
        assert_eq!(ends(), ("n000".to_owned(), "n063".to_owned()));
        assert_eq!(ends(), ("n064".to_owned(), "n027".to_owned()));
    }
}
