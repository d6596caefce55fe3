//! The ports an instance gets, and the checks that say when it is ready.

use serde::{Deserialize, Serialize};

use crate::id::PortName;
use crate::time::Span;

/// The transport of a port.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

/// A port, or a block of ports, of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortSpec {
    /// Gives `OSTLER_PORT_<NAME>`.
    pub name: PortName,
    /// That very port; dynamic if absent.
    #[serde(default, rename = "static", skip_serializing_if = "Option::is_none")]
    pub fixed: Option<u16>,
    /// A contiguous block of so many.
    #[serde(default = "one")]
    pub count: u16,
    /// The first of the block is a multiple of this.
    #[serde(default = "one")]
    pub align: u16,
    /// Which of the host's networks.
    #[serde(default = "default_network")]
    pub host_network: String,
    /// The transport.
    #[serde(default)]
    pub protocol: Protocol,
}

fn one() -> u16 {
    1
}
fn default_network() -> String {
    "default".to_owned()
}

/// How readiness is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckKind {
    /// A GET that is answered with 2xx or 3xx.
    Http,
    /// A connection that is accepted.
    Tcp,
    /// A command that exits 0.
    Exec,
    /// The instance says so itself, again and again.
    Heartbeat,
}

/// One readiness check; an instance is ready when all pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// How it is asked.
    #[serde(rename = "type")]
    pub kind: CheckKind,
    /// The port asked, by name; for `http` and `tcp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<PortName>,
    /// The path asked; for `http`.
    #[serde(default = "root")]
    pub path: String,
    /// The command run; for `exec`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// How often.
    #[serde(default = "ten_seconds")]
    pub interval: Span,
    /// How long an answer may take.
    #[serde(default = "two_seconds")]
    pub timeout: Span,
    /// After how many failures in a row a ready instance is not ready any more.
    #[serde(default = "three")]
    pub failures: u32,
}

fn root() -> String {
    "/".to_owned()
}
fn ten_seconds() -> Span {
    Span::from_secs(10)
}
fn two_seconds() -> Span {
    Span::from_secs(2)
}
fn three() -> u32 {
    3
}
