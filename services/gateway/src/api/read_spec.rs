//! Bodies that are workloads: JSON or TOML, every mistake named at once.

use ostler_core::id::WorkloadKey;
use ostler_core::workload::{SpecErrors, Workload, from_json, from_json_value, from_toml};
use ostler_schemas::pb;
use ostler_schemas::problem::{Code, FieldError, Problem};
use serde_json::{Map, Value};

use crate::answer::{Answer, Refusal};
use crate::extract::RawBody;
use crate::extract::body::{self, TextFormat};

/// Workloads in one plan, at most.
const MOST_IN_PLAN: usize = 1000;

/// Reads one workload. What the path says may be left out of the body, but not contradicted.
pub fn workload(body: &RawBody, path: Option<&WorkloadKey>) -> Answer<Workload> {
    let completed = match path {
        Some(key) => completed(body, key)?,
        None => Completed { text: body.text.clone(), lines_before: 0 },
    };
    let read = match body.format {
        TextFormat::Json => {
            body::is_json(&body.text)?;
            from_json(&completed.text)
        }
        TextFormat::Toml => from_toml(&completed.text),
    };
    let workload = read.map_err(|errors| invalid(errors, "", completed.lines_before))?;
    match path {
        Some(key) => as_in_path(workload, key),
        None => Ok(workload),
    }
}

/// Keys that a plan has and a workload has not.
const OF_PLANS: [&str; 4] = ["workloads", "lose", "drain", "add"];

/// Reads what is to be planned: a workload, a list of them, or `{"workloads": […], "lose": […],
/// "drain": […], "add": […], "pool": "…"}`, of which each may be absent: the workloads, and a request
/// with all else.
pub fn plan(body: &RawBody) -> Answer<(Vec<Workload>, pb::WorkloadPlan)> {
    let of = |workloads: Vec<Workload>| (workloads, pb::WorkloadPlan::default());
    if body.format == TextFormat::Toml {
        return workload(body, None).map(|one| of(vec![one]));
    }
    body::is_json(&body.text)?;
    let value: Value = body::json(&body.text)?;
    match value {
        Value::Array(list) => workloads(list).map(of),
        Value::Object(object) if OF_PLANS.iter().any(|key| object.contains_key(*key)) => {
            supposition(object)
        }
        _ => workload(body, None).map(|one| of(vec![one])),
    }
}

fn supposition(mut object: Map<String, Value>) -> Answer<(Vec<Workload>, pb::WorkloadPlan)> {
    let list = match object.remove("workloads") {
        None => Vec::new(),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(Refusal::field("workloads", "a list of workloads")),
    };
    let mut texts = |key: &str| match object.remove(key) {
        None => Ok(Vec::new()),
        Some(value) => serde_json::from_value::<Vec<String>>(value)
            .map_err(|_| Refusal::field(key, "a list of texts")),
    };
    let (lose, drain, add) = (texts("lose")?, texts("drain")?, texts("add")?);
    let pool = match object.remove("pool") {
        None => String::new(),
        Some(Value::String(pool)) => pool,
        Some(_) => return Err(Refusal::field("pool", "the name of a pool")),
    };
    if let Some(key) = object.keys().next() {
        let known = "`workloads`, `lose`, `drain`, `add` and `pool`";
        return Err(Refusal::field(key, format!("unknown; a plan has {known}")));
    }
    let about_nodes = lose.len() + drain.len() + add.len();
    if about_nodes > MOST_IN_PLAN {
        return Err(Refusal::field("lose", format!("at most {MOST_IN_PLAN} suppositions")));
    }
    let workloads = if list.is_empty() && about_nodes > 0 { Vec::new() } else { workloads(list)? };
    let request = pb::WorkloadPlan { lose, drain, add, pool, ..pb::WorkloadPlan::default() };
    Ok((workloads, request))
}

fn workloads(list: Vec<Value>) -> Answer<Vec<Workload>> {
    if list.is_empty() || list.len() > MOST_IN_PLAN {
        return Err(Refusal::field("workloads", format!("from 1 to {MOST_IN_PLAN} workloads")));
    }
    let read = |(index, value)| {
        from_json_value(value).map_err(|errors| invalid(errors, &format!("[{index}]"), 0))
    };
    list.into_iter().enumerate().map(read).collect()
}

/// A text in which name and namespace are written.
struct Completed {
    text: String,
    /// So many lines were put before the sender's first.
    lines_before: u32,
}

/// Writes name and namespace of the path into the text where it lacks them.
fn completed(body: &RawBody, key: &WorkloadKey) -> Answer<Completed> {
    let as_it_is = || Completed { text: body.text.clone(), lines_before: 0 };
    let fields = [("name", key.name.as_str()), ("namespace", key.namespace.as_str())];
    match body.format {
        TextFormat::Json => {
            body::is_json(&body.text)?;
            let value: Value = body::json(&body.text)?;
            let Value::Object(object) = value else { return Ok(as_it_is()) };
            let absent = fields.iter().filter(|(field, _)| !object.contains_key(*field));
            let pairs: Vec<String> =
                absent.map(|(field, text)| format!("\"{field}\":\"{text}\"")).collect();
            let Some((before, after)) = body.text.split_once('{') else { return Ok(as_it_is()) };
            let comma = if object.is_empty() || pairs.is_empty() { "" } else { "," };
            let text = format!("{before}{{{}{comma}{after}", pairs.join(","));
            Ok(Completed { text, lines_before: 0 })
        }
        TextFormat::Toml => {
            let Ok(table) = body.text.parse::<toml::Table>() else { return Ok(as_it_is()) };
            let absent = fields.iter().filter(|(field, _)| !table.contains_key(*field));
            let lines: Vec<String> =
                absent.map(|(field, text)| format!("{field} = \"{text}\"\n")).collect();
            let lines_before = u32::try_from(lines.len()).expect("there are two fields");
            Ok(Completed { text: lines.concat() + &body.text, lines_before })
        }
    }
}

fn as_in_path(workload: Workload, key: &WorkloadKey) -> Answer<Workload> {
    let differs = |field: &str, body: &str, path: &str| {
        let message = format!("`{body}` in the body, `{path}` in the path");
        Err(Refusal::field(field, message))
    };
    if workload.name != key.name {
        return differs("name", workload.name.as_str(), key.name.as_str());
    }
    if workload.namespace != key.namespace {
        return differs("namespace", workload.namespace.as_str(), key.namespace.as_str());
    }
    Ok(workload)
}

fn invalid(errors: SpecErrors, prefix: &str, lines_before: u32) -> Refusal {
    let field = |path: String| match (prefix, path.as_str()) {
        ("", _) => path,
        (prefix, "") => prefix.to_owned(),
        (prefix, path) => format!("{prefix}.{path}"),
    };
    let detail = errors.to_string();
    let errors = errors.0.into_iter().map(|problem| FieldError {
        field: field(problem.path),
        line: problem
            .line
            .and_then(|line| u32::try_from(line).ok())
            .map(|line| line.saturating_sub(lines_before).max(1)),
        message: problem.message,
    });
    let errors: Vec<FieldError> = errors.collect();
    let detail = match (errors.len(), lines_before, prefix) {
        (_, 0, "") => detail,
        _ => errors
            .iter()
            .map(|e| format!("`{}`: {}", e.field, e.message))
            .collect::<Vec<_>>()
            .join("\n"),
    };
    Problem::new(Code::Invalid, detail).with_errors(errors).into()
}

#[cfg(test)]
mod tests;
