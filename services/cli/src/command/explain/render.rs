//! Explanations as people read them.

use ostler_core::resources::Bytes;
use serde_json::Value;

use crate::output::{table, text};

/// So many rows of a table are shown.
const ROWS: usize = 20;

/// A document of the leader: of a workload, an instance or a node.
pub fn people(document: &Value, node: Option<&str>) -> String {
    if document.get("instance").is_some() {
        return instance(document, node);
    }
    if document.get("strategy").is_some() {
        return workload(document, node);
    }
    of_node(document)
}

fn workload(document: &Value, node: Option<&str>) -> String {
    let mut said = format!(
        "{} version {}, strategy {}, score of {}\n",
        text(document, "workload"),
        text(document, "version"),
        text(document, "strategy"),
        weights(document),
    );
    for note in list(&document["notes"]) {
        said.push_str(&format!("note: {}\n", note.as_str().unwrap_or_default()));
    }
    if let Some(node) = node {
        return said + &one_node(document, node, "one more");
    }
    let rows = list(&document["instances"]).iter().take(ROWS).map(|one| {
        let desired = text(one, "desired");
        let state = match text(one, "reason").as_str() {
            "-" => desired,
            reason => format!("{desired}: {reason}"),
        };
        vec![text(one, "slot"), text(one, "node"), state, text(one, "score"), terms(&one["terms"])]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    if !rows.is_empty() {
        said.push('\n');
        let heads = ["SLOT", "NODE", "ORDERED", "SCORE THEN", "ONE MORE THERE NOW"];
        said.push_str(&table(&heads, rows));
    }
    let more = list(&document["instances"]).len().saturating_sub(ROWS);
    let more = more + usize::try_from(number(document, "instances_left_out")).unwrap_or(0);
    if more > 0 {
        said.push_str(&format!("… and {more} more instances\n"));
    }
    for run in list(&document["unplaced"]) {
        let (first, last) = (&run["slots"][0], &run["slots"][1]);
        let slots = if first == last { format!("{first}") } else { format!("{first} to {last}") };
        said.push_str(&format!("no place for slot {slots}: {}\n", counts(&run["reasons"])));
    }
    said + &verdicts(document, "one more")
}

fn instance(document: &Value, node: Option<&str>) -> String {
    let own = &document["instance"];
    let mut said = format!(
        "{}/{} version {} on {}, id {}\n",
        text(document, "workload"),
        text(own, "slot"),
        text(own, "version"),
        text(own, "node"),
        text(own, "id"),
    );
    said.push_str(&format!(
        "strategy {}, score of {}; {} when it was placed\n",
        text(document, "strategy"),
        weights(document),
        text(own, "score"),
    ));
    if let Some(node) = node {
        return said + &one_node(document, node, "it");
    }
    let home = text(own, "node");
    said.push_str(&match document["would_go_to"].as_str() {
        Some(best) if best == home => format!("placed again now, it would go to {home} again\n"),
        Some(best) => format!("placed again now, it would go to {best}\n"),
        None => "placed again now, it would fit nowhere\n".to_owned(),
    });
    if let Some(verdict) = document["nodes"].get(&home)
        && verdict["verdict"] == "rejected"
    {
        said.push_str(&format!("{home} would not take it: {}\n", obstacles(verdict)));
    }
    said + &verdicts(document, "it")
}

/// What one node says.
fn one_node(document: &Value, node: &str, what: &str) -> String {
    let verdict = &document["nodes"][node];
    if verdict["verdict"] == "fits" {
        let spread = match &verdict["spread"] {
            Value::Null => String::new(),
            spread => format!("spread {spread}, "),
        };
        let (score, available) = (text(verdict, "score"), terms(&verdict["available"]));
        let terms = terms(&verdict["terms"]);
        return format!(
            "{node} would take {what}: {spread}score {score} ({terms})\n  available then: {available}\n"
        );
    }
    let mut said = format!("{node} would not take {what}:\n");
    let rows = list(&verdict["obstacles"])
        .iter()
        .map(|one| vec![format!("  {}", text(one, "reason")), text(one, "text"), text(one, "fix")]);
    said.push_str(&table(&["  REASON", "NUMBERS", "TAKEN AWAY BY"], rows.collect()));
    said
}

fn verdicts(document: &Value, what: &str) -> String {
    let (fitting, asked) = (number(document, "fitting"), number(document, "asked"));
    let mut said = format!("\n{fitting} of {asked} nodes would take {what}\n");
    let best = list(&document["best"]);
    let top = best.first().and_then(Value::as_str).map(|name| &document["nodes"][name]);
    let top = top.map_or(0, |verdict| number(verdict, "score"));
    let rows = best.iter().filter_map(Value::as_str).take(ROWS / 2).map(|name| {
        let verdict = &document["nodes"][name];
        let score = number(verdict, "score");
        let spread = verdict.get("spread").map_or("-".to_owned(), ToString::to_string);
        let behind = i128::from(top) - i128::from(score);
        let terms = terms(&verdict["terms"]);
        vec![name.to_owned(), spread, score.to_string(), behind.to_string(), terms]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    if !rows.is_empty() {
        said.push_str(&table(&["BEST", "SPREAD", "SCORE", "BEHIND", "TERMS"], rows));
    }
    let groups = list(&document["passed_over"]).iter().take(ROWS).map(|group| {
        let such = commas(&group["such_as"]);
        vec![text(group, "count"), commas(&group["reasons"]), such]
    });
    let groups: Vec<Vec<String>> = groups.collect();
    if !groups.is_empty() {
        said.push('\n');
        said.push_str(&table(&["NODES", "PASSED OVER FOR", "SUCH AS"], groups));
    }
    let near = misses(document, 10, "  ");
    if !near.is_empty() {
        said.push_str(&format!("\nnearest misses\n{near}"));
    }
    said
}

/// The nearest misses in numbers, and what would make room.
pub fn misses(verdicts: &Value, most: usize, indent: &str) -> String {
    let mut said = String::new();
    for name in list(&verdicts["nearest"]).iter().filter_map(Value::as_str).take(most) {
        said.push_str(&format!("{indent}{name}: {}\n", obstacles(&verdicts["nodes"][name])));
    }
    let ways = list(&verdicts["unblock"]);
    for (index, way) in ways.iter().enumerate() {
        let changes = list(&way["changes"]);
        let changes: Vec<&str> = changes.iter().filter_map(Value::as_str).collect();
        let nodes = match number(way, "nodes") {
            0 | 1 => String::new(),
            nodes => format!(" ({nodes} nodes, such as {})", text(way, "such_as")),
        };
        let word = if index == 0 { "to make room:" } else { "          or:" };
        said.push_str(&format!("{indent}{word} {}{nodes}\n", changes.join(", and ")));
    }
    said
}

fn of_node(document: &Value) -> String {
    let mut said = format!(
        "{} is {} and {}, {} of at most {} instances\n",
        text(document, "node"),
        text(document, "liveness"),
        text(document, "admin"),
        text(document, "count"),
        text(document, "max_instances"),
    );
    let closed = commas(&document["closed"]);
    if !closed.is_empty() {
        said.push_str(&format!("it gets no new work: {closed}\n"));
    }
    let row = |name: &str, key: &str| {
        let of = &document[key];
        vec![name.to_owned(), text(of, "cpu"), size(&of["memory"]), size(&of["disk"])]
    };
    let rows = vec![
        row("usable", "usable"),
        row("free by requests", "free"),
        row("free by use", "live_free"),
    ];
    said.push_str(&table(&["ROOM", "CPU", "MEMORY", "DISK"], rows));
    let rows = list(&document["instances"]).iter().take(ROWS).map(|one| {
        let name = format!("{}/{}", text(one, "workload"), text(one, "slot"));
        let ask = &one["ask"];
        vec![name, text(one, "desired"), text(ask, "cpu"), text(ask, "memory"), text(one, "reason")]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    if !rows.is_empty() {
        said.push('\n');
        said.push_str(&table(&["CARRIES", "ORDERED", "CPU", "MEMORY", "REASON"], rows));
    }
    let more = number(document, "count").saturating_sub(u64::try_from(ROWS).unwrap_or(0));
    if more > 0 {
        said.push_str(&format!("… and {more} more\n"));
    }
    for (workload, told) in document["obstacles"].as_object().into_iter().flatten() {
        let why: Vec<String> = list(told).iter().map(|one| text(one, "text")).collect();
        let why = if why.is_empty() { "would fit here".to_owned() } else { why.join("; ") };
        said.push_str(&format!("waits for a place: {workload}: {why}\n"));
    }
    said
}

fn obstacles(verdict: &Value) -> String {
    let told: Vec<String> =
        list(&verdict["obstacles"]).iter().map(|one| text(one, "text")).collect();
    told.join("; ")
}

/// `score 9612: base 9418 ×10, own_workload 10000 ×5`, as far as it is known.
pub fn because(item: &Value, why: &Value) -> String {
    let score = text(item, "score");
    let spread = why.get("spread").map(|spread| format!("spread {spread}, ")).unwrap_or_default();
    let terms: Vec<String> = list(&why["terms"])
        .iter()
        .map(|term| {
            let (name, value) = (text(term, "name"), text(term, "value"));
            format!("{name} {value} ×{}", text(term, "weight"))
        })
        .collect();
    match terms.is_empty() {
        true => format!("score {score}"),
        false => format!("{spread}score {score}: {}", terms.join(", ")),
    }
}

/// Shares of what is usable: cpu, memory, disk.
pub fn amounts(load: &Value) -> [String; 3] {
    ["cpu", "memory", "disk"].map(|key| {
        let (part, whole) = (amount(&load["requested"][key]), amount(&load["usable"][key]));
        let share = u128::from(part) * 100;
        let share = share.checked_div(u128::from(whole));
        share.map_or_else(|| "-".to_owned(), |share| format!("{share}%"))
    })
}

fn amount(value: &Value) -> u64 {
    let size = || value.as_str().and_then(|text| text.parse::<Bytes>().ok()).map(|bytes| bytes.0);
    value.as_u64().or_else(size).unwrap_or(0)
}

/// A size as people read it: in the largest unit that leaves two digits, rounded down.
fn size(value: &Value) -> String {
    let bytes = amount(value);
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let fits = units.into_iter().find(|(_, shift)| bytes >> shift >= 10);
    fits.map_or_else(|| format!("{bytes}B"), |(unit, shift)| format!("{}{unit}", bytes >> shift))
}

fn weights(document: &Value) -> String {
    let weights = document["weights"].as_object().cloned().unwrap_or_default();
    let each: Vec<String> =
        weights.iter().map(|(name, weight)| format!("{name} ×{weight}")).collect();
    each.join(", ")
}

fn terms(value: &Value) -> String {
    let terms = value.as_object().cloned().unwrap_or_default();
    let each: Vec<String> = terms.iter().map(|(name, term)| format!("{name} {term}")).collect();
    if each.is_empty() { "-".to_owned() } else { each.join(", ") }
}

fn counts(value: &Value) -> String {
    let counts = value.as_object().cloned().unwrap_or_default();
    let each: Vec<String> =
        counts.iter().map(|(name, count)| format!("{name} on {count}")).collect();
    each.join(", ")
}

/// A list of texts.
pub fn commas(value: &Value) -> String {
    let texts: Vec<&str> = list(value).iter().filter_map(Value::as_str).collect();
    texts.join(", ")
}

fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or(0)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests;
