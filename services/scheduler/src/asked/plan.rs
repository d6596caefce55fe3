//! What-if: a copy of the engine is led on, on a thread of its own; and where the question is about
//! several pools, each is asked and their answers become one.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use ostler_bus::Caller;
use ostler_core::explain::{Supposition, WhatIf};
use ostler_core::id::PoolName;
use ostler_core::workload::Workload;
use ostler_schemas::pb;
use ostler_schemas::problem::{Code, Problem};
use ostler_service::clock;
use serde_json::{Map, Value, json};

use super::serve::Oracle;
use super::{Question, Refusal, Said, as_document, invalid};

/// Of the time that an answer is of use this much is left to send it.
const MARGIN: Duration = Duration::from_millis(500);

/// Answers from the engine of this pool.
pub(super) async fn here(
    oracle: &Oracle,
    ask: pb::WorkloadPlan,
    timeout: Duration,
) -> Result<pb::Document, Problem> {
    Ok(as_document(&what_if(oracle, ask, timeout).await?)?)
}

async fn what_if(
    oracle: &Oracle,
    ask: pb::WorkloadPlan,
    timeout: Duration,
) -> Result<WhatIf, Problem> {
    let supposed = read(ask)?;
    let began = clock::instant();
    let _alone = oracle.alone().await;
    let Said::Copy(engine, now) = oracle.put(Question::Copy).await? else {
        return Err(Problem::new(Code::Internal, "an answer to another question"));
    };
    let within = timeout.saturating_sub(MARGIN);
    let lead_on = move || {
        let mut go_on = || clock::since(began) < within;
        engine.what_if(&supposed, now, &mut go_on)
    };
    tokio::task::spawn_blocking(lead_on)
        .await
        .map_err(|error| Problem::new(Code::Internal, error.to_string()))
}

fn read(ask: pb::WorkloadPlan) -> Result<Supposition, Refusal> {
    let workloads = ask.workloads.into_iter().map(Workload::try_from).collect::<Result<_, _>>();
    Ok(Supposition {
        workloads: workloads.map_err(invalid)?,
        lose: each(&ask.lose)?,
        drain: each(&ask.drain)?,
        add: each(&ask.add)?,
    })
}

fn each<T: FromStr<Err = String>>(texts: &[String]) -> Result<Vec<T>, Refusal> {
    texts.iter().map(|text| text.parse()).collect::<Result<_, _>>().map_err(invalid)
}

/// Asks every pool that it is about, and makes one answer of theirs.
pub(super) async fn anywhere(
    oracle: &Oracle,
    caller: &Caller,
    ask: pb::WorkloadPlan,
) -> Result<pb::Document, Problem> {
    // What cannot be read is refused before anybody is asked.
    read(ask.clone())?;
    let mut answers = Vec::new();
    for (pool, ask) in by_pool(oracle, ask)? {
        let document = if pool == oracle.pool {
            here(oracle, ask, caller.timeout).await?
        } else {
            oracle.bus.call_pool(&pool, &ask, caller).await.map_err(|mut problem| {
                problem.detail = format!("pool `{pool}`: {}", problem.detail);
                problem
            })?
        };
        let value: Value = serde_json::from_str(&document.json)
            .map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
        answers.push(value);
    }
    Ok(as_document(&one(answers)?)?)
}

/// What each pool is asked.
fn by_pool(
    oracle: &Oracle,
    ask: pb::WorkloadPlan,
) -> Result<BTreeMap<PoolName, pb::WorkloadPlan>, Problem> {
    let about_nodes = !(ask.lose.is_empty() && ask.drain.is_empty() && ask.add.is_empty());
    let bare = pb::WorkloadPlan { workloads: Vec::new(), ..ask.clone() };
    let mut pools = BTreeMap::new();
    if !ask.pool.is_empty() {
        let pool: PoolName = ask.pool.parse().map_err(invalid)?;
        if let Some(other) = ask.workloads.iter().find(|spec| of(spec) != pool.as_str()) {
            let text = format!("workload `{}` is of pool `{}`", other.name, of(other));
            return Err(Problem::new(Code::Invalid, format!("`pool` is `{pool}`, {text}")));
        }
        return Ok([(pool, ask)].into());
    }
    if about_nodes {
        let known = &oracle.bus.config().pools;
        pools.extend(known.iter().map(|pool| (pool.clone(), bare.clone())));
        pools.insert(oracle.pool.clone(), bare.clone());
    }
    for spec in ask.workloads {
        let pool: PoolName = of(&spec).parse().map_err(invalid)?;
        pools.entry(pool).or_insert_with(|| bare.clone()).workloads.push(spec);
    }
    if pools.is_empty() {
        pools.insert(oracle.pool.clone(), bare);
    }
    Ok(pools)
}

/// The pool of a workload; `default` where it says none.
fn of(spec: &pb::WorkloadSpec) -> &str {
    if spec.pool.is_empty() { "default" } else { &spec.pool }
}

