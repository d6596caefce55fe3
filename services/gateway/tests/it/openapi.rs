//! The OpenAPI document: what it must be for tools to take it.

use std::collections::BTreeSet;

use serde_json::Value;

fn document() -> Value {
    serde_json::to_value(ostler_gateway::api::document()).expect("text keys")
}

/// Every path that api.md has for this version.
const PROMISED: &str = "
    GET /v1/workloads | POST /v1/workloads | GET /v1/workloads/{ns}/{name}
    PUT /v1/workloads/{ns}/{name} | DELETE /v1/workloads/{ns}/{name}
    GET /v1/workloads/{ns}/{name}/versions | GET /v1/workloads/{ns}/{name}/versions/{n}
    GET /v1/workloads/{ns}/{name}/explain | POST /v1/workloads/{ns}/{name}/scale
    POST /v1/workloads/{ns}/{name}/restart | POST /v1/workloads/{ns}/{name}/reload
    POST /v1/workloads/{ns}/{name}/promote | POST /v1/workloads/{ns}/{name}/rollback
    POST /v1/workloads/{ns}/{name}/stop | POST /v1/workloads/{ns}/{name}/start | POST /v1/plan
    GET /v1/instances | POST /v1/instances | POST /v1/instances/{id}/signal
    GET /v1/instances/{id} | DELETE /v1/instances/{id}
    GET /v1/instances/{id}/logs | GET /v1/instances/{id}/explain | POST /v1/instances/{id}/stop
    POST /v1/instances/{id}/restart | POST /v1/instances/{id}/move | GET /v1/nodes
    GET /v1/nodes/{name} | PATCH /v1/nodes/{name} | DELETE /v1/nodes/{name}
    GET /v1/nodes/{name}/explain | POST /v1/nodes/{name}/cordon | POST /v1/nodes/{name}/uncordon
    POST /v1/nodes/{name}/drain | POST /v1/nodes/{name}/maintenance
    POST /v1/nodes/{name}/activate | GET /v1/commands | GET /v1/commands/{id} | GET /v1/events
    GET /v1/metrics/fleet | GET /v1/metrics/nodes/{name} | GET /v1/metrics/instances/{id}
    GET /v1/status | GET /v1/instances/{id}/exec | GET /v1/artifacts | GET /v1/artifacts/{name}
    PUT /v1/artifacts/{name} | DELETE /v1/artifacts/{name} | GET /v1/artifacts/{name}/versions
    GET /v1/endpoints | GET /v1/endpoints/{name}
    POST /v1/instances/{id}/reload | GET /v1/nodes/{name}/leftovers
    DELETE /v1/nodes/{name}/leftovers | GET /v1/nodes/{name}/host | GET /v1/nodes/{name}/import |
    POST /v1/rebalance | GET /v1/quotas | GET /v1/quotas/{ns}
    PUT /v1/quotas/{ns} | DELETE /v1/quotas/{ns} | GET /v1/settings | PUT /v1/settings
    GET /v1/pools/{pool}/settings | PUT /v1/pools/{pool}/settings";

#[test]
fn every_promised_path_is_documented_and_no_other() {
    let lines = PROMISED.split(['|', '\n']).map(str::trim).filter(|line| !line.is_empty());
    let promised: BTreeSet<String> = lines.map(ToOwned::to_owned).collect();
    let found = ostler_gateway::docs::operations(&ostler_gateway::api::document());
    assert_eq!(found, promised);
}

#[test]
fn the_document_is_openapi_3_1_and_every_reference_leads_somewhere() {
    let document = document();
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 50, "{}", references.len());
    for reference in references {
        let pointer = reference.strip_prefix('#').expect("inside the document");
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                found.push(reference.clone());
            }
            fields.values().for_each(|inner| collect(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| collect(inner, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_operation_has_a_summary_its_path_parameters_an_answer_and_problems() {
    let document = document();
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let place = format!("{method} {path}");
            assert!(operation["summary"].as_str().is_some_and(|s| !s.is_empty()), "{place}");
            let id = operation["operationId"].as_str().expect("an id");
            assert!(ids.insert(format!("{}.{id}", operation["tags"][0])), "{place}: {id} twice");
            let none = Vec::new();
            let parameters = operation["parameters"].as_array().unwrap_or(&none);
            let named: BTreeSet<&str> = parameters
                .iter()
                .filter(|parameter| parameter["in"] == "path")
                .filter_map(|parameter| parameter["name"].as_str())
                .collect();
            let wanted: BTreeSet<&str> = path
                .split('/')
                .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
                .collect();
            assert_eq!(named, wanted, "{place}");
            let responses = operation["responses"].as_object().expect("responses");
            // A WebSocket's answer is that it begins.
            let good = |status: &String| status.starts_with('2') || status == "101";
            assert!(responses.keys().any(good), "{place}");
            let problem = &responses["default"]["content"]["application/problem+json"];
            assert!(problem["schema"]["$ref"].is_string(), "{place}");
        }
    }
}
