//! What a scenario measured, for people and as JSON.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

use crate::machine::Machine;

/// One figure with its unit.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// What was measured.
    pub name: String,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: &'static str,
}

/// What a scenario measured.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Which scenario.
    pub scenario: &'static str,
    /// On what.
    pub machine: Machine,
    /// What was asked for, and the versions of what took part.
    pub setup: Vec<(String, String)>,
    /// What was measured.
    pub figures: Vec<Figure>,
    /// What a reader must know to read the figures right.
    pub notes: Vec<String>,
}

impl Report {
    /// A report that says nothing yet.
    pub fn new(scenario: &'static str) -> Self {
        let mut notes = Vec::new();
        if cfg!(debug_assertions) {
            notes
                .push("a debug build: these figures mean nothing, build with --release".to_owned());
        }
        let (setup, figures) = (Vec::new(), Vec::new());
        Self { scenario, machine: Machine::this(), setup, figures, notes }
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

    /// Something that a reader must know.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Prints it, and writes it as JSON if asked to.
    pub fn publish(&self, json: Option<&Path>) -> anyhow::Result<()> {
        self.print();
        let Some(file) = json else { return Ok(()) };
        let text = serde_json::to_string_pretty(self)?;
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
fn readable(value: f64) -> String {
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
    fn a_percentile_is_a_value_that_was_measured() {
        let values = Values::of((1..=100).rev().map(f64::from));
        assert_eq!(values.percentile(0.5), 50.0);
        assert_eq!(values.percentile(0.99), 99.0);
        assert_eq!(values.percentile(1.0), 100.0);
        assert_eq!(Values::default().percentile(0.5), 0.0);
    }
}
