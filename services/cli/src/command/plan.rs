//! `ostler plan`: what would happen, and whether the fleet survives it.

use ostler_core::workload::Workload;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::apply::{path_of, read};
use super::explain::render::{amounts, because, commas};
use crate::args::PlanArgs;
use crate::client::encode;
use crate::failure::Failure;
use crate::output::{self, text};
use crate::session::Session;

/// Lists of this length are shown in full; of longer ones the rest is counted.
const SHOWN: usize = 50;

/// Asks and shows. Exit code 0: no change, 10: changes, 1: something would have no place.
pub async fn run(session: &Session, args: PlanArgs) -> Result<u8, Failure> {
    let workloads: Vec<Workload> =
        args.files.iter().map(|file| read(file)).collect::<Result<_, _>>()?;
    let body = body(&workloads, &args)?;
    let plan: Value = session.client.json(Method::POST, "/v1/plan", Some(&body)).await?;
    let mut differs = String::new();
    for workload in &workloads {
        differs.push_str(&difference(session, workload).await?);
    }
    // The gateway wraps a document whose shape is the leader's.
    if let Some(text) = output::machine(session.format, &plan)? {
        output::print(&text);
    } else {
        output::print(&differs);
        output::print(&people(&plan));
    }
    let some = |name: &str| plan[name].as_array().is_some_and(|list| !list.is_empty());
    let unplaced = plan["unplaced"].as_object().is_some_and(|map| !map.is_empty());
    let survives = plan["survives"].as_bool().unwrap_or(!unplaced);
    let moves = some("placements") || some("stops") || some("moves") || some("waits");
    let changes = moves || !differs.is_empty();
    Ok(match (survives && !unplaced, changes) {
        (false, _) => 1,
        (true, true) => 10,
        (true, false) => 0,
    })
}

fn body(workloads: &[Workload], args: &PlanArgs) -> Result<Value, Failure> {
    let mut body = Map::new();
    if !workloads.is_empty() {
        let list = serde_json::to_value(workloads).map_err(Failure::failed)?;
        body.insert("workloads".to_owned(), list);
    }
    for (key, list) in [("lose", &args.lose), ("drain", &args.drain), ("add", &args.add)] {
        if !list.is_empty() {
            body.insert(key.to_owned(), json!(list));
        }
    }
    if let Some(pool) = &args.pool {
        body.insert("pool".to_owned(), json!(pool));
    }
    Ok(Value::Object(body))
}

/// What of the text in force would change, a line each.
async fn difference(session: &Session, workload: &Workload) -> Result<String, Failure> {
    let have = match session.client.get::<Value>(&path_of(workload)).await {
        Ok(view) => view["spec"].clone(),
        Err(failure) if failure.is_not_found() => {
            return Ok(format!("+ {} is new\n", workload.key()));
        }
        Err(failure) => return Err(failure),
    };
    let mut wanted = workload.clone();
    for (_, artifact) in wanted.artifacts_mut() {
        // The text in force names the version that the newest one was then.
        if !artifact.contains('@') {
            let path = format!("/v1/artifacts/{}", encode(artifact));
            let newest: Value = session.client.get(&path).await?;
            artifact.push_str(&format!("@{}", text(&newest, "version")));
        }
    }
    let wanted = serde_json::to_value(wanted).map_err(Failure::failed)?;
    let mut lines = String::new();
    diff("", &have, &wanted, &mut lines);
    Ok(lines)
}

fn diff(path: &str, have: &Value, want: &Value, lines: &mut String) {
    let (Some(old), Some(new)) = (have.as_object(), want.as_object()) else {
        if have != want {
            lines.push_str(&format!("~ {path}: {have} → {want}\n"));
        }
        return;
    };
    let keys: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for key in keys {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match (old.get(key), new.get(key)) {
            (Some(have), Some(want)) => diff(&path, have, want, lines),
            (Some(have), None) => lines.push_str(&format!("- {path}: {have}\n")),
            (None, Some(want)) => lines.push_str(&format!("+ {path}: {want}\n")),
            (None, None) => {}
        }
    }
}

/// A plan as people read it: the answer, what moves and goes where, what has no place, the load.
fn people(plan: &Value) -> String {
    let mut shown = format!("{}\n", text(plan, "summary"));
    for (what, key) in [("lost", "lost"), ("drained", "drained"), ("added", "added")] {
        let names = commas(&plan[key]);
        if !names.is_empty() {
            shown.push_str(&format!("{what:<8} {names}\n"));
        }
    }
    let list = |key: &str| plan[key].as_array().cloned().unwrap_or_default();
    lines(
        &mut shown,
        list("moves").iter().map(|item| {
            let (from, to) = (text(item, "from"), text(item, "to"));
            format!("move     {} from {from} to {to}: {}", slot(item), text(item, "reason"))
        }),
    );
    let moves = list("moves");
    let moved = |item: &Value| {
        moves.iter().any(|one| {
            (&one["workload"], &one["slot"], &one["to"])
                == (&item["workload"], &item["slot"], &item["node"])
        })
    };
    let fresh: Vec<Value> = list("placements").into_iter().filter(|item| !moved(item)).collect();
    lines(
        &mut shown,
        fresh.iter().map(|item| {
            let place = format!("place    {} on {}", slot(item), text(item, "node"));
            format!("{place} ({})", because(item, &item["why"]))
        }),
    );
    lines(
        &mut shown,
        list("evictions").iter().map(|item| {
            let (node, by) = (text(item, "node"), text(item, "by"));
            let by = by.strip_prefix("default/").unwrap_or(&by);
            format!("evict    {} on {node} for {by}/{}", slot(item), text(item, "by_slot"))
        }),
    );
    lines(
        &mut shown,
        list("stops").iter().map(|item| {
            format!("stop     {} on {}: {}", slot(item), text(item, "node"), text(item, "reason"))
        }),
    );
    lines(
        &mut shown,
        list("waits").iter().map(|item| {
            format!("wait     {} stays on {}, which is lost", slot(item), text(item, "node"))
        }),
    );
    for (workload, runs) in plan["unplaced"].as_object().into_iter().flatten() {
        for run in runs.as_array().into_iter().flatten() {
            shown.push_str(&cannot(workload, run, &plan["why"][workload]));
        }
    }
    shown + &load(plan)
}

