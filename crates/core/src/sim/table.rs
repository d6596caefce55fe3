//! A step as people read it.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::report::{InstanceReport, NodeReport, StepReport};
use crate::resources::Bytes;
use crate::time::Span;

/// Lists of this length are shown in full; of longer ones the rest is counted.
const SHOWN: usize = 20;

/// The step as text: what it did, what has no place, and a table of the nodes.
#[must_use]
pub fn render(step: &StepReport) -> String {
    let mut text = format!("step {} at {}\n", step.step, Span::from_millis(step.now_ms));
    let placed = step.placed.iter().map(|p| {
        let (workload, slot, version) = (&p.workload, p.slot, p.version);
        format!("placed   {workload}/{slot} v{version} on {} (score {})", p.node, p.score)
    });
    let moved = step.moved.iter().map(|m| {
        format!("moved    {}/{} from {} to {}: {}", m.workload, m.slot, m.from, m.to, m.reason)
    });
    let stopped = step
        .stopped
        .iter()
        .map(|s| format!("stopped  {}/{} on {}: {}", s.workload, s.slot, s.node, s.reason));
    let unplaced = step.unplaced.iter().map(|u| {
        let reason = |reason: &crate::placement::Reason| {
            serde_json::to_string(reason).unwrap_or_default().replace('"', "")
        };
        let reasons: Vec<String> =
            u.reasons.iter().map(|(why, count)| format!("{} on {count}", reason(why))).collect();
        format!("unplaced {}/{}: {}", u.workload, u.slot, reasons.join(", "))
    });
    list(&mut text, step.refused.iter().map(|why| format!("refused  {why}")).collect());
    list(&mut text, placed.collect());
    list(&mut text, moved.collect());
    list(&mut text, stopped.collect());
    list(&mut text, unplaced.collect());
    nodes(&mut text, step);
    text
}

fn list(text: &mut String, lines: Vec<String>) {
    for line in lines.iter().take(SHOWN) {
        line_of(text, line);
    }
    if lines.len() > SHOWN {
        line_of(text, &format!("… and {} more", lines.len() - SHOWN));
    }
}

fn line_of(text: &mut String, line: &str) {
    writeln!(text, "  {line}").expect("a text takes everything");
}

fn nodes(text: &mut String, step: &StepReport) {
    let mut there: BTreeMap<&str, Vec<&InstanceReport>> = BTreeMap::new();
    for instance in &step.instances {
        there.entry(instance.node.as_str()).or_default().push(instance);
    }
    let none = Vec::new();
    let rows = step
        .nodes
        .iter()
        .take(SHOWN)
        .map(|node| row(node, there.get(node.name.as_str()).unwrap_or(&none)));
    let head = ["NODE", "STATUS", "ADMIN", "CPU FREE", "MEMORY FREE", "INSTANCES"];
    let rows: Vec<[String; 6]> = [head.map(str::to_owned)].into_iter().chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..6).map(|column| width(column).unwrap_or(0)).collect();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        line_of(text, cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    if step.nodes.len() > SHOWN {
        line_of(text, &format!("… and {} more", step.nodes.len() - SHOWN));
    }
}

fn row(node: &NodeReport, there: &[&InstanceReport]) -> [String; 6] {
    let mut by_workload: BTreeMap<(&str, u32), Vec<String>> = BTreeMap::new();
    for instance in there {
        let mark = match (instance.desired, instance.observed, instance.ready) {
            ("run", Some("running"), true) => String::new(),
            (desired, observed, _) if desired != "run" => {
                format!("({desired}, {})", observed.unwrap_or("unseen"))
            }
            (_, observed, _) => format!("({})", observed.unwrap_or("unseen")),
        };
        let slots = by_workload.entry((&instance.workload, instance.version.0)).or_default();
        slots.push(format!("{}{mark}", instance.slot));
    }
    let what = by_workload
        .into_iter()
        .map(|((workload, version), slots)| format!("{workload} v{version}: {}", slots.join(" ")));
    let mut what = what.collect::<Vec<_>>().join(", ");
    if what.is_empty() {
        what.push('-');
    }
    let free = &node.free;
    [
        node.name.to_string(),
        node.liveness.as_str().to_owned(),
        node.admin.as_str().to_owned(),
        format!("{}m", free.cpu),
        // Whole MiB are enough for people, and never more than there are.
        Bytes::from_mib(free.memory >> 20).to_string(),
        format!("{} ({what})", node.instances),
    ]
}
