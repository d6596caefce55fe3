//! `POST /v1/instances`: one instance, on a node that can take it, or a refusal that says why not.

use axum::response::Response;
use ostler_core::id::NodeName;
use ostler_core::workload::{Kind, Workload};
use ostler_schemas::pb;
use serde_json::Value;

use super::parameters::{Changing, ConditionHeaders, OnceHeaders};
use super::read_spec;
use super::workloads::{PutAnswer, send};
use crate::answer::{Answer, Refusal};
use crate::extract::body::TextFormat;
use crate::extract::policy::WorkloadsWrite;
use crate::extract::{Allowed, Conditions, Params, RawBody};

/// Create one instance: a workload with one slot. `node` beside its text, or `placement.node` in it,
/// names the node. Refused (409, with the reasons) where no node, or not that one, can take it now.
#[utoipa::path(post, path = "/v1/instances", tag = "instances",
    params(Changing, ConditionHeaders, OnceHeaders),
    request_body(content((pb::WorkloadSpec = "application/json"), (String = "application/toml"))),
    responses((status = 201, body = PutAnswer), (status = 200, body = PutAnswer)))]
pub(super) async fn create(
    asker: Allowed<WorkloadsWrite>,
    conditions: Conditions,
    Params(params): Params<Changing>,
    body: RawBody,
) -> Answer<Response> {
    let (body, node) = without_node(body)?;
    let workload = of_one_slot(read_spec::workload(&body, None)?, node)?;
    let spec = Some(workload.clone().into());
    let request = pb::WorkloadPut { spec, placed: !params.dry_run, ..Default::default() };
    send(&asker, &workload.key(), (request, conditions), &params).await
}

/// Takes `node` out of a text of which it is no part.
fn without_node(body: RawBody) -> Answer<(RawBody, Option<NodeName>)> {
    let (text, node) = match body.format {
        TextFormat::Json => {
            crate::extract::body::is_json(&body.text)?;
            let mut value: Value = crate::extract::body::json(&body.text)?;
            let node = value.as_object_mut().and_then(|table| table.remove("node"));
            let Some(node) = node else { return Ok((body, None)) };
            (value.to_string(), node)
        }
        TextFormat::Toml => {
            // What is no TOML is refused where the workload is read, by its line.
            let Ok(mut table) = body.text.parse::<toml::Table>() else { return Ok((body, None)) };
            let Some(node) = table.remove("node") else { return Ok((body, None)) };
            (table.to_string(), Value::from(node.as_str().unwrap_or_default()))
        }
    };
    let node = node.as_str().unwrap_or_default().parse::<NodeName>();
    let node =
        node.map_err(|error: ostler_core::id::IdError| Refusal::field("node", error.to_string()))?;
    Ok((RawBody { text, ..body }, Some(node)))
}

/// The workload of one instance, on this node if one is named.
fn of_one_slot(mut workload: Workload, node: Option<NodeName>) -> Answer<Workload> {
    if workload.count != 1 || matches!(workload.kind, Kind::System | Kind::Cron) {
        let message = "one instance is made here, of a service or a job; use `/v1/workloads`";
        return Err(Refusal::field("count", message));
    }
    if let Some(node) = node {
        let said = workload.placement.node.as_str();
        if !said.is_empty() && said != node.as_str() {
            let message = "`placement.node` names another node";
            return Err(Refusal::field("node", message));
        }
        workload.placement.node = node.to_string();
    }
    Ok(workload)
}
