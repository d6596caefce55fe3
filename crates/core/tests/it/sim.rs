//! The scenario runner, and through it the engine: what files say, what is refused, what holds.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use expect_test::expect_file;
use ostler_core::sim::{RunResult, Scenario, StepReport, read, render, run};

mod format;
mod property;

/// Each file of `tests/scenarios` beside what comes of it.
#[test]
fn every_scenario_goes_as_written_beside_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("it can be read").path())
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .collect();
    files.sort();
    assert!(files.len() > 20, "the scenarios are there");
    for file in files {
        let text = fs::read_to_string(&file).expect("it can be read");
        let scenario = read(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        expect_file![file.with_extension("txt")].assert_eq(&tell(scenario));
    }
}

/// The files of the page about `simulate`, beside what comes of them; and what the page shows of that.
#[test]
fn the_page_about_simulate_shows_what_really_comes_of_its_examples() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut all = String::new();
    for name in ["lose-a-rack", "add-nodes", "broken-release"] {
        let file = root.join("examples/simulate").join(name).with_extension("json");
        let scenario = read(&fs::read_to_string(&file).expect("it is there")).expect("it is right");
        let mut text = String::new();
        let result = run(scenario, |step| text.push_str(&render(&step)));
        assert_eq!(result, RunResult::default(), "{name}");
        expect_file![file.with_extension("txt")].assert_eq(&text);
        all.push_str(&text);
    }
    let page = fs::read_to_string(root.join("docs/simulate.md")).expect("it is there");
    let shown = page.split("```text\n").skip(1).filter_map(|rest| rest.split("```").next());
    for line in shown.flat_map(str::lines) {
        assert!(all.lines().any(|real| real == line), "`{line}` is not what comes of it");
    }
}

/// What came of a scenario, without ids and scores.
fn tell(scenario: Scenario) -> String {
    let mut text = String::new();
    let result = run(scenario, |step| text.push_str(&line(&step)));
    verdict(&mut text, &result);
    text
}

fn verdict(text: &mut String, result: &RunResult) {
    for failed in &result.failed {
        writeln!(text, "FAILED {failed}").expect("a text takes everything");
    }
}

fn line(step: &StepReport) -> String {
    let mut text = format!("{} at {}ms:", step.step, step.now_ms);
    let placed = step.placed.iter().map(|p| (format!("{}@{}", p.workload, p.version), p.slot.0));
    say(&mut text, "placed", group(placed));
    let stopped = step.stopped.iter().map(|s| (format!("{} ({})", s.workload, s.reason), s.slot.0));
    say(&mut text, "stopped", group(stopped));
    let moved = step
        .moved
        .iter()
        .map(|m| (format!("{} {}→{} ({})", m.workload, m.from, m.to, m.reason), m.slot.0));
    say(&mut text, "moved", group(moved));
    let unplaced = step.unplaced.iter().map(|u| {
        let reasons = serde_json::to_string(&u.reasons).expect("names and numbers");
        (format!("{} {}", u.workload, reasons.replace('"', "")), u.slot.0)
    });
    say(&mut text, "unplaced", group(unplaced));
    text.push('\n');
    let mut there: BTreeMap<String, Vec<(String, u32)>> = BTreeMap::new();
    for node in &step.nodes {
        let word = match (node.admin.as_str(), node.liveness.as_str()) {
            ("active", "online") => node.name.to_string(),
            (admin, "online") => format!("{} ({admin})", node.name),
            ("active", liveness) => format!("{} ({liveness})", node.name),
            (admin, liveness) => format!("{} ({admin}, {liveness})", node.name),
        };
        let here = step.instances.iter().filter(|instance| instance.node == node.name);
        let words = here.map(|i| {
            let state = match (i.desired, i.observed, i.ready) {
                ("run", Some("running"), true) => String::new(),
                ("run", observed, _) => format!(" {}", observed.unwrap_or("unseen")),
                (desired, observed, _) => {
                    format!(" {desired}/{}", observed.unwrap_or("unseen"))
                }
            };
            (format!("{}@{}{state}", i.workload, i.version), i.slot.0)
        });
        there.insert(word, words.collect());
    }
    for (node, instances) in there {
        let list = group(instances.into_iter());
        writeln!(text, "    {node}: {}", if list.is_empty() { "-" } else { &list })
            .expect("a text takes everything");
    }
    text
}

fn say(text: &mut String, what: &str, list: String) {
    if !list.is_empty() {
        write!(text, " {what} {list};").expect("a text takes everything");
    }
}

/// `web@1 0-3 5, db@2 0`.
fn group(items: impl Iterator<Item = (String, u32)>) -> String {
    let mut by_word: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for (word, slot) in items {
        by_word.entry(word).or_default().push(slot);
    }
    let words = by_word.into_iter().map(|(word, mut slots)| {
        slots.sort_unstable();
        format!("{word} {}", runs(&slots))
    });
    words.collect::<Vec<_>>().join(", ")
}

fn runs(slots: &[u32]) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for slot in slots {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *slot => *last = *slot,
            Some(_) | None => runs.push((*slot, *slot)),
        }
    }
    let text =
        runs.iter().map(
            |(first, last)| {
                if first == last { first.to_string() } else { format!("{first}-{last}") }
            },
        );
    text.collect::<Vec<_>>().join(" ")
}
