//! `ostler explain`: why it is there, why not elsewhere, what would unblock it.

use serde_json::Value;

use crate::client::encode;
use crate::failure::Failure;
use crate::output;
use crate::session::{self, Session, workload_path};

/// Explains a workload, an instance, a node, or a workload on a node.
pub async fn run(session: &Session, what: &str) -> Result<(), Failure> {
    let mut words = what.split_whitespace();
    let (Some(first), second) = (words.next(), words.next()) else {
        return Err(Failure::usage("say what to explain: a workload, an instance or a node"));
    };
    let mut document = find(session, first).await?;
    if let Some(node) = second {
        document = only(document, node)?;
    }
    if let Some(text) = output::machine(session.format, &document)? {
        output::print(&text);
        return Ok(());
    }
    output::print(&people(&document));
    Ok(())
}

async fn find(session: &Session, what: &str) -> Result<Value, Failure> {
    let mut missing = None;
    let node = format!("/v1/nodes/{}/explain", encode(what));
    let instance = async {
        let view = session::instance(session, what).await?;
        let id = output::text(&view, "id");
        session.client.get::<Value>(&format!("/v1/instances/{id}/explain")).await
    };
    if let Ok(path) = workload_path(what) {
        match session.client.get::<Value>(&format!("{path}/explain")).await {
            Ok(document) => return Ok(document),
            Err(failure) if failure.code == 4 => return Err(failure),
            Err(failure) => missing = Some(failure),
        }
    }
    if let Ok(document) = session.client.get::<Value>(&node).await {
        return Ok(document);
    }
    let text = format!("there is no workload, node or instance `{what}`");
    instance
        .await
        .map_err(|_| missing.map_or_else(|| Failure::failed(&text), |_| Failure::failed(&text)))
}

/// What a document says of one node.
fn only(document: Value, node: &str) -> Result<Value, Failure> {
    let nodes = document["nodes"].clone();
    let found = match &nodes {
        Value::Array(list) => list.iter().find(|item| output::text(item, "node") == node).cloned(),
        other => other.get(node).cloned(),
    };
    found.ok_or_else(|| Failure::failed(format!("nothing is known of node `{node}` here")))
}

/// The document as an outline.
fn people(document: &Value) -> String {
    let mut text = String::new();
    outline(document, 0, &mut text);
    text
}

fn outline(value: &Value, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match inline(value) {
                    Some(short) => text.push_str(&format!("{indent}{key}: {short}\n")),
                    None => {
                        text.push_str(&format!("{indent}{key}:\n"));
                        outline(value, depth + 1, text);
                    }
                }
            }
        }
        Value::Array(list) => {
            for value in list {
                match inline(value) {
                    Some(short) => text.push_str(&format!("{indent}- {short}\n")),
                    None => {
                        let mut item = String::new();
                        outline(value, depth + 1, &mut item);
                        text.push_str(&format!("{indent}- {}", item.trim_start()));
                    }
                }
            }
        }
        other => text.push_str(&format!("{indent}{other}\n")),
    }
}

/// A value that fits on a line: a scalar, or a flat list or map of scalars.
fn inline(value: &Value) -> Option<String> {
    let scalar = |value: &Value| match value {
        Value::Object(_) | Value::Array(_) => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    match value {
        Value::Array(list) if list.len() <= 12 => {
            let items: Option<Vec<String>> = list.iter().map(scalar).collect();
            items.map(|items| items.join(", "))
        }
        Value::Object(map) if map.len() <= 8 => {
            let items: Option<Vec<String>> = map
                .iter()
                .map(|(key, value)| scalar(value).map(|value| format!("{key} {value}")))
                .collect();
            items.map(|items| items.join(", "))
        }
        other => scalar(other),
    }
}
