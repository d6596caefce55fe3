//! Lets others reach the ports of what runs here, where the host has a firewall: a plug for each
//! kind. What was opened is closed when its instance is gone; nobody else's rules are touched.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ostler_core::id::{InstanceId, NodeName};
use ostler_core::instance::{PortGrant, Spec};
use ostler_core::workload::Protocol;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tracing::warn;

use crate::driver::process::ports::granted;

mod nft;
mod ufw;

/// The section `[executor.firewall]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Which firewall the host has.
    pub plug: Plug,
    /// For `nftables`: the table, as `inet filter`, whose sets `ostler_tcp` and `ostler_udp` hold the
    /// ports that are open. Empty: a table of our own that closes the rest of the node's range.
    pub table: String,
}

/// The firewalls that there are plugs for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Plug {
    /// None is told.
    #[default]
    None,
    /// `ufw`: a rule for each port.
    Ufw,
    /// `nft`: a set of ports.
    Nftables,
}

/// Why the firewall was not changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("firewall: {0}")]
pub struct FirewallError(String);

/// A port that is to be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Opening {
    port: u16,
    protocol: Protocol,
}

impl Opening {
    const fn transport(self) -> &'static str {
        match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        }
    }
}

impl fmt::Display for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.port, self.transport())
    }
}

/// The host's firewall.
#[derive(Debug, Clone)]
pub struct Firewall {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: Settings,
    node: NodeName,
    range: (u16, u16),
    wanted: Mutex<BTreeMap<InstanceId, BTreeSet<Opening>>>,
    /// What is open; `None` as long as nobody has looked.
    open: tokio::sync::Mutex<Option<BTreeSet<Opening>>>,
}

/// A command of the firewall takes no longer.
const PATIENCE: Duration = Duration::from_secs(20);

impl Firewall {
    /// The firewall of a node with this range of ports. Nothing is done yet.
    #[must_use]
    pub fn new(settings: Settings, node: NodeName, range: (u16, u16)) -> Self {
        let (wanted, open) = (Mutex::default(), tokio::sync::Mutex::new(None));
        Self { inner: Arc::new(Inner { settings, node, range, wanted, open }) }
    }

    /// An instance that was there before has these ports; what is open for it stays so.
    pub fn adopt(&self, id: InstanceId, spec: &Spec, grants: &[PortGrant]) {
        let ports = granted(&spec.ports, grants).into_iter();
        let openings: BTreeSet<_> =
            ports.map(|(port, protocol)| Opening { port, protocol }).collect();
        if !openings.is_empty() {
            self.inner.wanted().insert(id, openings);
        }
    }

    /// Opens the ports of an instance. Nothing where they are open, or where there is no firewall.
    pub async fn open(
        &self,
        id: InstanceId,
        spec: &Spec,
        grants: &[PortGrant],
    ) -> Result<(), FirewallError> {
        self.adopt(id, spec, grants);
        self.settle().await
    }

    /// Closes the ports of an instance that is gone. What fails is made up for the next time.
    pub async fn close(&self, id: InstanceId) {
        let had = self.inner.wanted().remove(&id).is_some();
        if had && let Err(error) = self.settle().await {
            warn!(instance.id = %id, %error, "the ports of instance {id} are still open: {error}");
        }
    }

    /// Brings the firewall in line with what is wanted, and nothing else of ours.
    pub async fn settle(&self) -> Result<(), FirewallError> {
        let inner = &self.inner;
        if inner.settings.plug == Plug::None {
            return Ok(());
        }
        // Who waits here finds its ports opened by whoever came before.
        let mut open = inner.open.lock().await;
        let wanted: BTreeSet<Opening> = inner.wanted().values().flatten().copied().collect();
        if open.as_ref() == Some(&wanted) {
            return Ok(());
        }
        match inner.settings.plug {
            Plug::None => {}
            Plug::Nftables => {
                let range = inner.range;
                let script = nft::script(&inner.settings.table, &inner.node, range, &wanted)?;
                told("nft", &["-f", "-"], &script).await?;
            }
            Plug::Ufw => {
                let there = match open.take() {
                    Some(there) => there,
                    None => ufw::ours(&told("ufw", &["show", "added"], "").await?, &inner.node),
                };
                for words in ufw::changes(&there, &wanted, &inner.node) {
                    told("ufw", &words.iter().map(String::as_str).collect::<Vec<_>>(), "").await?;
                }
            }
        }
        *open = Some(wanted);
        Ok(())
    }
}

impl Inner {
    fn wanted(&self) -> MutexGuard<'_, BTreeMap<InstanceId, BTreeSet<Opening>>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a program with this input; what it prints.
async fn told(program: &str, words: &[&str], input: &str) -> Result<String, FirewallError> {
    let failed = |why: String| FirewallError(format!("`{program}`: {why}"));
    let child = Command::new(program)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = child.map_err(|error| failed(error.to_string()))?;
    let ran = async {
        if let Some(mut stdin) = child.stdin.take() {
            // One that does not read says why not.
            stdin.write_all(input.as_bytes()).await.ok();
        }
        child.wait_with_output().await
    };
    let output = tokio::time::timeout(PATIENCE, ran).await;
    let output = output.map_err(|_| failed(format!("no answer within {PATIENCE:?}")))?;
    let output = output.map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let said = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    Err(failed(format!("{}: {}", output.status, said.chars().take(300).collect::<String>())))
}
