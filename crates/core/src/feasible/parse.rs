//! Reads conditions on the fleet, and says where they go wrong.

use thiserror::Error;

use super::{Condition, Measure, Term};
use crate::constraint::{Requirement, RequirementFault};
use crate::id::cut;
use crate::resources::Bytes;

const LONGEST: usize = 4096;
const DEEPEST: u32 = 32;

/// Why a text is no condition, and where in it. Nothing was built.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}`, column {column}: {fault}")]
pub struct ConditionError {
    /// The condition, cut at 80 characters.
    pub text: String,
    /// The column where it goes wrong, from 1, in characters.
    pub column: usize,
    /// What is wrong there.
    pub fault: ConditionFault,
}

/// What is wrong with a condition.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConditionFault {
    /// More than 4,096 bytes.
    #[error("longer than {LONGEST} bytes")]
    TooLong,
    /// More parentheses and `!` in each other than 32.
    #[error("more than {DEEPEST} parentheses in each other")]
    TooDeep,
    /// Something else should be here.
    #[error("{wanted} is wanted here, not {found}")]
    Wanted {
        /// What should be here.
        wanted: &'static str,
        /// What is.
        found: String,
    },
    /// A parenthesis is not closed.
    #[error("this parenthesis is not closed")]
    Open,
    /// What stands between parentheses is no `require` expression.
    #[error("{0}")]
    Require(RequirementFault),
    /// An attribute that no node can have.
    #[error("`{0}` is not an attribute of nodes")]
    Attribute(String),
    /// It is no whole number.
    #[error("`{0}` is not a whole number")]
    Number(String),
    /// It is no size.
    #[error("`{0}` is not a size, such as `8GiB`")]
    Size(String),
}

type Fault = (usize, ConditionFault);

const TERMS: &str = "`count(`, `nodes(`, `sum(`, `any(`, `!` or `(`";

