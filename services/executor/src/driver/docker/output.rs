//! Output: kept by the daemon, copied to our files as it comes. How far the copy is stands beside
//! it, so that the next executor goes on there.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use bollard::container::LogOutput;
use bollard::query_parameters as query;
use futures::StreamExt as _;
use jiff::Timestamp;
use ostler_core::id::InstanceId;
use tracing::{debug, warn};

use super::engine::{Engine, name};

/// Where it is noted how far the copy is.
const CURSOR: &str = "copied-until";

/// How far the copy is: the time of the last piece, and how many pieces of that time there are. A
/// daemon may count time in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Place {
    last: Timestamp,
    of_last: u64,
}

/// The two files, and how far they are.
struct Copy {
    stdout: File,
    stderr: File,
    cursor: File,
    place: Place,
    /// Where the daemon was asked to begin: what was copied by then is passed over.
    begun: Place,
    /// Of the last piece of each stream, whether its line has ended.
    whole: [bool; 2],
}

impl Copy {
    fn open(dir: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let open = |stream: &str| {
            let mut options = OpenOptions::new();
            options.append(true).create(true).open(dir.join(format!("{stream}.log")))
        };
        let path = dir.join(CURSOR);
        let place = Place::read(&std::fs::read_to_string(&path).unwrap_or_default());
        let cursor = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        let (stdout, stderr) = (open("stdout")?, open("stderr")?);
        Ok(Self { stdout, stderr, cursor, place, begun: place, whole: [true; 2] })
    }

    /// The daemon is asked again: from which second on.
    fn ask_again(&mut self) -> i32 {
        self.begun = self.place;
        i32::try_from(self.place.last.as_second()).unwrap_or(0)
    }

    /// One piece: `2026-01-01T00:00:00.000000001Z text`. What was copied already is passed over.
    fn take(&mut self, output: LogOutput) -> io::Result<()> {
        let (file, stream, message) = match output {
            LogOutput::StdErr { message } => (&mut self.stderr, 1, message),
            LogOutput::StdOut { message }
            | LogOutput::Console { message }
            | LogOutput::StdIn { message } => (&mut self.stdout, 0, message),
        };
        let begins = self.whole[stream] || message.get(4) == Some(&b'-');
        self.whole[stream] = message.ends_with(b"\n");
        let text = match stamp(&message).filter(|_| begins) {
            Some((at, _)) if self.begun.has(at) => return Ok(()),
            Some((at, text)) => {
                self.place.take(at);
                text
            }
            None => &message[..],
        };
        file.write_all(text)?;
        // Of one length, so that it is written over in one go.
        let Place { last, of_last } = self.place;
        self.cursor.write_all_at(format!("{:<60}", format!("{last} {of_last}")).as_bytes(), 0)
    }
}

impl Place {
    /// One without a number was written by an earlier version.
    fn read(text: &str) -> Self {
        let mut words = text.split_whitespace();
        let last = words.next().and_then(|word| word.parse().ok()).unwrap_or_default();
        let of_last = words.next().and_then(|word| word.parse().ok()).unwrap_or(1);
        Self { last, of_last }
    }

    /// Whether a piece of this time was there already; those of the last time are counted down.
    fn has(&mut self, at: Timestamp) -> bool {
        if at != self.last {
            return at < self.last;
        }
        let had = self.of_last > 0;
        self.of_last = self.of_last.saturating_sub(1);
        had
    }

    fn take(&mut self, at: Timestamp) {
        if at > self.last {
            *self = Self { last: at, of_last: 0 };
        }
        self.of_last += 1;
    }
}

/// The time before the first space of a piece, and what comes after it.
fn stamp(message: &[u8]) -> Option<(Timestamp, &[u8])> {
    let at = message.iter().position(|byte| *byte == b' ').filter(|at| *at >= 20)?;
    let stamp = std::str::from_utf8(&message[..at]).ok()?.parse().ok()?;
    Some((stamp, &message[at + 1..]))
}

/// Copies until the container has ended.
pub(super) async fn copy(engine: &Engine, id: InstanceId, dir: &Path) {
    let mut copy = match Copy::open(dir) {
        Ok(copy) => copy,
        Err(error) => {
            warn!(instance.id = %id, %error, "no output of instance {id} is kept: {error}");
            return;
        }
    };
    loop {
        let options = query::LogsOptions {
            follow: true,
            stdout: true,
            stderr: true,
            timestamps: true,
            since: copy.ask_again(),
            ..Default::default()
        };
        let mut lines = engine.api.logs(&name(id), Some(options));
        while let Some(line) = lines.next().await {
            let Ok(line) = line else { break };
            if let Err(error) = copy.take(line) {
                warn!(instance.id = %id, %error, "output of instance {id} is lost: {error}");
            }
        }
        match engine.find(id).await {
            Ok(Some(found)) if found.running => {}
            Err(super::EngineError::Unavailable(_)) => {}
            Ok(_) | Err(_) => return,
        }
        debug!(instance.id = %id, "output of instance {id} is asked for again");
        tokio::time::sleep(super::LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_a_time_of_any_place_and_nonsense_is_text() {
        for (message, want) in [
            ("1970-01-01T00:00:01.000000000Z a b", Some((1, "a b"))),
            ("2000-02-29T13:30:05.123456789+01:00 x", Some((951_827_405, "x"))),
            ("2000-02-29T12:30:05Z ", Some((951_827_405, ""))),
            ("no stamp but a rather long text", None),
            ("", None),
        ] {
            let found = stamp(message.as_bytes());
            let found = found.map(|(at, text)| (at.as_second(), std::str::from_utf8(text)));
            assert_eq!(found, want.map(|(at, text)| (at, Ok(text))), "{message}");
        }
    }

    #[test]
    fn of_one_second_no_line_is_lost_or_there_twice() {
        let dir = tempfile::tempdir().expect("a directory");
        let line = |second: u8, text: &str| LogOutput::StdOut {
            message: format!("2026-01-01T00:00:0{second}+00:00 {text}\n").into(),
        };
        let all = [(1, "one"), (1, "two"), (2, "three"), (2, "four"), (2, "five"), (3, "six")];
        for count in [1, 4, 6] {
            let mut copy = Copy::open(dir.path()).expect("opens");
            for (second, text) in &all[..count] {
                copy.take(line(*second, text)).expect("taken");
            }
        }
        let text = std::fs::read_to_string(dir.path().join("stdout.log")).expect("there");
        assert_eq!(text, "one\ntwo\nthree\nfour\nfive\nsix\n");
    }

    #[test]
    fn what_was_copied_is_not_copied_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let line = |second: u8, text: &str| LogOutput::StdOut {
            message: format!("2026-01-01T00:00:0{second}.000000000Z {text}\n").into(),
        };
        let mut copy = Copy::open(dir.path()).expect("opens");
        copy.take(line(1, "one")).expect("taken");
        copy.take(line(2, "two")).expect("taken");
        let mut next = Copy::open(dir.path()).expect("opens");
        for (second, text) in [(1, "one"), (2, "two"), (3, "three")] {
            next.take(line(second, text)).expect("taken");
        }
        let text = std::fs::read_to_string(dir.path().join("stdout.log")).expect("there");
        assert_eq!(text, "one\ntwo\nthree\n");
    }
}
