//! Parameters that many paths share.

use ostler_core::id::{NodeName, WorkloadKey};
use ostler_core::time::Span;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::answer::{Answer, Refusal};
use crate::extract::params::text;

/// `/{ns}/{name}`
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct WorkloadPath {
    /// Namespace.
    pub ns: String,
    /// Name of the workload.
    pub name: String,
}

/// `/{name}`
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct NodePath {
    /// Name of the node.
    pub name: String,
}

/// `/{id}`
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InstancePath {
    /// The instance's id, or a prefix of it that is unique.
    pub id: String,
}

/// Conditions on a change.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct ConditionHeaders {
    /// Only at this revision, such as `"812"`; 412 otherwise.
    #[param(rename = "If-Match", required = false)]
    pub if_match: Option<String>,
}

/// How a change is made once only.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct OnceHeaders {
    /// The same key on the same path is the same operation, done once.
    #[param(rename = "Idempotency-Key", required = false)]
    pub idempotency_key: Option<String>,
}

/// No parameters: any that comes is refused by name.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// For explanations.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct OnlyNode {
    /// Only the verdict of this node, instead of those that matter most.
    #[serde(deserialize_with = "text")]
    #[param(value_type = Option<String>)]
    pub node: Option<NodeName>,
}

impl OnlyNode {
    /// As the bus takes it: empty where absent.
    #[must_use]
    pub fn node(self) -> String {
        self.node.map(String::from).unwrap_or_default()
    }
}

/// For changes that can be tried.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct Trying {
    /// Say what would happen and change nothing.
    pub dry_run: bool,
}

/// A page of a list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// At most so many, 1 to 1,000; absent: 100.
    pub limit: Option<u32>,
    /// Where the page before ended.
    pub cursor: String,
}

/// For changes that can be tried and waited for.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct Changing {
    /// Say what would happen and change nothing.
    pub dry_run: bool,
    /// Hold the answer back until the outcome is there, at most so long, such as `30s`. 202 when
    /// the time is over first, when the update failed, or when another version took its place.
    #[serde(deserialize_with = "text")]
    #[param(value_type = Option<String>)]
    pub wait: Option<Span>,
}

/// `limit` as the bus takes it: 0 where it is absent, 1 to 1,000 otherwise.
pub fn limit(asked: Option<u32>) -> Answer<u32> {
    match asked {
        None => Ok(0),
        Some(limit @ 1..=1000) => Ok(limit),
        Some(_) => Err(Refusal::malformed("limit", "from 1 to 1000")),
    }
}

/// A workload that is named `web` or `default/web`, as namespace and name.
pub fn workload_filter(namespace: String, workload: String) -> Answer<(String, String)> {
    if !workload.contains('/') {
        return Ok((namespace, workload));
    }
    let key: WorkloadKey = workload.parse().map_err(|error: ostler_core::id::IdError| {
        Refusal::malformed("workload", error.to_string())
    })?;
    Ok((key.namespace.to_string(), key.name.to_string()))
}
