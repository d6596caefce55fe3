//! What the index is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Included, Unbounded};

use ostler_core::command::Command;
use ostler_core::head::Head;
use ostler_core::id::{InstanceId, NodeName, PoolName, Revision, SpecHash, WorkloadKey};
use ostler_core::node::Node;
use ostler_schemas::pb;
use ostler_schemas::problem::{Code, Problem};

use super::filter::InstanceFilter;
use super::page::Page;
use super::picture::{NodeRow, Picture, WorkloadRow};
use super::row::{Id, Row};
use super::view::command_view;
use crate::refusal::{invalid, not_found};

/// Where an instance is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whereabouts {
    /// Which one.
    pub id: InstanceId,
    /// Whose scheduler decides about it.
    pub pool: PoolName,
    /// Of which workload.
    pub workload: WorkloadKey,
    /// Where.
    pub node: NodeName,
}

/// Counts of the fleet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    /// Nodes by liveness, and by what the operator wants where that is not `active`.
    pub nodes: BTreeMap<String, u32>,
    /// Workloads by how they stand.
    pub workloads: BTreeMap<String, u32>,
    /// Instances by observed state.
    pub instances: BTreeMap<String, u32>,
    /// What a person should look at.
    pub warnings: Vec<String>,
    /// Who leads which pool.
    pub leaders: BTreeMap<String, String>,
}

impl Picture {
    /// The one instance whose id begins with `prefix`.
    fn find_instance(&self, prefix: &str) -> Result<(InstanceId, &Row), Problem> {
        let (low, high) = bounds(prefix)?;
        let mut found = self.instances.range((Included(Id::from(low)), Included(Id::from(high))));
        match (found.next(), found.next()) {
            (None, _) => Err(not_found("instance", prefix)),
            (Some((id, row)), None) => Ok(((*id).into(), row)),
            (Some(_), Some(_)) => {
                let more = found.count() + 2;
                let detail = format!("`{prefix}` is the beginning of {more} instance ids");
                Err(Problem::new(Code::Conflict, detail))
            }
        }
    }

    /// The instance whose id begins with this, if there is just one.
    pub fn instance(&self, prefix: &str) -> Result<pb::InstanceView, Problem> {
        self.find_instance(prefix).map(|(id, row)| self.instance_view(id, row))
    }

    /// Every instance of a workload that manifests name.
    #[must_use]
    pub fn all_instances_of(&self, key: &WorkloadKey) -> Vec<pb::InstanceView> {
        let row = self.workloads.find(key);
        let ids = row.into_iter().flat_map(|row| &row.instances);
        let rows = ids.filter_map(|id| self.instances.get(id).map(|row| (*id, row)));
        rows.map(|(id, row)| self.instance_view(id.into(), row)).collect()
    }

    /// Where the instance is whose id begins with this.
    pub fn whereabouts(&self, prefix: &str) -> Result<Whereabouts, Problem> {
        let (id, row) = self.find_instance(prefix)?;
        let (node, workload) = (self.node_name(row).clone(), self.workload_key(row).clone());
        let pool = self.nodes.row(row.node).pool_of(id.into()).cloned();
        Ok(Whereabouts { id, pool: pool.unwrap_or_default(), workload, node })
    }

    /// Instances by id, which is by age.
    pub fn instances(
        &self,
        filter: &InstanceFilter,
        cursor: &str,
        limit: usize,
    ) -> Result<Page<pb::InstanceView>, Problem> {
        let after = match cursor {
            "" => Unbounded,
            id => match id.parse::<InstanceId>() {
                Ok(id) => Excluded(Id::from(id)),
                Err(_) => return Err(invalid("cursor", "it is of no earlier page")),
            },
        };
        let matching = self.candidates(filter, after).filter(|(_, row)| self.matches(filter, row));
        let items = matching.map(|(id, row)| {
            let id = InstanceId::from(*id);
            (id.to_string(), self.instance_view(id, row))
        });
        Ok(Page::of(items, limit))
    }

