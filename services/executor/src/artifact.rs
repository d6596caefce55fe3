//! Artifacts on this host: fetched once however many instances ask, checked, kept for the next.
//!
//! What an instance holds is never removed; of the rest, what was used least recently goes first
//! when room is needed. A fetch that broke off goes on where it was. Nothing has its final name
//! before it is whole and its hash is right.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ostler_bus::Bus;
use ostler_core::artifact::ArtifactRef;
use ostler_core::id::{ContentHash, IdError, InstanceId};
use thiserror::Error;
use tokio::sync::watch;

mod cache;
mod fetch;
mod tree;
pub mod unpack;

use cache::{Cache, Kind};
pub use unpack::{Limits, Trust, UnpackError};

/// Why an artifact is not at hand. Nothing is left of the attempt but what a later one goes on
/// from.
#[derive(Debug, Error)]
pub enum ArtifactError {
    /// The text names none.
    #[error(transparent)]
    Reference(#[from] IdError),
    /// There is none of this name.
    #[error("there is no artifact `{0}` any more")]
    Missing(String),
    /// Nobody answers, for longer than is waited for.
    #[error("artifact `{artifact}` cannot be fetched: {cause}")]
    Unavailable {
        /// Which.
        artifact: String,
        /// What the last attempt said.
        cause: String,
    },
    /// What came is not what its hash says.
    #[error("artifact `{artifact}` came damaged: its sha256 is {found}")]
    Damaged {
        /// Which.
        artifact: String,
        /// What was computed.
        found: ContentHash,
    },
    /// It is larger than everything that may be kept.
    #[error("artifact `{artifact}` has {size} bytes, `executor.artifact_cache` is {most}")]
    TooLarge {
        /// Which.
        artifact: String,
        /// How large it is.
        size: u64,
        /// How much may be kept.
        most: u64,
    },
    /// Everything that is kept is in use.
    #[error(
        "no room for the {size} bytes of `{artifact}`: all of `executor.artifact_cache` is in use"
    )]
    Full {
        /// Which.
        artifact: String,
        /// How large it is.
        size: u64,
    },
    /// It cannot be unpacked.
    #[error("artifact `{artifact}` cannot be unpacked: {source}")]
    Unpack {
        /// Which.
        artifact: String,
        /// Why not.
        source: UnpackError,
    },
    /// The host does not let us.
    #[error("`{path}`: {cause}")]
    Host {
        /// Where.
        path: String,
        /// What it says.
        cause: String,
    },
}

impl ArtifactError {
    /// Whether another node might succeed.
    #[must_use]
    pub const fn is_of_this_node(&self) -> bool {
        match self {
            Self::Unavailable { .. }
            | Self::TooLarge { .. }
            | Self::Full { .. }
            | Self::Damaged { .. }
            | Self::Host { .. } => true,
            Self::Reference(_) | Self::Missing(_) | Self::Unpack { .. } => false,
        }
    }

    fn host(path: &Path, cause: impl ToString) -> Self {
        Self::Host { path: path.display().to_string(), cause: cause.to_string() }
    }
}

/// What may be kept and unpacked.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// All that is kept, in bytes.
    pub cache: u64,
    /// What one artifact may be unpacked.
    pub unpacked: Limits,
    /// How long nothing may come before a fetch is given up.
    pub patience: Duration,
}

/// The artifacts of a host. Cheap to clone; all clones are the same.
#[derive(Debug, Clone)]
pub struct Artifacts {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    bounds: Bounds,
    cache: Cache,
    bus: watch::Sender<Option<Bus>>,
}

/// Which content an artifact is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    sha256: ContentHash,
    size: u64,
}

impl Artifacts {
    /// Those in `dir`, which is made if it is not there.
    pub fn open(dir: PathBuf, bounds: Bounds) -> Result<Self, ArtifactError> {
        for part in ["content", "names", "trees"] {
            let path = dir.join(part);
            std::fs::create_dir_all(&path).map_err(|error| ArtifactError::host(&path, error))?;
        }
        let cache = Cache::read(&dir, bounds.cache);
        let bus = watch::Sender::new(None);
        Ok(Self { inner: Arc::new(Inner { dir, bounds, cache, bus }) })
    }

    /// The bus is there: what is missing can be fetched.
    pub fn link(&self, bus: Bus) {
        self.inner.bus.send_replace(Some(bus));
    }

