//! One breach of one rule: where it is, which rule, and what to do.

use std::fmt;

/// The rules, by the name that a finding shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Files stay small.
    Size,
    /// Every file says what it is for.
    Docs,
    /// Files are named for what they hold.
    Names,
    /// Crates know only what lies below them.
    Arrows,
    /// The core decides and touches nothing.
    Purity,
    /// Libraries say what their callers can do.
    Errors,
    /// ARCHITECTURE.md names only what exists.
    Architecture,
    /// `deploy/ostler.toml` can be used as it stands, each line of it.
    Settings,
    /// No text that is true on one machine only, and no promises to come back.
    Text,
}

impl fmt::Display for Rule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Size => "size",
            Self::Docs => "docs",
            Self::Names => "names",
            Self::Arrows => "arrows",
            Self::Purity => "purity",
            Self::Errors => "errors",
            Self::Architecture => "architecture",
            Self::Settings => "settings",
            Self::Text => "text",
        })
    }
}

/// A breach, as `path:line: rule: what to do`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    path: String,
    line: usize,
    rule: Rule,
    advice: String,
}

impl Finding {
    /// A breach on a line of a file, lines counted from 1; line 1 where the whole file is meant.
    pub fn new(rule: Rule, path: &str, line: usize, advice: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, rule, advice: advice.into() }
    }

    /// The file that it is in.
    #[cfg(test)]
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}: {}", self.path, self.line, self.rule, self.advice)
    }
}

/// The findings of a rule on a small tree, one a line: what the tests of the rules compare.
#[cfg(test)]
pub fn said(rule: fn(&super::Tree) -> Vec<Finding>, files: &[(&str, &str)]) -> String {
    let mut findings = rule(&super::Tree::of(files));
    findings.sort();
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
