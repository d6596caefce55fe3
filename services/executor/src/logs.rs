//! What instances wrote: the last lines, what follows, and how old output goes.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use ostler_schemas::pb::LogLine;

pub mod follow;
pub mod rotate;
pub(crate) mod ship;
mod times;

use times::Times;

/// The streams of an instance, as files `<stream>.log`.
pub const STREAMS: [&str; 2] = ["stdout", "stderr"];

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask<'a> {
    /// One stream; all if empty.
    pub stream: &'a str,
    /// Only lines that hold this text; all if empty.
    pub grep: &'a str,
    /// Only what was written since, in ms since 1970 by this host's clock; 0: all.
    pub since: u64,
    /// The last so many lines of each.
    pub lines: usize,
    /// At most so many bytes of each.
    pub bytes: u64,
}

/// The last lines.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tail {
    /// Oldest first, as far as times are known; within one look stream by stream.
    pub lines: Vec<LogLine>,
    /// There was more than fitted.
    pub truncated: bool,
}

/// The file that a stream is written to now.
#[must_use]
pub fn current(dir: &Path, stream: &str) -> PathBuf {
    dir.join(format!("{stream}.log"))
}

/// Reads the last lines in a directory of output. Files that are not there are empty.
#[must_use]
pub fn tail(dir: &Path, ask: Ask<'_>) -> Tail {
    let mut tail = Tail::default();
    let wanted = STREAMS.into_iter().filter(|s| ask.stream.is_empty() || ask.stream == *s);
    for stream in wanted {
        let (lines, more) = last_lines(dir, stream, &ask);
        tail.truncated |= more;
        let line = |(at_ms, text)| LogLine { stream: stream.to_owned(), text, at_ms };
        tail.lines.extend(lines.into_iter().map(line));
    }
    tail.lines.sort_by_key(|line| line.at_ms);
    tail
}

/// A line and by when it was written.
type Dated = (u64, String);

/// The last lines of a stream, and whether there are more; goes back over as many rotations as it
/// takes.
fn last_lines(dir: &Path, stream: &str, ask: &Ask<'_>) -> (Vec<Dated>, bool) {
    let current = current(dir, stream);
    let (mut lines, mut left) = (Vec::new(), ask.bytes);
    for number in 0.. {
        let path = if number == 0 { current.clone() } else { rotate::aside(&current, number) };
        // The current one is missing where nothing was written yet.
        if number > 0 && !path.exists() {
            break;
        }
        if lines.len() >= ask.lines || left == 0 {
            return (newest(lines, ask.lines), true);
        }
        let Ok(piece) = Piece::read(&path, ask.since, left) else { continue };
        left = left.saturating_sub(u64::try_from(piece.text.len()).unwrap_or(left));
        let (began, more) = (piece.is_old, piece.more);
        let mut older = piece.lines(ask.grep);
        older.append(&mut lines);
        lines = older;
        if more {
            return (newest(lines, ask.lines), true);
        }
        if began {
            break;
        }
    }
    let more = lines.len() > ask.lines;
    (newest(lines, ask.lines), more)
}

fn newest(mut lines: Vec<Dated>, most: usize) -> Vec<Dated> {
    let skip = lines.len().saturating_sub(most);
    lines.split_off(skip)
}

/// What is wanted of one file.
struct Piece {
    text: Vec<u8>,
    from: u64,
    times: Times,
    /// There was more than fitted.
    more: bool,
    /// What comes before is older than what is wanted.
    is_old: bool,
}

impl Piece {
    /// The last `most` bytes of what was written since.
    fn read(path: &Path, since: u64, most: u64) -> io::Result<Self> {
        let times = Times::of(path);
        let mut file = File::open(path)?;
        let size = file.metadata()?.len();
        let old = if since == 0 { 0 } else { times.before(since).min(size) };
        let from = old.max(size.saturating_sub(most));
        file.seek(SeekFrom::Start(from))?;
        let mut text = Vec::new();
        file.take(most).read_to_end(&mut text)?;
        Ok(Self { text, from, times, more: from > old, is_old: old > 0 })
    }

