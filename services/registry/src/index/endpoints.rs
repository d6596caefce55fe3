//! Endpoints, as far as manifests and reports tell.

use ostler_core::id::{InstanceId, NodeName, PoolName, PortName, WorkloadKey, WorkloadName};
use ostler_core::instance::{Desired, Observed};
use ostler_core::node::{Liveness, Node};
use ostler_core::workload::{Protocol, Workload};
use ostler_schemas::pb;
use ostler_schemas::problem::Problem;

use super::filter::{Labels, optional};
use super::page::Page;
use super::picture::{Picture, WorkloadRow};
use super::row::Row;
use crate::refusal::invalid;

/// The label of a workload that says the weight of its endpoints.
const WEIGHT: &str = "ostler/weight";
/// The weight where nothing is said, and the most that may be.
const WEIGHTS: (u32, u32) = (1, 256);

/// Which endpoints are asked for.
#[derive(Debug, Clone, Default)]
pub struct EndpointFilter {
    namespace: String,
    workload: Option<WorkloadName>,
    port: Option<PortName>,
    node: Option<NodeName>,
    pool: Option<PoolName>,
    zone: String,
    labels: Labels,
    all: bool,
}

impl EndpointFilter {
    /// Reads a request. `name` is `<workload>`, `<workload>.<port>`, either after `<namespace>/`.
    pub fn read(request: &pb::EndpointList) -> Result<Self, Problem> {
        let mut namespace = request.namespace.clone();
        let mut name = request.name.as_str();
        if let Some((before, after)) = name.split_once('/') {
            let before: Option<ostler_core::id::Namespace> = optional("name", before)?;
            namespace = before.map(|namespace| namespace.to_string()).unwrap_or_default();
            name = after;
        }
        let (workload, port) = name.split_once('.').unwrap_or((name, ""));
        if workload.is_empty() && !port.is_empty() {
            return Err(invalid("name", "expected `<workload>.<port>`"));
        }
        Ok(Self {
            namespace,
            workload: optional("name", workload)?,
            port: optional("name", port)?,
            node: optional("node", &request.node)?,
            pool: optional("pool", &request.pool)?,
            zone: request.zone.clone(),
            labels: Labels::read(&request.label)?,
            all: request.all,
        })
    }

    /// Whether it takes what this workload, if its text is known, offers on this node.
    fn takes_from(&self, node: &Node, text: Option<&Workload>) -> bool {
        self.node.as_ref().is_none_or(|name| *name == node.name)
            && self.pool.as_ref().is_none_or(|pool| *pool == node.pool)
            && (self.zone.is_empty() || self.zone == node.facts.zone)
            && text.map_or(self.labels.is_empty(), |text| self.labels.hold(&text.labels))
    }

    fn takes(&self, key: &WorkloadKey) -> bool {
        let namespace = self.namespace.is_empty() || self.namespace == key.namespace.as_str();
        namespace && self.workload.as_ref().is_none_or(|name| *name == key.name)
    }
}

/// `<namespace>/<workload>/<instance>`, of the last endpoint of a page.
fn place(cursor: &str) -> Result<Option<(WorkloadKey, InstanceId)>, Problem> {
    if cursor.is_empty() {
        return Ok(None);
    }
    let read = cursor.rsplit_once('/').and_then(|(key, rest)| {
        let id = rest.split('.').next()?;
        Some((key.parse().ok()?, id.parse().ok()?))
    });
    read.map(Some).ok_or_else(|| invalid("cursor", "it is of no earlier page"))
}

/// The share that the workload's label says.
fn weight(workload: Option<&Workload>) -> u32 {
    let said = workload.and_then(|workload| workload.labels.get(WEIGHT));
    said.and_then(|text| text.parse().ok()).unwrap_or(WEIGHTS.0).min(WEIGHTS.1)
}

fn protocol(workload: Option<&Workload>, port: &PortName) -> &'static str {
    let ports = workload.map(|workload| workload.ports.as_slice()).unwrap_or_default();
    match ports.iter().find(|spec| spec.name == *port).map(|spec| spec.protocol) {
        Some(Protocol::Udp) => "udp",
        Some(Protocol::Tcp) | None => "tcp",
    }
}

impl Picture {
    /// Endpoints by workload, instance and port. Each with what a cursor calls it; pages end with
    /// an instance, so that one may have a few more than `limit`.
    pub fn endpoints(
        &self,
        filter: &EndpointFilter,
        cursor: &str,
        limit: usize,
    ) -> Result<Page<pb::EndpointView>, Problem> {
        let after = place(cursor)?;
        let mut page = Page { items: Vec::new(), next: None };
        let taken = self.workloads.after(None).filter(|(key, _)| filter.takes(key));
        for (key, row) in taken {
            for id in &row.instances {
                let id_here = InstanceId::from(*id);
                if after.as_ref().is_some_and(|(last, past)| (key, &id_here) <= (last, past)) {
                    continue;
                }
                if page.items.len() >= limit {
                    let last: Option<&pb::EndpointView> = page.items.last();
                    page.next =
                        last.map(|e| format!("{}/{}/{}", e.namespace, e.workload, e.instance));
                    return Ok(page);
                }
                if let Some(instance) = self.instances.get(id) {
                    page.items.extend(self.ports_of(filter, (key, row), (id_here, instance)));
                }
            }
        }
        Ok(page)
    }

    fn ports_of(
        &self,
        filter: &EndpointFilter,
        (key, workload): (&WorkloadKey, &WorkloadRow),
        (id, row): (InstanceId, &Row),
    ) -> Vec<pb::EndpointView> {
        let Some((node, _)) = self.nodes.row(row.node).record.as_ref() else { return Vec::new() };
        // A node that has just fallen silent still serves, as far as anybody knows.
        let there = match node.liveness {
            Liveness::Online | Liveness::Suspect => true,
            Liveness::Offline | Liveness::Left | Liveness::Asleep => false,
        };
        let running = row.observed == Some(Observed::Running) && row.desired == Desired::Run;
        let ready = there && running && row.ready;
        let text = workload.head.as_ref().map(|(head, _)| &head.spec);
        if !ready && !filter.all || !filter.takes_from(node, text) {
            return Vec::new();
        }
        let ports = row.extra().ports.into_iter();
        let wanted =
            ports.filter(|(port, ..)| filter.port.as_ref().is_none_or(|name| name == port));
        let view = |(port, first, _): (PortName, u16, u16)| pb::EndpointView {
            name: format!("{}.{port}", key.name),
            namespace: key.namespace.to_string(),
            workload: key.name.to_string(),
            instance: id.to_string(),
            address: node.facts.addresses.first().cloned().unwrap_or_default(),
            port: first.into(),
            ready,
            weight: if ready { weight(text) } else { 0 },
            slot: row.slot,
            node: node.name.to_string(),
            zone: node.facts.zone.clone(),
            protocol: protocol(text, &port).to_owned(),
            version: row.version_in_force(),
        };
        wanted.map(view).collect()
    }
}
