//! Old output goes: by size while an instance runs, by age for ever.
//!
//! Files are copied and cut, not renamed: the instance holds them open and appends. Lines that it
//! writes between the two are lost; with `O_APPEND` nothing else is.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ostler_core::id::InstanceId;
use ostler_core::workload::Logs;
use ostler_service::clock;
use tracing::warn;

use super::{STREAMS, current};

/// How often it is looked at.
pub const EVERY: Duration = Duration::from_secs(10);

/// Where an older part of a stream lies: `stdout.log.1` is the youngest.
#[must_use]
pub fn aside(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// Rotates what has grown and removes what is too old; `rules` are those of what runs.
pub fn all(logs: &Path, rules: &HashMap<InstanceId, Logs>) {
    for dir in fs::read_dir(logs).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let name = dir.file_name().and_then(|name| name.to_str());
        let Some(id) = name.and_then(|name| name.parse::<InstanceId>().ok()) else { continue };
        let (here, runs) = match rules.get(&id) {
            Some(rules) => (rules.clone(), true),
            None => (Logs::default(), false),
        };
        for stream in STREAMS {
            if let Err(error) = one(&current(&dir, stream), &here) {
                warn!(instance.id = %id, %error, "cannot rotate output of instance {id}: {error}");
            }
        }
        forget_old(&dir, &here, runs);
    }
}

fn one(path: &Path, rules: &Logs) -> io::Result<()> {
    let size = match fs::metadata(path) {
        Ok(found) => found.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if size < rules.max_size.0 {
        return Ok(());
    }
    let kept = rules.max_files.max(1) - 1;
    for number in (1..kept).rev() {
        match fs::rename(aside(path, number), aside(path, number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    if kept > 0 {
        fs::copy(path, aside(path, 1))?;
    }
    fs::OpenOptions::new().write(true).open(path)?.set_len(0)
}

/// Removes files that nobody has written to for too long, and a directory with nothing in it.
fn forget_old(dir: &Path, rules: &Logs, runs: bool) {
    let now = Duration::from_millis(clock::wall_ms());
    for path in fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let open = runs && path.extension().is_some_and(|extension| extension == "log");
        let written = fs::metadata(&path).and_then(|found| found.modified()).ok();
        let since = written.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        let old = since.is_some_and(|at| now.saturating_sub(at) > Duration::from(rules.max_age));
        if old && !open {
            // It is looked at again.
            drop(fs::remove_file(&path));
        }
    }
    if !runs {
        // Fails as long as something is in it.
        drop(fs::remove_dir(dir));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use ostler_core::resources::Bytes;

    use super::*;

    #[test]
    fn a_file_that_has_grown_is_moved_aside_and_its_writer_goes_on_at_the_beginning() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("stdout.log");
        let mut options = fs::OpenOptions::new();
        let mut writer = options.append(true).create(true).open(&path).expect("opened");
        let rules = Logs { max_size: Bytes(4), max_files: 3, ..Logs::default() };
        for text in ["aaaa", "bbbb", "cccc"] {
            writer.write_all(text.as_bytes()).expect("written");
            one(&path, &rules).expect("rotated");
        }
        writer.write_all(b"d").expect("written");
        let read = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
        let files = [read(path.clone()), read(aside(&path, 1)), read(aside(&path, 2))];
        assert_eq!(files, ["d", "cccc", "bbbb"]);
        assert!(!aside(&path, 3).exists());
    }
}
