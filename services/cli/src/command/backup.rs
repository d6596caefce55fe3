//! `ostler backup` and `restore`: all that a fleet knows, in one file.
//!
//! The file is a tar: `ostler-backup.json` says what is in it, then one entry for each stream as the
//! NATS server packs it. A file is written whole or not at all, and checked whole before anything of
//! it is restored.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use indicatif::ProgressBar;
use ostler_bus::backup::Copied;
use ostler_core::id::PoolName;
use ostler_service::Chain;
use serde::{Deserialize, Serialize};
use tempfile::{NamedTempFile, TempDir};

use super::artifacts::pack::Digesting;
use super::bus::connect;
use crate::args::BusTarget;
use crate::failure::Failure;
use crate::output;

/// The entry that says what is in the file.
const HEAD: &str = "ostler-backup.json";
/// How the file is laid out.
const FORMAT: u32 = 1;

/// What is in the file.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    /// How the file is laid out.
    format: u32,
    /// Which `ostler` made it.
    ostler: String,
    /// When, by the clock of the machine it was made on.
    made_at: String,
    /// Which life of the fleet it is a copy of.
    incarnation: u64,
    /// The fleet's pools.
    pools: Vec<PoolName>,
    /// The streams, in the order of the entries that follow.
    streams: Vec<Packed>,
}

/// One stream in the file.
#[derive(Debug, Serialize, Deserialize)]
struct Packed {
    copied: Copied,
    bytes: u64,
    sha256: String,
}

/// Counts and hashes what passes.
struct Measured<W> {
    into: W,
    bytes: u64,
    hash: Digesting,
}

impl<W> Measured<W> {
    fn new(into: W) -> Self {
        Self { into, bytes: 0, hash: Digesting::new() }
    }

    fn sha256(self) -> String {
        self.hash.finish()
    }
}

impl<W: Write> Write for Measured<W> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let written = self.into.write(piece)?;
        self.hash.add(&piece[..written]);
        self.bytes += u64::try_from(written).unwrap_or(u64::MAX);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.into.flush()
    }
}

/// Copies a running fleet into a file.
pub async fn backup(file: &Path, target: BusTarget) -> Result<(), Failure> {
    let (bus, pools) = connect(target).await?;
    bus.check(&pools).await.map_err(Failure::failed)?;
    let folder = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let room = TempDir::new_in(folder).map_err(|error| at(folder, &error))?;
    let incarnation = bus.incarnation().await.map_err(Failure::failed)?;
    let names = bus.copied_streams(&pools);
    let bar = ProgressBar::new(u64::try_from(names.len()).unwrap_or(0));
    let mut streams = Vec::new();
    for (number, name) in names.iter().enumerate() {
        bar.set_message(name.clone());
        let part = File::create(room.path().join(number.to_string()));
        let mut sink = Measured::new(part.map_err(|error| at(room.path(), &error))?);
        let copied = bus.copy_out(name, &mut sink).await.map_err(Failure::caused)?;
        streams.push(Packed { copied, bytes: sink.bytes, sha256: sink.sha256() });
        bar.inc(1);
    }
    bar.finish_and_clear();
    bus.drain().await;
    let head = Head {
        format: FORMAT,
        ostler: env!("CARGO_PKG_VERSION").to_owned(),
        made_at: jiff::Timestamp::now().to_string(),
        incarnation,
        pools,
        streams,
    };
    write(file, folder, &head, room.path()).map_err(|error| at(file, &error))?;
    let bytes: u64 = head.streams.iter().map(|one| one.bytes).sum();
    let count = head.streams.len();
    output::print(&format!("{}: {count} streams, {bytes} bytes\n", file.display()));
    Ok(())
}

/// The whole file under another name first, so that a broken one never has the right name.
fn write(file: &Path, folder: &Path, head: &Head, room: &Path) -> io::Result<()> {
    let whole = NamedTempFile::new_in(folder)?;
    let mut tar = tar::Builder::new(io::BufWriter::new(whole.as_file()));
    let text = serde_json::to_vec_pretty(head)?;
    append(&mut tar, HEAD, text.len(), text.as_slice())?;
    for (number, packed) in head.streams.iter().enumerate() {
        let part = File::open(room.join(number.to_string()))?;
        let length = usize::try_from(packed.bytes).map_err(io::Error::other)?;
        append(&mut tar, &format!("streams/{number}"), length, part)?;
    }
    tar.into_inner()?.flush()?;
    whole.as_file().sync_all()?;
    whole.persist(file).map_err(|error| error.error)?;
    Ok(())
}

