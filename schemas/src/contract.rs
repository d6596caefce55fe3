//! Core subjects, at most once: a type for each, whose payload is fixed.

use std::fmt;
use std::str::FromStr;

use ostler_core::id::{InstanceId, NodeName, PoolName};
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

/// What goes into a command inside an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecInputOf {
    /// Where it runs.
    pub node: NodeName,
    /// Which conversation.
    pub session: SessionId,
}

/// What comes out of a command inside an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecOutputOf {
    /// Where it runs.
    pub node: NodeName,
    /// Which conversation.
    pub session: SessionId,
}

/// Names one conversation: 1 to 40 of `[a-z0-9]`, drawn by who asks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(String);

impl FromStr for SessionId {
    type Err = SubjectError;
    fn from_str(text: &str) -> Result<Self, SubjectError> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if (1..=40).contains(&text.len()) && text.bytes().all(fits) {
            return Ok(Self(text.to_owned()));
        }
        Err(SubjectError { subject: text.chars().take(80).collect(), pattern: "[a-z0-9]{1,40}" })
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
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
    ExecInputOf,
    pb::ExecInput,
    "ostler.v1.node.*.exec.*",
    |to| format!("ostler.v1.node.{}.exec.{}", to.node, to.session),
    |tokens| {
        let (node, session) = (tokens.first()?.parse().ok()?, tokens.get(1)?.parse().ok()?);
        Some(ExecInputOf { node, session })
    }
);
contract!(
    ExecOutputOf,
    pb::ExecOutput,
    "ostler.v1.exec.*.*",
    |to| format!("ostler.v1.exec.{}.{}", to.node, to.session),
    |tokens| {
        let (node, session) = (tokens.first()?.parse().ok()?, tokens.get(1)?.parse().ok()?);
        Some(ExecOutputOf { node, session })
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

/// The subject of a request to the leader of one pool: `ostler.v1.pool.<pool>.<call>`.
#[must_use]
pub fn to_pool(pool: &PoolName, call: &str) -> String {
    format!("ostler.v1.pool.{pool}.{call}")
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
        let session: SessionId = "0abc".parse().expect("a session");
        let input = ExecInputOf { node: node.clone(), session: session.clone() };
        assert_eq!(input.to_string().parse(), Ok(input));
        let output = ExecOutputOf { node: node.clone(), session };
        assert_eq!(output.to_string().parse(), Ok(output));
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
        for session in ["", "a.b", "A", "*", ">", &"a".repeat(41)] {
            assert!(session.parse::<SessionId>().is_err(), "{session}");
        }
        assert!("ostler.v1.metric.N1".parse::<MetricOf>().is_err());
    }
}
