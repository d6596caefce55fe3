//! What is supposed to happen, and what would come of it.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::Serialize;

use crate::constraint::{attribute, is_attribute};
use crate::id::{InstanceId, NodeName, PoolName, Slot, Version, WorkloadKey};
use crate::node::Node;
use crate::reconcile::Unplaced;
use crate::resources::Resources;
use crate::workload::Workload;

use super::{Choice, Verdicts};

/// What is supposed to happen, all at once.
#[derive(Debug, Clone, Default)]
pub struct Supposition {
    /// Workloads that are put.
    pub workloads: Vec<Workload>,
    /// Nodes that fall silent for good.
    pub lose: Vec<Selector>,
    /// Nodes that are drained.
    pub drain: Vec<Selector>,
    /// Nodes that join.
    pub add: Vec<Addition>,
}

/// Nodes by what they have: `zone=east`, `node=n3`, `rack=r1`, `node.labels.rack=r1`, or just a
/// node's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    text: String,
    attribute: String,
    value: String,
}

impl Selector {
    /// Whether the node is meant.
    #[must_use]
    pub fn matches(&self, node: &Node) -> bool {
        attribute(node, &self.attribute).is_some_and(|value| value == self.value.as_str())
    }

    /// What the node has for the attribute that is asked about.
    #[must_use]
    pub fn value_of(&self, node: &Node) -> Option<String> {
        attribute(node, &self.attribute).map(std::borrow::Cow::into_owned)
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// The attribute that a short name stands for: itself, one of `node.…`, else a label.
fn full_name(name: &str) -> String {
    let short = match name {
        "node" | "name" => return "node.name".to_owned(),
        short => short.strip_prefix("labels.").unwrap_or(short),
    };
    let (whole, of_node) = (name.to_owned(), format!("node.{name}"));
    if name.starts_with("node.") && is_attribute(&whole) {
        whole
    } else if is_attribute(&of_node) {
        of_node
    } else {
        format!("node.labels.{short}")
    }
}

impl FromStr for Selector {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (name, value) = text.split_once('=').unwrap_or(("node", text));
        let (name, value) = (name.trim(), value.trim_start_matches('=').trim());
        if name.is_empty() || value.is_empty() {
            let want = "a node's name or `KEY=VALUE`, as in `zone=east`";
            return Err(format!("`{text}` does not say which nodes: {want}"));
        }
        let (attribute, value) = (full_name(name), value.to_owned());
        Ok(Self { text: text.to_owned(), attribute, value })
    }
}

/// Nodes that join: so many, like one that is there. `4=n1` is four like node `n1`; `4=rack=r1`
/// four like the first node with that value; `4=small` four like the first whose label `size` or
/// `class` is `small`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addition {
    /// How many.
    pub count: u32,
    like: String,
}

/// At most so many nodes are added in one go.
const MOST_ADDED: u32 = 10_000;

impl Addition {
    /// As it was written, without the count.
    #[must_use]
    pub fn like(&self) -> &str {
        &self.like
    }

    /// Which of these nodes, in the order of names, it is to be like.
    pub fn pattern<'a>(&self, nodes: impl Iterator<Item = &'a Node> + Clone) -> Option<&'a Node> {
        if self.like.contains('=') {
            let selector: Selector = self.like.parse().ok()?;
            return nodes.into_iter().find(|node| selector.matches(node));
        }
        let named = nodes.clone().find(|node| node.name.as_str() == self.like);
        let sized = |node: &&Node| {
            let label = |key: &str| node.facts.labels.get(key).is_some_and(|v| *v == self.like);
            label("size") || label("class")
        };
        named.or_else(|| nodes.into_iter().find(sized))
    }
}

impl FromStr for Addition {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = |why: &str| {
            format!("`{text}` does not say what is added: {why}; `COUNT=LIKE`, as in `4=node-1`")
        };
        let (count, like) = text.split_once('=').ok_or_else(|| bad("`=` is missing"))?;
        let count: u32 = count.trim().parse().map_err(|_| bad("the count is no number"))?;
        if count == 0 || count > MOST_ADDED {
            return Err(bad("from 1 to 10,000 at a time"));
        }
        let like = like.trim().to_owned();
        if like.is_empty() {
            return Err(bad("like which node is missing"));
        }
        Ok(Self { count, like })
    }
}