    /// The smallest set that holds everything the filter lets through, by id.
    fn candidates<'a>(
        &'a self,
        filter: &InstanceFilter,
        after: std::ops::Bound<Id>,
    ) -> Box<dyn Iterator<Item = (&'a Id, &'a Row)> + 'a> {
        let with_row = |id: &'a Id| self.instances.get(id).map(|row| (id, row));
        if let Some(node) = &filter.node {
            let ids = self.nodes.find(node).map(NodeRow::instances).unwrap_or_default();
            let begin = match after {
                Excluded(last) => ids.partition_point(|id| *id <= last),
                Included(_) | Unbounded => 0,
            };
            let left = ids.into_owned().into_iter().skip(begin);
            return Box::new(left.filter_map(|id| self.instances.get_key_value(&id)));
        }
        let namespace = filter.namespace.parse().ok();
        if let (Some(name), Some(namespace)) = (&filter.workload, namespace) {
            let key = WorkloadKey::new(namespace, name.clone());
            let row = self.workloads.find(&key);
            let ids = row.into_iter().flat_map(move |row| row.instances.range((after, Unbounded)));
            return Box::new(ids.filter_map(with_row));
        }
        Box::new(self.instances.range((after, Unbounded)))
    }

    fn matches(&self, filter: &InstanceFilter, row: &Row) -> bool {
        let key = self.workload_key(row);
        let empty = std::collections::BTreeMap::new();
        let head = self.workloads.row(row.workload).head.as_ref();
        let labels = head.map_or(&empty, |(head, _)| &head.spec.labels);
        let node = self.nodes.row(row.node).record.as_ref().map(|(node, _)| node);
        let in_pool = |pool: &PoolName| node.is_some_and(|node| node.pool == *pool);
        (filter.namespace.is_empty() || key.namespace.as_str() == filter.namespace)
            && filter.workload.as_ref().is_none_or(|name| key.name == *name)
            && filter.node.as_ref().is_none_or(|name| self.node_name(row) == name)
            && (filter.state.is_empty() || self.observed_word(row) == filter.state)
            && filter.pool.as_ref().is_none_or(in_pool)
            && (filter.zone.is_empty() || node.is_some_and(|node| node.facts.zone == filter.zone))
            && filter.labels.hold(labels)
    }

    /// The head of a workload, as it was last read.
    #[must_use]
    pub fn head(&self, key: &WorkloadKey) -> Option<&Head> {
        self.workloads.find(key)?.head.as_ref().map(|(head, _)| &**head)
    }

    /// The text in force of a workload that is not being deleted.
    pub fn spec(&self, key: &WorkloadKey) -> Option<&ostler_core::workload::Workload> {
        let (head, _) = self.workloads.find(key)?.head.as_ref()?;
        (!head.deleted).then_some(&head.spec)
    }

    /// A command, as far as the index has seen it.
    pub fn command(&self, id: &str) -> Result<pb::CommandView, Problem> {
        let command = self.commands.get(id).ok_or_else(|| not_found("command", id))?;
        Ok(self.command_as(command))
    }

    /// A command, with what became of it as far as the index has seen it.
    #[must_use]
    pub fn command_as(&self, command: &Command) -> pb::CommandView {
        let outcome = self.outcomes.get(&command.pool).and_then(|all| all.get(&command.id));
        command_view(command, outcome)
    }

    /// The command that carries this mark in the last 80 bits of its id.
    #[must_use]
    pub fn command_of(&self, mark: u128) -> Option<pb::CommandView> {
        let command = self.commands.get(self.marks.get(&mark)?)?;
        Some(self.command_as(command))
    }

    /// A node's record.
    #[must_use]
    pub fn node(&self, name: &NodeName) -> Option<(&Node, Revision)> {
        let row: &NodeRow = self.nodes.find(name)?;
        row.record.as_ref().map(|(node, revision)| (&**node, *revision))
    }

    /// The records of the nodes of which this holds.
    pub fn nodes_that(&self, holds: impl Fn(&Node) -> bool) -> Vec<Node> {
        let records = self.nodes.after(None).filter_map(|(_, row)| row.record.as_ref());
        records.filter(|(node, _)| holds(node)).map(|(node, _)| (**node).clone()).collect()
    }

    /// How many instances a node's manifest names.
    #[must_use]
    pub fn instances_on(&self, name: &NodeName) -> usize {
        self.nodes.find(name).map_or(0, NodeRow::count)
    }

    /// How many instances a workload has in manifests.
    #[must_use]
    pub fn instances_of(&self, key: &WorkloadKey) -> usize {
        self.workloads.find(key).map_or(0, |row| row.instances.len())
    }

    /// Nodes that are to be removed and on which nothing is left.
    #[must_use]
    pub fn removable(&self) -> Vec<(NodeName, Revision)> {
        let rows = self.nodes.after(None).filter(|(_, row)| row.placed.is_empty());
        let records = rows.filter_map(|(_, row)| row.record.as_ref());
        let removing = records.filter(|(node, _)| node.kept.removing);
        removing.map(|(node, revision)| (node.name.clone(), *revision)).collect()
    }

    /// Deleted workloads that have ended: no manifest names any of it, and every leader that may
    /// have placed some has confirmed that it is at rest.
    #[must_use]
    pub fn ended(&self) -> Vec<(Head, Revision)> {
        let rows = self.workloads.after(None).map(|(_, row)| row);
        let heads = rows.filter_map(|row| row.head.as_ref().map(|head| (head, row)));
        let ended = heads.filter(|((head, _), row)| head.deleted && self.at_rest(head, row));
        ended.map(|((head, revision), _)| ((**head).clone(), *revision)).collect()
    }

    /// The specifications that heads name.
    #[must_use]
    pub fn named_specs(&self) -> BTreeSet<SpecHash> {
        let heads = self.workloads.after(None).filter_map(|(_, row)| row.head.as_ref());
        heads.map(|(head, _)| head.spec_hash).collect()
    }

    /// Whether nothing of a workload is left under this head, nor will be. A pool that never had a
    /// leader has nothing to confirm.
    #[must_use]
    pub fn rests(&self, head: &Head) -> bool {
        self.workloads.find(&head.key()).is_none_or(|row| self.at_rest(head, row))
    }

    fn at_rest(&self, head: &Head, row: &WorkloadRow) -> bool {
        let pool = &head.spec.pool;
        let confirmed = match row.progress.get(pool) {
            Some(progress) => progress.at_rest == head.op_id,
            None => !self.terms.contains_key(pool),
        };
        let elsewhere = row.progress.keys().any(|other| other != pool);
        row.instances.is_empty() && confirmed && !elsewhere
    }

    /// Counts of everything.
    #[must_use]
    pub fn census(&self) -> Census {
        let mut census = Census::default();
        let count = |to: &mut BTreeMap<String, u32>, word: &str| {
            *to.entry(word.to_owned()).or_default() += 1;
        };
        for (_, row) in self.nodes.after(None) {
            let Some((node, _)) = &row.record else { continue };
            count(&mut census.nodes, node.liveness.as_str());
            if node.admin != ostler_core::node::Admin::Active {
                count(&mut census.nodes, node.admin.as_str());
            }
        }
        for (key, row) in self.workloads.after(None) {
            let word = match &row.head {
                None if row.instances.is_empty() => continue,
                None => {
                    let left = row.instances.len();
                    census
                        .warnings
                        .push(format!("{left} instances of `{key}`, which is no workload"));
                    "unknown"
                }
                Some((head, _)) => standing(head, row),
            };
            count(&mut census.workloads, word);
            if word == "pending" {
                census.warnings.push(format!("workload `{key}` has too few places"));
            }
        }
        for row in self.instances.values() {
            count(&mut census.instances, self.observed_word(row));
        }
        for (pool, term) in &self.terms {
            census.leaders.insert(format!("scheduler-{pool}"), term.holder.clone());
        }
        census
    }
}

/// One word for how a workload stands.
pub(super) fn standing(head: &Head, row: &WorkloadRow) -> &'static str {
    let status = super::view::status(head, row);
    if head.deleted {
        "deleting"
    } else if head.stopped {
        "stopped"
    } else if status.unplaced > 0 {
        "pending"
    } else if status.updating {
        "updating"
    } else if status.completed > 0 && status.completed >= status.wanted {
        "completed"
    } else if status.ready >= status.wanted {
        "ready"
    } else {
        "starting"
    }
}

/// The first and the last id that begin with this.
fn bounds(prefix: &str) -> Result<(InstanceId, InstanceId), Problem> {
    let bad = || {
        let message = format!("`{prefix}` is not the beginning of an instance id: 0-9 and a-v");
        invalid("id", message)
    };
    if prefix.is_empty() || prefix.len() > 16 || !prefix.is_ascii() {
        return Err(bad());
    }
    let low = format!("{prefix:0<16}").parse().map_err(|_| bad())?;
    let high = format!("{prefix:v<16}").parse().map_err(|_| bad())?;
    Ok((low, high))
}
