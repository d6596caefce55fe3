//! The section `[metrics]`.

use std::net::SocketAddr;

use ostler_core::time::Span;
use serde::{Deserialize, Serialize};

/// What is kept, and what is shown to Prometheus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where `/healthz`, `/readyz` and `/metrics` are served; port 0 takes a free one.
    pub health_listen: SocketAddr,
    /// Whether `/metrics` has gauges of each node beside those of the fleet.
    pub node_gauges: bool,
    /// Series of at most so many nodes (about 70 KB each once they are a day long).
    pub max_nodes: u32,
    /// Series of at most so many instances (about 12 KB each once they are an hour long).
    pub max_instances: u32,
    /// Series of an instance that is not heard of for so long are dropped.
    pub forget_instances_after: Span,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            health_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            node_gauges: true,
            max_nodes: 10_000,
            max_instances: 20_000,
            forget_instances_after: Span::from_secs(15 * 60),
        }
    }
}
