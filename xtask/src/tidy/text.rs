//! Nothing that holds on one machine only, and no promise to come back later.

use super::{Finding, Rule, Tree, code::has_word, tree::file_name};

/// Phrases that no file may hold, written apart so that this one does not.
const REGISTRIES: [&str; 6] = [
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("registry.npmjs", ".org"),
    concat!("deb.debian", ".org"),
    concat!("proxy.golang", ".org"),
];
const MACHINE_PATHS: [&str; 2] = [concat!("/wo", "rk/"), concat!("/ro", "ot/")];
const PROMISES: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];

/// Refuses the phrases in every text file; lock files name registries by nature.
pub fn check(tree: &Tree) -> Vec<Finding> {
    tree.texts()
        .filter(|(path, _)| file_name(path) != "Cargo.lock")
        .flat_map(|(path, text)| {
            let lines = text.lines().enumerate();
            lines.flat_map(move |(index, line)| judge(path, index + 1, line))
        })
        .collect()
}

fn judge(path: &str, number: usize, line: &str) -> Vec<Finding> {
    let registries = REGISTRIES.iter().filter(|host| line.contains(**host)).map(|host| {
        format!("`{host}` ties us to one registry: name the package and let the client find it")
    });
    let paths = MACHINE_PATHS.iter().filter(|start| begins_path(line, start)).map(|start| {
        format!("`{start}…` exists on one machine only: use a path relative to the workspace")
    });
    let promises = PROMISES.iter().filter(|word| has_word(line, word)).map(|word| {
        format!("`{word}`: do it, or open an issue and say in the code what holds until then")
    });
    registries
        .chain(paths)
        .chain(promises)
        .map(|a| Finding::new(Rule::Text, path, number, a))
        .collect()
}

/// Whether an absolute path in `line` begins with `start`.
fn begins_path(line: &str, start: &str) -> bool {
    line.match_indices(start).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-~}>)*/".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::{super::finding::said, MACHINE_PATHS, PROMISES, REGISTRIES, check};

    fn text(line: &str) -> String {
        said(check, &[("a.sh", line)])
    }

    #[test]
    fn each_phrase_is_refused_where_it_stands() {
        for phrase in REGISTRIES.iter().chain(&MACHINE_PATHS).chain(&PROMISES) {
            let found = text(&format!("x\nx \"{phrase}\" x\n"));
            assert!(found.starts_with("a.sh:2: text: `"), "{phrase}: {found:?}");
        }
    }

    #[test]
    fn parts_of_longer_names_are_not_phrases() {
        for path in MACHINE_PATHS {
            assert_eq!(text(&format!("${{dir}}{path}x and ./a{path}x")), "");
        }
        for word in PROMISES {
            assert_eq!(text(&format!("{word}S MY{word}")), "");
        }
    }

    #[test]
    fn a_lock_file_names_registries() {
        assert_eq!(said(check, &[("Cargo.lock", REGISTRIES[0])]), "");
    }
}
