//! Lists of workloads, nodes, commands and quotas: filtered, in order, a page at a time.

use std::ops::Bound::{Excluded, Unbounded};

use ostler_core::id::{Namespace, NodeName, WorkloadKey};
use ostler_core::quota::Quota;
use ostler_schemas::pb;
use ostler_schemas::problem::Problem;

use super::filter::{NodeFilter, WorkloadFilter};
use super::page::Page;
use super::picture::{NodeRow, Picture, WorkloadRow};
use super::read::standing;

impl Picture {
    /// Nodes by name.
    pub fn nodes(
        &self,
        filter: &NodeFilter,
        cursor: &str,
        limit: usize,
    ) -> Result<Page<pb::NodeView>, Problem> {
        let after = super::filter::optional::<NodeName>("cursor", cursor)?;
        let rows = self.nodes.after(after.as_ref()).filter(|(_, row)| self.carries(filter, row));
        let rows = rows.filter_map(|(_, row)| row.record.as_ref());
        let matching = rows.filter(|(node, _)| {
            let words = [node.liveness.as_str(), node.admin.as_str()];
            filter.pool.as_ref().is_none_or(|pool| node.pool == *pool)
                && filter.node.as_ref().is_none_or(|name| node.name == *name)
                && (filter.zone.is_empty() || node.facts.zone == filter.zone)
                && (filter.state.is_empty() || words.contains(&filter.state.as_str()))
                && filter.labels.hold(&node.facts.labels)
        });
        let items = matching
            .map(|(node, revision)| (node.name.to_string(), self.node_view(node, *revision)));
        Ok(Page::of(items, limit))
    }

    /// Workloads by namespace and name.
    pub fn workloads(
        &self,
        filter: &WorkloadFilter,
        cursor: &str,
        limit: usize,
    ) -> Result<Page<pb::WorkloadView>, Problem> {
        let after = super::filter::optional::<WorkloadKey>("cursor", cursor)?;
        let rows = self.workloads.after(after.as_ref());
        let rows = rows.filter_map(|(_, row)| row.head.as_ref().map(|head| (head, row)));
        let matching = rows.filter(|((head, _), row)| {
            (filter.namespace.is_empty() || head.spec.namespace.as_str() == filter.namespace)
                && filter.name.as_ref().is_none_or(|name| head.spec.name == *name)
                && (filter.pool.is_empty() || head.spec.pool.as_str() == filter.pool)
                && filter.labels.hold(&head.spec.labels)
                && (filter.state.is_empty() || standing(head, row) == filter.state)
                && self.is_there(filter, row)
        });
        let items = matching.map(|((head, revision), _)| {
            (head.key().to_string(), self.workload_view(head, *revision))
        });
        Ok(Page::of(items, limit))
    }

    /// Whether it has an instance where the filter says.
    fn is_there(&self, filter: &WorkloadFilter, row: &WorkloadRow) -> bool {
        if filter.node.is_none() && filter.zone.is_empty() {
            return true;
        }
        row.instances.iter().filter_map(|id| self.instances.get(id)).any(|instance| {
            let node = &self.nodes.row(instance.node).record;
            let zone = node.as_ref().map(|(node, _)| node.facts.zone.as_str());
            filter.node.as_ref().is_none_or(|name| self.node_name(instance) == name)
                && (filter.zone.is_empty() || zone == Some(filter.zone.as_str()))
        })
    }

    /// Whether it has an instance of the workload that the filter names.
    fn carries(&self, filter: &NodeFilter, row: &NodeRow) -> bool {
        let Some(name) = &filter.workload else { return true };
        let rows = row.instances().into_owned().into_iter();
        rows.filter_map(|id| self.instances.get(&id)).any(|instance| {
            let key = self.workload_key(instance);
            key.name == *name
                && (filter.namespace.is_empty() || key.namespace.as_str() == filter.namespace)
        })
    }

    /// Commands, the newest first.
    #[must_use]
    pub fn commands(&self, cursor: &str, limit: usize) -> Page<pb::CommandView> {
        let before = if cursor.is_empty() { Unbounded } else { Excluded(cursor) };
        let newest = self.commands.range::<str, _>((Unbounded, before)).rev();
        Page::of(newest.map(|(id, command)| (id.clone(), self.command_as(command))), limit)
    }

    /// Namespaces that have a quota, by name, with the quota's revision.
    pub fn quotas(
        &self,
        cursor: &str,
        limit: usize,
    ) -> Result<Page<(Namespace, Quota, u64)>, Problem> {
        let after = super::filter::optional::<Namespace>("cursor", cursor)?;
        let after = after.map_or(Unbounded, Excluded);
        let quotas = self.quotas.range((after, Unbounded));
        let items = quotas.map(|(namespace, (record, revision))| {
            (namespace.to_string(), (namespace.clone(), record.limits, revision.0))
        });
        Ok(Page::of(items, limit))
    }
}
