//! Files stay small: at the limit two things are in one place.

use super::{Finding, Rule, Tree, lines::without_tests, tree::file_name};

/// Lines of a file, its inline tests not counted.
const FILE_LINES: usize = 400;
/// Lines of a program's `main.rs`: it reads arguments and calls its library.
const MAIN_LINES: usize = 40;

/// Refuses files above the limits.
pub fn check(tree: &Tree) -> Vec<Finding> {
    tree.sources().filter_map(|(path, source)| judge(path, source)).collect()
}

fn judge(path: &str, source: &str) -> Option<Finding> {
    let program = file_name(path) == "main.rs" && !path.contains("/tests/");
    let limit = if program { MAIN_LINES } else { FILE_LINES };
    let lines = without_tests(source).count();
    let advice = || {
        format!(
            "{lines} lines without tests, {limit} allowed: split it along a name, not a line count"
        )
    };
    (lines > limit).then(|| Finding::new(Rule::Size, path, limit + 1, advice()))
}

#[cfg(test)]
mod tests {
    use super::{super::finding::said, check};

    fn long(lines: usize) -> String {
        "x\n".repeat(lines)
    }

    #[test]
    fn four_hundred_lines_are_allowed_and_one_more_is_not() {
        assert_eq!(said(check, &[("a/src/lib.rs", &long(400))]), "");
        assert_eq!(
            said(check, &[("a/src/lib.rs", &long(401))]),
            "a/src/lib.rs:401: size: 401 lines without tests, 400 allowed: split it along a name, not a line count"
        );
    }

    #[test]
    fn a_program_has_forty_and_the_root_of_its_tests_four_hundred() {
        assert_eq!(said(check, &[("a/src/main.rs", &long(40))]), "");
        assert!(said(check, &[("a/src/main.rs", &long(41))]).contains("41 lines"));
        assert_eq!(said(check, &[("a/tests/it/main.rs", &long(41))]), "");
    }

    #[test]
    fn inline_tests_do_not_count() {
        let source = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", long(400), long(300));
        assert_eq!(said(check, &[("a/src/lib.rs", &source)]), "");
    }
}
