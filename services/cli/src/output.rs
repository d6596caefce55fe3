//! Tables for people, JSON and YAML for programs.

use std::io::{IsTerminal as _, Write as _};

use clap::ValueEnum;
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde_json::Value;

use crate::failure::Failure;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// A table for people.
    #[default]
    Table,
    /// The table with more columns.
    Wide,
    /// JSON, as REST answers.
    Json,
    /// The same as YAML.
    Yaml,
}

/// One column of a table: heading, cell, whether only `wide` shows it.
pub struct Column {
    head: &'static str,
    cell: fn(&Value) -> String,
    wide: bool,
}

/// A column that is always shown.
pub const fn column(head: &'static str, cell: fn(&Value) -> String) -> Column {
    Column { head, cell, wide: false }
}

/// A column that only `wide` shows.
pub const fn wide(head: &'static str, cell: fn(&Value) -> String) -> Column {
    Column { head, cell, wide: true }
}

/// Writes to stdout; a closed pipe (`| head`) ends the program quietly.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

/// The text of a value for programs; `None` for tables.
pub fn machine(format: Format, value: &Value) -> Result<Option<String>, Failure> {
    match format {
        Format::Json => {
            let text = serde_json::to_string_pretty(value).map_err(Failure::failed)?;
            Ok(Some(text + "\n"))
        }
        Format::Yaml => serde_yaml_ng::to_string(value).map(Some).map_err(Failure::failed),
        Format::Table | Format::Wide => Ok(None),
    }
}

/// Prints items as a table, or as they are for programs.
pub fn list(format: Format, items: &[Value], columns: &[Column]) -> Result<(), Failure> {
    if let Some(text) = machine(format, &Value::from(items.to_vec()))? {
        print(&text);
        return Ok(());
    }
    let shown: Vec<&Column> =
        columns.iter().filter(|column| !column.wide || format == Format::Wide).collect();
    let rows = items.iter().map(|item| shown.iter().map(|c| (c.cell)(item)).collect()).collect();
    let heads: Vec<&str> = shown.iter().map(|column| column.head).collect();
    print(&table(&heads, rows));
    Ok(())
}

/// Rows under their headings, a line each.
#[must_use]
pub fn table(heads: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(heads);
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    trim_lines(&table.to_string()) + "\n"
}

fn trim_lines(text: &str) -> String {
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// Prints one value: as YAML for people, which reads best.
pub fn show(format: Format, value: &Value) -> Result<(), Failure> {
    let format = match format {
        Format::Table | Format::Wide => Format::Yaml,
        Format::Json | Format::Yaml => format,
    };
    print(&machine(format, value)?.unwrap_or_default());
    Ok(())
}

/// A field as text; nested by dots. `-` where there is none.
#[must_use]
pub fn text(item: &Value, path: &str) -> String {
    let found = path.split('.').try_fold(item, |value, key| value.get(key));
    match found {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Whether people watch.
#[must_use]
pub fn terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// An RFC 3339 time as `2s ago`.
#[must_use]
pub fn ago(item: &Value, path: &str) -> String {
    let stamp = text(item, path);
    let Ok(then) = stamp.parse::<jiff::Timestamp>() else {
        return "-".to_owned();
    };
    let now = i64::try_from(ostler_service::clock::wall_ms()).unwrap_or(i64::MAX);
    let seconds = (now - then.as_millisecond()).max(0) / 1000;
    match seconds {
        0..60 => format!("{seconds}s ago"),
        60..3_600 => format!("{}m ago", seconds / 60),
        3_600..86_400 => format!("{}h ago", seconds / 3_600),
        _ => format!("{}d ago", seconds / 86_400),
    }
}

/// A share of 0 to 1 as `45%`.
#[must_use]
pub fn percent(item: &Value, path: &str) -> String {
    text(item, path)
        .parse::<f64>()
        .map_or_else(|_| "-".to_owned(), |share| format!("{:.0}%", share * 100.0))
}
