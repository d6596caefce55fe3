//! Unpacked trees: whole, or not there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::unpack::{self, Limits, Trust};
use super::{ArtifactError, Inner, Known};

/// What is being unpacked ends with this.
pub(super) const PART: &str = ".part";

/// Unpacks into a directory that is not there yet; returns how many bytes it takes. Twice is once.
pub(super) fn whole(
    artifact: &str,
    file: &Path,
    (into, trust): (&Path, Trust),
    limits: Limits,
) -> Result<u64, ArtifactError> {
    let part = with_end(into, PART);
    let host = |path: &Path| {
        let path = path.to_owned();
        move |error: io::Error| ArtifactError::host(&path, error)
    };
    clear(&part).map_err(host(&part))?;
    fs::create_dir_all(&part).map_err(host(&part))?;
    let name = artifact.split('@').next().unwrap_or(artifact);
    let unpacked = unpack::unpack((file, name), &part, trust, limits);
    let unpacked = unpacked.map_err(|source| {
        // Cleared before the next attempt, too.
        drop(clear(&part));
        ArtifactError::Unpack { artifact: artifact.to_owned(), source }
    })?;
    fs::rename(&part, into).map_err(host(into))?;
    Ok(unpacked)
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(end);
    path.with_file_name(name)
}

fn clear(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// How many bytes a tree takes, as was noted beside it.
pub(super) fn noted_size(tree: &Path) -> u64 {
    let text = fs::read_to_string(with_end(tree, ".size"));
    text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// Removes a tree and what was noted of it.
pub(super) fn remove(tree: &Path) -> io::Result<()> {
    // Under another name it is not found half removed.
    let part = with_end(tree, PART);
    clear(&part)?;
    fs::rename(tree, &part)?;
    drop(fs::remove_file(with_end(tree, ".size")));
    clear(&part)
}

impl Inner {
    /// Unpacks content into its tree, unless it is there; returns how many bytes it takes.
    pub(super) fn unpack_tree(
        &self,
        artifact: &str,
        known: Known,
        file: &Path,
    ) -> Result<u64, ArtifactError> {
        let tree = self.tree(known.sha256);
        if tree.exists() {
            return Ok(noted_size(&tree));
        }
        let bytes = whole(artifact, file, (&tree, Trust::System), self.bounds.unpacked)?;
        let size = with_end(&tree, ".size");
        fs::write(&size, bytes.to_string()).map_err(|error| ArtifactError::host(&size, error))?;
        Ok(bytes)
    }
}
