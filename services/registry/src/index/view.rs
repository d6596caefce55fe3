//! What people see of workloads, instances, nodes and commands.

use ostler_core::command::{Command, Order, Outcome, Verdict};
use ostler_core::head::Head;
use ostler_core::id::{InstanceId, NodeName, Revision, WorkloadKey};
use ostler_core::instance::{Desired, Exit, Observed};
use ostler_core::node::{Liveness, Node};
use ostler_core::time::Timestamp;
use ostler_core::workload::Kind;
use ostler_schemas::pb;

use super::filter::PENDING;
use super::picture::{NodeRow, Picture, WorkloadRow};
use super::row::{After, Row};

/// A moment as people and programs read it; empty for the beginning of 1970, which means never.
#[must_use]
pub fn rfc3339(at: Timestamp) -> String {
    let ms = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    match jiff::Timestamp::from_millisecond(ms) {
        Ok(at) if ms != 0 => at.to_string(),
        Ok(_) | Err(_) => String::new(),
    }
}

/// A share of 0 to 1 for people; nothing is decided by it.
#[expect(clippy::cast_precision_loss, reason = "a share for people needs no 53 bits")]
fn share(used: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { used as f64 / all as f64 }
}

impl Picture {
    pub(super) fn observed_word(&self, row: &Row) -> &'static str {
        let record = self.nodes.row(row.node).record.as_ref();
        let node_lost = record.is_some_and(|(node, _)| node.liveness == Liveness::Offline);
        match row.observed {
            Some(_) if row.desired == Desired::Keep && node_lost => Observed::Lost.as_str(),
            Some(observed) => observed.as_str(),
            None => PENDING,
        }
    }

    pub(super) fn instance_view(&self, id: InstanceId, row: &Row) -> pb::InstanceView {
        let key = self.workloads.key(row.workload);
        let head = self.workloads.row(row.workload).head.as_ref();
        let node = self.nodes.row(row.node).record.as_ref();
        let extra = row.extra();
        let (exit_code, signal) = match extra.exit {
            Some(Exit::Code(code)) => (Some(code), None),
            Some(Exit::Signal(signal)) => (None, Some(signal)),
            // The kernel kills with SIGKILL when memory is short.
            Some(Exit::OutOfMemory) => (None, Some(9)),
            Some(Exit::Unknown) | None => (None, None),
        };
        let reason = if extra.reason.is_empty() { extra.why } else { extra.reason };
        let ports = extra.ports.iter().map(|(name, first, _)| (name.to_string(), (*first).into()));
        let address = node.and_then(|(node, _)| node.facts.addresses.first().cloned());
        let there = row.observed == Some(Observed::Running);
        let level = |holds: bool, after: After| {
            holds.then(|| after.at(row.since_ms).map(rfc3339)).flatten()
        };
        pb::InstanceView {
            id: id.to_string(),
            namespace: key.namespace.to_string(),
            workload: key.name.to_string(),
            slot: row.slot,
            version: row.version_in_force(),
            node: self.nodes.key(row.node).to_string(),
            desired: row.desired.as_str().to_owned(),
            observed: self.observed_word(row).to_owned(),
            ready: row.ready,
            proven: row.proven,
            restarts: row.restarts,
            since: rfc3339(Timestamp::from_millis(row.since_ms)),
            started_at: there.then(|| rfc3339(Timestamp::from_millis(row.since_ms))),
            ready_at: level(there && row.ready, row.ready_after),
            proven_at: level(there && row.proven, row.proven_after),
            ports: ports.collect(),
            address: address.unwrap_or_default(),
            pid: (row.pid != 0).then_some(row.pid),
            exit_code,
            signal,
            out_of_memory: extra.exit == Some(Exit::OutOfMemory),
            reason: reason.into(),
            driver: head.map(|(head, _)| head.spec.driver.as_str()).unwrap_or_default().to_owned(),
            score: row.score.into(),
            generation: row.generation().0,
            r#use: Some(pb::Usage { cpu: row.used_cpu.into(), memory: row.used_memory }),
            epoch: node.map_or(0, |(node, _)| node.epoch.0),
        }
    }

    /// A workload with this head, which may be newer than what the index has seen.
    #[must_use]
    pub fn workload_view(&self, head: &Head, revision: Revision) -> pb::WorkloadView {
        let key = head.key();
        let none = WorkloadRow::default();
        let row = self.workloads.find(&key).unwrap_or(&none);
        pb::WorkloadView {
            namespace: key.namespace.to_string(),
            name: key.name.to_string(),
            version: head.version.0,
            revision: revision.0,
            spec: Some(head.spec.clone().into()),
            status: Some(status(head, row)),
            stopped: head.stopped,
            deleted: head.deleted,
            updated_at: rfc3339(head.updated_at),
            plan: None,
        }
    }

    /// A node with this record, which may be newer than what the index has seen.
    #[must_use]
    pub fn node_view(&self, node: &Node, revision: Revision) -> pb::NodeView {
        let none = NodeRow::default();
        let row = self.nodes.find(&node.name).unwrap_or(&none);
        let facts = node.facts.clone();
        let capacity = facts.capacity;
        let beat = row.beat.as_ref().filter(|(beat, _)| beat.epoch == node.epoch);
        let used = beat.map(|(beat, _)| beat.used).unwrap_or_default();
        let load = beat.map(|(beat, _)| beat.load.map(|load| f64::from(load) / 100.0).to_vec());
        pb::NodeView {
            name: node.name.to_string(),
            pool: node.pool.to_string(),
            zone: facts.zone,
            hardware: facts.hardware,
            admin: node.admin.as_str().to_owned(),
            liveness: node.liveness.as_str().to_owned(),
            epoch: node.epoch.0,
            labels: facts.labels,
            drivers: facts.drivers,
            capacity: Some(capacity.into()),
            free: Some(capacity.minus(facts.reserved).minus(row.asked()).into()),
            r#use: Some(pb::NodeUse {
                cpu: share(used.cpu, capacity.cpu),
                memory: share(used.memory, capacity.memory.0),
                disk: share(used.disk, capacity.disk.0),
            }),
            instances: u32::try_from(row.count()).unwrap_or(u32::MAX),
            max_instances: facts.max_instances,
            last_heartbeat: row.beat.as_ref().map(|(_, at)| rfc3339(*at)).unwrap_or_default(),
            revision: revision.0,
            reserved: Some(facts.reserved.into()),
            addresses: facts.addresses,
            arch: facts.arch,
            os: facts.os,
            kernel: facts.kernel,
            version: facts.version,
            applied: beat.map_or(0, |(beat, _)| beat.applied.0),
            load: load.unwrap_or_default(),
            liveness_since: rfc3339(node.liveness_since),
            port_range: [facts.ports.0, facts.ports.1].map(u32::from).to_vec(),
            plan: None,
        }
    }
}

