//! `ostler explain`: why it is there, why not elsewhere, what would unblock it.

use ostler_schemas::problem::Code;
use serde_json::Value;

use crate::args::ExplainArgs;
use crate::client::encode;
use crate::failure::Failure;
use crate::output;
use crate::session::{self, Session, workload_path};

pub mod history;
pub mod render;

/// Explains a workload, an instance, a node, or one of the first two on a node.
pub async fn run(session: &Session, args: ExplainArgs) -> Result<(), Failure> {
    // `explain "web node-1"` and `explain web node-1` are the same question.
    let mut words = args.what.split_whitespace();
    let first = words.next().unwrap_or_default();
    if first.is_empty() {
        return Err(Failure::usage("say what to explain: a workload, an instance or a node"));
    }
    let second = words.next().map(str::to_owned).or(args.node);
    if args.history {
        return history::run(session, first).await;
    }
    let document = find(session, first, second.as_deref()).await?;
    if let Some(text) = output::machine(session.format, &document)? {
        output::print(&text);
        return Ok(());
    }
    output::print(&render::people(&document, second.as_deref()));
    Ok(())
}

/// What was found, and where nothing was, why not.
async fn find(session: &Session, what: &str, node: Option<&str>) -> Result<Value, Failure> {
    let only = node.map(|node| format!("?node={}", encode(node))).unwrap_or_default();
    if let Ok(path) = workload_path(what) {
        match session.client.get::<Value>(&format!("{path}/explain{only}")).await {
            Ok(document) => return known(document, node),
            Err(failure) if failure.is_not_found() => {}
            Err(failure) => return Err(failure),
        }
    }
    if node.is_none() && !what.contains('/') {
        match session.client.get::<Value>(&format!("/v1/nodes/{}/explain", encode(what))).await {
            Ok(document) => return Ok(document),
            Err(failure) if failure.is_not_found() || failure.code == 2 => {}
            Err(failure) => return Err(failure),
        }
    }
    let view = session::instance(session, what).await.map_err(|failure| match failure.said {
        Some(Code::NotFound | Code::Malformed) => {
            Failure::failed(format!("there is no workload, node or instance `{what}`"))
        }
        _ => failure,
    })?;
    let path = format!("/v1/instances/{}/explain{only}", output::text(&view, "id"));
    known(session.client.get::<Value>(&path).await?, node)
}

/// Refuses a document that says nothing of the node that was asked about.
fn known(document: Value, node: Option<&str>) -> Result<Value, Failure> {
    match node {
        Some(node) if document["nodes"].get(node).is_none() => {
            Err(Failure::failed(format!("nothing is known of node `{node}` here")))
        }
        Some(_) | None => Ok(document),
    }
}
