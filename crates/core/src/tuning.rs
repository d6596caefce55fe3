//! What operators change of a pool, or of all pools, while the fleet runs.
//!
//! What a workload says counts first, then the pool, then the fleet, then what the scheduler was
//! started with. What is absent here is as it is one level below.

use serde::{Deserialize, Serialize};

use crate::document::{self, Comments, Problem, Reading};

/// For whom something is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// For every pool.
    Fleet,
    /// For one pool.
    Pool,
}

/// What is said at one level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tuning {
    /// Weights of the `weighted` strategy; what is not named counts nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<Weights>,
    /// How much each term of the score counts.
    #[serde(skip_serializing_if = "TermTuning::is_empty")]
    pub terms: TermTuning,
    /// Whether work may have others of much less priority ended to get their place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preemption: Option<bool>,
    /// When the nodes' use is evened out without being asked.
    #[serde(skip_serializing_if = "RebalanceTuning::is_empty")]
    pub rebalance: RebalanceTuning,
}

/// Weights of what is left free on a node, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Weights {
    /// Of cpu.
    pub cpu: u32,
    /// Of memory.
    pub memory: u32,
    /// Of disk.
    pub disk: u32,
    /// Of network.
    pub network: u32,
}

/// How much each term of the score counts beside the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TermTuning {
    /// What the strategy says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<u32>,
    /// What the workload prefers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefer: Option<u32>,
    /// Soft affinity and anti-affinity, each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<u32>,
    /// Not where others of the same workload are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_workload: Option<u32>,
    /// Where the image or artifact is already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<u32>,
    /// Mains before battery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power: Option<u32>,
}

/// When the nodes' use is evened out without being asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RebalanceTuning {
    /// After a node joined or came back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_join: Option<bool>,
    /// When a node is fuller than the mean by so many percent of itself; 0: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<u32>,
    /// At most so many moves at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_moves: Option<u32>,
}

impl TermTuning {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl RebalanceTuning {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A text may be so long, in bytes.
const LONGEST: usize = 16 * 1024;
/// No term counts more than this.
const HEAVIEST: u32 = 100;
/// No more moves are made at a time.
const MOST_MOVES: u32 = 1000;

impl Tuning {
    /// Reads it from JSON, and names everything that is wrong with it.
    pub fn from_json(text: &str) -> Result<Self, Vec<Problem>> {
        if text.len() > LONGEST {
            let message = format!("{} bytes are too many: at most {LONGEST}", text.len());
            return Err(vec![Problem::new("", message)]);
        }
        let tree = document::json(text, Comments::Refused).map_err(|problem| vec![problem])?;
        let Reading { value, mut problems } = document::read::<Self>(tree.clone());
        if let Some(tuning) = &value {
            let more = tuning.check().into_iter();
            problems.extend(more.map(|p| p.clone().at(tree.line_of(&p.path))));
        }
        match value {
            Some(tuning) if problems.is_empty() => Ok(tuning),
            Some(_) | None => Err(problems),
        }
    }

    /// Everything that makes no sense.
    #[must_use]
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Some(Weights { cpu, memory, disk, network }) = self.weights {
            let all = [("cpu", cpu), ("memory", memory), ("disk", disk), ("network", network)];
            if all.iter().all(|(_, weight)| *weight == 0) {
                problems.push(Problem::new("weights", "all are 0: at least one has to count"));
            }
            problems.extend(
                all.into_iter()
                    .filter_map(|(name, weight)| at_most(&format!("weights.{name}"), weight, 100)),
            );
        }
        let TermTuning { base, prefer, affinity, own_workload, image, power } = self.terms;
        let terms = [
            ("base", base),
            ("prefer", prefer),
            ("affinity", affinity),
            ("own_workload", own_workload),
            ("image", image),
            ("power", power),
        ];
        problems.extend(terms.into_iter().filter_map(|(name, weight)| {
            at_most(&format!("terms.{name}"), weight.unwrap_or(0), HEAVIEST)
        }));
        if base == Some(0) {
            let message = "it is 0: what the strategy says has to count";
            problems.push(Problem::new("terms.base", message));
        }
        let RebalanceTuning { threshold, max_moves, on_join: _ } = self.rebalance;
        problems.extend(at_most("rebalance.threshold", threshold.unwrap_or(0), 100));
        problems.extend(at_most("rebalance.max_moves", max_moves.unwrap_or(1), MOST_MOVES));
        if max_moves == Some(0) {
            let message = "it is 0: at least 1; `rebalance.threshold` and `.on_join` switch it off";
            problems.push(Problem::new("rebalance.max_moves", message));
        }
        problems
    }
}

fn at_most(path: &str, value: u32, most: u32) -> Option<Problem> {
    (value > most).then(|| Problem::new(path, format!("{value} is too much: at most {most}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_reads_back_and_what_is_not_said_is_absent() {
        let text =
            r#"{"weights":{"cpu":70,"memory":30},"preemption":true,"rebalance":{"threshold":20}}"#;
        let tuning = Tuning::from_json(text).expect("it is right");
        assert_eq!(tuning.rebalance.max_moves, None);
        let again = serde_json::to_string(&tuning).expect("writes");
        assert_eq!(Tuning::from_json(&again), Ok(tuning));
        assert_eq!(serde_json::to_string(&Tuning::default()).expect("writes"), "{}");
    }

    #[test]
    fn each_mistake_is_named_with_what_would_be_right() {
        for (text, says) in [
            (r#"{"preemtion":true}"#, "preemption"),
            (r#"{"rebalance":{"treshold":1}}"#, "threshold"),
            (
                r#"{"rebalance":{"threshold":101}}"#,
                "`rebalance.threshold`: 101 is too much: at most 100",
            ),
            (r#"{"rebalance":{"max_moves":0}}"#, "at least 1"),
            (r#"{"weights":{}}"#, "at least one has to count"),
            (r#"{"weights":{"gpu":3}}"#, "gpu"),
            (r#"{"terms":{"base":0}}"#, "terms.base"),
            (r#"{"terms":{"prefer":-1}}"#, "terms.prefer"),
            (r#"[]"#, "expected"),
        ] {
            let problems = Tuning::from_json(text).expect_err(text);
            let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
            assert!(said.iter().any(|one| one.contains(says)), "{text}: {said:?}");
        }
    }
}
