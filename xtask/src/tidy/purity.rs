//! The core decides and touches nothing: no tasks, clocks, files, sockets, chance, hash order or
//! floats in `crates/core/src`.
//!
//! A line that must, says so on itself or above: `// tidy: allow(f64) shown to people only`.

use super::{Finding, Rule, Tree, code::code_lines, code::has_word, lines::without_tests};

const CORE: &str = "crates/core/src/";
const MARK: &str = "// tidy: allow(";

/// What is banned, and what to do instead.
const BANNED: [(&str, &str); 13] = [
    ("tokio", "the core is synchronous; await in the service"),
    ("Instant", "take `now` as an argument"),
    ("SystemTime", "take `now` as an argument"),
    ("std::fs", "take the content as an argument"),
    ("std::net", "return what should be sent"),
    ("std::env", "settings go through `ostler_service::config`"),
    ("std::process", "return what should be done"),
    ("std::thread", "the core is one thread"),
    ("rand::", "take the seed or the choice as an argument"),
    ("HashMap", "use `BTreeMap`: the same input gives the same answer"),
    ("HashSet", "use `BTreeSet`: the same input gives the same answer"),
    ("f32", "use whole numbers: two floats that should be equal are not"),
    ("f64", "use whole numbers: two floats that should be equal are not"),
];

/// Refuses the banned words in the code of the core, its inline tests and its comments left out.
pub fn check(tree: &Tree) -> Vec<Finding> {
    tree.sources()
        .filter(|(path, _)| path.starts_with(CORE))
        .flat_map(|(path, source)| judge(path, source))
        .collect()
}

fn judge(path: &str, source: &str) -> Vec<Finding> {
    let code = code_lines(source);
    let raw: Vec<&str> = source.lines().collect();
    let mut findings = Vec::new();
    for (number, _) in without_tests(source) {
        let above = number.checked_sub(2).map_or("", |i| raw[i]);
        for (word, instead) in BANNED {
            let allowed = allows(raw[number - 1], word) || allows(above, word);
            if has_word(&code[number - 1], word) && !allowed {
                let advice = format!("`{word}` in the core: {instead}, or `{MARK}{word}) why`");
                findings.push(Finding::new(Rule::Purity, path, number, advice));
            }
        }
    }
    findings
}

/// Whether the line carries the mark for this word, with a reason.
fn allows(line: &str, word: &str) -> bool {
    let Some((_, mark)) = line.split_once(MARK) else { return false };
    mark.split_once(')').is_some_and(|(what, why)| what == word && !why.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::{super::finding::said, BANNED, check};

    fn core(source: &str) -> String {
        said(check, &[("crates/core/src/place.rs", source)])
    }

    #[test]
    fn every_banned_word_is_refused() {
        for (word, _) in BANNED {
            assert!(
                core(&format!("\nuse {word}x::y;")).is_empty() || word.ends_with(':'),
                "{word}"
            );
            assert!(core(&format!("\nuse {word} ;")).contains(&format!("2: purity: `{word}`")));
        }
    }

    #[test]
    fn prose_tests_and_other_crates_may_name_them() {
        assert_eq!(core("//! No tokio.\nlet a = \"f64\"; // HashMap\n"), "");
        assert_eq!(core("#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n"), "");
        assert_eq!(said(check, &[("crates/bus/src/lib.rs", "use tokio;\n")]), "");
    }

    #[test]
    fn a_mark_allows_its_own_word_on_its_line_or_the_next_if_it_says_why() {
        assert_eq!(core("x: f64, // tidy: allow(f64) shown to people only\n"), "");
        assert_eq!(core("// tidy: allow(f64) shown to people only\nx: f64,\n"), "");
        assert!(!core("x: f64, // tidy: allow(f64)\n").is_empty());
        assert!(!core("x: f64, // tidy: allow(f32) shown to people only\n").is_empty());
    }
}
