//! Core subjects, at most once: a type for each, whose payload is fixed.

use std::fmt;
use std::str::FromStr;

use ostler_core::id::{InstanceId, NodeName};
use ostler_core::node::Heartbeat;

use crate::pb;
use crate::wire::Wire;

/// One kind of message. The value is the address of one subject; the type fixes the payload.
/// Subjects are written with the root `ostler`; the bus replaces it where another is configured.
pub trait Contract: fmt::Display + FromStr + Send + Sync {
    /// What a subscriber listens to, for all addresses.
    const PATTERN: &'static str;
    /// What travels there.
    type Payload: Wire + Send + Sync + 'static;
}

/// A text is no subject of the kind that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{subject}` is no subject of the kind `{pattern}`")]
pub struct SubjectError {
    /// What came.
    pub subject: String,
    /// What was wanted.
    pub pattern: &'static str,
}

/// The tokens of `subject` at the places of the pattern's `*`, if all others agree.
fn wildcards<'a>(subject: &'a str, pattern: &str) -> Option<Vec<&'a str>> {
    let mut found = Vec::new();
    let (mut tokens, mut wanted) = (subject.split('.'), pattern.split('.'));
    loop {
        match (tokens.next(), wanted.next()) {
            (None, None) => return Some(found),
            (Some(token), Some("*")) => found.push(token),
            (Some(token), Some(want)) if token == want => {}
            _ => return None,
        }
    }
}

/// A node beats, every second. Kept in the bucket `heartbeats` without an ack; losing one is
/// harmless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeartbeatOf(pub NodeName);

/// What a node and its instances use, every 5 s.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricOf(pub NodeName);

/// What an instance writes, while somebody follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOf {
    /// Where it runs.
    pub node: NodeName,
    /// Which copy.
    pub instance: InstanceId,
}

/// Something happened. Kept in the stream `EVENTS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventOf {
    /// A service's name or `node-<node>`.
    pub source: String,
    /// `_` for none.
    pub namespace: String,
    /// A workload, a node, a pool …
    pub entity: String,
    /// Such as `instance-placed`: the kind with `-` for `.`.
    pub kind: String,
}

macro_rules! contract {
    ($type:ident, $payload:ty, $pattern:literal, $show:expr, $read:expr) => {
        impl Contract for $type {
            const PATTERN: &'static str = $pattern;
            type Payload = $payload;
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let show: fn(&$type) -> String = $show;
                f.write_str(&show(self))
            }
        }
        impl FromStr for $type {
            type Err = SubjectError;
            fn from_str(subject: &str) -> Result<Self, SubjectError> {
                let read: fn(&[&str]) -> Option<$type> = $read;
                wildcards(subject, $pattern)
                    .and_then(|tokens| read(&tokens))
                    .ok_or_else(|| SubjectError { subject: subject.to_owned(), pattern: $pattern })
            }
        }
    };
}

contract!(
    HeartbeatOf,
    Heartbeat,
    "$KV.heartbeats.*",
    |to| format!("$KV.heartbeats.{}", to.0),
    |tokens| Some(HeartbeatOf(tokens.first()?.parse().ok()?))
);
contract!(
    MetricOf,
    pb::NodeSample,
    "ostler.v1.metric.*",
    |to| format!("ostler.v1.metric.{}", to.0),
    |tokens| Some(MetricOf(tokens.first()?.parse().ok()?))
);
contract!(
    LogOf,
    pb::LogChunk,
    "ostler.v1.log.*.*",
    |to| format!("ostler.v1.log.{}.{}", to.node, to.instance),
    |tokens| {
        Some(LogOf { node: tokens.first()?.parse().ok()?, instance: tokens.get(1)?.parse().ok()? })
    }
);
contract!(
    EventOf,
    pb::Event,
    "ostler.v1.event.*.*.*.*",
    |to| format!("ostler.v1.event.{}.{}.{}.{}", to.source, to.namespace, to.entity, to.kind),
    |tokens| match tokens {
        [source, namespace, entity, kind] => Some(EventOf {
            source: (*source).to_owned(),
            namespace: (*namespace).to_owned(),
            entity: (*entity).to_owned(),
            kind: (*kind).to_owned(),
        }),
        _ => None,
    }
);

/// The subject of the hints of one node: `ostler.v1.hint.<pool>.<node>`, headers only, republished
/// by the server when its manifest changed. They carry no authority: "look".
#[must_use]
pub fn hint(pool: &ostler_core::id::PoolName, node: &NodeName) -> String {
    format!("ostler.v1.hint.{pool}.{node}")
}

/// The subject of a request to one node: `ostler.v1.node.<node>.<verb>`.
#[must_use]
pub fn to_node(node: &NodeName, verb: &str) -> String {
    format!("ostler.v1.node.{node}.{verb}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_read_back_as_written() {
        let node: NodeName = "n-1".parse().expect("a name");
        let beat = HeartbeatOf(node.clone());
        assert_eq!(beat.to_string().parse(), Ok(beat));
        let log = LogOf { node, instance: InstanceId::from_bits(77) };
        assert_eq!(log.to_string().parse(), Ok(log));
        let event = EventOf {
            source: "scheduler".into(),
            namespace: "default".into(),
            entity: "web".into(),
            kind: "instance-placed".into(),
        };
        assert_eq!(event.to_string().parse(), Ok(event));
    }

    #[test]
    fn a_subject_of_another_kind_is_refused() {
        assert!("ostler.v1.metric.n1.more".parse::<MetricOf>().is_err());
        assert!("ostler.v1.log.n1".parse::<LogOf>().is_err());
        assert!("ostler.v1.metric.N1".parse::<MetricOf>().is_err());
    }
}
