//! How what was measured grows with the number of nodes.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::{Figure, Report, readable};

/// The sizes that are measured: all nodes, and a tenth and a hundredth of them where that is enough
/// for a fleet. The largest comes last.
pub fn sizes(nodes: u32, least: u32, alone: bool) -> Vec<u32> {
    let parts = if alone { &[1][..] } else { &[100, 10, 1] };
    parts.iter().map(|part| nodes / part).filter(|size| *size >= least || *size == nodes).collect()
}

/// What was measured at one size.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// How many nodes there were.
    nodes: u32,
    /// What was measured, by key.
    #[serde(flatten)]
    figures: BTreeMap<String, Value>,
    #[serde(skip)]
    columns: Vec<Figure>,
}

impl Row {
    /// Of a report those figures whose names begin with one of these, in that order.
    pub fn of(nodes: u32, report: &Report, names: &[&str]) -> Self {
        let named = |name: &&str| {
            let found = report.figures.iter().filter(|each| each.name.starts_with(*name));
            found.cloned().collect::<Vec<_>>()
        };
        let columns: Vec<Figure> = names.iter().flat_map(named).collect();
        let figures = columns.iter().map(|each| (each.key(), each.value.into())).collect();
        Self { nodes, figures, columns }
    }
}

/// A line for each figure, a column for each size, and how the last differs from the one before.
pub fn table(rows: &[Row]) -> Vec<String> {
    let Some(last) = rows.last().filter(|_| rows.len() > 1) else { return Vec::new() };
    let width = last.columns.iter().map(|each| each.name.chars().count()).max().unwrap_or(0).max(5);
    let mut head = format!("{:<width$}", "nodes");
    rows.iter().for_each(|row| head.push_str(&format!("{:>14}", readable(row.nodes.into()))));
    let mut lines = vec!["how it grows:".to_owned(), head];
    for figure in &last.columns {
        let mut line = format!("{:<width$}", figure.name);
        let values = rows.iter().map(|row| value(row, &figure.name));
        let values: Vec<Option<f64>> = values.collect();
        for value in &values {
            line.push_str(&format!("{:>14}", value.map_or_else(|| "-".to_owned(), readable)));
        }
        line.push_str(&format!(" {:<5}", figure.unit));
        if let [.., Some(before), Some(now)] = values[..]
            && before > 0.0
        {
            line.push_str(&format!("× {}", readable(now / before)));
        }
        lines.push(line);
    }
    lines
}

fn value(row: &Row, name: &str) -> Option<f64> {
    row.columns.iter().find(|each| each.name == name).map(|each| each.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_and_a_hundredth_are_measured_where_they_are_enough_for_a_fleet() {
        assert_eq!(sizes(10_000, 10, false), [100, 1_000, 10_000]);
        assert_eq!(sizes(500, 10, false), [50, 500]);
        assert_eq!(sizes(5, 10, false), [5]);
        assert_eq!(sizes(10_000, 10, true), [10_000]);
    }

    #[test]
    fn a_table_has_a_line_for_each_figure_and_says_how_it_grew() {
        let row = |nodes: u32, rate: f64| {
            let mut report = Report::new("place");
            report.figure("instances per second", rate, "/s");
            report.figure("something else", 1.0, "");
            Row::of(nodes, &report, &["instances per second"])
        };
        let lines = table(&[row(100, 50_000.0), row(1_000, 60_000.0)]);
        assert_eq!(lines.len(), 3);
        assert!(lines[2].contains("50,000") && lines[2].ends_with("× 1.20"), "{}", lines[2]);
        assert!(table(&[row(100, 1.0)]).is_empty());
    }
}
