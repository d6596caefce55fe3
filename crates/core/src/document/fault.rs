//! What serde has against a document, in the words of people who write documents.

use std::fmt;

use serde::de::{self, Expected, Unexpected};

use super::path::{Path, Step};
use crate::id::cut;

/// Where reading stopped, and why.
#[derive(Debug)]
pub(super) struct Fault {
    /// From the inside out, while it rises.
    steps: Vec<Step>,
    pub(super) kind: Kind,
}

/// Why reading stopped.
#[derive(Debug)]
pub(super) enum Kind {
    /// The key at the end of the path is none of these.
    Key(&'static [&'static str]),
    /// The text is none of these.
    Variant(String, &'static [&'static str]),
    /// The table lacks this key.
    Missing(&'static str),
    /// The value cannot be taken, for the reason given.
    Wrong(String),
}

impl Fault {
    fn new(kind: Kind) -> Self {
        Self { steps: Vec::new(), kind }
    }

    /// The same fault, seen from one step further out.
    pub(super) fn inside(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Where it is, from the outside in.
    pub(super) fn path(&self) -> Path {
        Path(self.steps.iter().rev().cloned().collect())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path(), self.kind.message())
    }
}
impl std::error::Error for Fault {}

impl Kind {
    /// What is wrong, for people.
    pub(super) fn message(&self) -> String {
        match self {
            Self::Key(_) => "unknown key".to_owned(),
            Self::Variant(found, known) => {
                format!("`{}` is none of {}", cut(found), list(known))
            }
            Self::Missing(_) => "it is required".to_owned(),
            Self::Wrong(message) => message.clone(),
        }
    }
}

/// `a`, `b` and `c`.
pub(super) fn list(known: &[&str]) -> String {
    let quoted: Vec<String> = known.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
        None => String::new(),
    }
}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(Kind::Wrong(message.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let (wanted, found) = (wanted(&expected.to_string()), said(found));
        Self::new(Kind::Wrong(format!("expected {wanted}, found {found}")))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_variant(found: &str, known: &'static [&'static str]) -> Self {
        Self::new(Kind::Variant(found.to_owned(), known))
    }

    fn unknown_field(_: &str, known: &'static [&'static str]) -> Self {
        Self::new(Kind::Key(known))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(Kind::Missing(field))
    }
}

/// What serde's types are called by people.
fn wanted(expected: &str) -> String {
    let plain = match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number, 0 or more",
        "i32" | "i64" => "a whole number",
        "a boolean" => "`true` or `false`",
        "a sequence" => "a list",
        "a map" => "a table",
        _ if expected.starts_with("struct ") => "a table",
        _ => expected,
    };
    plain.to_owned()
}

fn said(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Unsigned(number) => format!("`{number}`"),
        Unexpected::Signed(number) => format!("`{number}`"),
        Unexpected::Float(number) => format!("`{number}`"),
        Unexpected::Str(text) => format!("the text `{}`", cut(text)),
        Unexpected::Unit => "null".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a table".to_owned(),
        other => other.to_string(),
    }
}
