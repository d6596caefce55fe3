//! The node's key: who has it is this node.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nkeys::KeyPair;
use thiserror::Error;

/// Why there is no node key.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The file cannot be read or made.
    #[error("cannot use the node key `{path}`")]
    File {
        /// Which.
        path: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file holds no seed. It was not changed.
    #[error("`{path}` is no node key: {cause}")]
    Seed {
        /// Which.
        path: String,
        /// Why not.
        cause: String,
    },
}

/// The node key in `data_dir`, made if it is not there; without a directory one for this life.
pub fn node_key(data_dir: Option<&Path>) -> Result<KeyPair, KeyError> {
    let Some(dir) = data_dir else { return Ok(KeyPair::new_user()) };
    let path = dir.join("node.key");
    let name = || path.display().to_string();
    match fs::read_to_string(&path) {
        Ok(seed) => KeyPair::from_seed(seed.trim())
            .map_err(|error| KeyError::Seed { path: name(), cause: error.to_string() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = KeyPair::new_user();
            let seed = key.seed().expect("it was just made with one");
            let made = fs::create_dir_all(dir).and_then(|()| write_whole(dir, &path, &seed));
            made.map_err(|source| KeyError::File { path: name(), source })?;
            Ok(key)
        }
        Err(source) => Err(KeyError::File { path: name(), source }),
    }
}

/// A crash leaves the whole file or none.
fn write_whole(dir: &Path, path: &Path, seed: &str) -> io::Result<()> {
    let draft = dir.join("node.key.new");
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(seed.as_bytes())?;
    file.sync_all()?;
    fs::rename(draft, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_key_is_made_once_and_is_nobody_elses() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = node_key(Some(dir.path())).expect("made");
        let again = node_key(Some(dir.path())).expect("read");
        assert_eq!(first.public_key(), again.public_key());
        let mode = fs::metadata(dir.path().join("node.key")).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_broken_key_is_told_and_not_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("node.key"), "garbage").expect("written");
        assert!(matches!(node_key(Some(dir.path())), Err(KeyError::Seed { .. })));
        let left = fs::read_to_string(dir.path().join("node.key")).expect("there");
        assert_eq!(left, "garbage");
    }
}
