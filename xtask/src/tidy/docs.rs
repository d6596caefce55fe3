//! Every file says at its top, in `//!`, what it is for.

use super::{Finding, Rule, Tree};

/// Refuses Rust files whose first line is not `//!` with words after it.
pub fn check(tree: &Tree) -> Vec<Finding> {
    tree.sources()
        .filter(|(_, source)| !opens_with_docs(source))
        .map(|(path, _)| {
            let advice = "begin with `//!` and one sentence that a newcomer can use";
            Finding::new(Rule::Docs, path, 1, advice)
        })
        .collect()
}

fn opens_with_docs(source: &str) -> bool {
    source
        .strip_prefix("//!")
        .and_then(|rest| rest.lines().next())
        .is_some_and(|l| !l.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::{super::finding::said, check};

    #[test]
    fn the_first_line_is_a_sentence() {
        assert_eq!(said(check, &[("a.rs", "//! Words.\n"), ("a.sh", "echo\n")]), "");
        for source in ["", "//!\nfn f() {}\n", "// Words.\n", "fn f() {}\n//! Words.\n"] {
            assert_eq!(
                said(check, &[("a.rs", source)]),
                "a.rs:1: docs: begin with `//!` and one sentence that a newcomer can use",
                "{source}"
            );
        }
    }
}
