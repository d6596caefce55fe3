//! Names with ranges: `n{1..4}` stands for n1, n2, n3 and n4, `n{01..12}` for n01 to n12.

use crate::id::NodeName;

/// So many nodes at most in one scenario.
pub(super) const MOST: usize = 100_000;

/// The names that `pattern` stands for, in order; several ranges give every combination.
pub(super) fn names(pattern: &str) -> Result<Vec<NodeName>, String> {
    let mut done = Vec::new();
    expand(String::new(), pattern, &mut done)?;
    Ok(done)
}

fn expand(before: String, rest: &str, done: &mut Vec<NodeName>) -> Result<(), String> {
    let Some((plain, tail)) = rest.split_once('{') else {
        let name = (before + rest).parse::<NodeName>().map_err(|error| error.to_string())?;
        done.push(name);
        return Ok(());
    };
    let (range, tail) = tail.split_once('}').ok_or("`{` without `}`")?;
    let (first, last) = range.split_once("..").ok_or("expected a range such as `{1..4}`")?;
    let number = |text: &str| text.parse::<u32>().map_err(|_| format!("`{text}` is no number"));
    let (from, to) = (number(first)?, number(last)?);
    let many = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
    if from > to || many.saturating_add(done.len()) >= MOST {
        return Err(format!("`{{{range}}}` is empty or stands for more than {MOST}"));
    }
    let padded = first.starts_with('0') && first.len() > 1;
    let width = if padded { first.len() } else { 1 };
    for number in from..=to {
        expand(format!("{before}{plain}{number:0width$}"), tail, done)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::names;

    #[track_caller]
    fn check(pattern: &str, want: &str) {
        let said = match names(pattern) {
            Ok(names) => names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(" "),
            Err(error) => error,
        };
        assert_eq!(said, want, "{pattern}");
    }

    #[test]
    fn a_range_expands() {
        check("n1", "n1");
        check("n{1..4}", "n1 n2 n3 n4");
        check("n{08..11}-x", "n08-x n09-x n10-x n11-x");
        check("r{1..2}-n{0..1}", "r1-n0 r1-n1 r2-n0 r2-n1");
    }

    #[test]
    fn what_is_no_range_is_refused() {
        check("n{1..", "`{` without `}`");
        check("n{1-4}", "expected a range such as `{1..4}`");
        check("n{a..b}", "`a` is no number");
        check("n{4..1}", "`{4..1}` is empty or stands for more than 100000");
        check("n{1..999999}", "`{1..999999}` is empty or stands for more than 100000");
        let bad = "`N1` is not a node name: 1 to 63 of a-z, 0-9 and `-`, not starting with `-`";
        check("N{1..2}", bad);
    }
}
