//! Requests and replies as NATS services: typed, JSON or protobuf, bounded.

mod call;
mod headers;
mod micro;
mod serve;
mod work;

use std::time::Duration;

pub use serve::Server;

/// Who sent a request, and how long an answer is of use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The header `Ostler-Actor`; `anonymous` where absent.
    pub actor: String,
    /// The header `Ostler-Op-Id`; a fresh one where absent.
    pub op_id: String,
    /// The trace id of the header `traceparent`; empty where absent.
    pub trace_id: String,
    /// The header `Ostler-Timeout`: how long from receipt an answer is of use.
    pub timeout: Duration,
}

impl Caller {
    /// A caller of our own, such as `registry` or `node-7`, with a fresh operation id and 5 s.
    #[must_use]
    pub fn program(actor: &str) -> Self {
        Self {
            actor: actor.to_owned(),
            op_id: crate::op_id(),
            trace_id: String::new(),
            timeout: Duration::from_secs(5),
        }
    }
}
