//! Libraries have errors that a caller can tell apart; `anyhow` is for programs that print and exit.

use super::{Finding, Rule, Tree, code::code_lines, code::has_word, tree::file_name};

/// Where nobody is above that could tell errors apart.
const PROGRAMS: [&str; 3] = ["services/cli/", "loadtest/", "xtask/"];

/// Refuses `anyhow` outside programs and tests.
pub fn check(tree: &Tree) -> Vec<Finding> {
    tree.sources()
        .filter(|(path, _)| !may_use(path))
        .flat_map(|(path, text)| judge(path, text))
        .collect()
}

fn may_use(path: &str) -> bool {
    file_name(path) == "main.rs"
        || path.contains("/tests/")
        || PROGRAMS.iter().any(|folder| path.starts_with(folder))
}

fn judge(path: &str, source: &str) -> Vec<Finding> {
    let advice = "`anyhow` in a library: give the operation an error enum, a variant for each thing \
                  its caller could do";
    code_lines(source)
        .iter()
        .enumerate()
        .filter(|(_, line)| has_word(line, "anyhow"))
        .map(|(index, _)| Finding::new(Rule::Errors, path, index + 1, advice))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{super::finding::said, check};

    #[test]
    fn a_library_has_errors_of_its_own() {
        let source = "//! anyhow\nfn f() -> anyhow::Result<()>\n";
        assert_eq!(
            said(check, &[("crates/bus/src/kv.rs", source)]),
            "crates/bus/src/kv.rs:2: errors: `anyhow` in a library: give the operation an error enum, \
             a variant for each thing its caller could do"
        );
        for path in
            ["services/cli/src/run.rs", "services/gateway/src/main.rs", "crates/bus/tests/kv.rs"]
        {
            assert_eq!(said(check, &[(path, source)]), "");
        }
    }
}
