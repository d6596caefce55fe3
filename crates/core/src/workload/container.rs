//! The sections of the container drivers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::PortName;

/// When an image is fetched from its registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pull {
    /// If it is not there.
    #[default]
    Missing,
    /// Before every start.
    Always,
    /// Not at all: it has to be there, or come from the artifact.
    Never,
}

/// A directory or volume of the host inside of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bind {
    /// A path of the host, or for `docker` the name of a volume.
    pub source: String,
    /// Where it is inside.
    pub target: String,
    /// It cannot be written.
    #[serde(default)]
    pub read_only: bool,
}

/// A container of an image under Docker or Podman.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DockerSection {
    /// Which image, such as `nginx:1.27` or `registry.example/shop@sha256:…`.
    pub image: String,
    /// `name` or `name@version`: what `docker save` wrote, loaded where `image` is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact: Option<String>,
    /// What the image is made for, such as `linux/arm64` or `arm64`: other nodes are passed over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// When the image is fetched.
    pub pull: Pull,
    /// Arguments; the image's own if empty. `${NAME}` is replaced from the environment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Program and first arguments; the image's own if empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// Added to the environment.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Who runs it; the image's own user if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Where it begins; the image's own directory if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// Directories of the host and volumes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Bind>,
    /// `bridge`, `host`, `none`, or a network that is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Which port inside a port of the workload leads to; the same number if it is not named here.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub container_ports: BTreeMap<PortName, u16>,
    /// The root file system cannot be written.
    pub read_only: bool,
    /// Capabilities beyond the usual ones, such as `NET_ADMIN`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap_add: Vec<String>,
    /// Capabilities that are taken away; `ALL` takes all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap_drop: Vec<String>,
    /// The image's own health check has to pass, too, before it is ready.
    pub health: bool,
}

/// The network of an OS tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NspawnNetwork {
    /// The host's.
    #[default]
    Host,
    /// Loopback alone.
    Private,
}

/// What becomes of what an OS tree writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    /// Every start begins with the tree as it is.
    #[default]
    Ephemeral,
    /// It stays as long as the instance, over its restarts.
    Persistent,
}

/// An OS tree under systemd-nspawn.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NspawnSection {
    /// `name` or `name@version`: the packed root file system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact: Option<String>,
    /// A directory of the host that is the root file system; it is not written to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// Program and arguments; the tree's own init is booted if empty. `${NAME}` is replaced from
    /// the environment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Added to the environment.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Who runs the command; root if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Where the command begins; `/` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// What becomes of what it writes.
    pub storage: Storage,
    /// Directories of the host.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub binds: Vec<Bind>,
    /// Its network.
    pub network: NspawnNetwork,
}
