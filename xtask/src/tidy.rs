//! Reads the tree once and asks every rule about it.
//!
//! A rule is a pure function from a [`Tree`] to its findings, so each is tested on a tree of a few
//! lines. Nothing here writes, and nothing here needs the workspace to compile.

mod architecture;
mod arrows;
mod code;
mod docs;
mod errors;
mod finding;
mod lines;
mod names;
mod purity;
mod settings;
mod size;
mod text;
mod tree;

use std::path::Path;

use finding::{Finding, Rule};
use tree::Tree;

/// What one run saw.
pub struct Report {
    /// How many files were read.
    pub files: usize,
    /// What is wrong, in the order of the paths.
    pub findings: Vec<Finding>,
}

/// Reads the tree under `root` and checks every rule.
///
/// # Errors
/// When the tree cannot be listed or read, or holds nothing: a check of nothing must not pass.
pub fn check(root: &Path) -> anyhow::Result<Report> {
    let tree = Tree::read(root)?;
    anyhow::ensure!(!tree.is_empty(), "no files under {}", root.display());
    Ok(Report { files: tree.len(), findings: judge(&tree) })
}

/// Every finding of every rule, sorted by place.
fn judge(tree: &Tree) -> Vec<Finding> {
    let rules = [
        size::check,
        docs::check,
        names::check,
        arrows::check,
        purity::check,
        errors::check,
        architecture::check,
        settings::check,
        text::check,
    ];
    let mut findings: Vec<Finding> = rules.iter().flat_map(|rule| rule(tree)).collect();
    findings.sort();
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_tidy() -> anyhow::Result<()> {
        let report = check(crate::root())?;
        let list: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
        assert!(list.is_empty(), "`cargo xtask tidy` says:\n{}", list.join("\n"));
        Ok(())
    }

    #[test]
    fn findings_are_sorted_by_path_and_then_line() {
        let tree = Tree::of(&[("b/src/lib.rs", "fn f() {}\n"), ("a/src/mod.rs", "fn f() {}\n")]);
        let places: Vec<String> = judge(&tree)
            .iter()
            .map(|f| f.path().to_owned())
            .filter(|p| p.ends_with("rs"))
            .collect();
        assert_eq!(places, ["a/src/mod.rs", "a/src/mod.rs", "b/src/lib.rs"]);
    }
}
