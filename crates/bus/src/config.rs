//! The section `[bus]`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use ostler_core::id::PoolName;
use ostler_core::time::Span;

/// How NATS is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// One or more servers, separated by commas: `nats://127.0.0.1:4222`.
    pub url: String,
    /// The first token of every subject, so that two fleets can share a NATS system.
    pub root: String,
    /// The pools of this fleet.
    pub pools: Vec<PoolName>,
    /// How long a request to a service may take.
    pub request_timeout: Span,
    /// A file with NATS credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<String>,
    /// A file with the certificate authority of the servers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: "nats://127.0.0.1:4222".to_owned(),
            root: "ostler".to_owned(),
            pools: vec![PoolName::default()],
            request_timeout: Span::from_secs(5),
            credentials: None,
            ca: None,
        }
    }
}

/// How often a connection is checked; a half-open one is noticed after three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pings {
    /// Every 2 s: an executor's heartbeat connection.
    Heartbeat,
    /// Every 3 s while nothing is heard: all others. A server that froze costs its clients so
    /// little more than one that died.
    Usual,
}

impl Pings {
    /// The interval.
    #[must_use]
    pub const fn interval(self) -> Duration {
        match self {
            Self::Heartbeat => Duration::from_secs(2),
            Self::Usual => Duration::from_secs(3),
        }
    }
}
