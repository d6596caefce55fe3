//! What lists are asked for: filters that were read and checked once.

use ostler_core::id::{NodeName, PoolName, WorkloadKey, WorkloadName};
use ostler_core::instance::Observed;
use ostler_schemas::pb;
use ostler_schemas::problem::Problem;

use crate::refusal::invalid;

/// `k=v` pairs that all must hold.
#[derive(Debug, Clone, Default)]
pub struct Labels(Vec<(String, String)>);

impl Labels {
    /// Reads `k=v` texts.
    pub fn read(texts: &[String]) -> Result<Self, Problem> {
        let pair = |text: &String| match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
            Some(_) | None => Err(invalid("label", format!("`{text}` is not `key=value`"))),
        };
        texts.iter().map(pair).collect::<Result<_, _>>().map(Self)
    }

    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all pairs are there.
    #[must_use]
    pub fn hold(&self, labels: &std::collections::BTreeMap<String, String>) -> bool {
        self.0.iter().all(|(key, value)| labels.get(key) == Some(value))
    }
}

/// A name that may be left out.
pub(super) fn optional<T: std::str::FromStr>(field: &str, text: &str) -> Result<Option<T>, Problem>
where
    T::Err: std::fmt::Display,
{
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error: T::Err| invalid(field, error.to_string()))
}

/// Which instances are asked for.
#[derive(Debug, Clone, Default)]
pub struct InstanceFilter {
    pub(super) namespace: String,
    pub(super) workload: Option<WorkloadName>,
    pub(super) node: Option<NodeName>,
    pub(super) state: String,
    pub(super) pool: Option<PoolName>,
    pub(super) zone: String,
    pub(super) labels: Labels,
}

/// Before its executor has said anything of an instance.
pub(super) const PENDING: &str = "pending";

const STATES: [Observed; 12] = [
    Observed::Accepted,
    Observed::Declined,
    Observed::Preparing,
    Observed::Starting,
    Observed::Running,
    Observed::Stopping,
    Observed::Stopped,
    Observed::Completed,
    Observed::Failed,
    Observed::Hibernating,
    Observed::Hibernated,
    Observed::Lost,
];

impl InstanceFilter {
    /// Reads the filters of a request. `workload` may be `<namespace>/<name>`.
    pub fn read(request: &pb::InstanceList) -> Result<Self, Problem> {
        let state = request.state.as_str();
        let known = state.is_empty()
            || state == PENDING
            || STATES.iter().any(|known| known.as_str() == state);
        if !known {
            let words: Vec<_> = STATES.iter().map(|state| state.as_str()).collect();
            let words = words.join(", ");
            return Err(invalid("state", format!("`{state}` is none of {PENDING}, {words}")));
        }
        let (namespace, workload) = named(&request.namespace, &request.workload)?;
        Ok(Self {
            namespace,
            workload,
            node: optional("node", &request.node)?,
            state: request.state.clone(),
            pool: optional("pool", &request.pool)?,
            zone: request.zone.clone(),
            labels: Labels::read(&request.label)?,
        })
    }
}

/// Namespace and name of a workload that is meant: `<namespace>/<name>`, or a name.
fn named(namespace: &str, workload: &str) -> Result<(String, Option<WorkloadName>), Problem> {
    if !workload.contains('/') {
        return Ok((namespace.to_owned(), optional("workload", workload)?));
    }
    let key: Option<WorkloadKey> = optional("workload", workload)?;
    Ok(key.map(|key| (key.namespace.to_string(), Some(key.name))).unwrap_or_default())
}

/// Which workloads are asked for.
#[derive(Debug, Clone, Default)]
pub struct WorkloadFilter {
    pub(super) namespace: String,
    pub(super) name: Option<WorkloadName>,
    pub(super) pool: String,
    pub(super) state: String,
    pub(super) node: Option<NodeName>,
    pub(super) zone: String,
    pub(super) labels: Labels,
}

/// How workloads stand.
const STANDINGS: [&str; 7] =
    ["ready", "starting", "updating", "pending", "completed", "stopped", "deleting"];

impl WorkloadFilter {
    /// Reads the filters of a request. `workload` may be `<namespace>/<name>`.
    pub fn read(request: &pb::WorkloadList) -> Result<Self, Problem> {
        let state = request.state.as_str();
        if !state.is_empty() && !STANDINGS.contains(&state) {
            let words = STANDINGS.join(", ");
            return Err(invalid("state", format!("`{state}` is none of {words}")));
        }
        let (namespace, name) = named(&request.namespace, &request.workload)?;
        Ok(Self {
            namespace,
            name,
            pool: request.pool.clone(),
            state: request.state.clone(),
            node: optional("node", &request.node)?,
            zone: request.zone.clone(),
            labels: Labels::read(&request.label)?,
        })
    }
}

/// Which nodes are asked for.
#[derive(Debug, Clone, Default)]
pub struct NodeFilter {
    pub(super) node: Option<NodeName>,
    pub(super) namespace: String,
    pub(super) workload: Option<WorkloadName>,
    pub(super) pool: Option<PoolName>,
    pub(super) zone: String,
    pub(super) state: String,
    pub(super) labels: Labels,
}

const NODE_STATES: [&str; 9] = [
    "online",
    "suspect",
    "offline",
    "left",
    "asleep",
    "active",
    "cordoned",
    "draining",
    "maintenance",
];

impl NodeFilter {
    /// Reads the filters of a request.
    pub fn read(request: &pb::NodeList) -> Result<Self, Problem> {
        let state = request.state.as_str();
        if !state.is_empty() && !NODE_STATES.contains(&state) {
            let words = NODE_STATES.join(", ");
            return Err(invalid("state", format!("`{state}` is none of {words}")));
        }
        let (namespace, workload) = named("", &request.workload)?;
        Ok(Self {
            node: optional("node", &request.node)?,
            namespace,
            workload,
            pool: optional("pool", &request.pool)?,
            zone: request.zone.clone(),
            state: request.state.clone(),
            labels: Labels::read(&request.label)?,
        })
    }
}