/// Reads one condition.
pub(super) fn condition(text: &str) -> Result<Condition, ConditionError> {
    let mut reader = Reader { text, at: 0, depth: 0 };
    let read =
        if text.len() > LONGEST { Err((0, ConditionFault::TooLong)) } else { reader.whole() };
    match read {
        Ok(root) => Ok(Condition { text: text.trim().to_owned(), root }),
        Err((at, fault)) => {
            let column = text.get(..at).map_or(1, |before| before.chars().count() + 1);
            Err(ConditionError { text: cut(text), column, fault })
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
}

impl<'a> Reader<'a> {
    fn whole(&mut self) -> Result<Term, Fault> {
        let term = self.either()?;
        self.blank();
        if self.rest().is_empty() { Ok(term) } else { Err(self.wanted("`&&` or `||`")) }
    }

    fn either(&mut self) -> Result<Term, Fault> {
        let mut terms = vec![self.both()?];
        while self.take("||") {
            terms.push(self.both()?);
        }
        Ok(if terms.len() == 1 { terms.remove(0) } else { Term::Any(terms) })
    }

    fn both(&mut self) -> Result<Term, Fault> {
        let mut terms = vec![self.term()?];
        while self.take("&&") {
            terms.push(self.term()?);
        }
        Ok(if terms.len() == 1 { terms.remove(0) } else { Term::All(terms) })
    }

    fn term(&mut self) -> Result<Term, Fault> {
        self.blank();
        let start = self.at;
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err((start, ConditionFault::TooDeep));
        }
        let term = if self.take("!") {
            Term::Not(Box::new(self.term()?))
        } else if self.take("(") {
            let term = self.either()?;
            if !self.take(")") {
                self.blank();
                let open = self.rest().is_empty();
                return Err(match open {
                    true => (start, ConditionFault::Open),
                    false => self.wanted("`)`, `&&` or `||`"),
                });
            }
            term
        } else {
            self.question()?
        };
        self.depth -= 1;
        Ok(term)
    }

    fn question(&mut self) -> Result<Term, Fault> {
        let start = self.at;
        let word = self.word();
        match word {
            "count" => {
                let (at, inner) = self.inside()?;
                let (at, inner) = after_words(at, inner, &["nodes", "where"])?;
                let all = requirements(at, inner)?;
                Ok(Term::Count(all, self.least(number)?))
            }
            "nodes" => {
                let (at, inner) = self.inside()?;
                match inner.trim() {
                    "online" => Ok(Term::Online(self.least(number)?)),
                    "asleep" => Ok(Term::Asleep(self.least(number)?)),
                    _ => Err(wanted(at, inner, "`online` or `asleep`")),
                }
            }
            "sum" => self.sum(),
            "any" => {
                let (at, inner) = self.inside()?;
                Ok(Term::Count(requirements(at, inner)?, 1))
            }
            _ => {
                self.at = start;
                Err(self.wanted(TERMS))
            }
        }
    }

    fn sum(&mut self) -> Result<Term, Fault> {
        let (at, inner) = self.inside()?;
        let (blank, name) = (inner.len() - inner.trim_start().len(), inner.trim_start());
        let name = name.split_whitespace().next().unwrap_or_default();
        let measure = match name {
            "free.cpu" => Measure::Cpu,
            "free.memory" => Measure::Memory,
            "free.disk" => Measure::Disk,
            _ => return Err(wanted(at, inner, "`free.cpu`, `free.memory` or `free.disk`")),
        };
        let past = blank + name.len();
        let rest = &inner[past..];
        let all = if rest.trim().is_empty() {
            Vec::new()
        } else {
            let (at, rest) = after_words(at + past, rest, &["where"])?;
            requirements(at, rest)?
        };
        let least = match measure {
            Measure::Cpu => self.least(number)?,
            Measure::Memory | Measure::Disk => self.least(size)?,
        };
        Ok(Term::Free(measure, all, least))
    }

    /// What stands between the parentheses that begin here, and where. Quotes hide parentheses.
    fn inside(&mut self) -> Result<(usize, &'a str), Fault> {
        self.blank();
        let open = self.at;
        if !self.take("(") {
            return Err(self.wanted("`(`"));
        }
        let (start, mut depth, mut quote) = (self.at, 1u32, None);
        for (offset, c) in self.rest().char_indices() {
            match (quote, c) {
                (Some(mark), c) if c == mark => quote = None,
                (Some(_), _) => {}
                (None, '"' | '\'') => quote = Some(c),
                (None, '(') => depth += 1,
                (None, ')') if depth == 1 => {
                    self.at = start + offset + 1;
                    return Ok((start, &self.text[start..start + offset]));
                }
                (None, ')') => depth -= 1,
                (None, _) => {}
            }
        }
        Err((open, ConditionFault::Open))
    }

    fn least(&mut self, read: fn(usize, &str) -> Result<u64, Fault>) -> Result<u64, Fault> {
        if !self.take(">=") {
            self.blank();
            return Err(self.wanted("`>=`"));
        }
        self.blank();
        let start = self.at;
        let ends = |c: char| c.is_whitespace() || "&|()!".contains(c);
        let length = self.rest().find(ends).unwrap_or(self.rest().len());
        self.at += length;
        read(start, &self.text[start..self.at])
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn blank(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn take(&mut self, token: &str) -> bool {
        self.blank();
        let there = self.rest().starts_with(token);
        self.at += if there { token.len() } else { 0 };
        there
    }

    fn word(&mut self) -> &'a str {
        let length = self.rest().find(|c: char| !c.is_ascii_alphabetic());
        let word = &self.rest()[..length.unwrap_or(self.rest().len())];
        self.at += word.len();
        word
    }

    fn wanted(&self, what: &'static str) -> Fault {
        wanted(self.at, self.rest(), what)
    }
}

fn wanted(at: usize, text: &str, wanted: &'static str) -> Fault {
    let blank = text.len() - text.trim_start().len();
    let found = match text.split_whitespace().next() {
        Some(word) => format!("`{}`", cut(word)),
        None => "the end".to_owned(),
    };
    (at + blank, ConditionFault::Wanted { wanted, found })
}

/// What follows these words.
fn after_words<'a>(
    at: usize,
    text: &'a str,
    words: &[&'static str],
) -> Result<(usize, &'a str), Fault> {
    let (mut at, mut text) = (at, text);
    for word in words.iter().copied() {
        let blank = text.len() - text.trim_start().len();
        let rest = text.trim_start().strip_prefix(word);
        let rest = rest.filter(|rest| rest.starts_with(char::is_whitespace) || rest.is_empty());
        let Some(rest) = rest else {
            return Err(wanted(at, text, if word == "where" { "`where`" } else { "`nodes`" }));
        };
        (at, text) = (at + blank + word.len(), rest);
    }
    Ok((at, text))
}

/// One or more `require` expressions; a comma begins another where `node.` follows it.
fn requirements(at: usize, text: &str) -> Result<Vec<Requirement>, Fault> {
    let mut cuts = vec![0];
    let mut quote = None;
    for (offset, c) in text.char_indices() {
        match (quote, c) {
            (Some(mark), c) if c == mark => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, ',') if text[offset + 1..].trim_start().starts_with("node.") => {
                cuts.push(offset + 1);
            }
            (Some(_) | None, _) => {}
        }
    }
    let ends = cuts.iter().skip(1).map(|cut| cut - 1).chain([text.len()]);
    let parts = cuts.iter().copied().zip(ends);
    parts.map(|(from, to)| requirement(at + from, &text[from..to])).collect()
}

fn requirement(at: usize, text: &str) -> Result<Requirement, Fault> {
    let blank = text.len() - text.trim_start().len();
    let at = at + blank;
    let read: Requirement =
        text.trim().parse().map_err(|error: crate::constraint::RequirementError| {
            let before: usize =
                text.trim().chars().take(error.column - 1).map(char::len_utf8).sum();
            (at + before, ConditionFault::Require(error.fault))
        })?;
    match read.unknown_attribute() {
        Some(name) => Err((at, ConditionFault::Attribute(name.to_owned()))),
        None => Ok(read),
    }
}

fn number(at: usize, text: &str) -> Result<u64, Fault> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    number.ok_or_else(|| (at, ConditionFault::Number(cut(text))))
}

fn size(at: usize, text: &str) -> Result<u64, Fault> {
    let size: Result<Bytes, _> = text.parse();
    size.map(|size| size.0).map_err(|_| (at, ConditionFault::Size(cut(text))))
}