/// What would come of a [`Supposition`], carried out to its end: everything that is started gets
/// ready at once, everything that is stopped stops. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct WhatIf {
    /// In which pool.
    pub pool: PoolName,
    /// Whether everything that has a place now would still have one, and what is put gets one.
    pub survives: bool,
    /// The same in a sentence, with numbers.
    pub summary: String,
    /// Nodes that are lost, drained and added.
    pub lost: Vec<NodeName>,
    /// See `lost`.
    pub drained: Vec<NodeName>,
    /// See `lost`.
    pub added: Vec<NodeName>,
    /// What would be placed.
    pub placements: Vec<WouldPlace>,
    /// What would be stopped.
    pub stops: Vec<WouldStop>,
    /// What would have to end for more important work; also among the stops.
    pub evictions: Vec<WouldEvict>,
    /// What would be moved; each is a placement too.
    pub moves: Vec<WouldMove>,
    /// What would stay where it is lost, and be waited for.
    pub waits: Vec<WouldWait>,
    /// What would have no place, with all reasons.
    pub unplaced: BTreeMap<WorkloadKey, Vec<Unplaced>>,
    /// How many slots have no place, before and then.
    pub unplaced_slots: (u32, u32),
    /// Why not, in numbers, and what would help; the first twenty workloads.
    pub why: BTreeMap<WorkloadKey, Verdicts>,
    /// What the nodes carry, before and then.
    pub load: (Load, Load),
    /// Each node whose load would change, before and then; at most a hundred.
    pub nodes: BTreeMap<NodeName, (Option<Load>, Option<Load>)>,
    /// After how much time all of it would have happened, in milliseconds: what is waited for.
    pub after_ms: u64,
    /// What was meant and is not here, with what is: by how it was written.
    pub unmatched: BTreeMap<String, Vec<String>>,
    /// Whether it was followed to its end; otherwise there is more to come.
    pub complete: bool,
}

/// What nodes have, and what of it is requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Load {
    /// How many nodes take work.
    pub nodes: u32,
    /// How many instances occupy them.
    pub instances: u32,
    /// Capacity, less what is reserved.
    pub usable: Resources,
    /// The requests of what occupies them.
    pub requested: Resources,
}

/// A placement that would be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WouldPlace {
    /// Of which workload.
    pub workload: WorkloadKey,
    /// Its index.
    pub slot: Slot,
    /// Which text.
    pub version: Version,
    /// Where.
    pub node: NodeName,
    /// 0 to 10,000.
    pub score: u32,
    /// Why there; only for the first thousand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<Box<Choice>>,
}

/// A stop that would be ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WouldStop {
    /// Which copy.
    pub id: InstanceId,
    /// Of which workload.
    pub workload: WorkloadKey,
    /// Its index.
    pub slot: Slot,
    /// Where.
    pub node: NodeName,
    /// Such as `scaled`.
    pub reason: &'static str,
}

/// An instance that would have to end for a more important one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WouldEvict {
    /// Which copy.
    pub id: InstanceId,
    /// Of which workload.
    pub workload: WorkloadKey,
    /// Its index.
    pub slot: Slot,
    /// Where.
    pub node: NodeName,
    /// For which workload.
    pub by: WorkloadKey,
    /// For which of its slots.
    pub by_slot: Slot,
}

/// A move that would be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WouldMove {
    /// Of which workload.
    pub workload: WorkloadKey,
    /// Its index.
    pub slot: Slot,
    /// From where.
    pub from: NodeName,
    /// To where.
    pub to: NodeName,
    /// Such as `drain`.
    pub reason: &'static str,
}

/// An instance that would stay on a lost node, and not be replaced yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WouldWait {
    /// Of which workload.
    pub workload: WorkloadKey,
    /// Its index.
    pub slot: Slot,
    /// Where.
    pub node: NodeName,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_names_a_node_an_attribute_or_a_label() {
        for (text, attribute, value) in [
            ("n3", "node.name", "n3"),
            ("node=n3", "node.name", "n3"),
            ("zone=east", "node.zone", "east"),
            ("node.zone == east", "node.zone", "east"),
            ("rack=r1", "node.labels.rack", "r1"),
            ("labels.rack=r1", "node.labels.rack", "r1"),
            ("node.labels.rack=r1", "node.labels.rack", "r1"),
        ] {
            let selector: Selector = text.parse().expect(text);
            assert_eq!((selector.attribute.as_str(), selector.value.as_str()), (attribute, value));
        }
    }

    #[test]
    fn what_says_nothing_is_refused_with_what_is_meant() {
        for text in ["", "=", "zone=", "=east"] {
            let error = text.parse::<Selector>().expect_err(text);
            assert!(error.contains("zone=east"), "{error}");
        }
        for text in ["", "n1", "x=n1", "0=n1", "10001=n1", "4="] {
            let error = text.parse::<Addition>().expect_err(text);
            assert!(error.contains("4=node-1"), "{error}");
        }
    }
}
