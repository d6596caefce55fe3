//! Output: kept by the daemon, copied to our files as it comes. How far the copy is stands beside
//! it, so that the next executor goes on there.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use bollard::container::LogOutput;
use bollard::query_parameters as query;
use futures::StreamExt as _;
use ostler_core::id::InstanceId;
use tracing::{debug, warn};

use super::engine::{Engine, name};

/// Where it is noted how far the copy is.
const CURSOR: &str = "copied-until";

/// The two files, and the time of the last line that is in them.
struct Copy {
    stdout: File,
    stderr: File,
    cursor: File,
    last: String,
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
        let last = std::fs::read_to_string(&path).unwrap_or_default().trim().to_owned();
        let cursor = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        let (stdout, stderr) = (open("stdout")?, open("stderr")?);
        Ok(Self { stdout, stderr, cursor, last, whole: [true; 2] })
    }

    /// One piece: `2026-01-01T00:00:00.000000001Z text`. What was copied already is passed over.
    fn take(&mut self, output: LogOutput) -> io::Result<()> {
        let (file, stream, message) = match output {
            LogOutput::StdErr { message } => (&mut self.stderr, 1, message),
            LogOutput::StdOut { message }
            | LogOutput::Console { message }
            | LogOutput::StdIn { message } => (&mut self.stdout, 0, message),
        };
        let ends = message.ends_with(b"\n");
        let at = message.iter().position(|byte| *byte == b' ');
        let stamped = at.filter(|at| *at >= 20 && message[*at - 1] == b'Z');
        let text = match stamped {
            Some(at) if self.whole[stream] || message.get(4) == Some(&b'-') => {
                let stamp = String::from_utf8_lossy(&message[..at]).into_owned();
                self.whole[stream] = ends;
                if stamp <= self.last {
                    return Ok(());
                }
                self.last = stamp;
                &message[at + 1..]
            }
            Some(_) | None => {
                self.whole[stream] = ends;
                &message[..]
            }
        };
        file.write_all(text)?;
        // Of one length, so that it is written over in one go.
        self.cursor.write_all_at(format!("{:<40}", self.last).as_bytes(), 0)
    }
}

/// The second in which a stamp lies.
fn second(stamp: &str) -> i32 {
    let days = |year: i64, month: i64, day: i64| {
        // Days since 1970 of a date of the Gregorian calendar (Howard Hinnant).
        let year = if month <= 2 { year - 1 } else { year };
        let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
    };
    let field = |from: usize, to: usize| stamp.get(from..to)?.parse::<i64>().ok();
    let read = || {
        let date = days(field(0, 4)?, field(5, 7)?, field(8, 10)?);
        let time = field(11, 13)? * 3600 + field(14, 16)? * 60 + field(17, 19)?;
        i32::try_from(date * 86_400 + time).ok()
    };
    read().unwrap_or(0)
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
            since: second(&copy.last),
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
    fn a_stamp_is_a_second_and_nonsense_is_the_beginning() {
        for (stamp, want) in [
            ("1970-01-01T00:00:00.000000000Z", 0),
            ("2000-02-29T12:30:05.123456789Z", 951_827_405),
            ("2026-11-21T13:00:00.5Z", 1_795_266_000),
            ("", 0),
            ("nonsense", 0),
        ] {
            assert_eq!(second(stamp), want, "{stamp}");
        }
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