fn lines(shown: &mut String, all: impl ExactSizeIterator<Item = String>) {
    let more = all.len().saturating_sub(SHOWN);
    all.take(SHOWN).for_each(|line| shown.push_str(&(line + "\n")));
    if more > 0 {
        shown.push_str(&format!("         … and {more} more\n"));
    }
}

fn slot(item: &Value) -> String {
    let workload = text(item, "workload");
    format!("{}/{}", workload.strip_prefix("default/").unwrap_or(&workload), text(item, "slot"))
}

/// Slots that have no place: how many nodes stand against it for each reason, the nearest misses in
/// numbers, and what would make room.
fn cannot(workload: &str, run: &Value, why: &Value) -> String {
    let (first, last) = (&run["slots"][0], &run["slots"][1]);
    let slots = if first == last { first.to_string() } else { format!("{first} to {last}") };
    let count = |(reason, count): (&String, &Value)| {
        format!("{reason} on {count} {}", if *count == json!(1) { "node" } else { "nodes" })
    };
    let reasons: Vec<String> =
        run["reasons"].as_object().into_iter().flatten().map(count).collect();
    let mut lines = format!("cannot   {workload}/{slots}: {}\n", reasons.join(", "));
    lines.push_str(&super::explain::render::misses(why, 5, "         "));
    if why.is_null() {
        for (node, reasons) in run["nodes"].as_object().into_iter().flatten().take(SHOWN) {
            lines.push_str(&format!("         {node}: {}\n", commas(reasons)));
        }
    }
    lines
}

/// What the nodes carry, before and then.
fn load(plan: &Value) -> String {
    let Some([before, then]) = plan["load"].as_array().map(Vec::as_slice) else {
        return String::new();
    };
    let row = |name: &str, load: &Value| {
        let mut row = vec![name.to_owned(), text(load, "nodes"), text(load, "instances")];
        row.extend(amounts(load));
        row
    };
    let heads = ["LOAD", "NODES", "INSTANCES", "CPU", "MEMORY", "DISK"];
    let mut rows = vec![row("before", before), row("then", then)];
    for (node, pair) in plan["nodes"].as_object().into_iter().flatten().take(SHOWN) {
        let side = |load: &Value| match load.is_null() {
            true => vec!["-".to_owned(); 4],
            false => {
                let mut side = vec![text(load, "instances")];
                side.extend(amounts(load));
                side
            }
        };
        let mut row = vec![format!("  {node}"), String::new()];
        row.extend(side(&pair[0]).into_iter().zip(side(&pair[1])).map(|(a, b)| match a == b {
            true => a,
            false => format!("{a} → {b}"),
        }));
        rows.push(row);
    }
    output::table(&heads, rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_diff_names_each_key_that_changes() {
        let (have, want) = (json!({"a": 1, "b": {"c": 2}}), json!({"b": {"c": 3}, "d": 4}));
        let mut lines = String::new();
        diff("", &have, &want, &mut lines);
        assert_eq!(lines, "- a: 1\n~ b.c: 2 → 3\n+ d: 4\n");
    }

    #[test]
    fn a_loss_is_told_with_what_moves_what_has_no_place_and_the_load() {
        let usable = json!({ "cpu": 4000, "memory": "8GiB", "disk": "0B", "network": 0 });
        let load = |nodes: u32, cpu: u32, memory: &str| {
            json!({ "nodes": nodes, "instances": 3, "usable": usable,
                "requested": { "cpu": cpu, "memory": memory, "disk": "0B", "network": 0 } })
        };
        let plan = json!({
            "summary": "no: 1 has no place; 1 instance moves", "lost": ["n1", "n2"],
            "moves": [{ "workload": "default/web", "slot": 0, "from": "n1", "to": "n3",
                "reason": "node_lost" }],
            "placements": [{ "workload": "default/web", "slot": 0, "node": "n3", "score": 9000 }],
            "unplaced": { "shop/db": [{ "slots": [0, 0], "reasons": { "memory": 1, "liveness": 2 },
                "nodes": {} }] },
            "why": { "shop/db": { "nearest": ["n3"],
                "nodes": { "n3": { "verdict": "rejected", "obstacles": [
                    { "text": "needs 2GiB of memory, 1GiB free" }] } },
                "unblock": [{ "changes": ["1GiB of memory more on n3"], "nodes": 1 }] } },
            "load": [load(3, 300, "2GiB"), load(1, 300, "4GiB")],
            "nodes": { "n3": [load(1, 100, "1GiB"), load(1, 200, "2GiB")] },
        });
        expect![[r#"
            no: 1 has no place; 1 instance moves
            lost     n1, n2
            move     web/0 from n1 to n3: node_lost
            cannot   shop/db/0: liveness on 2 nodes, memory on 1 node
                     n3: needs 2GiB of memory, 1GiB free
                     to make room: 1GiB of memory more on n3
            LOAD    NODES  INSTANCES  CPU      MEMORY     DISK
            before  3      3          7%       25%        -
            then    1      3          7%       50%        -
              n3           3          2% → 5%  12% → 25%  -
        "#]]
        .assert_eq(&people(&plan));
    }
}
