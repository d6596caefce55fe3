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
    /// The rules that lie beside the output of what runs.
    written: HashMap<InstanceId, Logs>,
}

/// Where the rules lie by which the output of an instance is kept.
const RULES: &str = "rules.json";

/// The rules of an instance that runs no more; the usual ones where none are beside its output.
fn written_down(dir: &Path) -> Logs {
    let text = fs::read(dir.join(RULES)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
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
            let runs = rules.contains_key(&id);
            if !runs && !sweep {
                continue;
            }
            let here = match rules.get(&id) {
                Some(rules) => {
                    self.write_down(&dir, id, rules);
                    rules.clone()
                }
                None => written_down(&dir),
            };
            for stream in STREAMS {
                // What nobody writes to any more would only look younger.
                let rules = runs.then_some(&here);
                if let Err(error) = self.one(&current(&dir, stream), rules, clock::wall_ms()) {
                    warn!(instance.id = %id, %error, "cannot rotate output of instance {id}: {error}");
                }
            }
            if sweep {
                forget_old(&dir, &here, runs);
            }
        }
        if sweep {
            self.notes.keep(Path::exists);
            self.written.retain(|id, _| rules.contains_key(id));
        }
    }

    /// Keeps the rules beside the output, for when the instance has ended.
    fn write_down(&mut self, dir: &Path, id: InstanceId, rules: &Logs) {
        if self.written.get(&id) == Some(rules) {
            return;
        }
        let json = serde_json::to_vec(rules).expect("rules are plain values");
        match fs::write(dir.join(RULES), json) {
            Ok(()) => drop(self.written.insert(id, rules.clone())),
            Err(error) => {
                warn!(instance.id = %id, %error, "cannot keep the rules of output: {error}")
            }
        }
    }

    fn one(&mut self, path: &Path, rules: Option<&Logs>, now: u64) -> io::Result<()> {
        let size = match fs::metadata(path) {
            Ok(found) => found.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let began = self.notes.look(path, size, now)?;
        let Some(rules) = rules else { return Ok(()) };
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
    let (now, mut kept) = (clock::wall_ms(), 0);
    for path in fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name == RULES {
            continue;
        }
        // Notes go with what they are about.
        let log = name.strip_suffix(".times").map_or_else(|| path.clone(), |log| dir.join(log));
        let open = runs && log.extension().is_some_and(|extension| extension == "log");
        let old = now.saturating_sub(times::written(&log)) > rules.max_age.as_millis();
        if old && !open {
            // It is looked at again.
            drop(fs::remove_file(&path));
        } else {
            kept += 1;
        }
    }
    if !runs && kept == 0 {
        drop(fs::remove_file(dir.join(RULES)));
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
            keeper.one(&path, Some(&rules), 1000).expect("rotated");
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
            keeper.one(&path, Some(&rules), now).expect("rotated");
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

    #[test]
    fn output_of_what_has_ended_is_kept_by_the_rules_of_its_workload() {
        let logs = tempfile::tempdir().expect("a directory");
        let id = InstanceId::from_bits(7 << 32);
        let dir = logs.path().join(id.to_string());
        fs::create_dir(&dir).expect("made");
        fs::write(dir.join("stdout.log"), "said\n").expect("written");
        let rules = Logs { max_age: Span::from_secs(1800), ..Logs::default() };
        Keeper::default().look(logs.path(), &HashMap::from([(id, rules)]));
        assert_eq!(fs::read_to_string(dir.join("stdout.log")).expect("kept"), "said\n");
        // It ends, and an hour passes.
        let hour = Duration::from_secs(3600);
        for path in fs::read_dir(&dir).expect("there").flatten().map(|entry| entry.path()) {
            if path.extension().is_some_and(|extension| extension == "times") {
                fs::remove_file(&path).expect("removed");
                continue;
            }
            let file = fs::File::options().append(true).open(&path).expect("opened");
            let written = file.metadata().and_then(|known| known.modified()).expect("a time");
            file.set_modified(written - hour).expect("set");
        }
        Keeper::default().look(logs.path(), &HashMap::new());
        assert!(!dir.exists(), "it is kept for half an hour");
    }
}
