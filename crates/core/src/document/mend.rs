//! Reads a document into a type: notes what is wrong, takes it out, reads again.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;

use super::de::Source;
use super::fault::{Fault, Kind, list};
use super::path::{Path, Step};
use super::{Problem, Tree, Value};
use crate::id::cut;

/// What came of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading<T> {
    /// What is left when everything wrong is taken out; not to be used if there are problems,
    /// except to look for more. `None` if nothing was left.
    pub value: Option<T>,
    /// Everything that is wrong, by line.
    pub problems: Vec<Problem>,
}

/// So many problems are named; who has more has the wrong file.
const MOST: usize = 100;

/// Reads `tree` as a `T`, and says everything that is wrong with it.
pub fn read<T: DeserializeOwned>(mut tree: Tree) -> Reading<T> {
    let mut problems = Vec::new();
    drop_repeated(&mut tree, &Path::default(), &mut problems);
    // Each round takes out, or puts in for good, one value: twice as many as there are problems.
    for _ in 0..2 * MOST {
        match T::deserialize(Source(&tree)) {
            Ok(value) => return done(Some(value), problems),
            Err(fault) if mend(&mut tree, &fault, &mut problems) => {}
            Err(_) => break,
        }
    }
    done(None, problems)
}

fn done<T>(value: Option<T>, mut problems: Vec<Problem>) -> Reading<T> {
    problems.sort();
    problems.truncate(MOST);
    Reading { value, problems }
}

/// Notes the fault and changes the document so that it does not come again; false if that cannot
/// be done.
fn mend(tree: &mut Tree, fault: &Fault, problems: &mut Vec<Problem>) -> bool {
    let path = fault.path();
    let line = tree.line_of(&path.to_string());
    let problem = Problem::new(&path, fault.kind.message()).at(line);
    let made_up = tree.get_mut(&path.0).is_none_or(|here| here.made_up);
    match fault.kind {
        Kind::Missing(field) => {
            let problem = Problem::new(path.key(field), problem.message).at(line);
            if !problems.iter().any(|known| known.path == problem.path) {
                problems.push(problem);
            }
            put(tree, &path, field)
        }
        Kind::Key(known) => {
            problems.push(unknown_key(&path, last_key(&path), known).at(line));
            take(tree, &path.0)
        }
        Kind::Variant(ref found, known) => {
            if !made_up {
                problems.push(unknown_word(problem, found, known));
            }
            replace(tree, &path, known)
        }
        // A choice of which the only key was wrong goes too; for all else nothing can be made up.
        Kind::Wrong(_) if made_up => emptied(tree, &path) && take(tree, &path.0),
        Kind::Wrong(_) => {
            problems.push(problem);
            take(tree, &path.0)
        }
    }
}

fn last_key(path: &Path) -> &str {
    match path.0.last() {
        Some(Step::Key(key)) => key,
        Some(Step::Index(_)) | None => "",
    }
}

/// A problem that names an unknown key and the nearest known one; all of them where none is near.
#[must_use]
pub fn unknown_key(path: &Path, key: &str, known: &[&str]) -> Problem {
    let problem = Problem::new(path, "");
    let message = format!("unknown key `{}`", cut(key));
    let Some(near) = known.iter().min_by_key(|word| strsim::osa_distance(key, word)) else {
        return Problem { message: message + "; none is known here", ..problem };
    };
    let all = match closest(key, known) {
        Some(_) => String::new(),
        None => format!(", of {}", list(known)),
    };
    let message = format!("{message}; the nearest known key is `{near}`{all}");
    Problem { message, nearest: Some((*near).to_owned()), ..problem }
}

/// Adds the word that was probably meant.
fn unknown_word(problem: Problem, found: &str, known: &[&str]) -> Problem {
    let Some(near) = closest(found, known) else { return problem };
    let message = format!("{}; did you mean `{near}`?", problem.message);
    Problem { message, nearest: Some(near.to_owned()), ..problem }
}

/// The known word that was probably meant: at most half of it is different.
fn closest<'k>(found: &str, known: &[&'k str]) -> Option<&'k str> {
    let near = known.iter().min_by_key(|word| strsim::osa_distance(found, word))?;
    (strsim::osa_distance(found, near) * 2 <= near.len()).then_some(*near)
}

/// Whether it is a table from which everything was taken out.
fn emptied(tree: &mut Tree, path: &Path) -> bool {
    tree.get_mut(&path.0).is_some_and(|here| here.value == Value::Table(Vec::new()))
}

/// Puts the first known word in for an unknown one. Of what a name leads to nothing can be made
/// up: that is taken out.
fn replace(tree: &mut Tree, path: &Path, known: &[&str]) -> bool {
    let here = tree.get_mut(&path.0).filter(|here| !matches!(here.value, Value::Table(_)));
    match (here, known.first()) {
        (Some(here), Some(word)) => {
            *here = Tree::made_up(word);
            true
        }
        (None, _) | (_, None) => take(tree, &path.0),
    }
}

/// Takes the value at this path out; false for the document itself.
fn take(tree: &mut Tree, steps: &[Step]) -> bool {
    let Some((last, before)) = steps.split_last() else { return false };
    let Some(around) = tree.get_mut(before) else { return false };
    match (last, &mut around.value) {
        (Step::Key(key), Value::Table(entries)) => {
            entries.retain(|(k, _)| k != key);
            around.made_up |= entries.is_empty();
        }
        (Step::Index(index), Value::List(items)) => match items.get_mut(*index) {
            Some(item) => item.value = Value::Gone,
            None => return false,
        },
        _ => return false,
    }
    true
}

/// Puts something in for a key that is missing.
fn put(tree: &mut Tree, path: &Path, field: &str) -> bool {
    let Some(around) = tree.get_mut(&path.0) else { return false };
    let Value::Table(entries) = &mut around.value else { return false };
    entries.push((field.to_owned(), Tree::made_up("x")));
    true
}

/// Notes keys that are there twice (JSON allows to write them), and keeps the first of each.
fn drop_repeated(tree: &mut Tree, path: &Path, problems: &mut Vec<Problem>) {
    match &mut tree.value {
        Value::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                drop_repeated(item, &path.index(index), problems);
            }
        }
        Value::Table(entries) => {
            let mut seen = BTreeSet::new();
            entries.retain(|(key, tree)| {
                let first = seen.insert(key.clone());
                if !first {
                    let problem = Problem::new(path.key(key), "this key is there twice");
                    problems.push(problem.at(tree.line));
                }
                first
            });
            for (key, tree) in entries {
                drop_repeated(tree, &path.key(key.as_str()), problems);
            }
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::Text(_)
        | Value::Strange(_)
        | Value::Gone => {}
    }
}
