//! Old output goes: by size and age while an instance runs, by age for ever.
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

use super::times::{self, Notes};
use super::{STREAMS, current};

/// How often it is looked at.
pub const EVERY: Duration = Duration::from_secs(5);

/// Where an older part of a stream lies: `stdout.log.1` is the youngest.
#[must_use]
pub fn aside(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// What nobody writes to any more is looked at every so many looks.
const SWEEP: u64 = 12;

/// Whoever looks after output.
#[derive(Debug, Default)]
pub struct Keeper {
    notes: Notes,
    looks: u64,
}

impl Keeper {
    /// Notes what was written, rotates what has grown or is old, and removes what is too old;
    /// `rules` are those of what runs.
    pub fn look(&mut self, logs: &Path, rules: &HashMap<InstanceId, Logs>) {
        let sweep = self.looks.is_multiple_of(SWEEP);
        self.looks += 1;
        for dir in fs::read_dir(logs).into_iter().flatten().flatten().map(|entry| entry.path()) {
            let name = dir.file_name().and_then(|name| name.to_str());
            let Some(id) = name.and_then(|name| name.parse::<InstanceId>().ok()) else { continue };
            let (here, runs) = match rules.get(&id) {
                Some(rules) => (rules.clone(), true),
                None => (Logs::default(), false),
            };
            if !runs && !sweep {
                continue;
            }
            for stream in STREAMS {
                if let Err(error) = self.one(&current(&dir, stream), &here, clock::wall_ms()) {
                    warn!(instance.id = %id, %error, "cannot rotate output of instance {id}: {error}");
                }
            }
            if sweep {
                forget_old(&dir, &here, runs);
            }
        }
        if sweep {
            self.notes.keep(Path::exists);
        }
    }

    fn one(&mut self, path: &Path, rules: &Logs, now: u64) -> io::Result<()> {
        let size = match fs::metadata(path) {
            Ok(found) => found.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let began = self.notes.look(path, size, now)?;
        let kept = rules.max_files.max(1) - 1;
        // So that what is too old can go in pieces.
        let longest = rules.max_age.as_millis() / u64::from(kept.max(1));
        let old = size > 0 && now.saturating_sub(began) > longest.max(1);
        if size < rules.max_size.0 && !old {
            return Ok(());
        }
        for number in (1..kept).rev() {
            move_on(&aside(path, number), &aside(path, number + 1))?;
        }
        if kept > 0 {
            fs::copy(path, aside(path, 1))?;
            times::follow(path, &aside(path, 1));
        } else {
            times::forget(path);
        }
        fs::OpenOptions::new().write(true).open(path)?.set_len(0)
    }
}

fn move_on(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Ok(()) => times::follow(from, to),
        Err(error) if error.kind() == io::ErrorKind::NotFound => times::forget(to),
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Removes files that nobody has written to for too long, and a directory with nothing in it.
fn forget_old(dir: &Path, rules: &Logs, runs: bool) {
    let now = clock::wall_ms();
    for path in fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // Notes go with what they are about.
        let log = name.strip_suffix(".times").map_or_else(|| path.clone(), |log| dir.join(log));
        let open = runs && log.extension().is_some_and(|extension| extension == "log");
        let old = now.saturating_sub(times::written(&log)) > rules.max_age.as_millis();
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
    use ostler_core::time::Span;

    use super::*;

    #[test]
    fn a_file_that_has_grown_is_moved_aside_and_its_writer_goes_on_at_the_beginning() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("stdout.log");
        let mut options = fs::OpenOptions::new();
        let mut writer = options.append(true).create(true).open(&path).expect("opened");
        let rules = Logs { max_size: Bytes(4), max_files: 3, ..Logs::default() };
        let mut keeper = Keeper::default();
        for text in ["aaaa", "bbbb", "cccc"] {
            writer.write_all(text.as_bytes()).expect("written");
            keeper.one(&path, &rules, 1000).expect("rotated");
        }
        writer.write_all(b"d").expect("written");
        let read = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
        let files = [read(path.clone()), read(aside(&path, 1)), read(aside(&path, 2))];
        assert_eq!(files, ["d", "cccc", "bbbb"]);
        assert!(!aside(&path, 3).exists());
    }
    #[test]
    fn a_file_that_grows_slowly_is_moved_aside_by_its_age() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("stdout.log");
        let rules = Logs { max_files: 3, max_age: Span::from_secs(20), ..Logs::default() };
        let mut keeper = Keeper::default();
        let mut look = |text: &str, now: u64| {
            fs::write(&path, text).expect("written");
            keeper.one(&path, &rules, now).expect("rotated");
            let read = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
            (read(path.clone()), read(aside(&path, 1)), read(times::beside(&aside(&path, 1))))
        };
        let there = |text: &str| (text.to_owned(), String::new(), String::new());
        assert_eq!(look("", 5_000), there(""));
        assert_eq!(look("a", 10_000), there("a"));
        assert_eq!(look("ab", 20_000), there("ab"));
        let aside = ("ab".to_owned(), "10000 1\n20000 2\n".to_owned());
        assert_eq!(look("ab", 20_001), (String::new(), aside.0, aside.1));
    }
}
