//! Reads a specification from TOML or JSON and names everything that is wrong with it.

use std::fmt;

use thiserror::Error;

use super::Workload;
use crate::document::{self, Comments, Problem, Reading, Tree};

/// Everything that is wrong with a specification, by line; at most 100 problems, at least one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct SpecErrors(pub Vec<Problem>);

impl fmt::Display for SpecErrors {
    /// A problem a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

/// A specification may be so long, in bytes.
pub const LONGEST: usize = 256 * 1024;

/// Reads a specification from TOML, one workload a file.
pub fn from_toml(text: &str) -> Result<Workload, SpecErrors> {
    short_enough(text)?;
    let tree = document::toml(text).map_err(SpecErrors)?;
    from_tree(tree)
}

/// Reads a specification from JSON.
pub fn from_json(text: &str) -> Result<Workload, SpecErrors> {
    short_enough(text)?;
    let tree = document::json(text, Comments::Refused);
    from_tree(tree.map_err(|problem| SpecErrors(vec![problem]))?)
}

/// Reads a specification from JSON that was parsed already: its problems have no lines.
pub fn from_json_value(value: serde_json::Value) -> Result<Workload, SpecErrors> {
    from_tree(Tree::from(value))
}

/// Reads a specification from a part of a document; problems have their lines in it, and paths from
/// the part.
pub fn from_tree(tree: Tree) -> Result<Workload, SpecErrors> {
    let Reading { value, mut problems } = document::read::<Workload>(tree.clone());
    if let Some(workload) = &value {
        let more = workload.check().into_iter().filter(|p| !follows_from(p, &problems));
        let more: Vec<Problem> = more.map(|p| p.clone().at(tree.line_of(&p.path))).collect();
        problems.extend(more);
    }
    problems.sort();
    match value {
        Some(workload) if problems.is_empty() => Ok(workload),
        Some(_) | None => Err(SpecErrors(problems)),
    }
}

fn short_enough(text: &str) -> Result<(), SpecErrors> {
    if text.len() <= LONGEST {
        return Ok(());
    }
    let message = format!("{} bytes are too many: at most {LONGEST}", text.len());
    Err(SpecErrors(vec![Problem::new("", message)]))
}

/// Whether a problem of sense is only there because of one of the problems of form: at the same
/// place, or because what it depends on was wrong and taken out.
fn follows_from(problem: &Problem, earlier: &[Problem]) -> bool {
    let touches = |p: &Problem| p.path.is_empty() || problem.path.starts_with(&p.path);
    let cause = match first_key(&problem.path) {
        "checks" => "ports",
        "cron" => "kind",
        "process" | "nspawn" | "docker" | "vm" | "s6" | "uwsgi" | "sim" => "driver",
        _ => "",
    };
    let caused = |p: &Problem| !cause.is_empty() && first_key(&p.path) == cause;
    // A check of unknown type is none that could lack something.
    let check = problem.path.split('.').next().unwrap_or_default();
    let untyped = |p: &Problem| p.path.strip_prefix(check) == Some(".type");
    earlier.iter().any(|p| touches(p) || caused(p) || untyped(p))
}

fn first_key(path: &str) -> &str {
    path.split(['.', '[']).next().unwrap_or_default()
}