    /// The file of an artifact, fetched if it is not here. It stays until the instance lets go.
    pub async fn hold(&self, id: InstanceId, artifact: &str) -> Result<PathBuf, ArtifactError> {
        let inner = &self.inner;
        let known = inner.known(artifact).await?;
        let path = inner.content(known.sha256);
        inner.cache.claim((Kind::Content, known.sha256), id, known.size).map_err(|refused| {
            let artifact = artifact.to_owned();
            match refused {
                cache::Refused::TooLarge { most } => {
                    ArtifactError::TooLarge { artifact, size: known.size, most }
                }
                cache::Refused::Full => ArtifactError::Full { artifact, size: known.size },
            }
        })?;
        let gate = inner.cache.gate(known.sha256);
        let _one_at_a_time = gate.lock().await;
        if !path.exists()
            && let Err(error) = inner.fetch(artifact, known).await
        {
            inner.cache.drop_claim((Kind::Content, known.sha256), id);
            return Err(error);
        }
        Ok(path)
    }

    /// The unpacked tree of an artifact, shared by all instances that hold it: not to be written.
    pub async fn hold_tree(
        &self,
        id: InstanceId,
        artifact: &str,
    ) -> Result<PathBuf, ArtifactError> {
        let file = self.hold(id, artifact).await?;
        let known = self.inner.known(artifact).await?;
        let gate = self.inner.cache.gate(known.sha256);
        let _one_at_a_time = gate.lock().await;
        let inner = Arc::clone(&self.inner);
        let (name, made) = (artifact.to_owned(), self.inner.tree(known.sha256));
        let unpacking = tokio::task::spawn_blocking(move || inner.unpack_tree(&name, known, &file));
        let bytes = unpacking.await.map_err(|error| ArtifactError::host(&made, error))??;
        self.inner.cache.note((Kind::Tree, known.sha256), id, bytes);
        // The tree is what is used from now on.
        self.inner.cache.drop_claim((Kind::Content, known.sha256), id);
        Ok(made)
    }

    /// An instance that was adopted still uses this: nothing is fetched.
    pub fn hold_again(&self, id: InstanceId, artifact: &str) {
        if let Ok(reference) = artifact.parse()
            && let Some(known) = self.inner.noted(&reference)
        {
            self.inner.cache.claim_again(known.sha256, id);
        }
    }

    /// The instance uses nothing any more.
    pub fn release(&self, id: InstanceId) {
        self.inner.cache.release(id);
    }

    /// Unpacks an artifact into a directory that is not there yet; there is all of it, or nothing.
    pub async fn unpack_into(
        &self,
        id: InstanceId,
        artifact: &str,
        (into, trust): (&Path, Trust),
    ) -> Result<(), ArtifactError> {
        let file = self.hold(id, artifact).await?;
        let (name, into) = (artifact.to_owned(), into.to_owned());
        let limits = self.inner.bounds.unpacked;
        let unpacking = tokio::task::spawn_blocking({
            let into = into.clone();
            move || tree::whole(&name, &file, (&into, trust), limits).map(drop)
        });
        let unpacked = unpacking.await;
        self.release(id);
        unpacked.unwrap_or_else(|error| Err(ArtifactError::host(&into, error)))
    }
}

impl Inner {
    fn content(&self, sha256: ContentHash) -> PathBuf {
        self.dir.join("content").join(sha256.to_string())
    }

    fn tree(&self, sha256: ContentHash) -> PathBuf {
        self.dir.join("trees").join(sha256.to_string())
    }

    fn name(&self, reference: &ArtifactRef) -> PathBuf {
        self.dir.join("names").join(reference.to_string())
    }

    /// What is noted of a version: it never changes.
    fn noted(&self, reference: &ArtifactRef) -> Option<Known> {
        reference.version?;
        let text = std::fs::read_to_string(self.name(reference)).ok()?;
        let (sha256, size) = text.trim().split_once(' ')?;
        Some(Known { sha256: sha256.parse().ok()?, size: size.parse().ok()? })
    }

    async fn known(&self, artifact: &str) -> Result<Known, ArtifactError> {
        let reference: ArtifactRef = artifact.parse()?;
        if let Some(known) = self.noted(&reference) {
            return Ok(known);
        }
        let (reference, known) = self.ask(&reference).await?;
        let path = self.name(&reference);
        // Without the note it is asked for again.
        drop(std::fs::write(&path, format!("{} {}\n", known.sha256, known.size)));
        Ok(known)
    }
}