/// How far a workload is.
pub(super) fn status(head: &Head, row: &WorkloadRow) -> pb::WorkloadStatus {
    let total = row.tallies.total();
    let progress = row.progress.get(&head.spec.pool);
    let progress = progress.map(|progress| (**progress).clone()).unwrap_or_default();
    let idle = head.deleted || head.stopped;
    let unplaced = if idle { 0 } else { progress.unplaced_slots() };
    let updating = !idle && row.tallies.ordered_before(head.compatible_since.0) > 0;
    let failed = progress.failed.as_ref().is_some_and(|(version, _)| *version == head.version);
    let canaries = match updating && !failed && progress.awaits_promotion(head) {
        true => head.spec.update.canary,
        false => 0,
    };
    let wanted = match head.spec.kind {
        _ if progress.dormant(&head.spec) => 0,
        Kind::System if !idle => total.ordered + unplaced,
        Kind::Service | Kind::Job | Kind::System | Kind::Cron => head.wanted() + canaries,
    };
    let completed = if progress.completed_version >= head.compatible_since {
        progress.completed.iter().map(|byte| byte.count_ones()).sum()
    } else {
        0
    };
    pb::WorkloadStatus {
        wanted,
        running: total.running,
        ready: total.ready,
        unplaced,
        // Nothing goes on while a person is waited for.
        updating: updating && (canaries == 0 || total.ready < wanted),
        reason: match reason(head, &progress, unplaced) {
            none if none.is_empty() && canaries > 0 => {
                format!("{canaries} of version {} wait to be promoted", head.version)
            }
            reason => reason,
        },
        completed,
        failed: total.failed,
        update_failed: match &progress.failed {
            Some((version, why)) if *version == head.version => why.clone(),
            Some(_) | None => String::new(),
        },
    }
}

fn reason(head: &Head, progress: &ostler_core::reconcile::Progress, unplaced: u32) -> String {
    if head.deleted {
        return "it is being deleted".to_owned();
    }
    if head.stopped {
        return "it was stopped".to_owned();
    }
    if let Some((version, why)) = &progress.failed
        && *version == head.version
    {
        return format!("the update to version {version} failed: {why}");
    }
    if unplaced == 0 {
        return progress.rests_since(&head.spec);
    }
    let mut reasons = std::collections::BTreeMap::new();
    for (reason, nodes) in progress.unplaced.iter().flat_map(|run| run.reasons.iter()) {
        let most: &mut u32 = reasons.entry(reason.as_str()).or_default();
        *most = (*most).max(*nodes);
    }
    let words: Vec<_> =
        reasons.iter().map(|(reason, nodes)| format!("{reason} on {nodes}")).collect();
    match words.is_empty() {
        true => format!("{unplaced} have no node: there is none"),
        false => format!("{unplaced} have no node: {}", words.join(", ")),
    }
}

/// What an order is called, and what it is about.
fn order(order: &Order) -> (&'static str, String) {
    match order {
        Order::StopInstance { instance } => ("stop_instance", instance.to_string()),
        Order::RestartInstance { instance } => ("restart_instance", instance.to_string()),
        Order::MoveInstance { instance, .. } => ("move_instance", instance.to_string()),
        Order::Drain { node, .. } => ("drain", node.to_string()),
        Order::Evacuate { node } => ("evacuate", node.to_string()),
        Order::Promote { workload } => ("promote", workload.clone()),
        Order::Rebalance { .. } => ("rebalance", String::new()),
    }
}

/// A command, and what became of it.
#[must_use]
pub fn command_view(command: &Command, outcome: Option<&Outcome>) -> pb::CommandView {
    let (name, target) = order(&command.order);
    let state = match outcome.map(|outcome| outcome.verdict) {
        None => "pending",
        Some(Verdict::Running) => "running",
        Some(Verdict::Done) => "done",
        Some(Verdict::Refused) => "refused",
    };
    pb::CommandView {
        id: command.id.clone(),
        order: name.to_owned(),
        target,
        state: state.to_owned(),
        reason: outcome.map(|outcome| outcome.reason.clone()).unwrap_or_default(),
        at: rfc3339(command.at),
        actor: command.actor.clone(),
        plan: None,
    }
}

/// The name of a node that a row keeps the number of.
impl Picture {
    pub(super) fn node_name(&self, row: &Row) -> &NodeName {
        self.nodes.key(row.node)
    }

    pub(super) fn workload_key(&self, row: &Row) -> &WorkloadKey {
        self.workloads.key(row.workload)
    }
}
