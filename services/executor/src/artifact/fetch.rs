//! Fetching: parts of at most 512 KiB, a few on their way, from where the last attempt ended.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use futures::StreamExt as _;
use ostler_bus::{Bus, CHUNK, Caller};
use ostler_core::artifact::ArtifactRef;
use ostler_core::id::ContentHash;
use ostler_schemas::pb;
use ostler_schemas::problem::{Code, Problem};
use ostler_service::clock;
use sha2::{Digest as _, Sha256};
use tracing::{debug, info};

use super::{ArtifactError, Inner, Known};

/// So many parts are on their way at once.
const AHEAD: usize = 4;
/// Between two attempts.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(500);

/// Whether asking again may help.
const fn again(code: Code) -> bool {
    match code {
        Code::Unavailable | Code::Timeout | Code::Internal | Code::LimitExceeded => true,
        Code::Malformed
        | Code::Invalid
        | Code::NotFound
        | Code::Conflict
        | Code::RevisionMismatch
        | Code::Infeasible
        | Code::Forbidden => false,
    }
}

fn caller() -> Caller {
    Caller::program("executor")
}

/// What was fetched so far: the file that grows, and the hash of what is in it.
struct Partial {
    path: PathBuf,
    file: std::fs::File,
    digest: Sha256,
    length: u64,
}

impl Partial {
    /// What an earlier attempt left, or nothing; what cannot be of this content is not used.
    fn open(path: &Path, size: u64) -> std::io::Result<Self> {
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.read(true).append(true).create(true).open(path)?;
        if file.metadata()?.len() > size {
            file.set_len(0)?;
        }
        let (mut digest, mut length) = (Sha256::new(), 0u64);
        let mut buffer = vec![0; 128 * 1024];
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            digest.update(&buffer[..read]);
            length += u64::try_from(read).unwrap_or(u64::MAX);
        }
        Ok(Self { path: path.to_owned(), file, digest, length })
    }

    fn add(&mut self, data: &[u8]) -> std::io::Result<()> {
        self.file.write_all(data)?;
        self.digest.update(data);
        self.length += u64::try_from(data.len()).unwrap_or(u64::MAX);
        Ok(())
    }

    /// Gives the file its final name if it is right; removes it otherwise.
    fn finish(self, known: Known, to: &Path) -> std::io::Result<Result<(), ContentHash>> {
        let found = ContentHash(self.digest.finalize().into());
        if found != known.sha256 {
            std::fs::remove_file(&self.path)?;
            return Ok(Err(found));
        }
        self.file.sync_all()?;
        std::fs::rename(&self.path, to)?;
        Ok(Ok(()))
    }
}

impl Inner {
    /// The bus, waited for as long as a fetch may stand still.
    async fn bus(&self, artifact: &str) -> Result<Bus, ArtifactError> {
        let mut there = self.bus.subscribe();
        let wait = there.wait_for(Option::is_some);
        let found = match tokio::time::timeout(self.bounds.patience, wait).await {
            Ok(Ok(bus)) => bus.clone(),
            Ok(Err(_)) | Err(_) => None,
        };
        found.ok_or_else(|| ArtifactError::Unavailable {
            artifact: artifact.to_owned(),
            cause: "there is no connection to the fleet".to_owned(),
        })
    }

    /// Asks which content an artifact is.
    pub(super) async fn ask(
        &self,
        reference: &ArtifactRef,
    ) -> Result<(ArtifactRef, Known), ArtifactError> {
        let artifact = reference.to_string();
        let bus = self.bus(&artifact).await?;
        let begun = clock::instant();
        let reply = loop {
            let request = pb::BlobStat { artifact: artifact.clone() };
            match bus.call(&request, &caller()).await {
                Ok(reply) => break reply,
                Err(problem) if problem.code == Code::NotFound => {
                    return Err(ArtifactError::Missing(artifact));
                }
                Err(problem) => self.pause(&artifact, begun, problem).await?,
            }
        };
        let known = Known { sha256: reply.sha256.parse()?, size: reply.size };
        Ok((ArtifactRef { version: Some(reply.version), ..reference.clone() }, known))
    }

