//! Numbers and sizes by value, without floats: `2` equals `2.0`, and `1GiB` equals `1073741824`.

use crate::resources::Bytes;

/// A decimal number, times 10⁹.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Number(i128);

const SCALE: i128 = 1_000_000_000;
const DECIMALS: usize = 9;
const LONGEST: usize = 20;

/// The value of a number such as `-1.5` or a size such as `64MiB`; `None` for all else, also for a
/// number of more than 20 digits before or 9 after the point, which is compared as text.
pub(super) fn number(text: &str) -> Option<Number> {
    decimal(text).or_else(|| {
        let size: Bytes = text.parse().ok()?;
        Some(Number(i128::from(size.0) * SCALE))
    })
}

fn decimal(text: &str) -> Option<Number> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let digits_only = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    if !digits_only(whole) || !digits_only(part) || whole.len() > LONGEST || part.len() > DECIMALS {
        return None;
    }
    let whole: i128 = whole.parse().ok()?;
    let part: i128 = format!("{part:0<DECIMALS$}").parse().ok()?;
    Some(Number(sign * (whole * SCALE + part)))
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_and_sizes_compare_by_value() {
        for (left, right) in
            [("2", "2.0"), ("007", "7"), ("1GiB", "1073741824"), ("1.5", "1.500"), ("-0", "0")]
        {
            assert!(number(left).is_some(), "{left}");
            assert_eq!(number(left), number(right), "{left} {right}");
        }
        assert!(number("-2") < number("-1.5"));
        assert!(number("10") > number("9"));
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in ["", "-", ".5", "5.", "1e3", "+1", "0x1", "GiB", "1.5GiB", "1.0000000001"] {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
