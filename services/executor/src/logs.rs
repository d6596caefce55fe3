//! What instances wrote: the last lines, what follows, and how old output goes.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use ostler_schemas::pb::LogLine;

pub mod follow;
pub mod rotate;

/// The streams of an instance, as files `<stream>.log`.
pub const STREAMS: [&str; 2] = ["stdout", "stderr"];

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask<'a> {
    /// One stream; all if empty.
    pub stream: &'a str,
    /// Only lines that hold this text; all if empty.
    pub grep: &'a str,
    /// The last so many lines of each.
    pub lines: usize,
    /// At most so many bytes of each.
    pub bytes: u64,
}

/// The last lines.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tail {
    /// Stream by stream, oldest first.
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
        let line = |text: String| LogLine { stream: stream.to_owned(), text };
        tail.lines.extend(lines.into_iter().map(line));
    }
    tail
}

/// The last lines of a stream, and whether there are more; goes back over one rotation.
fn last_lines(dir: &Path, stream: &str, ask: &Ask<'_>) -> (Vec<String>, bool) {
    let (most, bytes) = (ask.lines, ask.bytes);
    let path = current(dir, stream);
    let wanted = |text: &[u8], begins_within: bool| {
        let mut lines = split(text, begins_within);
        lines.retain(|line| line.contains(ask.grep));
        lines
    };
    let (now, mut more) = end_of(&path, bytes).unwrap_or_default();
    let mut lines = wanted(&now, more);
    let left = bytes.saturating_sub(u64::try_from(now.len()).unwrap_or(bytes));
    if lines.len() < most && !more && left > 0 {
        let before = end_of(&rotate::aside(&path, 1), left).unwrap_or_default();
        let mut older = wanted(&before.0, before.1);
        older.append(&mut lines);
        (lines, more) = (older, before.1);
    } else {
        more |= rotate::aside(&path, 1).exists();
    }
    more |= lines.len() > most;
    let skip = lines.len().saturating_sub(most);
    (lines.split_off(skip), more)
}

/// The last bytes of a file, and whether there are more before them.
fn end_of(path: &Path, bytes: u64) -> io::Result<(Vec<u8>, bool)> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let from = size.saturating_sub(bytes);
    file.seek(SeekFrom::Start(from))?;
    let mut text = Vec::new();
    file.take(bytes).read_to_end(&mut text)?;
    Ok((text, from > 0))
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
        Ask { stream: "", grep: "", lines, bytes }
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
    fn an_instance_that_wrote_nothing_has_no_lines() {
        assert_eq!(tail(Path::new("/nowhere"), ask(10, 10)), Tail::default());
    }
}
