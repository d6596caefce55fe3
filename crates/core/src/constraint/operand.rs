//! What a value is held against, and in which sense the two are compared.

use std::cmp::Ordering;

use super::number::{Number, number};
use super::version::{Style, Version};

/// How two values must stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    AtMost,
    Greater,
    AtLeast,
    /// `~>`: at least, and the same but for the last number.
    Compatible,
}

impl Comparison {
    fn allows(self, found: Ordering) -> bool {
        match self {
            Self::Equal => found.is_eq(),
            Self::NotEqual => found.is_ne(),
            Self::Less => found.is_lt(),
            Self::AtMost => found.is_le(),
            Self::Greater => found.is_gt(),
            Self::AtLeast | Self::Compatible => found.is_ge(),
        }
    }
}

/// A value as it was written, with what it means already worked out.
#[derive(Debug, Clone)]
pub(super) enum Operand {
    /// Compared as versions.
    Version(Version, Style),
    /// Compared by value where the other side is a number too, else as text.
    Number(Number, String),
    /// Compared as text.
    Text(String),
}

impl Operand {
    /// A number, a size or a text.
    pub(super) fn plain(text: &str) -> Self {
        match number(text) {
            Some(value) => Self::Number(value, text.to_owned()),
            None => Self::Text(text.to_owned()),
        }
    }

    /// How `value` stands to this; `None` where they cannot be compared.
    fn compare(&self, value: &str) -> Option<Ordering> {
        match self {
            Self::Version(wanted, style) => Some(Version::read(value, *style)?.cmp(wanted)),
            Self::Number(wanted, text) => Some(match number(value) {
                Some(value) => value.cmp(wanted),
                None => value.cmp(text.as_str()),
            }),
            Self::Text(text) => Some(value.cmp(text.as_str())),
        }
    }

    pub(super) fn equals(&self, value: &str) -> bool {
        self.compare(value).is_some_and(Ordering::is_eq)
    }
}

/// One bound of a range, such as the `< 26` of `>= 24, < 26`.
#[derive(Debug, Clone)]
pub(super) struct Bound {
    pub(super) comparison: Comparison,
    pub(super) operand: Operand,
}

impl Bound {
    pub(super) fn holds(&self, value: &str) -> bool {
        if let (Comparison::Compatible, Operand::Version(wanted, style)) =
            (self.comparison, &self.operand)
        {
            return Version::read(value, *style).is_some_and(|found| wanted.takes(&found));
        }
        match self.operand.compare(value) {
            Some(found) => self.comparison.allows(found),
            None => self.comparison == Comparison::NotEqual,
        }
    }

    pub(super) fn holds_of_nothing(&self) -> bool {
        self.comparison == Comparison::NotEqual
    }
}

/// A bound by semantic precedence (semver.org, § 11).
#[derive(Debug, Clone)]
pub(super) struct SemverBound {
    pub(super) comparison: Comparison,
    pub(super) version: semver::Version,
    /// How many numbers were written, for `~>`.
    pub(super) written: usize,
}

impl SemverBound {
    fn holds(&self, found: &semver::Version) -> bool {
        let wanted = &self.version;
        let allowed = self.comparison.allows(found.cmp_precedence(wanted));
        let same_minor = self.written < 3 || found.minor == wanted.minor;
        let compatible = found.major == wanted.major && same_minor;
        allowed && (self.comparison != Comparison::Compatible || compatible)
    }

    pub(super) fn holds_of_nothing(&self) -> bool {
        self.comparison == Comparison::NotEqual
    }
}

/// Whether `value` is a semantic version within all bounds; what is none only differs.
pub(super) fn semver_holds(bounds: &[SemverBound], value: &str) -> bool {
    match semver::Version::parse(value.strip_prefix('v').unwrap_or(value)) {
        Ok(found) => bounds.iter().all(|bound| bound.holds(&found)),
        Err(_) => bounds.iter().all(SemverBound::holds_of_nothing),
    }
}
