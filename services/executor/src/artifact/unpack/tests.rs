//! What is packed to harm, and what is packed as usual.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use tar::{Builder, Header};

use super::*;

const LIMITS: Limits = Limits { bytes: 1 << 20, entries: 100 };
const PACKAGE: Trust = Trust::Package(None);

/// A tar of these: path, type, content or link.
fn packed(entries: &[(&str, EntryType, &str)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (path, kind, text) in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o4755);
        header.set_uid(7);
        header.set_gid(8);
        let link = matches!(kind, EntryType::Symlink | EntryType::Link);
        let content = if *kind == EntryType::Regular { text.as_bytes() } else { &[] };
        header.set_size(content.len().try_into().expect("it fits"));
        // As somebody would who means harm: `set_path` refuses what we want to try.
        let name = &mut header.as_old_mut().name;
        name[..path.len()].copy_from_slice(path.as_bytes());
        if link {
            header.as_old_mut().linkname[..text.len()].copy_from_slice(text.as_bytes());
        }
        header.set_cksum();
        builder.append(&header, content).expect("it is packed");
    }
    builder.into_inner().expect("it is packed")
}

struct Tried {
    dir: tempfile::TempDir,
    result: Result<u64, UnpackError>,
}

impl Tried {
    fn new(bytes: &[u8], trust: Trust, limits: Limits) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let (file, into) = (dir.path().join("file"), dir.path().join("into"));
        fs::write(&file, bytes).expect("written");
        fs::create_dir(&into).expect("made");
        let result = unpack((&file, "app"), &into, trust, limits);
        Self { dir, result }
    }

    fn error(&self) -> String {
        self.result.as_ref().map_or_else(ToString::to_string, |bytes| format!("{bytes} bytes"))
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join("into").join(name)
    }
}

use EntryType::{Char, Directory, Fifo, Link, Regular, Symlink};

#[test]
fn what_leads_out_is_refused_by_name() {
    for (entries, why) in [
        (vec![("../evil", Regular, "x")], "`../evil` leads out"),
        (vec![("a/../../evil", Regular, "x")], "`a/../../evil` leads out"),
        (vec![("/etc/evil", Regular, "x")], "`/etc/evil` leads out"),
        (vec![("a", Symlink, "/etc")], "the link `a` leads out of the directory, to `/etc`"),
        (vec![("d/a", Symlink, "../../x")], "the link `d/a` leads out"),
        (vec![("a", Link, "../file")], "the link `a` leads out"),
        (vec![("a", Link, "/etc/passwd")], "the link `a` leads out"),
        (vec![("dev/sda", Char, "")], "`dev/sda` is a device"),
        (vec![("pipe", Fifo, "")], "`pipe` is a device, a pipe or a socket"),
    ] {
        let tried = Tried::new(&packed(&entries), PACKAGE, LIMITS);
        assert!(tried.error().contains(why), "{entries:?}: {}", tried.error());
        assert!(!tried.dir.path().join("evil").exists());
    }
}

#[test]
fn a_link_to_the_outside_in_a_system_is_followed_inside_only() {
    let outside = tempfile::tempdir().expect("a directory");
    let target = outside.path().to_str().expect("text");
    let tar = packed(&[
        ("out", Symlink, target),
        ("out/file", Regular, "x"),
        ("up", Symlink, "../../.."),
        ("up/file", Regular, "y"),
    ]);
    let tried = Tried::new(&tar, Trust::System, LIMITS);
    assert!(fs::read_dir(outside.path()).expect("readable").next().is_none());
    // `out` leads to a directory that is not there inside; the kernel does not leave the root.
    assert!(tried.result.is_err(), "{}", tried.error());
    assert!(!tried.dir.path().join("file.txt").exists());
}

#[test]
fn there_is_an_end_to_files_and_to_bytes() {
    let many: Vec<(&str, EntryType, &str)> = vec![("a", Regular, "x"); 101];
    let tried = Tried::new(&packed(&many), PACKAGE, LIMITS);
    assert_eq!(tried.error(), "it has more than 100 files");
    let large = "x".repeat((1 << 20) + 1);
    let tried = Tried::new(&packed(&[("a", Regular, large.as_str())]), PACKAGE, LIMITS);
    assert!(tried.error().contains("more than 1048576 bytes"), "{}", tried.error());
    // A megabyte of zeros is a kilobyte as gzip.
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = "\0".repeat(64 << 20);
    gzip.write_all(&packed(&[("a", Regular, zeros.as_str())])).expect("packed");
    let tried = Tried::new(&gzip.finish().expect("packed"), PACKAGE, LIMITS);
    assert!(tried.error().contains("more than"), "{}", tried.error());
}

#[test]
fn a_package_is_unpacked_without_set_user_id_and_with_its_links() {
    let tar = packed(&[
        ("./", Directory, ""),
        ("bin/app", Regular, "#!/bin/sh"),
        ("bin/again", Link, "bin/app"),
        ("current", Symlink, "bin/app"),
        ("bin/app", Regular, "newer"),
    ]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar).expect("packed");
    for bytes in [
        tar.clone(),
        gzip.finish().expect("packed"),
        zstd::encode_all(tar.as_slice(), 0).expect("packed"),
    ] {
        let tried = Tried::new(&bytes, PACKAGE, LIMITS);
        assert_eq!(tried.result.as_ref().ok(), Some(&14), "{}", tried.error());
        assert_eq!(fs::read_to_string(tried.path("current")).expect("there"), "newer");
        assert_eq!(fs::read_to_string(tried.path("bin/again")).expect("there"), "#!/bin/sh");
        let mode = fs::metadata(tried.path("bin/app")).expect("there").permissions().mode();
        assert_eq!(mode & 0o7777, 0o755);
    }
}

#[test]
fn what_is_no_tar_becomes_a_file_that_can_be_run() {
    let tried = Tried::new(b"#!/bin/sh\nexit 0\n", PACKAGE, LIMITS);
    assert_eq!(tried.result.as_ref().ok(), Some(&17), "{}", tried.error());
    let meta = fs::metadata(tried.path("app")).expect("there");
    assert_eq!(meta.permissions().mode() & 0o777, 0o755);
}

#[test]
fn a_system_keeps_its_owners_and_modes_and_loses_its_devices() {
    let tar = packed(&[("dev/null", Char, ""), ("bin/su", Regular, "x"), ("etc", Symlink, "/x")]);
    let tried = Tried::new(&tar, Trust::System, LIMITS);
    assert_eq!(tried.result.as_ref().ok(), Some(&1), "{}", tried.error());
    assert!(!tried.path("dev/null").exists());
    let meta = fs::metadata(tried.path("bin/su")).expect("there");
    assert_eq!(meta.permissions().mode() & 0o7777, 0o4755);
    assert_eq!((meta.uid(), meta.gid()), (7, 8));
}
