//! How instances are run: the driver's name and its section.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::container::{DockerSection, NspawnSection};
use crate::time::Span;

/// How an instance is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DriverKind {
    /// A command on the host.
    Process,
    /// An OS tree under systemd-nspawn.
    Nspawn,
    /// An image under Docker or Podman.
    Docker,
    /// A disk image under libvirt.
    Vm,
    /// A process in a container group under s6.
    S6,
    /// A uWSGI vassal.
    Uwsgi,
    /// Nothing but a script of delays and failures; for tests and load tests.
    Sim,
}

impl DriverKind {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 7] =
        [Self::Process, Self::Nspawn, Self::Docker, Self::Vm, Self::S6, Self::Uwsgi, Self::Sim];

    /// The name in files, in `node.driver.<name>` and in section headers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Nspawn => "nspawn",
            Self::Docker => "docker",
            Self::Vm => "vm",
            Self::S6 => "s6",
            Self::Uwsgi => "uwsgi",
            Self::Sim => "sim",
        }
    }
}

impl fmt::Display for DriverKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A command on the host, run in its own session and cgroup.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProcessSection {
    /// Program and arguments; `${NAME}` is replaced from the instance's environment.
    pub command: Vec<String>,
    /// Added to the environment.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Who runs it; the executor's own user if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Unpacked into the instance's directory before start; `name` or `name@version`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact: Option<String>,
    /// Its main group, where that is not its user's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// At most so many tasks; the node's own limit if absent or lower.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_pids: Option<u32>,
    /// At most so many open files in one process; the node's own limit if absent or lower.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_files: Option<u64>,
    /// It has these capabilities and can get no others; if absent, those of its user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Vec<String>>,
    /// What it does not share with the host.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub private: Vec<Private>,
    /// Its root directory, below its own directory or as an absolute path of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chroot: Option<String>,
    /// What makes it read its settings again; `SIGHUP` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reload_signal: Option<String>,
    /// Where it begins: from its own directory on, or absolute, inside of its root; its own
    /// directory if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
}

/// What an instance has for itself instead of sharing it with the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Private {
    /// Mounts, and `/tmp`.
    Mount,
    /// Process numbers: it sees only its own.
    Pid,
    /// The network: a loopback of its own and nothing else.
    Network,
}

impl Private {
    /// The word in files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mount => "mount",
            Self::Pid => "pid",
            Self::Network => "network",
        }
    }
}

/// What the `sim` driver pretends.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SimSection {
    /// How long until the instance has started.
    pub start_after: Span,
    /// How long from started to ready.
    pub ready_after: Span,
    /// How long a stop takes.
    pub stop_after: Span,
    /// It exits with this code after `exit_after`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// When it exits, counted from its start; at once if absent and `exit_code` is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_after: Option<Span>,
    /// Every start fails.
    pub fail: bool,
    /// The executor declines it.
    pub decline: bool,
}

/// The section of a driver that has no typed section yet: kept as it was written. Nodes that do
/// not offer the driver are passed over for the reason `driver`.
pub type Section = BTreeMap<String, serde_json::Value>;

/// The driver sections of a workload; the one that `driver` names must be there (except `sim`),
/// and no other.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DriverSections {
    /// For `driver = "process"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessSection>,
    /// For `driver = "nspawn"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nspawn: Option<NspawnSection>,
    /// For `driver = "docker"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub docker: Option<DockerSection>,
    /// For `driver = "vm"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vm: Option<Section>,
    /// For `driver = "s6"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s6: Option<Section>,
    /// For `driver = "uwsgi"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uwsgi: Option<Section>,
    /// For `driver = "sim"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sim: Option<SimSection>,
}