fn append(
    tar: &mut tar::Builder<impl Write>,
    name: &str,
    length: usize,
    content: impl Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(u64::try_from(length).map_err(io::Error::other)?);
    header.set_mode(0o600);
    header.set_cksum();
    tar.append_data(&mut header, name, content)
}

/// Makes a fleet of a file, on NATS servers that have none.
pub async fn restore(file: &Path, target: BusTarget) -> Result<(), Failure> {
    let room = TempDir::new().map_err(Failure::failed)?;
    let head = read(file, room.path())?;
    let (bus, pools) = connect(target).await?;
    if pools != head.pools {
        let theirs: Vec<String> = head.pools.iter().map(|pool| format!("--pool {pool}")).collect();
        return Err(Failure::usage(format!("the file has other pools: say {}", theirs.join(" "))));
    }
    let copies: Vec<Copied> = head.streams.iter().map(|packed| packed.copied.clone()).collect();
    let refused = |error| Failure::refused(Chain(&error));
    bus.vacant(&copies, &pools).await.map_err(refused)?;
    let bar = ProgressBar::new(u64::try_from(copies.len()).unwrap_or(0));
    for (number, copied) in copies.iter().enumerate() {
        bar.set_message(copied.stream.clone());
        let part = File::open(room.path().join(number.to_string())).map_err(Failure::failed)?;
        bus.copy_in(copied, &mut io::BufReader::new(part)).await.map_err(Failure::caused)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    let life = bus.begin_life().await.map_err(Failure::caused)?;
    bus.provision(&pools).await.map_err(Failure::failed)?;
    bus.drain().await;
    output::print(&format!(
        "{} streams are restored as they were at {}; this is life {life} of the fleet.\n\
         Start the services: executors that still run their instances are adopted.\n",
        copies.len(),
        head.made_at,
    ));
    Ok(())
}

/// Takes the file apart into `room`; fails unless all of it is as its head says.
fn read(file: &Path, room: &Path) -> Result<Head, Failure> {
    let broken = |what: String| Failure::usage(format!("{}: {what}", file.display()));
    let opened = File::open(file).map_err(|error| at(file, &error))?;
    let mut tar = tar::Archive::new(io::BufReader::new(opened));
    let mut entries = tar.entries().map_err(|error| at(file, &error))?;
    let first = entries.next().ok_or_else(|| broken("is empty".to_owned()))?;
    let first = first.map_err(|error| broken(format!("is no backup: {error}")))?;
    if first.path().map_err(|error| at(file, &error))?.as_os_str() != HEAD {
        return Err(broken(format!("is no backup: it does not begin with `{HEAD}`")));
    }
    let head: Head = serde_json::from_reader(first)
        .map_err(|error| broken(format!("`{HEAD}` cannot be read: {error}")))?;
    if head.format != FORMAT {
        let theirs = head.format;
        return Err(broken(format!("has format {theirs}, this `ostler` reads {FORMAT}")));
    }
    for (number, packed) in head.streams.iter().enumerate() {
        let stream = &packed.copied.stream;
        let entry = entries.next().ok_or_else(|| broken(format!("ends before `{stream}`")))?;
        let mut entry = entry.map_err(|error| broken(format!("`{stream}`: {error}")))?;
        let part = File::create(room.join(number.to_string())).map_err(Failure::failed)?;
        let mut sink = Measured::new(part);
        io::copy(&mut entry, &mut sink).map_err(|error| broken(format!("`{stream}`: {error}")))?;
        if sink.bytes != packed.bytes || sink.sha256() != packed.sha256 {
            return Err(broken(format!("`{stream}` is damaged")));
        }
    }
    Ok(head)
}

fn at(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!("{}: {error}", path.display()))
}
