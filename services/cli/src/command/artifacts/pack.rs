//! What is uploaded: a file as it is, or a folder packed so that the same folder gives the same
//! bytes.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use flate2::{Compression, GzBuilder};
use futures::Stream;
use sha2::{Digest as _, Sha256};

use crate::failure::Failure;

/// So much is read at a time.
const PART: usize = 256 * 1024;

/// Something to upload, whose hash is known.
#[derive(Debug)]
pub(super) struct Packed {
    file: File,
    pub(super) size: u64,
    pub(super) sha256: String,
}

/// A hash that grows.
#[derive(Debug)]
pub(in crate::command) struct Digesting(Sha256);

impl Digesting {
    pub(in crate::command) fn new() -> Self {
        Self(Sha256::new())
    }

    pub(in crate::command) fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// As hexadecimal digits.
    pub(in crate::command) fn finish(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

pub(super) fn cannot(what: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!("cannot {what} `{}`: {error}", path.display()))
}

/// Makes ready what is to be uploaded.
pub(super) fn pack(path: &Path) -> Result<Packed, Failure> {
    let read = |error: io::Error| cannot("read", path, &error);
    let mut file = if path.as_os_str() == "-" {
        let mut copy = tempfile::tempfile().map_err(Failure::failed)?;
        io::copy(&mut io::stdin().lock(), &mut copy).map_err(read)?;
        copy
    } else if path.is_dir() {
        let mut packed = tempfile::tempfile().map_err(Failure::failed)?;
        folder(path, &mut packed).map_err(read)?;
        packed
    } else {
        File::open(path).map_err(read)?
    };
    file.seek(SeekFrom::Start(0)).map_err(read)?;
    let (mut digest, mut size) = (Digesting::new(), 0u64);
    let mut buffer = vec![0; PART];
    loop {
        let length = file.read(&mut buffer).map_err(read)?;
        if length == 0 {
            break;
        }
        digest.add(&buffer[..length]);
        size += u64::try_from(length).unwrap_or(u64::MAX);
    }
    file.seek(SeekFrom::Start(0)).map_err(read)?;
    Ok(Packed { file, size, sha256: digest.finish() })
}

impl Packed {
    /// What is sent, part by part.
    pub(super) fn parts(self) -> impl Stream<Item = io::Result<Vec<u8>>> + Send + 'static {
        futures::stream::unfold(Some(self.file), |file| async move {
            let mut file = file?;
            let reading = tokio::task::spawn_blocking(move || {
                let mut buffer = vec![0; PART];
                let length = file.read(&mut buffer)?;
                buffer.truncate(length);
                Ok((buffer, file))
            });
            match reading.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
                Ok((part, _)) if part.is_empty() => None,
                Ok((part, file)) => Some((Ok(part), Some(file))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }
}

/// Packs a folder: names in order, no owners, no times, modes without what others may not do.
fn folder(path: &Path, to: &mut File) -> io::Result<()> {
    let gzip = GzBuilder::new().mtime(0).write(to, Compression::default());
    let mut builder = tar::Builder::new(gzip);
    let mut waiting = vec![PathBuf::new()];
    while let Some(here) = waiting.pop() {
        let mut names: Vec<_> = fs::read_dir(path.join(&here))?
            .map(|e| Ok(e?.file_name()))
            .collect::<io::Result<_>>()?;
        names.sort();
        for name in names {
            let inside = here.join(name);
            let full = path.join(&inside);
            let kind = fs::symlink_metadata(&full)?.file_type();
            if kind.is_dir() {
                let mut header = header(tar::EntryType::Directory, 0o755);
                builder.append_data(&mut header, &inside, io::empty())?;
                waiting.push(inside);
            } else if kind.is_symlink() {
                let mut header = header(tar::EntryType::Symlink, 0o777);
                builder.append_link(&mut header, &inside, fs::read_link(&full)?)?;
            } else if kind.is_file() {
                let runs = fs::metadata(&full)?.permissions().mode() & 0o111 != 0;
                let mode = if runs { 0o755 } else { 0o644 };
                file(&mut builder, (&full, &inside), mode)?;
            } else {
                let what = format!("`{}` is neither file, folder nor link", full.display());
                return Err(io::Error::other(what));
            }
        }
    }
    builder.into_inner()?.finish()?.flush()
}

fn header(kind: tar::EntryType, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(0);
    header
}

fn file(
    builder: &mut tar::Builder<impl io::Write>,
    (from, path): (&Path, &Path),
    mode: u32,
) -> io::Result<()> {
    let file = File::open(from)?;
    let size = file.metadata()?.len();
    let mut header = header(tar::EntryType::Regular, mode);
    header.set_size(size);
    // A file that is written to while it is read must not spoil what follows.
    let mut content = file.take(size);
    builder.append_data(&mut header, path, &mut content)?;
    match content.limit() {
        0 => Ok(()),
        _ => Err(io::Error::other(format!("`{}` became shorter meanwhile", from.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(dir: &Path, names: &[&str]) {
        for name in names {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, name).expect("written");
        }
    }

    #[test]
    fn the_same_folder_packs_to_the_same_bytes() {
        let (one, two) = (tempfile::tempdir().expect("a"), tempfile::tempdir().expect("b"));
        made(one.path(), &["b/x", "a", "b/y/z", "c"]);
        made(two.path(), &["c", "b/y/z", "a", "b/x"]);
        let (one, two) = (pack(one.path()).expect("packs"), pack(two.path()).expect("packs"));
        assert_eq!((one.size, &one.sha256), (two.size, &two.sha256));
        let other = tempfile::tempdir().expect("c");
        made(other.path(), &["a"]);
        assert_ne!(pack(other.path()).expect("packs").sha256, one.sha256);
    }
}