    /// Its lines that hold this text. Where it begins within a line, that is left out, unless it
    /// begins where a look ended: somebody may have been writing just then.
    fn lines(self, grep: &str) -> Vec<Dated> {
        let mut offset = self.from;
        let mut lines = Vec::new();
        for (index, line) in self.text.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let at = self.times.at(offset);
            offset += u64::try_from(line.len()).unwrap_or(0);
            if index == 0 && self.more {
                continue;
            }
            let text = String::from_utf8_lossy(line);
            let text = text.trim_end_matches('\n').trim_end_matches('\r');
            if text.contains(grep) {
                lines.push((at, text.to_owned()));
            }
        }
        lines
    }
}

/// Lines of text; the first is left out where it is only the end of one.
pub(crate) fn split(text: &[u8], begins_within: bool) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let skip = usize::from(begins_within && !text.is_empty());
    text.lines().skip(skip).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(lines: usize, bytes: u64) -> Ask<'static> {
        Ask { stream: "", grep: "", since: 0, lines, bytes }
    }

    fn texts(tail: &Tail) -> Vec<&str> {
        tail.lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn the_last_lines_are_bounded_by_number_and_by_bytes_and_go_back_over_a_rotation() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("stdout.log.1"), "one\ntwo\n").expect("written");
        std::fs::write(dir.path().join("stdout.log"), "three\nfour\n").expect("written");
        let all = tail(dir.path(), ask(10, 1000));
        assert_eq!((texts(&all), all.truncated), (vec!["one", "two", "three", "four"], false));
        let two = tail(dir.path(), ask(2, 1000));
        assert_eq!((texts(&two), two.truncated), (vec!["three", "four"], true));
        let grep = tail(dir.path(), Ask { grep: "o", ..ask(2, 1000) });
        assert_eq!((texts(&grep), grep.truncated), (vec!["two", "four"], true));
        let few = tail(dir.path(), ask(10, 7));
        assert_eq!((texts(&few), few.truncated), (vec!["four"], true));
    }

    #[test]
    fn the_past_is_reached_over_all_rotations_and_left_out_where_it_is_too_old() {
        let dir = tempfile::tempdir().expect("a directory");
        for (file, text, times) in [
            ("stdout.log.2", "a\nb\n", "1000 2\n2000 4\n"),
            ("stdout.log.1", "c\n", "3000 2\n"),
            ("stdout.log", "d\ne\n", "4000 2\n5000 4\n"),
            ("stderr.log", "x\ny\n", "1500 2\n4500 4\n"),
        ] {
            std::fs::write(dir.path().join(file), text).expect("written");
            std::fs::write(dir.path().join(format!("{file}.times")), times).expect("written");
        }
        let all = tail(dir.path(), ask(10, 1000));
        assert_eq!((texts(&all).concat(), all.truncated), ("axbcdye".to_owned(), false));
        for (since, want) in [(2000, "bcdye"), (3001, "dye"), (4001, "ye"), (5000, "e")] {
            let some = tail(dir.path(), Ask { since, ..ask(10, 1000) });
            assert_eq!((texts(&some).concat(), some.truncated), (want.to_owned(), false));
        }
        let few = tail(dir.path(), Ask { stream: "stdout", ..ask(4, 1000) });
        assert_eq!((texts(&few).concat(), few.truncated), ("bcde".to_owned(), true));
        let exact = tail(dir.path(), Ask { stream: "stdout", ..ask(5, 1000) });
        assert_eq!((texts(&exact).concat(), exact.truncated), ("abcde".to_owned(), false));
    }

    #[test]
    fn an_instance_that_wrote_nothing_has_no_lines() {
        assert_eq!(tail(Path::new("/nowhere"), ask(10, 10)), Tail::default());
    }
}
