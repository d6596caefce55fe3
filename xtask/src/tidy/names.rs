//! Files and folders are named for what they hold.

use super::{Finding, Rule, Tree};

/// Names that say nothing of what is inside.
const EMPTY_WORDS: [&str; 9] =
    ["util", "utils", "helper", "helpers", "common", "misc", "types", "manager", "managers"];

/// Refuses `mod.rs` and the empty words, on Rust files and on the folders around them.
pub fn check(tree: &Tree) -> Vec<Finding> {
    tree.sources().filter_map(|(path, _)| judge(path)).collect()
}

fn judge(path: &str) -> Option<Finding> {
    if let Some(folder) = path.strip_suffix("/mod.rs") {
        let advice = format!("call it {folder}.rs, beside the folder");
        return Some(Finding::new(Rule::Names, path, 1, advice));
    }
    let stem = path.strip_suffix(".rs").unwrap_or(path);
    let word = stem.split('/').find(|part| EMPTY_WORDS.contains(part))?;
    let advice = format!("`{word}` says nothing: name it for the one thing that it holds");
    Some(Finding::new(Rule::Names, path, 1, advice))
}

#[cfg(test)]
mod tests {
    use super::{super::finding::said, check};

    #[test]
    fn a_name_says_what_is_inside() {
        for (path, want) in [
            ("a/src/place.rs", ""),
            ("a/src/type_names.rs", ""),
            (
                "a/src/place/mod.rs",
                "a/src/place/mod.rs:1: names: call it a/src/place.rs, beside the folder",
            ),
            (
                "a/src/utils.rs",
                "a/src/utils.rs:1: names: `utils` says nothing: name it for the one thing that it holds",
            ),
            (
                "a/src/common/x.rs",
                "a/src/common/x.rs:1: names: `common` says nothing: name it for the one thing that it holds",
            ),
            ("docs/common.md", ""),
        ] {
            assert_eq!(said(check, &[(path, "")]), want);
        }
    }
}