    /// Waits before the next attempt, or gives up.
    async fn pause(
        &self,
        artifact: &str,
        progress: std::time::Instant,
        problem: Problem,
    ) -> Result<(), ArtifactError> {
        if !again(problem.code) || clock::since(progress) > self.bounds.patience {
            let artifact = artifact.to_owned();
            return Err(ArtifactError::Unavailable { artifact, cause: problem.to_string() });
        }
        debug!(error = %problem, "artifact `{artifact}` is asked for again: {problem}");
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }

    /// Fetches content into its place.
    pub(super) async fn fetch(&self, artifact: &str, known: Known) -> Result<(), ArtifactError> {
        let to = self.content(known.sha256);
        let part = to.with_extension("part");
        let opened = {
            let part = part.clone();
            tokio::task::spawn_blocking(move || Partial::open(&part, known.size)).await
        };
        let opened = opened.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        let mut partial = opened.map_err(|error| ArtifactError::host(&part, error))?;
        let (from, begun) = (partial.length, clock::instant());
        self.fill(artifact, known, &mut partial).await?;
        let finished = {
            let to = to.clone();
            tokio::task::spawn_blocking(move || partial.finish(known, &to)).await
        };
        let finished = finished.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        match finished.map_err(|error| ArtifactError::host(&to, error))? {
            Ok(()) => {
                let (bytes, took) = (known.size - from, clock::since(begun));
                info!(bytes, "artifact `{artifact}` was fetched in {took:?}");
                Ok(())
            }
            Err(found) => Err(ArtifactError::Damaged { artifact: artifact.to_owned(), found }),
        }
    }

    /// Fetches until all is there; what breaks off goes on.
    async fn fill(
        &self,
        artifact: &str,
        known: Known,
        partial: &mut Partial,
    ) -> Result<(), ArtifactError> {
        let bus = self.bus(artifact).await?;
        let mut progress = clock::instant();
        while partial.length < known.size {
            let before = partial.length;
            let broke = some(&bus, known, partial).await;
            if partial.length > before {
                progress = clock::instant();
            }
            match broke {
                Ok(()) => {}
                Err(Broke::Host(error)) => {
                    return Err(ArtifactError::host(&partial.path, error));
                }
                Err(Broke::Bus(problem)) if problem.code == Code::NotFound => {
                    return Err(ArtifactError::Missing(artifact.to_owned()));
                }
                Err(Broke::Bus(problem)) => self.pause(artifact, progress, problem).await?,
            }
        }
        Ok(())
    }
}

/// Why a row of parts ended early.
enum Broke {
    Host(std::io::Error),
    Bus(Problem),
}

/// Fetches parts in their order until all are there or one does not come. A part that is shorter
/// than asked for, as the last and the one before a chunk's end are, ends the row.
async fn some(bus: &Bus, known: Known, partial: &mut Partial) -> Result<(), Broke> {
    let from = partial.length;
    let step = u64::from(CHUNK);
    // Parts do not reach over the end of a chunk: the first goes as far as there.
    let first = step - from % step;
    let rest = (0..).map(|index| (from + first + index * step, step));
    let rows = std::iter::once((from, first)).chain(rest);
    let rows = rows.take_while(|(offset, _)| *offset < known.size);
    let caller = caller();
    let ask = |(offset, length): (u64, u64)| {
        let length = u32::try_from(length).unwrap_or(CHUNK);
        let request = pb::BlobGet { sha256: known.sha256.to_string(), offset, length };
        let caller = &caller;
        async move { (offset, bus.call(&request, caller).await) }
    };
    let mut parts = futures::stream::iter(rows).map(ask).buffered(AHEAD);
    while let Some((offset, part)) = parts.next().await {
        let part = part.map_err(Broke::Bus)?;
        if part.data.is_empty() || part.size != known.size {
            let problem = Problem::new(Code::Unavailable, "a part of it is missing");
            return Err(Broke::Bus(problem));
        }
        if offset != partial.length {
            return Ok(());
        }
        partial.add(&part.data).map_err(Broke::Host)?;
    }
    Ok(())
}
