//! Which lines of a Rust file are its inline tests.

use std::ops::Range;

/// The lines of `source`, numbered from 1, that are not in a `#[cfg(test)] mod … { … }`.
///
/// Relies on rustfmt: such a module at the left edge ends with the next `}` at the left edge.
pub fn without_tests(source: &str) -> impl Iterator<Item = (usize, &str)> {
    let tests = test_modules(source);
    let outside = move |index: &usize| !tests.iter().any(|range| range.contains(index));
    source
        .lines()
        .enumerate()
        .filter(move |(index, _)| outside(index))
        .map(|(i, line)| (i + 1, line))
}

/// The modules of inline tests, as ranges of line indices from 0.
fn test_modules(source: &str) -> Vec<Range<usize>> {
    let lines: Vec<&str> = source.lines().collect();
    let mut modules = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let opens = |next: &&str| next.contains("mod ") && next.ends_with('{');
        if *line == "#[cfg(test)]" && lines[index + 1..].iter().take(3).any(opens) {
            let length = lines[index..].iter().position(|l| *l == "}").map_or(0, |end| end + 1);
            modules.push(index..index + length);
        }
    }
    modules
}

#[cfg(test)]
mod tests {
    use super::without_tests;

    fn kept(source: &str) -> Vec<usize> {
        without_tests(source).map(|(number, _)| number).collect()
    }

    #[test]
    fn a_test_module_is_left_out_and_what_follows_it_is_not() {
        assert_eq!(kept("a\n#[cfg(test)]\nmod tests {\n    b\n}\nc"), [1, 6]);
    }

    #[test]
    fn a_test_only_function_counts() {
        assert_eq!(kept("#[cfg(test)]\nfn f() {\n}\n"), [1, 2, 3]);
    }

    #[test]
    fn a_module_in_its_own_file_hides_nothing() {
        assert_eq!(kept("#[cfg(test)]\nmod tests;\na\n"), [1, 2, 3]);
    }
}
