//! Headers of a tar, with the long names that come before them.

use std::io::Read;

use tar::{Entry, EntryType, PaxExtensions};

use super::UnpackError;

/// The longest path and the longest link.
const LONGEST: usize = 4096;
/// What stands in the place of names and the like may be so long.
const MOST_EXTENSION: u64 = 64 * 1024;

/// One file, directory or link.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) kind: EntryType,
    pub(super) path: Vec<u8>,
    link: Option<Vec<u8>>,
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
}

impl Header {
    /// The path as people read it.
    pub(super) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.path).into_owned()
    }

    /// Where a link leads.
    pub(super) fn target(&self) -> Result<&str, UnpackError> {
        let link = self.link.as_deref().unwrap_or_default();
        text(link)
    }
}

fn text(bytes: &[u8]) -> Result<&str, UnpackError> {
    if bytes.is_empty() || bytes.len() > LONGEST || bytes.contains(&0) {
        return Err(UnpackError::LongName);
    }
    std::str::from_utf8(bytes).map_err(|_| UnpackError::Unread {
        path: String::from_utf8_lossy(bytes).into_owned(),
        what: "names that are not UTF-8",
    })
}

/// A path's directories and its last name; `None` for the root itself. Absolute paths and `..`
/// are refused.
pub(super) fn split(path: &[u8]) -> Result<Option<(Vec<String>, String)>, UnpackError> {
    let path = text(path)?;
    let mut parts = Vec::new();
    if path.starts_with('/') {
        return Err(UnpackError::Escapes(path.to_owned()));
    }
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err(UnpackError::Escapes(path.to_owned())),
            name => parts.push(name.to_owned()),
        }
    }
    Ok(parts.pop().map(|name| (parts, name)))
}

/// What was said before an entry about it.
#[derive(Debug, Default)]
pub(super) struct Headers {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl Headers {
    /// The next header; `None` for what only says something about the next.
    pub(super) fn take<R: Read>(
        &mut self,
        entry: &mut Entry<'_, R>,
    ) -> Result<Option<Header>, UnpackError> {
        let kind = entry.header().entry_type();
        match kind {
            EntryType::GNULongName => self.path = Some(long(entry)?),
            EntryType::GNULongLink => self.link = Some(long(entry)?),
            EntryType::XHeader => self.pax(entry)?,
            EntryType::XGlobalHeader => drop(extension(entry)?),
            _ => {
                let header = entry.header();
                let id = |id: std::io::Result<u64>| u32::try_from(id.unwrap_or(0)).unwrap_or(0);
                return Ok(Some(Header {
                    kind,
                    path: self.path.take().unwrap_or_else(|| header.path_bytes().into_owned()),
                    link: self
                        .link
                        .take()
                        .or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned)),
                    mode: header.mode()?,
                    owner: (id(header.uid()), id(header.gid())),
                }));
            }
        }
        Ok(None)
    }

    fn pax<R: Read>(&mut self, entry: &mut Entry<'_, R>) -> Result<(), UnpackError> {
        let bytes = extension(entry)?;
        for extension in PaxExtensions::new(&bytes) {
            let extension = extension?;
            let unread = |what| {
                let path = extension.value().unwrap_or_default().to_owned();
                UnpackError::Unread { path, what }
            };
            match extension.key_bytes() {
                b"path" => self.path = Some(extension.value_bytes().to_vec()),
                b"linkpath" => self.link = Some(extension.value_bytes().to_vec()),
                // The header has another size then.
                b"size" => return Err(unread("files of 8 GiB and more")),
                key if key.starts_with(b"GNU.sparse") => return Err(unread("sparse files")),
                _ => {}
            }
        }
        Ok(())
    }
}

fn extension<R: Read>(entry: &mut Entry<'_, R>) -> Result<Vec<u8>, UnpackError> {
    if entry.header().entry_size()? > MOST_EXTENSION {
        return Err(UnpackError::LongName);
    }
    let mut bytes = Vec::new();
    entry.take(MOST_EXTENSION).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn long<R: Read>(entry: &mut Entry<'_, R>) -> Result<Vec<u8>, UnpackError> {
    let mut bytes = extension(entry)?;
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    Ok(bytes)
}
