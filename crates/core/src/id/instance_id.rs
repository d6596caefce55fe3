//! Instance ids: 80 bits, 16 characters of lowercase base32, sorted by creation time.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{IdError, cut};
use crate::time::Timestamp;

const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";

/// One running copy of a workload. 48 bits of milliseconds, then 32 bits that tell ids of the same
/// millisecond apart; written as 16 digits of base32hex (RFC 4648 § 7, lowercase), which sort as the
/// numbers do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InstanceId(u128);

impl InstanceId {
    /// The id with these 80 bits; higher bits are dropped.
    #[must_use]
    pub fn from_bits(bits: u128) -> Self {
        Self(bits & ((1 << 80) - 1))
    }

    /// The 80 bits.
    #[must_use]
    pub fn bits(self) -> u128 {
        self.0
    }

    /// When it was made, in pool time.
    #[must_use]
    pub fn created(self) -> Timestamp {
        Timestamp::from_millis(u64::try_from(self.0 >> 32).expect("48 bits fit"))
    }
}

impl InstanceId {
    /// The first and the last id that is written with this beginning; `None` if none is.
    #[must_use]
    pub fn beginning_with(text: &str) -> Option<(Self, Self)> {
        let missing = 16usize.checked_sub(text.len()).filter(|missing| *missing < 16)?;
        let first: Self = format!("{text}{}", "0".repeat(missing)).parse().ok()?;
        let last: Self = format!("{text}{}", "v".repeat(missing)).parse().ok()?;
        Some((first, last))
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0u8; 16];
        for (index, digit) in text.iter_mut().enumerate() {
            let five = (self.0 >> (75 - 5 * index)) & 31;
            *digit = DIGITS[usize::try_from(five).expect("five bits fit")];
        }
        f.write_str(std::str::from_utf8(&text).expect("digits are ASCII"))
    }
}
impl fmt::Debug for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for InstanceId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let bad = || IdError::Instance(cut(text));
        if text.len() != 16 {
            return Err(bad());
        }
        let mut bits = 0u128;
        for byte in text.bytes() {
            let digit = match byte {
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'v' => byte - b'a' + 10,
                _ => return Err(bad()),
            };
            bits = (bits << 5) | u128::from(digit);
        }
        Ok(Self(bits))
    }
}
impl TryFrom<String> for InstanceId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}
impl From<InstanceId> for String {
    fn from(id: InstanceId) -> Self {
        id.to_string()
    }
}

/// Makes ids that never repeat: the seed tells the leaders of one millisecond apart (draw it from
/// pool and term), the counter the ids of one leader.
#[derive(Debug, Clone)]
pub struct IdSource {
    seed: u32,
    last_ms: u64,
    used: u32,
}

impl IdSource {
    /// A source whose first id of a millisecond ends in `seed`.
    #[must_use]
    pub fn new(seed: u32) -> Self {
        Self { seed, last_ms: 0, used: 0 }
    }

    /// The next id. Greater than all before it unless the 32 low bits wrapped within one
    /// millisecond; time that steps back is ignored.
    pub fn next(&mut self, now: Timestamp) -> InstanceId {
        let ms = now.as_millis() & ((1 << 48) - 1);
        if ms > self.last_ms {
            self.last_ms = ms;
            self.used = 0;
        } else if self.used == u32::MAX {
            self.last_ms += 1;
            self.used = 0;
        }
        let low = self.seed.wrapping_add(self.used);
        self.used += 1;
        InstanceId((u128::from(self.last_ms) << 32) | u128::from(low))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_and_sorts_by_time() {
        let mut source = IdSource::new(7);
        let early = source.next(Timestamp::from_millis(1_700_000_000_000));
        let late = source.next(Timestamp::from_millis(1_700_000_000_001));
        assert_eq!(early.to_string().len(), 16);
        assert_eq!(early.to_string().parse(), Ok(early));
        assert!(early.to_string() < late.to_string());
        assert_eq!(early.created().as_millis(), 1_700_000_000_000);
    }

    #[test]
    fn a_clock_that_steps_back_repeats_no_id() {
        let mut source = IdSource::new(0);
        let first = source.next(Timestamp::from_millis(2_000));
        let second = source.next(Timestamp::from_millis(1_000));
        assert!(second > first);
    }

    #[test]
    fn sixteen_wrong_characters_are_refused() {
        assert!("zzzzzzzzzzzzzzzz".parse::<InstanceId>().is_err());
        assert!("0".parse::<InstanceId>().is_err());
    }
}
