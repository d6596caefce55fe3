//! What was measured last, beside what is measured now.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args as ClapArgs;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::report::readable;

/// What is compared.
#[derive(Debug, Clone, ClapArgs)]
pub struct Args {
    /// The figures of last time.
    #[arg(long, value_name = "FILE")]
    pub baseline: PathBuf,
    /// Keep these as the figures of next time.
    #[arg(long)]
    pub write: bool,
    /// Reports that `--json` wrote; a file's name says which measurement it is.
    #[arg(required = true, value_name = "FILE")]
    pub reports: Vec<PathBuf>,
}

/// Figures of several measurements of one machine.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Baseline {
    /// On what each was measured.
    machine: BTreeMap<String, Value>,
    /// By measurement, then by key.
    figures: BTreeMap<String, BTreeMap<String, f64>>,
}

impl Baseline {
    /// What `--json` wrote, in one.
    fn of(reports: &[PathBuf]) -> anyhow::Result<Self> {
        let mut all = Self::default();
        for file in reports {
            let name = file.file_stem().and_then(|stem| stem.to_str()).context("a file's name")?;
            let report: Value = read(file)?;
            let figures = report["figures"].as_object().context("a report has figures")?;
            let numbers =
                figures.iter().filter_map(|(key, value)| Some((key.clone(), value.as_f64()?)));
            all.figures.insert(name.to_owned(), numbers.collect());
            all.machine.insert(name.to_owned(), report["machine"].clone());
        }
        Ok(all)
    }
}

/// Prints the differences; keeps the new figures if asked to.
pub fn compare(args: &Args) -> anyhow::Result<()> {
    let now = Baseline::of(&args.reports)?;
    let before: Baseline =
        if args.baseline.exists() { read(&args.baseline)? } else { Baseline::default() };
    for (name, figures) in &now.figures {
        println!("{name}");
        for (key, value) in figures {
            let old = before.figures.get(name).and_then(|figures| figures.get(key)).copied();
            println!("  {}", line(key, old, *value));
        }
    }
    if args.write {
        let merged = merge(before, now);
        let text = serde_json::to_string_pretty(&merged)? + "\n";
        std::fs::write(&args.baseline, text).context("cannot write the baseline")?;
    }
    Ok(())
}

/// What was measured now, and of the rest what is known.
fn merge(before: Baseline, now: Baseline) -> Baseline {
    let mut merged = before;
    merged.figures.extend(now.figures);
    merged.machine.extend(now.machine);
    merged
}

fn line(key: &str, old: Option<f64>, new: f64) -> String {
    let (before, change) = match old {
        Some(old) if old != 0.0 => (readable(old), format!("{:+.0} %", (new / old - 1.0) * 100.0)),
        Some(old) => (readable(old), String::new()),
        None => ("-".to_owned(), "new".to_owned()),
    };
    format!("{key:<52} {before:>14} → {:>14}  {change:>8}", readable(new))
}

fn read<T: serde::de::DeserializeOwned>(file: &Path) -> anyhow::Result<T> {
    let text = std::fs::read_to_string(file);
    let text = text.with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not ours", file.display()))
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn a_difference_is_told_in_percent_of_what_was() {
        assert!(line("p50_ms", Some(10.0), 12.5).ends_with("+25 %"));
        assert!(line("p50_ms", None, 12.5).ends_with("new"));
    }
}
