//! When output was written: instances write plain lines, so somebody who looks now and then notes
//! how long each file was. Beside `stdout.log` lies `stdout.log.times`, a line `<ms> <bytes>` for
//! each look that found more.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// How long a line of the notes can be.
const LINE: u64 = 48;

/// What was there at which time, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Times {
    looks: Vec<(u64, u64)>,
    /// When the file was last written to: what no look has seen was written by then.
    last: u64,
}

/// Where the notes of a file lie.
pub(super) fn beside(log: &Path) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(".times");
    PathBuf::from(name)
}

impl Times {
    /// What was noted of a file.
    pub(super) fn of(log: &Path) -> Self {
        let text = fs::read_to_string(beside(log)).unwrap_or_default();
        let looks = text.lines().filter_map(read).collect();
        Self { looks, last: written(log) }
    }

    /// Up to where everything was written before `since`.
    pub(super) fn before(&self, since: u64) -> u64 {
        if self.last < since {
            return u64::MAX;
        }
        let old = self.looks.iter().take_while(|(at, _)| *at < since);
        old.last().map_or(0, |(_, bytes)| *bytes)
    }

    /// By when the byte at `offset` was written; 0 where nobody can say.
    pub(super) fn at(&self, offset: u64) -> u64 {
        let seen = self.looks.partition_point(|(_, bytes)| *bytes <= offset);
        self.looks.get(seen).map_or(self.last, |(at, _)| *at)
    }
}

fn read(line: &str) -> Option<(u64, u64)> {
    let (at, bytes) = line.split_once(' ')?;
    Some((at.parse().ok()?, bytes.parse().ok()?))
}

/// When a file was last written to, in ms since 1970; 0 where nobody can say.
pub(super) fn written(log: &Path) -> u64 {
    let written = fs::metadata(log).and_then(|found| found.modified()).ok();
    let since = written.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    since.and_then(|since| u64::try_from(since.as_millis()).ok()).unwrap_or(0)
}

/// What was noted of files, as far as this program did it: an idle file costs one question.
#[derive(Debug, Default)]
pub(super) struct Notes(HashMap<PathBuf, Note>);

#[derive(Debug, Clone, Copy)]
struct Note {
    began: u64,
    bytes: u64,
}

impl Notes {
    /// Looks at a file that holds `bytes` now; when the oldest of them were written.
    pub(super) fn look(&mut self, log: &Path, bytes: u64, now: u64) -> io::Result<u64> {
        if bytes == 0 {
            self.0.remove(log);
            return Ok(now);
        }
        let known = self.0.get(log).copied().or_else(|| noted(log));
        let began = match known {
            Some(known) if known.bytes == bytes => known.began,
            // A file that holds less than before was cut by somebody.
            Some(known) if known.bytes < bytes => {
                append(log, now, bytes)?;
                known.began
            }
            Some(_) | None => {
                forget(log);
                append(log, now, bytes)?;
                now
            }
        };
        self.0.insert(log.to_owned(), Note { began, bytes });
        Ok(began)
    }

    /// Files that are gone.
    pub(super) fn keep(&mut self, is_there: impl Fn(&Path) -> bool) {
        self.0.retain(|log, _| is_there(log));
    }
}

fn append(log: &Path, now: u64, bytes: u64) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(beside(log))?;
    file.write_all(format!("{now} {bytes}\n").as_bytes())
}

/// What an executor before this one noted last, and first.
fn noted(log: &Path) -> Option<Note> {
    let mut file = File::open(beside(log)).ok()?;
    let mut head = Vec::new();
    (&mut file).take(LINE).read_to_end(&mut head).ok()?;
    let size = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(LINE))).ok()?;
    let mut end = Vec::new();
    file.read_to_end(&mut end).ok()?;
    let (head, end) = (String::from_utf8_lossy(&head), String::from_utf8_lossy(&end));
    let (began, _) = read(head.lines().next()?)?;
    let (_, bytes) = read(end.lines().last()?)?;
    Some(Note { began, bytes })
}

/// Moves the notes of a file with it.
pub(super) fn follow(from: &Path, to: &Path) {
    // Without notes only its last time is known.
    drop(fs::rename(beside(from), beside(to)));
}

/// Removes the notes of a file.
pub(super) fn forget(log: &Path) {
    // They may never have been there.
    drop(fs::remove_file(beside(log)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_found_by_time_to_within_a_look() {
        let dir = tempfile::tempdir().expect("a directory");
        let log = dir.path().join("stdout.log");
        fs::write(&log, "0123456789").expect("written");
        let mut notes = Notes::default();
        for (now, bytes) in [(1000, 3), (2000, 3), (3000, 7)] {
            assert_eq!(notes.look(&log, bytes, now).expect("noted"), 1000);
        }
        // The next executor goes on where this one was.
        let mut notes = Notes::default();
        assert_eq!(notes.look(&log, 7, 4000).expect("noted"), 1000);
        assert_eq!(fs::read_to_string(beside(&log)).expect("there"), "1000 3\n3000 7\n");
        let times = Times::of(&log);
        let before: Vec<u64> = [500, 1000, 1001, 3000, 3001].map(|at| times.before(at)).into();
        assert_eq!(before, [0, 0, 3, 3, 7]);
        assert_eq!([0, 2, 3, 6].map(|offset| times.at(offset)), [1000, 1000, 3000, 3000]);
        assert_eq!(times.at(7), written(&log));
        assert_eq!(times.before(written(&log) + 1), u64::MAX);
        // One that was cut begins anew.
        assert_eq!(notes.look(&log, 2, 5000).expect("noted"), 5000);
        assert_eq!(fs::read_to_string(beside(&log)).expect("there"), "5000 2\n");
    }
}
