//! The section `[gateway]`.

use std::net::SocketAddr;

use ostler_core::resources::Bytes;
use ostler_core::time::Span;
use serde::{Deserialize, Serialize};

/// Where the gateway listens and how much it takes at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address and port; port 0 takes a free one. Loopback only, as long as there are no accounts.
    pub listen: SocketAddr,
    /// At most so many requests at a time; further ones are answered with 503.
    pub max_requests: u32,
    /// At most so many requests of one client (an address) at a time; further ones are answered
    /// with 429.
    pub max_requests_per_client: u32,
    /// Services are asked so many things at a time for one client; what is more waits its turn.
    pub parallel_per_client: u32,
    /// At most so many followed streams (events, logs) at a time.
    pub max_streams: u32,
    /// So many events wait for the reader of a stream.
    pub stream_queue: u32,
    /// A reader that takes nothing for so long while its queue is full is dropped.
    pub slow_after: Span,
    /// At most so many bytes in a body.
    pub max_body: Bytes,
    /// How long a request may take, apart from what `wait` allows.
    pub request_timeout: Span,
    /// What `?wait=` may be at most.
    pub max_wait: Span,
    /// How long open requests may still take when the program stops.
    pub stop_timeout: Span,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8000)),
            max_requests: 512,
            max_requests_per_client: 256,
            parallel_per_client: 8,
            max_streams: 128,
            stream_queue: 256,
            slow_after: Span::from_secs(10),
            max_body: Bytes::from_mib(1),
            request_timeout: Span::from_secs(10),
            max_wait: Span::from_secs(600),
            stop_timeout: Span::from_secs(5),
        }
    }
}
