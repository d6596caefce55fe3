//! What a scenario measured, for people and as JSON.

pub mod growth;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::{Value, json};

use crate::machine::Machine;

/// One figure with its unit.
#[derive(Debug, Clone)]
pub struct Figure {
    /// What was measured.
    pub name: String,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: &'static str,
}

impl Figure {
    /// What programs call it: its name, and its unit where the name does not say it.
    fn key(&self) -> String {
        let name = slug(&self.name);
        match self.unit {
            "/s" if name.ends_with("_per_second") => {
                format!("{}_per_s", name.trim_end_matches("_per_second"))
            }
            "/s" => format!("{name}_per_s"),
            "µs" => format!("{name}_us"),
            "ms" | "MiB" | "B" | "cores" | "%" => format!("{name}_{}", slug(self.unit)),
            _ => name,
        }
    }
}

/// Lower-case words with `_` between.
fn slug(text: &str) -> String {
    let words = text.replace('%', " percent ").to_lowercase();
    let words = words.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("_")
}

/// What a scenario measured.
#[derive(Debug, Clone)]
pub struct Report {
    /// Which scenario.
    pub scenario: &'static str,
    /// On what.
    pub machine: Machine,
    /// What was asked for, and the versions of what took part.
    pub setup: Vec<(String, String)>,
    /// What was measured.
    pub figures: Vec<Figure>,
    /// The most memory that each process had resident, in bytes.
    pub peaks: BTreeMap<String, u64>,
    /// The same at other sizes.
    pub growth: Vec<growth::Row>,
    /// Pictures for people: lines of text.
    pub plots: Vec<String>,
    /// What a reader must know to read the figures right.
    pub notes: Vec<String>,
}

/// A report as programs read it: each figure under a key that names its unit.
#[derive(Serialize)]
struct ForPrograms<'a> {
    scenario: &'a str,
    config: BTreeMap<&'a str, &'a str>,
    figures: BTreeMap<String, Value>,
    #[serde(skip_serializing_if = "<[growth::Row]>::is_empty")]
    growth: &'a [growth::Row],
    machine: &'a Machine,
    notes: &'a [String],
}

impl Report {
    /// A report that says nothing yet.
    pub fn new(scenario: &'static str) -> Self {
        let mut notes = Vec::new();
        if cfg!(debug_assertions) {
            notes
                .push("a debug build: these figures mean nothing, build with --release".to_owned());
        }
        Self {
            scenario,
            machine: Machine::this(),
            setup: Vec::new(),
            figures: Vec::new(),
            peaks: BTreeMap::new(),
            growth: Vec::new(),
            plots: Vec::new(),
            notes,
        }
    }

    /// What was asked for.
    pub fn setup(&mut self, name: &str, value: impl ToString) {
        self.setup.push((name.to_owned(), value.to_string()));
    }

    /// What was measured.
    pub fn figure(&mut self, name: &str, value: f64, unit: &'static str) {
        self.figures.push(Figure { name: name.to_owned(), value, unit });
    }

    /// How long something took, in milliseconds.
    pub fn took(&mut self, name: &str, took: Duration) {
        self.figure(name, took.as_secs_f64() * 1000.0, "ms");
    }

    /// The percentiles of many values.
    pub fn percentiles(&mut self, name: &str, values: &Values, unit: &'static str) {
        for (label, share) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)] {
            self.figure(&format!("{name} {label}"), values.percentile(share), unit);
        }
    }

    /// The most memory that a process had resident, in MiB.
    pub fn peak(&mut self, process: &str, mib: f64) {
        // Whole numbers of MiB, far below 2^53.
        let bytes = format!("{mib:.0}").parse::<u64>().unwrap_or_default() * (1 << 20);
        let most = self.peaks.entry(slug(process)).or_default();
        *most = bytes.max(*most);
    }

    /// How many values lie where, as bars.
    pub fn histogram(&mut self, name: &str, values: &Values, unit: &str) {
        self.plots.extend(values.histogram(name, unit));
    }

    fn for_programs(&self) -> ForPrograms<'_> {
        let config = self.setup.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut figures: BTreeMap<String, Value> =
            self.figures.iter().map(|each| (each.key(), each.value.into())).collect();
        if !self.peaks.is_empty() {
            figures.insert("peak_rss_bytes".to_owned(), json!(self.peaks));
        }
        ForPrograms {
            scenario: self.scenario,
            config: config.collect(),
            figures,
            growth: &self.growth,
            machine: &self.machine,
            notes: &self.notes,
        }
    }

    /// Something that a reader must know.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Prints it, and writes it as JSON if asked to.
    pub fn publish(&self, json: Option<&Path>) -> anyhow::Result<()> {
        self.print();
        let Some(file) = json else { return Ok(()) };
        let text = serde_json::to_string_pretty(&self.for_programs())?;
        std::fs::write(file, text + "\n")
            .with_context(|| format!("cannot write {}", file.display()))
    }

    fn print(&self) {
        let Machine { processor, cores, memory_mib, kernel, version, commit, build } =
            &self.machine;
        println!("scenario  {}", self.scenario);
        println!("machine   {cores} × {processor}, {memory_mib} MiB, Linux {kernel}");
        println!("ostler    {version} {commit} ({build})");
        for (name, value) in &self.setup {
            println!("{name:<9} {value}");
        }
        println!();
        let width = self.figures.iter().map(|each| each.name.chars().count()).max().unwrap_or(0);
        for Figure { name, value, unit } in &self.figures {
            println!("  {name:<width$}  {:>14} {unit}", readable(*value));
        }
        for line in growth::table(&self.growth).iter().chain(&self.plots) {
            println!("  {line}");
        }
        for note in &self.notes {
            println!("  note: {note}");
        }
    }
}

