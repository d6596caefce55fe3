//! Artifacts that anybody may have packed: nothing lands outside, and all is bounded.

use std::fs;
use std::path::Path;

use ostler_executor::artifact::unpack::{Limits, Trust, unpack};

const LIMITS: Limits = Limits { bytes: 64 * 1024, entries: 32 };

/// Unpacks the bytes as a package or as a whole system.
pub fn check(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let trust = if kind % 2 == 0 { Trust::Package(None) } else { Trust::System };
    let dir = tempfile::tempdir_in("/dev/shm").expect("a folder");
    let (file, into) = (dir.path().join("package"), dir.path().join("into"));
    fs::write(&file, bytes).expect("written");
    fs::create_dir(&into).expect("a folder");
    let unpacked = unpack((&file, "program"), &into, trust, LIMITS);
    let there: Vec<_> = fs::read_dir(dir.path()).expect("a folder").flatten().collect();
    assert_eq!(there.len(), 2, "something landed outside: {there:?}");
    assert_eq!(fs::read(&file).expect("it is there"), bytes, "the package was written to");
    let (files, size) = measure(&into);
    assert!(files <= LIMITS.entries * 8, "{files} files");
    assert!(size <= LIMITS.bytes, "{size} bytes");
    if let Ok(said) = unpacked {
        assert!(said <= LIMITS.bytes, "{said} bytes");
    }
}

/// How many files there are below, and how large they are together.
fn measure(dir: &Path) -> (u64, u64) {
    let mut sum = (0, 0);
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let Ok(about) = entry.path().symlink_metadata() else { continue };
        let below = if about.is_dir() { measure(&entry.path()) } else { (0, about.len()) };
        sum = (sum.0 + below.0 + 1, sum.1 + below.1);
    }
    sum
}
