//! What the executor knows of its instances, on disk before it acts on it.
//!
//! A crash at any point can be resumed: what was to be started is known before it is, so it is
//! looked for and not started twice. SQLite with WAL: a commit survives the executor's death (a
//! power cut ends the instances as well). With the `sim` driver alone nothing is written.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ostler_core::id::{InstanceId, PoolName, SpecHash};
use ostler_core::instance::Spec;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tracing::error;

pub use crate::supervise::Applied;
use crate::supervise::Life;

mod sqlite;

/// Why the journal cannot be used.
#[derive(Debug, Error)]
pub enum JournalError {
    /// It cannot be opened, read or written. What was to be written is not there.
    #[error("the journal `{path}` cannot be used")]
    Database {
        /// Which.
        path: String,
        /// Why not.
        #[source]
        source: sqlx::Error,
    },
    /// The directory cannot be made.
    #[error("cannot make `{path}`")]
    Directory {
        /// Which.
        path: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Another executor is at work there. Nothing was touched.
    #[error("another executor uses `{path}`")]
    InUse {
        /// Which directory.
        path: String,
    },
}

/// Which manifest was applied, and of which pool.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Standing {
    /// The pool; `None`: written by an executor that did not say.
    #[serde(default)]
    pub pool: Option<PoolName>,
    /// The manifest.
    #[serde(flatten)]
    pub manifest: Applied,
}

/// What the journal held.
#[derive(Debug, Default)]
pub struct Saved {
    /// Which manifest was applied.
    pub applied: Standing,
    /// The instances, with their specifications.
    pub lives: Vec<Life>,
}

/// What is to be written together.
#[derive(Debug, Default)]
pub struct Changes {
    /// Which manifest was applied, if that changed.
    pub applied: Option<Standing>,
    /// Specifications that instances need, by hash.
    pub specs: BTreeMap<SpecHash, Arc<Spec>>,
    /// Instances as they are now.
    pub lives: Vec<Life>,
    /// Instances that are forgotten.
    pub forgotten: Vec<InstanceId>,
}

/// The journal.
#[derive(Debug)]
pub enum Journal {
    /// Nothing is kept.
    Memory,
    /// A database.
    Sqlite(Box<sqlite::Sqlite>),
}

impl Journal {
    /// Opens the one in `data_dir`, or makes it; takes the directory for this executor alone.
    pub async fn open(data_dir: Option<&Path>) -> Result<(Self, Saved), JournalError> {
        let Some(dir) = data_dir else { return Ok((Self::Memory, Saved::default())) };
        let (journal, saved) = sqlite::Sqlite::open(dir).await?;
        Ok((Self::Sqlite(Box::new(journal)), saved))
    }

    /// Whether anything is kept.
    #[must_use]
    pub const fn is_kept(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }

    /// Writes all or nothing.
    pub async fn write(&mut self, changes: &Changes) -> Result<(), JournalError> {
        match self {
            Self::Memory => Ok(()),
            Self::Sqlite(journal) => journal.write(changes).await,
        }
    }
}

/// Reads a record; one that cannot be read is told and passed over.
fn read_life(id: &str, record: &str) -> Option<Life> {
    serde_json::from_str(record)
        .map_err(|cause| {
            error!(instance.id = id, error = %cause, "the journal's record of instance {id} cannot be read");
        })
        .ok()
}
