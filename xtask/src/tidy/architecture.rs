//! Every path that ARCHITECTURE.md names in backticks exists.

use super::{Finding, Rule, Tree, tree::extension};

const DOCUMENT: &str = "ARCHITECTURE.md";
/// A word that ends so is meant as a file, wherever it stands.
const EXTENSIONS: [&str; 9] = ["rs", "md", "toml", "yaml", "yml", "sh", "conf", "proto", "service"];

/// Refuses paths that are not in the tree, and a tree without the document.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let Some(text) = tree.text(DOCUMENT) else {
        let advice = "write it: glossary, ownership, one request file by file, invariants";
        return vec![Finding::new(Rule::Architecture, DOCUMENT, 1, advice)];
    };
    let mut findings = Vec::new();
    for (number, word) in quoted(text) {
        for path in expand(word).filter(|path| looks_like_path(tree, path) && !exists(tree, path)) {
            let advice = format!("`{path}` is not in the tree: correct the name or drop it");
            findings.push(Finding::new(Rule::Architecture, DOCUMENT, number, advice));
        }
    }
    findings
}

/// What stands between single backticks, with its line number; fenced blocks are left out.
fn quoted(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    let prose = text.lines().enumerate().filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    });
    prose.flat_map(|(index, line)| {
        line.split('`').skip(1).step_by(2).map(move |word| (index + 1, word))
    })
}

/// `a/{b,c}.rs` as `a/b.rs` and `a/c.rs`; anything else as it is.
fn expand(word: &str) -> impl Iterator<Item = String> {
    let parts = word.split_once('{').and_then(|(head, rest)| {
        let (choices, tail) = rest.split_once('}')?;
        Some((head, choices, tail))
    });
    let (head, choices, tail) = parts.unwrap_or((word, "", ""));
    choices.split(',').map(move |choice| format!("{head}{}{tail}", choice.trim()))
}

/// Whether a reader would take it for a path of this tree: it ends like a file, or begins with
/// one of our folders.
fn looks_like_path(tree: &Tree, word: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || "/._-".contains(c);
    if word.starts_with('/') || !word.chars().all(plain) {
        return false;
    }
    let folder = word.split_once('/').map(|(first, _)| format!("{first}/"));
    let ours = folder.is_some_and(|folder| tree.paths().any(|path| path.starts_with(&folder)));
    ours || extension(word).is_some_and(|e| EXTENSIONS.contains(&e) && !word.starts_with('.'))
}

/// Whether it is a file or a folder, in full or as the end of a path.
fn exists(tree: &Tree, word: &str) -> bool {
    let word = format!("/{}/", word.trim_end_matches('/'));
    tree.paths().any(|path| format!("/{path}/").contains(&word))
}

#[cfg(test)]
mod tests {
    use super::{super::finding::said, check};

    #[track_caller]
    fn check_text(text: &str, want: &str) {
        let files = [
            ("ARCHITECTURE.md", text),
            ("crates/core/src/place.rs", ""),
            ("crates/core/src/place/score.rs", ""),
        ];
        assert_eq!(said(check, &files), want);
    }

    #[test]
    fn what_exists_may_be_named_in_full_or_by_its_end() {
        check_text("`crates/core` `crates/core/src/` `place.rs` `place/score.rs`", "");
        check_text("`core/src/{place,place/score}.rs`", "");
    }

    #[test]
    fn what_does_not_exist_is_refused() {
        for (word, line) in [("crates/gone", 1), ("gone.rs", 1), ("place/gone.rs", 1)] {
            check_text(
                &format!("see `{word}`"),
                &format!(
                    "ARCHITECTURE.md:{line}: architecture: `{word}` is not in the tree: correct the name or drop it"
                ),
            );
        }
        check_text(
            "\n`core/src/{place,gone}.rs`",
            "ARCHITECTURE.md:2: architecture: `core/src/gone.rs` is not in the tree: correct the name or drop it",
        );
    }

    #[test]
    fn keys_urls_commands_and_pictures_are_no_paths() {
        check_text("`reports/<node>` `/v1/nodes` `ostler run x.toml` `leases/node.a` `.rs`", "");
        check_text("```text\n`gone.rs`\n```\n", "");
    }

    #[test]
    fn the_document_must_be_there() {
        assert!(
            said(check, &[("a.rs", "")]).starts_with("ARCHITECTURE.md:1: architecture: write it")
        );
    }
}
