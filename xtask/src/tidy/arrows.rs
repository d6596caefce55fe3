//! Crates know only what lies below them, and each outside thing has one door.

mod table;

use toml::{Table, Value};

use super::{Finding, Rule, Tree};
use table::{Kind, refusal};

/// Refuses dependencies that the table does not draw.
pub fn check(tree: &Tree) -> Vec<Finding> {
    tree.texts().filter(|(path, _)| path.ends_with("/Cargo.toml")).flat_map(judge).collect()
}

fn judge((path, text): (&str, &str)) -> Vec<Finding> {
    let manifest: Table = match text.parse() {
        Ok(manifest) => manifest,
        Err(error) => return vec![Finding::new(Rule::Arrows, path, 1, error.to_string())],
    };
    let Some(name) = manifest.get("package").and_then(|p| p.get("name")).and_then(Value::as_str)
    else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    for (kind, dependency) in dependencies(&manifest) {
        if let Some(advice) = refusal(name, &dependency, kind) {
            let line = text.lines().position(|l| declares(l, &dependency)).map_or(1, |i| i + 1);
            findings.push(Finding::new(Rule::Arrows, path, line, advice));
        }
    }
    findings
}

/// All dependencies of a manifest, those of single targets included.
fn dependencies(manifest: &Table) -> Vec<(Kind, String)> {
    let targets = manifest.get("target").and_then(Value::as_table).into_iter();
    let sections = targets.flat_map(|t| t.values().filter_map(Value::as_table)).chain([manifest]);
    sections
        .flat_map(|section| {
            [
                (Kind::Product, "dependencies"),
                (Kind::Product, "build-dependencies"),
                (Kind::Test, "dev-dependencies"),
            ]
            .into_iter()
            .filter_map(|(kind, key)| Some((kind, section.get(key)?.as_table()?)))
        })
        .flat_map(|(kind, table)| table.iter().map(move |(key, value)| (kind, package(key, value))))
        .collect()
}

/// Whether a line of a manifest begins with this key.
fn declares(line: &str, key: &str) -> bool {
    line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with(['=', '.']))
}

/// The name of a dependency: its `package` where it was renamed.
fn package(key: &str, value: &Value) -> String {
    value.get("package").and_then(Value::as_str).unwrap_or(key).to_owned()
}

#[cfg(test)]
mod tests {
    use super::{super::finding::said, check};

    /// What is said of crate `name` with `section` as the rest of its manifest.
    #[track_caller]
    fn check_manifest(name: &str, section: &str, want: &str) {
        let manifest = format!("[package]\nname = \"{name}\"\n{section}\n");
        assert_eq!(said(check, &[("x/Cargo.toml", &manifest)]), want);
    }

    #[test]
    fn an_arrow_down_is_drawn() {
        check_manifest("ostler-gateway", "[dependencies]\nostler-bus = { workspace = true }", "");
        check_manifest("ostler-bus", "[dependencies]\nasync-nats = \"1\"\nserde = \"1\"", "");
    }

    #[test]
    fn a_service_may_not_know_another() {
        check_manifest(
            "ostler-gateway",
            "[dependencies]\nostler-registry = { workspace = true }",
            "x/Cargo.toml:4: arrows: `ostler-gateway` may not know `ostler-registry`: it may know \
             ostler-core, ostler-schemas, ostler-bus, ostler-service",
        );
    }

    #[test]
    fn the_core_knows_nobody() {
        check_manifest(
            "ostler-core",
            "[dependencies]\nostler-schemas = \"1\"",
            "x/Cargo.toml:4: arrows: `ostler-core` may not know `ostler-schemas`: it may know no crate of ours",
        );
    }

    #[test]
    fn a_door_has_one_keeper_also_under_another_name_and_for_one_target_only() {
        let advice = "arrows: `ostler-gateway` may not use `async-nats`: its door is ostler-bus";
        check_manifest(
            "ostler-gateway",
            "[target.'cfg(unix)'.dependencies]\nnats = { package = \"async-nats\", version = \"1\" }",
            &format!("x/Cargo.toml:1: {advice}"),
        );
    }

    #[test]
    fn tests_may_use_the_testkit_and_the_product_may_not() {
        check_manifest("ostler-bus", "[dev-dependencies]\nostler-testkit = \"1\"", "");
        check_manifest(
            "ostler-bus",
            "[dependencies]\nostler-testkit = \"1\"",
            "x/Cargo.toml:4: arrows: `ostler-bus` may not know `ostler-testkit`: it may know \
             ostler-core, ostler-schemas, ostler-service",
        );
    }

    #[test]
    fn a_crate_that_the_table_does_not_name_is_refused() {
        check_manifest(
            "ostler-extra",
            "[dependencies]\nostler-core = \"1\"",
            "x/Cargo.toml:4: arrows: `ostler-extra` is not in the table of xtask/src/tidy/arrows/table.rs: \
             decide there what it may know",
        );
    }
}