/// Many values of one kind.
#[derive(Debug, Clone, Default)]
pub struct Values(Vec<f64>);

impl Values {
    /// Values in any order.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// The smallest value that is at least as great as this share of all; 0 where there is none.
    pub fn percentile(&self, share: f64) -> f64 {
        let Some(last) = self.0.len().checked_sub(1) else { return 0.0 };
        let rank = (1..=self.0.len()).find(|rank| count(*rank) >= share * count(self.0.len()));
        self.0[rank.map_or(last, |rank| rank - 1)]
    }

    /// A bar for each of ten equal ranges up to the 99th percentile, and one for what is beyond.
    fn histogram(&self, name: &str, unit: &str) -> Vec<String> {
        let most = self.percentile(0.99);
        if most <= 0.0 {
            return Vec::new();
        }
        let mut lines = vec![format!("{name}, {} values:", self.0.len())];
        for step in 0..=10u32 {
            let from = most * f64::from(step) / 10.0;
            let to = if step == 10 { f64::INFINITY } else { most * f64::from(step + 1) / 10.0 };
            let within = self.0.iter().filter(|value| **value >= from && **value < to).count();
            let share = count(within) / count(self.0.len());
            let bar: String =
                (1..=50).take_while(|n| f64::from(*n) / 50.0 <= share).map(|_| '█').collect();
            let from = readable(from);
            lines.push(format!("{from:>10} {unit}+ {within:>8} {bar}"));
        }
        lines
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The mean; 0 where there is none.
    pub fn mean(&self) -> f64 {
        if self.0.is_empty() { 0.0 } else { self.0.iter().sum::<f64>() / count(self.0.len()) }
    }

    /// How far values are from the mean, typically.
    pub fn deviation(&self) -> f64 {
        let mean = self.mean();
        let squares = Self::of(self.0.iter().map(|value| (value - mean).powi(2)));
        squares.mean().sqrt()
    }
}

/// A count as a figure.
pub fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

/// Thousands apart, and digits only as far as they say something.
pub fn readable(value: f64) -> String {
    let digits = usize::from(value.abs() < 100.0) + usize::from(value.abs() < 10.0);
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
    let mut apart = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) && !apart.ends_with('-') {
            apart.push(',');
        }
        apart.push(digit);
    }
    if rest.is_empty() { apart } else { format!("{apart}.{rest}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_so_that_they_can_be_read() {
        for (value, text) in
            [(0.0, "0.00"), (9.876, "9.88"), (98.76, "98.8"), (1234.0, "1,234"), (1e6, "1,000,000")]
        {
            assert_eq!(readable(value), text);
        }
    }

    #[test]
    fn programs_read_figures_under_keys_that_name_their_unit() {
        for (name, unit, key) in [
            ("instances per second", "/s", "instances_per_s"),
            ("latency p50", "ms", "latency_p50_ms"),
            ("running after, 10 %", "ms", "running_after_10_percent_ms"),
            ("nodes that run some", "nodes", "nodes_that_run_some"),
        ] {
            assert_eq!(Figure { name: name.to_owned(), value: 0.0, unit }.key(), key);
        }
    }

    #[test]
    fn a_histogram_counts_each_value_once() {
        let values = Values::of((1..=100).map(f64::from));
        let lines = values.histogram("x", "ms");
        let counts: usize = lines[1..]
            .iter()
            .filter_map(|line| line.split_whitespace().nth(2)?.parse::<usize>().ok())
            .sum();
        assert_eq!((lines.len(), counts), (12, 100));
    }

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let values = Values::of((1..=100).rev().map(f64::from));
        assert_eq!(values.percentile(0.5), 50.0);
        assert_eq!(values.percentile(0.99), 99.0);
        assert_eq!(values.percentile(1.0), 100.0);
        assert_eq!(Values::default().percentile(0.5), 0.0);
    }
}
