//! From what watches tell to what the engine is told: decoded, and only of this pool.

use std::collections::BTreeSet;

use ostler_bus::WatchEvent;
use ostler_core::command::Command;
use ostler_core::head::Head;
use ostler_core::id::{NodeName, PoolName, WorkloadKey};
use ostler_core::instance::{Manifest, Report};
use ostler_core::node::Node;
use ostler_core::reconcile::{Event, Progress};
use ostler_schemas::bucket::{Outcomes, PlacementKey};
use ostler_schemas::wire::WireError;
use thiserror::Error;

use crate::feed::Source;

/// A value that cannot be understood. It is neither an order nor an absence.
#[derive(Debug, Error)]
#[error("`{bucket}/{key}` cannot be read")]
pub(crate) struct Unreadable {
    /// In which bucket.
    pub bucket: &'static str,
    /// Which key.
    pub key: String,
    /// Why not.
    #[source]
    pub source: WireError,
}

/// Knows what belongs to the pool.
#[derive(Debug)]
pub(crate) struct Reader {
    pool: PoolName,
    workloads: BTreeSet<WorkloadKey>,
    nodes: BTreeSet<NodeName>,
    /// Nodes of other pools.
    strangers: BTreeSet<NodeName>,
    /// While a watch begins anew: what it has not told again.
    untold_workloads: Option<BTreeSet<WorkloadKey>>,
    untold_nodes: Option<BTreeSet<NodeName>>,
}

impl Reader {
    /// A reader that has heard nothing.
    pub fn new(pool: PoolName) -> Self {
        Self {
            pool,
            workloads: BTreeSet::new(),
            nodes: BTreeSet::new(),
            strangers: BTreeSet::new(),
            untold_workloads: None,
            untold_nodes: None,
        }
    }

    /// What the engine is told because of what a watch told.
    pub fn read(&mut self, source: Source, event: WatchEvent) -> Result<Vec<Event>, Unreadable> {
        match event {
            WatchEvent::Put { key, value, .. } => {
                Ok(self.put(source, &key, &value)?.into_iter().collect())
            }
            WatchEvent::Gone { key, .. } => Ok(self.gone(source, &key).into_iter().collect()),
            WatchEvent::CaughtUp { .. } => Ok(self.caught_up(source)),
            WatchEvent::Resync => {
                self.begin_anew(source);
                Ok(Vec::new())
            }
        }
    }

    /// What the engine is told because of a value. A value that cannot be read leaves what was
    /// known of the key as it was.
    pub fn put(
        &mut self,
        source: Source,
        key: &str,
        value: &[u8],
    ) -> Result<Option<Event>, Unreadable> {
        let event = match source {
            Source::Workloads => WatchEvent::decode(value).map(|head| self.on_head(head)),
            Source::Nodes => WatchEvent::decode(value).map(|node| self.on_node(node)),
            Source::Commands => self.on_command(key, value),
            Source::Placements => on_placement(key, value),
            Source::Reports => self.on_report(key, value),
        };
        event.map_err(|source_error| Unreadable {
            bucket: source.as_str(),
            key: key.to_owned(),
            source: source_error,
        })
    }

    /// Whether a node belongs to another pool.
    pub fn is_stranger(&self, node: &NodeName) -> bool {
        self.strangers.contains(node)
    }

    /// Whether a node of this pool has a record.
    pub fn knows(&self, node: &NodeName) -> bool {
        self.nodes.contains(node)
    }

    /// The pool's workloads.
    pub fn workloads(&self) -> impl Iterator<Item = &WorkloadKey> {
        self.workloads.iter()
    }

    fn on_head(&mut self, head: Head) -> Option<Event> {
        let key = head.key();
        if let Some(untold) = &mut self.untold_workloads {
            untold.remove(&key);
        }
        // One that went to another pool has to end here.
        if head.spec.pool != self.pool && !self.workloads.contains(&key) {
            return None;
        }
        self.workloads.insert(key);
        Some(Event::Workload(Box::new(head)))
    }

