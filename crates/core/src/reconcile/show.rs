//! What the engine shows: manifests and progress for the shell, states for people.

use std::collections::BTreeMap;

use crate::id::{NodeName, Revision, Slot, Term, Version, WorkloadKey};
use crate::instance::{Desired, Entry, Group, Manifest, Observed};
use crate::workload::{Kind, Workload};

use super::picture::{Instance, NONE, at};
use super::{Engine, InstanceView, NodeView, Progress, WorkloadStatus};

impl Engine {
    /// What the node should run, groups sorted; incarnation, term and revision are left 0 for the
    /// shell to fill. `None`: nothing, an empty manifest is to be written.
    #[must_use]
    pub fn manifest(&self, node: &NodeName) -> Option<Manifest> {
        let state = &self.nodes[at(*self.node_names.get(node)?)];
        let mut groups: BTreeMap<(&WorkloadKey, Version), Group> = BTreeMap::new();
        for index in &state.entries {
            let instance = &self.instances[at(*index)];
            let key = &self.works[at(instance.work)].key;
            let text = &self.texts[at(instance.text)];
            let group = groups.entry((key, text.version)).or_insert_with(|| Group {
                key: key.clone(),
                version: text.version,
                spec: text.spec,
                ask: text.ask,
                priority: text.priority,
                entries: Vec::new(),
            });
            group.entries.push(entry(instance));
        }
        let mut groups: Vec<Group> = groups.into_values().collect();
        groups.iter_mut().for_each(|group| group.entries.sort_by_key(|entry| entry.id));
        let (term, revision) = (Term(0), Revision(0));
        (!groups.is_empty()).then_some(Manifest { incarnation: 0, term, revision, groups })
    }

    /// What is to be noted of the workload, bounded; `None`: nothing, delete the record.
    #[must_use]
    pub fn progress(&self, key: &WorkloadKey) -> Option<Progress> {
        let state = &self.works[at(*self.work_keys.get(key)?)];
        let empty = state.progress == Progress::default();
        (state.head.is_some() || !empty).then(|| state.progress.noted())
    }

    /// How a workload stands.
    #[must_use]
    pub fn status(&self, key: &WorkloadKey) -> Option<WorkloadStatus> {
        let state = &self.works[at(*self.work_keys.get(key)?)];
        let head = state.head.as_ref()?;
        let mut status = WorkloadStatus { wanted: head.wanted(), ..WorkloadStatus::default() };
        for (_, index) in &state.slots {
            let instance = &self.instances[at(*index)];
            let running = instance.desired == Desired::Run;
            let up = running && instance.observed == Some(Observed::Running);
            status.running += u32::from(up);
            status.ready += u32::from(up && instance.ready);
        }
        status.unplaced = state.progress.unplaced_slots();
        if head.spec.kind == Kind::System && status.wanted > 0 {
            status.wanted = super::picture::index(state.slots.len()) + status.unplaced;
        }
        status.updating = state.progress.step_since.is_some();
        status.reason = reason(state, &head.spec);
        if state.progress.dormant(&head.spec) {
            status.wanted = 0;
        }
        Some(status)
    }

    /// Every instance, by id.
    pub fn instances(&self) -> impl Iterator<Item = InstanceView<'_>> {
        self.ids.iter().map(|(_, index)| {
            let instance = &self.instances[at(*index)];
            InstanceView {
                id: instance.id,
                key: &self.works[at(instance.work)].key,
                slot: Slot(instance.slot),
                version: self.version(*index),
                node: &self.nodes[at(instance.node)].name,
                desired: instance.desired,
                observed: instance.observed,
                ready: instance.ready,
                score: instance.score,
            }
        })
    }

    /// Every node of the pool, by name.
    pub fn nodes(&self) -> impl Iterator<Item = NodeView<'_>> {
        self.node_names.values().filter_map(|index| {
            let state = &self.nodes[at(*index)];
            let record = state.record.as_ref().filter(|record| record.pool == self.pool)?;
            (!state.gone).then(|| NodeView {
                name: &state.name,
                admin: record.admin,
                liveness: record.liveness,
                instances: state.seat.instances,
                free: state.seat.free(),
            })
        })
    }
}

fn entry(instance: &Instance) -> Entry {
    debug_assert_ne!(instance.work, NONE, "dropped instances are in no manifest");
    Entry {
        id: instance.id,
        slot: Slot(instance.slot),
        desired: instance.desired,
        generation: instance.generation,
        restarted: instance.restarted,
        ports: instance.ports.clone(),
        score: instance.score,
        reason: instance.why.as_str().to_owned(),
    }
}

fn reason(state: &super::Work, spec: &Workload) -> String {
    if let Some((version, reason)) = &state.progress.failed {
        return format!("the update to version {version} failed: {reason}");
    }
    let Some(first) = state.progress.unplaced.first() else {
        return state.progress.rests_since(spec);
    };
    let counts: Vec<String> =
        first.reasons.iter().map(|(reason, n)| format!("{} {n}", reason.as_str())).collect();
    format!("slots without a place; nodes passed over: {}", counts.join(", "))
}
