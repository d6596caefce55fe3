//! `require` expressions: what must hold of a node, such as `node.driver.docker >= 24, < 26`.
//!
//! Read once, with regular expressions and versions compiled; asking a node then allocates nothing
//! but what the attribute needs. The same text always gives the same answer.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use regex::Regex;

use crate::node::Node;

mod attribute;
mod number;
mod operand;
mod parse;
mod version;

pub use attribute::{attribute, is_attribute};
pub use parse::{RequirementError, RequirementFault};

pub(crate) use attribute::Attribute;
use operand::{Bound, Operand, SemverBound};

/// One `require` expression: an attribute, an operator and what it is held against.
///
/// A missing attribute makes `!=` and `is_not_set` true and all else false. An attribute that no
/// node can have (see [`Requirement::unknown_attribute`]) makes it false whatever the operator.
#[derive(Debug, Clone)]
pub struct Requirement {
    text: String,
    attribute: Attribute,
    test: Test,
}

/// What is asked of the attribute's value.
#[derive(Debug, Clone)]
enum Test {
    /// All bounds of a range hold.
    Bounds(Vec<Bound>),
    /// The same by semantic precedence.
    Semver(Vec<SemverBound>),
    /// The expression matches anywhere.
    Matches(Box<Regex>),
    /// It equals one of these.
    In(Vec<Operand>),
    /// Split at commas, it holds all of these.
    Contains(Vec<String>),
    /// Split at commas, it holds one of these.
    ContainsAny(Vec<String>),
    /// It is there.
    Set,
    /// It is not there.
    NotSet,
}

impl Requirement {
    /// Whether it holds of this node.
    #[must_use]
    pub fn holds(&self, node: &Node) -> bool {
        if self.unknown_attribute().is_some() {
            return false;
        }
        match self.attribute.of(node) {
            Some(value) => self.test.holds(&value),
            None => self.test.holds_of_nothing(),
        }
    }

    /// The attribute, if it is none that a node can have: then nothing satisfies the expression,
    /// and people should be told.
    #[must_use]
    pub fn unknown_attribute(&self) -> Option<&str> {
        match &self.attribute {
            Attribute::Unknown(name) => Some(name),
            Attribute::Name
            | Attribute::Arch
            | Attribute::Os
            | Attribute::Kernel
            | Attribute::Zone
            | Attribute::Hardware
            | Attribute::Pool
            | Attribute::Driver(_)
            | Attribute::Label(_)
            | Attribute::Cpu
            | Attribute::Memory => None,
        }
    }

    /// The driver that it is about, if it is about one.
    #[must_use]
    pub fn driver(&self) -> Option<&str> {
        match &self.attribute {
            Attribute::Driver(driver) => Some(driver),
            Attribute::Name
            | Attribute::Arch
            | Attribute::Os
            | Attribute::Kernel
            | Attribute::Zone
            | Attribute::Hardware
            | Attribute::Pool
            | Attribute::Label(_)
            | Attribute::Cpu
            | Attribute::Memory
            | Attribute::Unknown(_) => None,
        }
    }

    /// The expression as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What this node has for the attribute; `None` where it has nothing.
    #[must_use]
    pub fn value<'a>(&'a self, node: &'a Node) -> Option<Cow<'a, str>> {
        self.attribute.of(node)
    }
}

impl Test {
    fn holds(&self, value: &str) -> bool {
        match self {
            Self::Bounds(bounds) => bounds.iter().all(|bound| bound.holds(value)),
            Self::Semver(bounds) => operand::semver_holds(bounds, value),
            Self::Matches(regex) => regex.is_match(value),
            Self::In(wanted) => wanted.iter().any(|one| one.equals(value)),
            Self::Contains(wanted) => wanted.iter().all(|one| listed(value, one)),
            Self::ContainsAny(wanted) => wanted.iter().any(|one| listed(value, one)),
            Self::Set => true,
            Self::NotSet => false,
        }
    }

    fn holds_of_nothing(&self) -> bool {
        match self {
            Self::Bounds(bounds) => bounds.iter().all(Bound::holds_of_nothing),
            Self::Semver(bounds) => bounds.iter().all(SemverBound::holds_of_nothing),
            Self::NotSet => true,
            Self::Matches(_)
            | Self::In(_)
            | Self::Contains(_)
            | Self::ContainsAny(_)
            | Self::Set => false,
        }
    }
}

/// Whether `wanted` is an item of a comma list.
fn listed(value: &str, wanted: &str) -> bool {
    value.split(',').any(|item| item.trim() == wanted)
}

impl FromStr for Requirement {
    type Err = RequirementError;
    fn from_str(text: &str) -> Result<Self, RequirementError> {
        parse::requirement(text)
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Requirement {
    /// Two expressions are equal when they are written the same.
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
impl Eq for Requirement {}
