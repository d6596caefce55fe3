//! The fleet as a whole: status, metrics, events, commands.

use serde_json::Value;

use crate::client::encode;
use crate::failure::Failure;
use crate::output::{self, Format, ago, column, text, wide};
use crate::session::Session;

/// `ostler status`.
pub async fn status(session: &Session) -> Result<(), Failure> {
    let status: Value = session.client.get("/v1/status").await?;
    if let Some(text) = output::machine(session.format, &status)? {
        output::print(&text);
        return Ok(());
    }
    let mut lines = String::new();
    for (title, key) in [("nodes", "nodes"), ("workloads", "workloads"), ("instances", "instances")]
    {
        lines.push_str(&format!("{title:<10} {}\n", counts(&status[key])));
    }
    let leaders = status["leaders"].as_object().cloned().unwrap_or_default();
    for (what, holder) in leaders {
        lines.push_str(&format!("{:<10} {what}: {}\n", "leader", holder.as_str().unwrap_or("-")));
    }
    for service in status["services"].as_array().into_iter().flatten() {
        let (name, version) = (text(service, "name"), text(service, "version"));
        lines.push_str(&format!("{:<10} {name} {version} {}\n", "service", text(service, "id")));
    }
    let nats = &status["nats"];
    lines.push_str(&format!("{:<10} {} {}\n", "nats", text(nats, "server"), text(nats, "version")));
    for warning in status["warnings"].as_array().into_iter().flatten() {
        lines.push_str(&format!("{:<10} {}\n", "warning", warning.as_str().unwrap_or_default()));
    }
    output::print(&lines);
    Ok(())
}

fn counts(value: &Value) -> String {
    let counts = value.as_object().cloned().unwrap_or_default();
    let counts: Vec<String> =
        counts.iter().map(|(state, count)| format!("{count} {state}")).collect();
    if counts.is_empty() { "none".to_owned() } else { counts.join(", ") }
}

/// `ostler metrics`.
pub async fn metrics(session: &Session, node: Option<String>, range: &str) -> Result<(), Failure> {
    let path = match &node {
        Some(node) => format!("/v1/metrics/nodes/{}", encode(node)),
        None => "/v1/metrics/fleet".to_owned(),
    };
    let path = format!("{path}?range={}", encode(range));
    let document: Value = session.client.get(&path).await?;
    if let Some(text) = output::machine(session.format, &document)? {
        output::print(&text);
        return Ok(());
    }
    for (name, value) in document["totals"].as_object().into_iter().flatten() {
        output::print(&format!("{name:<24} {value}\n"));
    }
    for (name, points) in document["series"].as_object().into_iter().flatten() {
        let values: Vec<f64> = points
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|point| point[1].as_f64().or_else(|| point.as_f64()))
            .collect();
        let last = values.last().copied().unwrap_or_default();
        output::print(&format!("{name:<24} {last:>14.2}  {}\n", spark(&values)));
    }
    Ok(())
}

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// How many points a spark line shows.
const WIDTH: usize = 60;

/// The last points as a line of bars between their least and their greatest.
fn spark(values: &[f64]) -> String {
    let shown = &values[values.len().saturating_sub(WIDTH)..];
    let low = shown.iter().copied().fold(f64::INFINITY, f64::min);
    let high = shown.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let step = |value: &f64| {
        let share = if high > low { (value - low) / (high - low) } else { 0.0 };
        let fits = |index: &usize| {
            let bound = f64::from(u8::try_from(*index).unwrap_or(u8::MAX)) / 7.0;
            share >= bound - f64::EPSILON
        };
        (0..BARS.len()).rev().find(fits).map_or(BARS[0], |index| BARS[index])
    };
    shown.iter().map(step).collect()
}

/// `ostler events`.
pub async fn events(
    session: &Session,
    follow: bool,
    filters: [(&str, Option<String>); 3],
    limit: u32,
) -> Result<(), Failure> {
    let mut query = String::new();
    for (name, value) in filters {
        if let Some(value) = value {
            query.push_str(&format!("&{name}={}", encode(&value)));
        }
    }
    let path = format!("/v1/events?newest=true&limit={limit}{query}");
    let page: Value = session.client.get(&path).await?;
    let items = page["items"].as_array().cloned().unwrap_or_default();
    if !follow {
        return list(session.format, &items);
    }
    let mut since = 0;
    for item in &items {
        since = since.max(item["sequence"].as_u64().unwrap_or_default());
        output::print(&line(session.format, item));
    }
    let format = session.format;
    loop {
        let path = format!("/v1/events?follow=true&since={since}{query}");
        session
            .client
            .follow(&path, |id, _, data| {
                since = id.parse().unwrap_or(since);
                if let Ok(event) = serde_json::from_str::<Value>(data) {
                    output::print(&line(format, &event));
                }
                true
            })
            .await?;
    }
}

/// An event is itself, or lies in a view with its sequence.
fn inner(item: &Value) -> &Value {
    item.get("event").filter(|event| event.is_object()).unwrap_or(item)
}

fn line(format: Format, item: &Value) -> String {
    if matches!(format, Format::Json | Format::Yaml) {
        return format!("{item}\n");
    }
    let event = inner(item);
    let about = about(event);
    let (time, kind) = (text(event, "time"), text(event, "kind"));
    let reason = text(event, "reason").replace('-', " ");
    format!("{time}  {kind:<24} {about:<32} {reason}\n")
}

fn about(event: &Value) -> String {
    let parts = ["workload", "instance", "node"].map(|key| text(event, key));
    parts.into_iter().filter(|part| part != "-").collect::<Vec<_>>().join(" ")
}

fn list(format: Format, items: &[Value]) -> Result<(), Failure> {
    output::list(
        format,
        items,
        &[
            column("TIME", |item| ago(inner(item), "time")),
            column("KIND", |item| text(inner(item), "kind")),
            column("WORKLOAD", |item| text(inner(item), "workload")),
            column("INSTANCE", |item| text(inner(item), "instance")),
            column("NODE", |item| text(inner(item), "node")),
            column("REASON", |item| text(inner(item), "reason")),
            wide("SEQUENCE", |item| text(item, "sequence")),
            wide("BY", |item| text(inner(item), "actor")),
            wide("SOURCE", |item| text(inner(item), "source")),
        ],
    )
}

/// `ostler commands`.
pub async fn commands(session: &Session) -> Result<(), Failure> {
    let items = session.client.list("/v1/commands").await?;
    output::list(
        session.format,
        &items,
        &[
            column("ID", |item| text(item, "id")),
            column("ORDER", |item| text(item, "order")),
            column("TARGET", |item| text(item, "target")),
            column("STATE", |item| text(item, "state")),
            column("AT", |item| ago(item, "at")),
            column("REASON", |item| text(item, "reason")),
            wide("BY", |item| text(item, "actor")),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spark_line_reaches_from_the_lowest_to_the_highest_bar() {
        assert_eq!(spark(&[0.0, 3.5, 7.0]), "▁▄█");
        assert_eq!(spark(&[5.0, 5.0]), "▁▁");
        assert_eq!(spark(&[]), "");
    }
}
