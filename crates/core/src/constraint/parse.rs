//! Reads `require` expressions: `<attribute> <operator> <value>`.

use regex::RegexBuilder;
use thiserror::Error;

use super::attribute::Attribute;
use super::operand::{Bound, Comparison, Operand, SemverBound};
use super::version::{Style, Version};
use super::{Requirement, Test};
use crate::id::cut;

/// Why a text is no `require` expression, and where in it. Nothing was built.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}`, column {column}: {fault}")]
pub struct RequirementError {
    /// The expression, cut at 80 characters.
    pub text: String,
    /// The column where it goes wrong, from 1, in characters.
    pub column: usize,
    /// What is wrong there.
    pub fault: RequirementFault,
}

/// What is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RequirementFault {
    /// More than 1,024 bytes.
    #[error("longer than {LONGEST} bytes")]
    TooLong,
    /// It does not begin with an attribute.
    #[error("an attribute such as `node.arch` is missing")]
    NoAttribute,
    /// Nothing follows the attribute.
    #[error("an operator is missing after `{0}`: {OPERATORS}")]
    NoOperator(String),
    /// What follows the attribute is no operator.
    #[error("`{0}` is not an operator: {OPERATORS}")]
    Operator(String),
    /// Nothing follows the operator.
    #[error("a value is missing after `{0}`")]
    NoValue(String),
    /// Something follows `is_set` or `is_not_set`.
    #[error("`{0}` takes no value")]
    NeedlessValue(String),
    /// A list has an empty item.
    #[error("an item of the list is empty")]
    EmptyItem,
    /// A quote is not closed.
    #[error("a quote is not closed")]
    Quote,
    /// An ordering or `~>` of a version against something that is none.
    #[error("`{0}` is not a version")]
    Version(String),
    /// The regular expression cannot be compiled, or is too large when compiled.
    #[error("the regular expression cannot be used: {0}")]
    Regex(String),
}

const OPERATORS: &str = "== != < <= > >= ~> ~ in contains contains_any is_set is_not_set semver";
const LONGEST: usize = 1024;
const REGEX_BYTES: usize = 1024 * 1024;
const REGEX_NESTING: u32 = 32;

/// Longest first, so that `<=` is not read as `<`.
const COMPARISONS: [(&str, Comparison); 7] = [
    ("==", Comparison::Equal),
    ("!=", Comparison::NotEqual),
    ("<=", Comparison::AtMost),
    (">=", Comparison::AtLeast),
    ("~>", Comparison::Compatible),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
];

type Fault = (usize, RequirementFault);

/// A piece of the expression, and where in it, in bytes.
#[derive(Clone, Copy)]
struct Piece<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Piece<'a> {
    fn trim(self) -> Self {
        let start = self.text.trim_start();
        let at = self.at + self.text.len() - start.len();
        Piece { text: start.trim_end(), at }
    }

    fn split(self, bytes: usize) -> (Self, Self) {
        let (left, right) = self.text.split_at(bytes);
        (Piece { text: left, at: self.at }, Piece { text: right, at: self.at + bytes })
    }

    fn wrong(self, fault: RequirementFault) -> Fault {
        (self.at, fault)
    }
}

/// Reads one expression.
pub(super) fn requirement(text: &str) -> Result<Requirement, RequirementError> {
    read(text).map_err(|(at, fault)| {
        let column = text.get(..at).map_or(1, |before| before.chars().count() + 1);
        RequirementError { text: cut(text), column, fault }
    })
}

fn read(text: &str) -> Result<Requirement, Fault> {
    let whole = Piece { text, at: 0 };
    if text.len() > LONGEST {
        return Err(whole.wrong(RequirementFault::TooLong));
    }
    let whole = whole.trim();
    let ends = |c: char| c.is_whitespace() || "=!<>~,\"'()[]".contains(c);
    let (name, rest) = whole.split(whole.text.find(ends).unwrap_or(whole.text.len()));
    if name.text.is_empty() {
        return Err(whole.wrong(RequirementFault::NoAttribute));
    }
    let rest = rest.trim();
    if rest.text.is_empty() {
        return Err(rest.wrong(RequirementFault::NoOperator(cut(name.text))));
    }
    let attribute = Attribute::named(name.text);
    let test = test(&attribute, rest)?;
    Ok(Requirement { text: text.trim().to_owned(), attribute, test })
}

fn test(attribute: &Attribute, rest: Piece<'_>) -> Result<Test, Fault> {
    if comparison(rest.text).is_some() {
        return bounds(attribute, rest).map(Test::Bounds);
    }
    let ends = |c: char| !c.is_ascii_alphabetic() && c != '_';
    let length = if rest.text.starts_with('~') {
        1
    } else {
        rest.text.find(ends).unwrap_or(rest.text.len())
    };
    let (operator, value) = rest.split(length);
    let value = value.trim();
    let valued = || match value.text {
        "" => Err(value.wrong(RequirementFault::NoValue(operator.text.to_owned()))),
        _ => Ok(value),
    };
    match operator.text {
        "~" => pattern(valued()?),
        "in" => Ok(Test::In(operands(attribute, valued()?)?)),
        "contains" => items(valued()?).map(Test::Contains),
        "contains_any" => items(valued()?).map(Test::ContainsAny),
        "semver" => semver(valued()?).map(Test::Semver),
        "is_set" | "is_not_set" if !value.text.is_empty() => {
            Err(value.wrong(RequirementFault::NeedlessValue(operator.text.to_owned())))
        }
        "is_set" => Ok(Test::Set),
        "is_not_set" => Ok(Test::NotSet),
        _ => {
            let word = rest.text.split_whitespace().next().unwrap_or_default();
            Err(rest.wrong(RequirementFault::Operator(cut(word))))
        }
    }
}

