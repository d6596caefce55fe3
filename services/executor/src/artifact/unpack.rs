//! Unpacks what anybody may have packed: nothing of it lands outside, and all of it is bounded.
//!
//! Every path is opened by the kernel as if the directory were the root (`RESOLVE_IN_ROOT`), so no
//! `..`, link or race leads out. Headers are read raw: long names and the like are bounded before
//! they are in memory.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use tar::{Archive, EntryType};
use thiserror::Error;

mod entry;
mod place;

use entry::{Header, Headers};
use place::Place;

/// Why nothing was unpacked.
#[derive(Debug, Error)]
pub enum UnpackError {
    /// A path leads out of the directory.
    #[error("`{0}` leads out of the directory")]
    Escapes(String),
    /// A link leads out of the directory.
    #[error("the link `{path}` leads out of the directory, to `{target}`")]
    Link {
        /// The link.
        path: String,
        /// Where it leads.
        target: String,
    },
    /// It is a device, a pipe or a socket.
    #[error("`{0}` is a device, a pipe or a socket")]
    Special(String),
    /// There are too many files.
    #[error("it has more than {0} files")]
    TooMany(u64),
    /// It is too large.
    #[error("unpacked it has more than {0} bytes (`executor.artifact_unpacked`)")]
    TooLarge(u64),
    /// A name, or what stands in the place of one, is too long.
    #[error("a name in it is longer than 4096 bytes")]
    LongName,
    /// It is packed in a way that is not read.
    #[error("`{path}`: {what} are not read")]
    Unread {
        /// What is packed so.
        path: String,
        /// In which way.
        what: &'static str,
    },
    /// It is damaged, or the host does not let us.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl From<rustix::io::Errno> for UnpackError {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Io(error.into())
    }
}

/// How much may be unpacked.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// In bytes.
    pub bytes: u64,
    /// In files, directories and links.
    pub entries: u64,
}

/// What is unpacked, and so what may be in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// The files of a program: links stay inside, no set-user-id, all belong to this user and
    /// group (to ourselves if `None`).
    Package(Option<(u32, u32)>),
    /// The root of a whole system, which is only ever seen as a root: links lead where they want,
    /// owners and modes are as packed, devices are passed over.
    System,
}

/// Unpacks a tar, plain or packed by gzip or zstd; what is none becomes a file `name` that can be
/// run. The directory has to be empty. Returns how many bytes there are. An error leaves what was
/// unpacked until then.
pub fn unpack(
    (file, name): (&Path, &str),
    into: &Path,
    trust: Trust,
    limits: Limits,
) -> Result<u64, UnpackError> {
    let root = rustix::fs::open(into, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut place = Place::new(root, trust, limits);
    // As many bytes for headers and padding as so many files may have.
    let most = limits.bytes.saturating_add(limits.entries.saturating_mul(2048)).max(1 << 20);
    match tar_in(file)? {
        Some(reader) => entries(Bounded { reader, left: most }, &mut place)?,
        None => place.file((&[], name), (0o755, (0, 0)), &mut File::open(file)?)?,
    }
    place.finish()
}

/// A reader that fails rather than going on for ever.
struct Bounded {
    reader: Box<dyn Read>,
    left: u64,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        let length = u64::try_from(read).unwrap_or(u64::MAX);
        match self.left.checked_sub(length) {
            Some(left) => {
                self.left = left;
                Ok(read)
            }
            None => Err(io::Error::other("it unpacks to more than may be")),
        }
    }
}

/// The tar in a file; `None` if there is none.
fn tar_in(path: &Path) -> io::Result<Option<Box<dyn Read>>> {
    let mut file = File::open(path)?;
    let magic = beginning(&mut file)?;
    file.seek(SeekFrom::Start(0))?;
    let file = BufReader::with_capacity(128 * 1024, file);
    let mut reader: Box<dyn Read> = match magic.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(file)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::Decoder::with_buffer(file)?),
        _ => Box::new(file),
    };
    // What looks packed and cannot be read is a file like any other.
    let Ok(inside) = beginning(&mut reader) else { return Ok(None) };
    let is_tar = inside.get(257..262) == Some(b"ustar".as_slice());
    let whole: Box<dyn Read> = Box::new(io::Cursor::new(inside).chain(reader));
    Ok(is_tar.then_some(whole))
}

fn beginning(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut block = Vec::with_capacity(512);
    reader.take(512).read_to_end(&mut block)?;
    Ok(block)
}

fn entries(reader: Bounded, place: &mut Place) -> Result<(), UnpackError> {
    let mut archive = Archive::new(reader);
    let mut headers = Headers::default();
    for entry in archive.entries()?.raw(true) {
        let mut entry = entry?;
        let Some(header) = headers.take(&mut entry)? else { continue };
        one(&header, &mut entry, place)?;
    }
    Ok(())
}

fn one(header: &Header, content: &mut impl Read, place: &mut Place) -> Result<(), UnpackError> {
    place.count()?;
    let path = header.shown();
    let Some((parents, name)) = entry::split(&header.path)? else {
        // The directory itself.
        return Ok(());
    };
    let at = (parents.as_slice(), name.as_str());
    match header.kind {
        EntryType::Regular | EntryType::Continuous => {
            return place.file(at, (header.mode, header.owner), content);
        }
        EntryType::Directory => place.directory(at, header.mode)?,
        EntryType::Symlink => place.symlink(at, header.target()?)?,
        EntryType::Link => return place.hardlink(at, header.target()?),
        EntryType::Char | EntryType::Block | EntryType::Fifo => {
            return place.special().then_some(()).ok_or(UnpackError::Special(path));
        }
        EntryType::GNUSparse => return Err(UnpackError::Unread { path, what: "sparse files" }),
        _ => return Err(UnpackError::Unread { path, what: "entries of this type" }),
    }
    place.own(at, header.owner)
}

/// Opens a directory below `root` as if that were the root of everything.
fn open_dir(root: &OwnedFd, path: &str) -> rustix::io::Result<OwnedFd> {
    let path = if path.is_empty() { "." } else { path };
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(root, path, flags, Mode::empty(), resolve)
}

#[cfg(test)]
mod tests;
