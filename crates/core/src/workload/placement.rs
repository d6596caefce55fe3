//! Where instances may run, and where they would best.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::id::WorkloadName;

/// How a node is chosen among those that fit.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Weighted available share of cpu, memory, disk and network.
    #[default]
    Weighted,
    /// The fuller, the better.
    Binpack,
    /// Most memory, then cpu, free.
    LeastLoaded,
    /// Fewest instances.
    LeastInstances,
    /// The next node in name order.
    RoundRobin,
    /// Where work of the same `sticky_key` runs.
    Sticky,
    /// The first in name order.
    FirstFit,
    /// By a seeded hash.
    Random,
    /// By the nodes' standing bids.
    Auction,
}

/// What two instances must not, or should, share.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// A node.
    #[default]
    Node,
    /// A physical machine.
    Hardware,
    /// A failure domain.
    Zone,
}

/// Whether a rule excludes or only ranks.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It excludes.
    #[default]
    Hard,
    /// It ranks.
    Soft,
}

/// A soft wish: nodes where the attribute has the value rank higher (or lower).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preference {
    /// Such as `node.name` or `node.labels.disk`.
    pub attribute: String,
    /// The value wished for.
    pub value: String,
    /// −100 to 100.
    #[serde(default = "fifty")]
    pub weight: i32,
}

fn fifty() -> i32 {
    50
}

/// Members of a group stay apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AntiAffinity {
    /// Instances of all workloads that name this group stay apart.
    pub group: String,
    /// What they do not share.
    #[serde(default)]
    pub scope: Scope,
    /// Whether it excludes or only ranks.
    #[serde(default)]
    pub mode: Mode,
}

/// Instances run near those of another workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Affinity {
    /// The workload to be near, in the same namespace.
    pub workload: WorkloadName,
    /// What they share.
    #[serde(default)]
    pub scope: Scope,
    /// Whether it excludes or only ranks.
    #[serde(default)]
    pub mode: Mode,
}

/// Instances are spread over the values of an attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// Such as `node.zone`.
    pub attribute: String,
    /// How much this spread counts beside others, 1 to 100.
    #[serde(default = "fifty")]
    pub weight: i32,
    /// Percent for each value; unnamed values share the rest evenly; empty means even.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub targets: BTreeMap<String, u32>,
}

/// One table or a list of tables, as people write it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    /// By hand, because an untagged enum would not say which key of which table is wrong.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Tables(PhantomData))
    }
}

struct Tables<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Tables<T> {
    type Value = OneOrMany<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table or a list of tables")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<OneOrMany<T>, A::Error> {
        let mut tables = Vec::new();
        while let Some(table) = items.next_element()? {
            tables.push(table);
        }
        Ok(OneOrMany(tables))
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<OneOrMany<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(table)).map(|table| OneOrMany(vec![table]))
    }
}

impl<T> From<OneOrMany<T>> for Vec<T> {
    fn from(rules: OneOrMany<T>) -> Self {
        rules.0
    }
}
impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}
impl<T> OneOrMany<T> {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them, in the order written.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }
}

/// Where instances may run, and where they would best.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlacementRules {
    /// How a node is chosen among those that fit.
    pub strategy: Strategy,
    /// Weights of the `weighted` strategy in percent, by `cpu memory disk network` (those not named
    /// count nothing), and of the score's terms, by `base prefer affinity own_workload image power`;
    /// the pool's where none is named.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub weights: BTreeMap<String, u32>,
    /// That node or nowhere; empty for any.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node: String,
    /// Soft wishes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prefer: Vec<Preference>,
    /// Expressions that must hold, such as `node.arch == amd64`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub require: Vec<String>,
    /// Groups whose members stay apart.
    #[serde(skip_serializing_if = "OneOrMany::is_empty")]
    pub anti_affinity: OneOrMany<AntiAffinity>,
    /// Workloads to be near.
    #[serde(skip_serializing_if = "OneOrMany::is_empty")]
    pub affinity: OneOrMany<Affinity>,
    /// How instances are spread.
    #[serde(skip_serializing_if = "OneOrMany::is_empty")]
    pub spread: OneOrMany<Spread>,
    /// At most so many instances for each value of an attribute.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub max_per: BTreeMap<String, u32>,
    /// At least one in every zone before a second in any.
    pub zone_redundancy: bool,
    /// What `sticky` goes by, such as a user or project.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sticky_key: String,
    /// The workload sleeps until this holds of the fleet.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub feasible_when: String,
}
