//! Documents as people wrote them: TOML or JSON with the line of each value, read into types with
//! every problem named at once.
//!
//! The types say what is known, by serde's `deny_unknown_fields`: there is no second list of keys
//! that could disagree with them. When a value is wrong it is noted, taken out, and reading starts
//! again, so that one mistake does not hide the next.

use std::fmt;

use serde_json::Number;

mod de;
mod fault;
mod mend;
mod path;
mod read_json;
mod read_toml;

pub use mend::{Reading, read, unknown_key};
pub use path::{Path, Step};
pub use read_json::{Comments, json};
pub use read_toml::toml;

/// One thing that is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The line, from 1; `None` where the format has no lines.
    pub line: Option<usize>,
    /// Such as `ports[0].name`; empty for the document itself.
    pub path: String,
    /// What is wrong there.
    pub message: String,
    /// What was probably meant, for an unknown key or value; also in the message.
    pub nearest: Option<String>,
}

impl Problem {
    /// A problem at `path`, whose line is not known (yet).
    #[must_use]
    pub fn new(path: impl fmt::Display, message: impl Into<String>) -> Self {
        Self { line: None, path: path.to_string(), message: message.into(), nearest: None }
    }

    /// The same, at this line.
    #[must_use]
    pub fn at(self, line: Option<usize>) -> Self {
        Self { line, ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "`{}`: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// A value and the line it is written on: that of its key, or of the value itself in a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    line: Option<usize>,
    value: Value,
    /// It stands in for a value that was missing or wrong, which has been noted.
    made_up: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    /// TOML's dates and times, and numbers that no type of ours takes.
    Strange(&'static str),
    List(Vec<Tree>),
    Table(Vec<(String, Tree)>),
    /// An element of a list that was wrong; those after it keep their index.
    Gone,
}

impl Tree {
    fn new(line: Option<usize>, value: Value) -> Self {
        Self { line, value, made_up: false }
    }

    fn made_up(text: &str) -> Self {
        Self { line: None, value: Value::Text(text.to_owned()), made_up: true }
    }

    /// The line of the value that `path` names, or of the nearest one around it.
    #[must_use]
    pub fn line_of(&self, path: &str) -> Option<usize> {
        if path.is_empty() {
            return self.line;
        }
        let inner = match &self.value {
            Value::Table(entries) => entries
                .iter()
                .find_map(|(key, tree)| Some((tree, path::after(path, &Step::Key(key.clone()))?))),
            Value::List(items) => items
                .iter()
                .enumerate()
                .find_map(|(index, tree)| Some((tree, path::after(path, &Step::Index(index))?))),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Text(_)
            | Value::Strange(_)
            | Value::Gone => None,
        };
        match inner {
            Some((tree, rest)) => tree.line_of(rest).or(self.line),
            None => self.line,
        }
    }

    /// The value that these steps lead to.
    fn get_mut(&mut self, steps: &[Step]) -> Option<&mut Self> {
        let Some((first, rest)) = steps.split_first() else { return Some(self) };
        let inner = match (first, &mut self.value) {
            (Step::Key(key), Value::Table(entries)) => {
                entries.iter_mut().find(|(k, _)| k == key).map(|(_, tree)| tree)
            }
            (Step::Index(index), Value::List(items)) => items.get_mut(*index),
            _ => None,
        };
        inner?.get_mut(rest)
    }
}

impl From<serde_json::Value> for Tree {
    /// Without lines: a parsed value has none.
    fn from(value: serde_json::Value) -> Self {
        use serde_json::Value as Json;
        let value = match value {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(value),
            Json::Number(number) => Value::Number(number),
            Json::String(text) => Value::Text(text),
            Json::Array(items) => Value::List(items.into_iter().map(Self::from).collect()),
            Json::Object(entries) => Value::Table(
                entries.into_iter().map(|(key, value)| (key, Self::from(value))).collect(),
            ),
        };
        Self::new(None, value)
    }
}

/// Where lines begin, to tell the line of a byte.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.match_indices('\n').map(|(at, _)| at).collect())
    }

    /// The line of this byte, from 1.
    fn line(&self, byte: usize) -> usize {
        self.0.partition_point(|&newline| newline < byte) + 1
    }

    /// The column of this byte, from 1, in bytes.
    fn column(&self, byte: usize) -> usize {
        let line = self.line(byte);
        let start = if line == 1 { 0 } else { self.0[line - 2] + 1 };
        byte - start + 1
    }
}