/// One answer of those of all pools. What was meant must be meant in one of them.
fn one(mut answers: Vec<Value>) -> Result<Value, Problem> {
    refuse_unmatched(&answers)?;
    for answer in &mut answers {
        if let Some(answer) = answer.as_object_mut() {
            answer.remove("unmatched");
        }
    }
    if answers.len() == 1 {
        return Ok(answers.remove(0));
    }
    let mut whole = Map::new();
    let mut summaries = Vec::new();
    for answer in &answers {
        let pool = answer["pool"].as_str().unwrap_or_default();
        let summary = answer["summary"].as_str().unwrap_or_default();
        summaries.push(format!("pool {pool}: {summary}"));
        for (key, value) in answer.as_object().into_iter().flatten() {
            match (whole.get_mut(key), value) {
                (None, value) => {
                    whole.insert(key.clone(), value.clone());
                }
                (Some(have), value) => add(have, value),
            }
        }
    }
    whole.insert("summary".to_owned(), json!(summaries.join("; ")));
    let pools: Vec<&Value> = answers.iter().map(|answer| &answer["pool"]).collect();
    whole.insert("pools".to_owned(), json!(pools));
    Ok(Value::Object(whole))
}

/// Lists and maps grow, numbers add up, and what must hold must hold everywhere.
fn add(have: &mut Value, more: &Value) {
    match (have, more) {
        (Value::Array(have), Value::Array(more)) if !numeric(have) => {
            have.extend(more.iter().cloned());
        }
        (Value::Array(have), Value::Array(more)) => {
            have.iter_mut().zip(more).for_each(|(have, more)| add(have, more));
        }
        (Value::Object(have), Value::Object(more)) => {
            for (key, more) in more {
                match have.get_mut(key) {
                    Some(have) => add(have, more),
                    None => {
                        have.insert(key.clone(), more.clone());
                    }
                }
            }
        }
        (Value::Bool(have), Value::Bool(more)) => *have &= more,
        (Value::Number(have), Value::Number(more)) => {
            let sum = have.as_u64().unwrap_or(0).saturating_add(more.as_u64().unwrap_or(0));
            *have = sum.into();
        }
        // Names and absences: the first pool's stands.
        (_, _) => {}
    }
}

/// A pair of before and then.
fn numeric(list: &[Value]) -> bool {
    let counts = |value: &Value| value.is_number() || value.get("usable").is_some();
    list.len() == 2 && list.iter().all(counts)
}

fn refuse_unmatched(answers: &[Value]) -> Result<(), Problem> {
    let mut missing: BTreeMap<&String, (usize, Vec<&str>)> = BTreeMap::new();
    for answer in answers {
        for (text, values) in answer["unmatched"].as_object().into_iter().flatten() {
            let found = missing.entry(text).or_default();
            found.0 += 1;
            found.1.extend(values.as_array().into_iter().flatten().filter_map(Value::as_str));
        }
    }
    let nowhere = missing.into_iter().find(|(_, (pools, _))| *pools == answers.len());
    match nowhere {
        None => Ok(()),
        Some((text, (_, values))) if values.is_empty() => {
            Err(Problem::new(Code::Invalid, format!("no node is meant by `{text}`")))
        }
        Some((text, (_, values))) => {
            let values = values.join("`, `");
            Err(Problem::new(
                Code::Invalid,
                format!("no node is meant by `{text}`; there are `{values}`"),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(pool: &str, survives: bool, unmatched: Value) -> Value {
        json!({
            "pool": pool, "survives": survives, "summary": "s", "moves": [{ "to": pool }],
            "unplaced": { pool: [1] }, "unplaced_slots": [1, 2],
            "load": [{ "nodes": 1, "usable": { "cpu": 5 } }, { "nodes": 2, "usable": { "cpu": 6 } }],
            "unmatched": unmatched,
        })
    }

    #[test]
    fn answers_of_several_pools_add_up() {
        let all = one(vec![answer("a", true, json!({})), answer("b", false, json!({}))]);
        let all = all.expect("one answer");
        assert_eq!(all["moves"].as_array().map(Vec::len), Some(2));
        assert_eq!((&all["survives"], &all["pools"]), (&json!(false), &json!(["a", "b"])));
        assert_eq!(all["summary"], "pool a: s; pool b: s");
        assert_eq!(all["unplaced_slots"], json!([2, 4]));
        assert_eq!(all["load"][1], json!({ "nodes": 4, "usable": { "cpu": 12 } }));
        assert_eq!(all["unplaced"], json!({ "a": [1], "b": [1] }));
    }

    #[test]
    fn what_is_meant_in_one_pool_is_meant_and_what_in_none_is_refused_by_name() {
        let missing = json!({ "zone=east": ["west"] });
        let found = one(vec![answer("a", true, missing.clone()), answer("b", true, json!({}))]);
        assert!(found.is_ok());
        let refused = one(vec![answer("a", true, missing)]).expect_err("nowhere");
        assert_eq!(refused.detail, "no node is meant by `zone=east`; there are `west`");
    }
}
