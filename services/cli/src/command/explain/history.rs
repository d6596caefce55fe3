//! What was decided, as it was decided then: placements with their terms and runners-up, moves,
//! stops and losses with their reasons, from history.

use ostler_core::id::{InstanceId, WorkloadKey};
use serde_json::Value;

use super::render::because;
use crate::client::encode;
use crate::failure::Failure;
use crate::output::{self, text};
use crate::session::{self, Session};

/// So many of the newest events are looked at.
const LOOKED_AT: u32 = 1000;

/// Of an instance, or of a workload where there is no such instance.
pub async fn run(session: &Session, what: &str) -> Result<(), Failure> {
    let view = match session::instance(session, what).await {
        Ok(view) => view,
        Err(failure) if failure.code == 4 => return Err(failure),
        Err(failure) => match what.parse::<InstanceId>() {
            // It is gone; what is known of it is known by its id.
            Ok(_) => serde_json::json!({ "id": what }),
            Err(_) if what.parse::<WorkloadKey>().is_ok() => {
                return of_workload(session, what).await;
            }
            Err(_) => return Err(failure),
        },
    };
    let id = text(&view, "id");
    let mut events = events(session, &format!("instance={}", encode(&id))).await?;
    if let (Some(workload), Ok(id)) = (view["workload"].as_str(), id.parse::<InstanceId>()) {
        let workload = format!("{}/{workload}", text(&view, "namespace"));
        let of_many = self::events(session, &format!("workload={}", encode(&workload))).await?;
        events.extend(of_many.into_iter().filter(|event| covers(event, id)));
    }
    events.sort_by_key(|event| event["sequence"].as_u64());
    show(session, &events, &format!("nothing is known of instance `{id}`"))
}

/// What was decided about a workload.
pub async fn of_workload(session: &Session, workload: &str) -> Result<(), Failure> {
    let key: WorkloadKey = workload.parse().map_err(Failure::usage)?;
    let query = format!("workload={}", encode(&key.to_string()));
    let mut events = events(session, &query).await?;
    events.retain(|event| event["event"]["source"] == "scheduler");
    show(session, &events, &format!("nothing was decided about `{key}` yet"))
}

async fn events(session: &Session, query: &str) -> Result<Vec<Value>, Failure> {
    let path = format!("/v1/events?newest=true&limit={LOOKED_AT}&{query}");
    let page: Value = session.client.get(&path).await?;
    Ok(page["items"].as_array().cloned().unwrap_or_default())
}

/// Whether an event that sums up many instances is about this one too.
fn covers(event: &Value, id: InstanceId) -> bool {
    let details = &event["event"]["details"];
    let bound = |key: &str| details[key].as_str().and_then(|text| text.parse::<InstanceId>().ok());
    match (bound("first_instance"), bound("last_instance")) {
        (Some(first), Some(last)) => first <= id && id <= last,
        _ => false,
    }
}

fn show(session: &Session, events: &[Value], nothing: &str) -> Result<(), Failure> {
    if let Some(text) = output::machine(session.format, &Value::from(events.to_vec()))? {
        output::print(&text);
        return Ok(());
    }
    if events.is_empty() {
        output::print(&format!("{nothing}\n"));
    }
    events.iter().for_each(|event| output::print(&lines(&event["event"])));
    Ok(())
}

/// An event with the record of its choice, if it has one.
fn lines(event: &Value) -> String {
    let details = &event["details"];
    let mut said = format!("{}  {}", text(event, "time"), text(event, "kind"));
    match details["count"].as_str() {
        Some(count) => {
            said.push_str(&format!(", {count} instances of {}", text(event, "workload")))
        }
        None => {
            if let Some(slot) = details["slot"].as_str() {
                said.push_str(&format!(" {}/{slot}", text(event, "workload")));
            }
            if let Some(node) = event["node"].as_str().filter(|node| !node.is_empty()) {
                said.push_str(&format!(" on {node}"));
            }
        }
    }
    if let Some(from) = details["from"].as_str() {
        said.push_str(&format!(" instead of {from}"));
    }
    if let Some(reason) = event["reason"].as_str().filter(|reason| !reason.is_empty()) {
        said.push_str(&format!(": {reason}"));
    }
    for key in ["term", "revision"] {
        if let Some(number) = details[key].as_str() {
            said.push_str(&format!(", {key} {number}"));
        }
    }
    said.push('\n');
    let record = details["decision"].as_str().and_then(|text| serde_json::from_str(text).ok());
    if let Some(record) = record {
        said.push_str(&choice(&record, details));
    }
    said
}

fn choice(record: &Value, details: &Value) -> String {
    let mut said = String::new();
    let scored = details["score"].as_str().is_some();
    let first = if scored { "" } else { "the first of them: " };
    said.push_str(&format!("    {first}{}\n", because(details, record)));
    let next: Vec<String> = record["runners_up"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| {
            let behind = one["behind"].as_i64().unwrap_or(0);
            let by = if behind < 0 {
                format!("{} ahead by score, behind by spread", -behind)
            } else {
                format!("{behind} behind")
            };
            format!("{} with {} ({by})", text(one, "node"), text(one, "score"))
        })
        .collect();
    if !next.is_empty() {
        said.push_str(&format!("    next best: {}\n", next.join(", ")));
    }
    let passed: Vec<String> = record["passed_over"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(reason, count)| format!("{reason} on {count}"))
        .collect();
    let (fitting, nodes) = (text(record, "fitting"), text(record, "nodes"));
    let passed = if passed.is_empty() { String::new() } else { format!("; {}", passed.join(", ")) };
    said.push_str(&format!("    {fitting} of {nodes} nodes fitted{passed}\n"));
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use serde_json::json;

    #[test]
    fn a_decision_is_told_with_its_terms_its_runners_up_and_where_it_was_committed() {
        let record = json!({ "strategy": "weighted", "terms": [
            { "name": "base", "weight": 10, "value": 9862 }], "runners_up": [
            { "node": "n2", "score": 9799, "behind": 63 }], "nodes": 4, "fitting": 3,
            "passed_over": { "admin": 1 } });
        let event = json!({ "time": "2026-01-01T00:00:00Z", "kind": "instance.moved",
            "workload": "web", "node": "n3", "reason": "drain",
            "details": { "slot": "0", "score": "9862", "from": "n1", "term": "2",
                "revision": "14", "decision": record.to_string() } });
        expect![[r#"
            2026-01-01T00:00:00Z  instance.moved web/0 on n3 instead of n1: drain, term 2, revision 14
                score 9862: base 9862 ×10
                next best: n2 with 9799 (63 behind)
                3 of 4 nodes fitted; admin on 1
        "#]]
        .assert_eq(&lines(&event));
    }

    #[test]
    fn an_event_about_many_is_about_each_between_its_first_and_its_last() {
        let [first, middle, last, after] =
            [3, 5, 9, 10].map(|bits| InstanceId::from_bits(bits).to_string());
        let details = json!({ "first_instance": first, "last_instance": last });
        let event = json!({ "event": { "details": details } });
        assert!(covers(&event, middle.parse().expect("an id")));
        assert!(!covers(&event, after.parse().expect("an id")));
        assert!(!covers(&json!({ "event": { "details": {} } }), InstanceId::from_bits(5)));
    }
}
