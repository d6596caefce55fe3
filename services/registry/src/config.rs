//! The section `[registry]`.

use std::net::SocketAddr;

use ostler_core::liveness;
use ostler_core::time::Span;
use serde::{Deserialize, Serialize};

/// Settings of the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where history is kept: `sqlite:<path>`, each replica its own, or `postgres://…`, one for all.
    /// It is a read model: delete it, and it fills again from the stream of events.
    pub database: String,
    /// Where `/healthz`, `/readyz` and `/metrics` are served.
    pub health_listen: SocketAddr,
    /// What tells replicas apart; drawn at start where it is empty.
    pub replica: String,
    /// A node that is silent for so long gets no new work.
    pub suspect_after: Span,
    /// The instances of a node that is silent for so long count as lost.
    pub offline_after: Span,
    /// Content that no artifact names, and uploads that were given up, are kept for so long.
    pub artifact_keep: Span,
    /// A specification that no workload and no manifest names is kept for so long.
    pub specs_kept_for: Span,
    /// The marker of a key that was removed, and what is left of a removed node, is kept for so long:
    /// longer than anybody who watches is away.
    pub markers_kept_for: Span,
}

impl Default for Config {
    fn default() -> Self {
        let silences = liveness::Settings::default();
        Self {
            database: "sqlite:/var/lib/ostler/registry.db".to_owned(),
            health_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            replica: String::new(),
            suspect_after: silences.suspect_after,
            offline_after: silences.offline_after,
            artifact_keep: Span::from_secs(3600),
            specs_kept_for: Span::from_secs(24 * 3_600),
            markers_kept_for: Span::from_secs(3_600),
        }
    }
}

impl Config {
    /// How long silences may be.
    pub(crate) fn silences(&self) -> liveness::Settings {
        let usual = liveness::Settings::default();
        // The longer patiences stay longer, whatever is set.
        let more = |span: Span| span.max(self.offline_after);
        liveness::Settings {
            suspect_after: self.suspect_after,
            offline_after: self.offline_after,
            offline_after_restart: more(usual.offline_after_restart),
            offline_after_in_crowd: more(usual.offline_after_in_crowd),
            ..usual
        }
    }
}