    fn on_node(&mut self, node: Node) -> Option<Event> {
        if let Some(untold) = &mut self.untold_nodes {
            untold.remove(&node.name);
        }
        if node.pool != self.pool && !self.nodes.contains(&node.name) {
            self.strangers.insert(node.name);
            return None;
        }
        self.strangers.remove(&node.name);
        self.nodes.insert(node.name.clone());
        Some(Event::Node(Box::new(node)))
    }

    fn on_command(&self, key: &str, value: &[u8]) -> Result<Option<Event>, WireError> {
        let ours = key.split('.').next().is_some_and(|pool| pool == self.pool.to_string());
        if !ours {
            return Ok(None);
        }
        let command: Command = WatchEvent::decode(value)?;
        Ok(Some(Event::Command(Box::new(command))))
    }

    fn on_report(&self, key: &str, value: &[u8]) -> Result<Option<Event>, WireError> {
        let Ok(node) = key.parse::<NodeName>() else { return Ok(None) };
        if self.is_stranger(&node) {
            return Ok(None);
        }
        let report: Report = WatchEvent::decode(value)?;
        Ok(Some(Event::Report(node, Box::new(report))))
    }

    fn gone(&mut self, source: Source, key: &str) -> Option<Event> {
        match source {
            Source::Workloads => {
                let key: WorkloadKey = key.parse().ok()?;
                self.workloads.remove(&key).then_some(Event::WorkloadGone(key))
            }
            Source::Nodes => {
                let node: NodeName = key.parse().ok()?;
                self.strangers.remove(&node);
                self.nodes.remove(&node).then_some(Event::NodeGone(node))
            }
            Source::Commands | Source::Placements | Source::Reports => None,
        }
    }

    fn begin_anew(&mut self, source: Source) {
        match source {
            Source::Workloads => self.untold_workloads = Some(self.workloads.clone()),
            Source::Nodes => self.untold_nodes = Some(self.nodes.clone()),
            Source::Commands | Source::Placements | Source::Reports => {}
        }
    }

    fn caught_up(&mut self, source: Source) -> Vec<Event> {
        let keys: Vec<String> = match source {
            Source::Workloads => {
                let untold = self.untold_workloads.take().unwrap_or_default();
                untold.iter().map(WorkloadKey::token).collect()
            }
            Source::Nodes => {
                let untold = self.untold_nodes.take().unwrap_or_default();
                untold.iter().map(ToString::to_string).collect()
            }
            Source::Commands | Source::Placements | Source::Reports => Vec::new(),
        };
        keys.iter().filter_map(|key| self.gone(source, key)).collect()
    }
}

fn on_placement(key: &str, value: &[u8]) -> Result<Option<Event>, WireError> {
    match PlacementKey::read(key) {
        Some(PlacementKey::Manifest(node)) => {
            let manifest: Manifest = WatchEvent::decode(value)?;
            Ok(Some(Event::Manifest(node, Box::new(manifest))))
        }
        Some(PlacementKey::Progress(workload)) => {
            let progress: Progress = WatchEvent::decode(value)?;
            Ok(Some(Event::Progress(workload, Box::new(progress))))
        }
        Some(PlacementKey::Outcomes) => {
            let Outcomes(outcomes) = WatchEvent::decode(value)?;
            Ok(Some(Event::Outcomes(outcomes)))
        }
        Some(PlacementKey::Term) | None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ostler_core::id::{Generation, SpecHash, Version};
    use ostler_core::time::Timestamp;

    fn head(pool: &str) -> Head {
        let text = format!("name = \"web\"\ndriver = \"sim\"\npool = \"{pool}\"");
        Head {
            spec: ostler_core::workload::from_toml(&text).expect("it is right"),
            version: Version(1),
            compatible_since: Version(1),
            spec_hash: SpecHash([0; 32]),
            restart_generation: Generation(0),
            reload_generation: Generation(0),
            stopped: false,
            deleted: false,
            purge: false,
            updated_at: Timestamp::default(),
            op_id: String::new(),
        }
    }

    #[test]
    fn a_workload_that_goes_to_another_pool_is_told_to_the_one_it_leaves() {
        let mut reader = Reader::new(PoolName::default());
        assert_eq!(reader.on_head(head("edge")), None, "it was never ours");
        assert!(reader.on_head(head("default")).is_some());
        assert!(reader.on_head(head("edge")).is_some());
    }
}
