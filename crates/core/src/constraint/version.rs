//! Versions as drivers and kernels write them: `24.0.7`, `v1.2`, `6.8.0-45-generic`, `5.0-rc1`.

use std::cmp::Ordering;

/// A version: numbers, and what it is a pre-release by, if it is one.
#[derive(Debug, Clone)]
pub(super) struct Version {
    numbers: Vec<u64>,
    pre: Vec<Part>,
}

/// A piece of a pre-release; numbers sort before words, as in semantic versions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number(u64),
    Word(String),
}

const SEGMENTS: usize = 8;

/// Words that make a suffix a pre-release wherever they stand first.
const PRE: [&str; 11] =
    ["alpha", "beta", "rc", "pre", "preview", "dev", "snapshot", "nightly", "next", "test", "m"];

/// Whose habits the text follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// A suffix that begins with a letter is a pre-release, one that begins with a digit is a
    /// packager's revision.
    Program,
    /// Only a suffix such as `rc1` is a pre-release; others name the build, as in `6.8.0-generic`.
    Kernel,
}

impl Version {
    /// Reads a version; `None` if it does not begin with a number.
    pub(super) fn read(text: &str, style: Style) -> Option<Self> {
        let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (head, tail) = text.split_at(end);
        let numbers = head.strip_suffix('.').unwrap_or(head).split('.').map(|n| n.parse().ok());
        let numbers: Vec<u64> = numbers.take(SEGMENTS + 1).collect::<Option<_>>()?;
        let fits = numbers.len() <= SEGMENTS;
        fits.then(|| Self { numbers, pre: pre_release(tail, style) })
    }

    /// At least `self`, and equal to it in all its numbers but the last: `~> 1.2` takes 1.9 and not
    /// 2.0, `~> 1.2.3` takes 1.2.9 and not 1.3; `~> 1` takes 1.9 and not 2. A pre-release of the
    /// first version that is too high is too high.
    pub(super) fn takes(&self, other: &Self) -> bool {
        let fixed = self.numbers.len().saturating_sub(1).max(1);
        other >= self && (0..fixed).all(|i| self.number(i) == other.number(i))
    }

    fn number(&self, index: usize) -> u64 {
        self.numbers.get(index).copied().unwrap_or(0)
    }
}

fn pre_release(tail: &str, style: Style) -> Vec<Part> {
    let tail = tail.split('+').next().unwrap_or_default();
    let suffix = tail.strip_prefix(['-', '~', '.']).unwrap_or(tail);
    let parts = parts(suffix);
    let is_pre = match (parts.first(), style) {
        (None, _) => false,
        (Some(_), _) if tail.starts_with('~') => true,
        (Some(Part::Number(_)), _) => false,
        (Some(Part::Word(_)), Style::Program) => !tail.starts_with('_'),
        (Some(Part::Word(word)), Style::Kernel) => PRE.contains(&word.as_str()),
    };
    if is_pre { parts } else { Vec::new() }
}

/// Words and numbers of a suffix, lowercase, so that `rc9` is before `rc10`.
fn parts(suffix: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = suffix.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    while let Some(first) = rest.chars().next() {
        let digit = first.is_ascii_digit();
        let differs = |c: char| !c.is_ascii_alphanumeric() || c.is_ascii_digit() != digit;
        let (part, tail) = rest.split_at(rest.find(differs).unwrap_or(rest.len()));
        let word = || Part::Word(part.to_ascii_lowercase());
        parts.push(part.parse().map_or_else(|_| word(), Part::Number));
        rest = tail.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    }
    parts
}

impl Ord for Version {
    /// By the numbers, missing ones being 0; then a pre-release is before its release.
    fn cmp(&self, other: &Self) -> Ordering {
        let longest = self.numbers.len().max(other.numbers.len());
        let numbers = (0..longest).map(|i| self.number(i).cmp(&other.number(i)));
        let numbers = numbers.fold(Ordering::Equal, Ordering::then);
        numbers.then_with(|| match (self.pre.is_empty(), other.pre.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => self.pre.cmp(&other.pre),
        })
    }
}
impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Version {}