/// The comparison that `text` begins with, and its length.
fn comparison(text: &str) -> Option<(&'static str, Comparison)> {
    COMPARISONS.into_iter().find(|(sign, _)| text.starts_with(sign))
}

/// The parts of `>= 24, < 26`: a comma begins a new bound only before a comparison.
fn bounds(attribute: &Attribute, rest: Piece<'_>) -> Result<Vec<Bound>, Fault> {
    ranges(rest).into_iter().map(|part| bound(attribute, part)).collect()
}

fn ranges(rest: Piece<'_>) -> Vec<Piece<'_>> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, _) in rest.text.match_indices(',') {
        if comparison(rest.text[at + 1..].trim_start()).is_some() {
            parts.push(Piece { text: &rest.text[start..at], at: rest.at + start }.trim());
            start = at + 1;
        }
    }
    parts.push(Piece { text: &rest.text[start..], at: rest.at + start }.trim());
    parts
}

/// The comparison of a part and its value, without quotes.
fn compared(part: Piece<'_>) -> Result<(Comparison, Piece<'_>), Fault> {
    let (sign, comparison) = comparison(part.text).unwrap_or(("", Comparison::Equal));
    let value = part.split(sign.len()).1.trim();
    if value.text.is_empty() {
        return Err(value.wrong(RequirementFault::NoValue(sign.to_owned())));
    }
    Ok((comparison, unquoted(value)?))
}

fn bound(attribute: &Attribute, part: Piece<'_>) -> Result<Bound, Fault> {
    let (comparison, value) = compared(part)?;
    let as_version = attribute.is_version() || comparison == Comparison::Compatible;
    let operand = if as_version { version(attribute, value.text) } else { None };
    let plain = matches!(comparison, Comparison::Equal | Comparison::NotEqual);
    match operand {
        Some(operand) => Ok(Bound { comparison, operand }),
        None if as_version && !plain => {
            Err(value.wrong(RequirementFault::Version(cut(value.text))))
        }
        None => Ok(Bound { comparison, operand: Operand::plain(value.text) }),
    }
}

fn version(attribute: &Attribute, text: &str) -> Option<Operand> {
    let style = if *attribute == Attribute::Kernel { Style::Kernel } else { Style::Program };
    Some(Operand::Version(Version::read(text, style)?, style))
}

fn semver(rest: Piece<'_>) -> Result<Vec<SemverBound>, Fault> {
    ranges(rest).into_iter().map(semver_bound).collect()
}

fn semver_bound(part: Piece<'_>) -> Result<SemverBound, Fault> {
    let (comparison, value) = compared(part)?;
    let text = value.text.strip_prefix('v').unwrap_or(value.text);
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let written = text[..end].split('.').count();
    // `24` and `24.1` stand for `24.0.0` and `24.1.0`.
    let padded = (written..3).fold(text[..end].to_owned(), |padded, _| padded + ".0");
    let version = semver::Version::parse(&(padded + &text[end..]))
        .map_err(|_| value.wrong(RequirementFault::Version(cut(value.text))))?;
    Ok(SemverBound { comparison, version, written })
}

fn pattern(value: Piece<'_>) -> Result<Test, Fault> {
    let value = unquoted(value)?;
    let regex = RegexBuilder::new(value.text)
        .size_limit(REGEX_BYTES)
        .dfa_size_limit(REGEX_BYTES)
        .nest_limit(REGEX_NESTING)
        .build();
    let said = |error: regex::Error| {
        // The crate draws a picture over several lines; its last line says what is wrong.
        let text = error.to_string();
        let last = text.lines().last().unwrap_or_default();
        cut(last.strip_prefix("error: ").unwrap_or(last))
    };
    match regex {
        Ok(regex) => Ok(Test::Matches(Box::new(regex))),
        Err(error) => Err(value.wrong(RequirementFault::Regex(said(error)))),
    }
}

fn operands(attribute: &Attribute, value: Piece<'_>) -> Result<Vec<Operand>, Fault> {
    let operand = |item: String| {
        let version = attribute.is_version().then(|| version(attribute, &item)).flatten();
        version.unwrap_or_else(|| Operand::plain(&item))
    };
    Ok(items(value)?.into_iter().map(operand).collect())
}

/// The items of `a, b`, `[a, b]` or `(a, b)`; each may be quoted.
fn items(value: Piece<'_>) -> Result<Vec<String>, Fault> {
    let bracketed = |open, close| value.text.starts_with(open) && value.text.ends_with(close);
    let inner = if value.text.len() > 1 && (bracketed('[', ']') || bracketed('(', ')')) {
        Piece { text: &value.text[1..value.text.len() - 1], at: value.at + 1 }
    } else {
        value
    };
    let mut found = Vec::new();
    let mut at = inner.at;
    for text in inner.text.split(',') {
        let item = Piece { text, at }.trim();
        if item.text.is_empty() {
            return Err(item.wrong(RequirementFault::EmptyItem));
        }
        found.push(unquoted(item)?.text.to_owned());
        at += text.len() + 1;
    }
    Ok(found)
}

/// What stands between quotes, or the piece itself where there are none.
fn unquoted(piece: Piece<'_>) -> Result<Piece<'_>, Fault> {
    let Some(quote) = piece.text.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        return Ok(piece);
    };
    match piece.text[1..].strip_suffix(quote) {
        Some(text) => Ok(Piece { text, at: piece.at + 1 }),
        None => Err(piece.wrong(RequirementFault::Quote)),
    }
}
