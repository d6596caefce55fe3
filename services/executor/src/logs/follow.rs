//! What an instance writes while somebody follows, published until nobody has asked for a while.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ostler_bus::Bus;
use ostler_core::id::{InstanceId, NodeName};
use ostler_schemas::contract::LogOf;
use ostler_schemas::pb::{LogChunk, LogLine};
use ostler_service::clock;
use tracing::debug;

use super::{STREAMS, current, split};

/// How often files are looked at.
const EVERY: Duration = Duration::from_millis(200);
/// At most so much of a stream at a time; what is more is dropped and counted.
const MOST: u64 = 256 * 1024;
/// Nobody follows for longer without asking again.
const LONGEST: Duration = Duration::from_secs(300);

/// Who is followed, and until when.
#[derive(Debug, Clone, Default)]
pub struct Followed {
    until: Arc<Mutex<HashMap<InstanceId, Instant>>>,
    shipped: bool,
}

/// Whether a task has to be begun for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// Nobody followed it until now.
    Begin,
    /// It is followed; its time was prolonged.
    GoesOn,
}

impl Followed {
    /// Where everything is published already.
    #[must_use]
    pub fn shipped() -> Self {
        Self { shipped: true, ..Self::default() }
    }

    /// Somebody wants to follow for so long.
    pub fn ask(&self, id: InstanceId, wanted: Duration) -> Follow {
        if self.shipped {
            return Follow::GoesOn;
        }
        let until = clock::instant() + wanted.min(LONGEST);
        let mut all = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        match all.insert(id, until) {
            Some(_) => Follow::GoesOn,
            None => Follow::Begin,
        }
    }

    /// Whether its time is over; it is forgotten then.
    fn over(&self, id: InstanceId) -> bool {
        let mut all = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        let over = all.get(&id).is_none_or(|until| clock::instant() >= *until);
        if over {
            all.remove(&id);
        }
        over
    }
}

/// One stream that is followed.
#[derive(Debug)]
struct Stream {
    name: &'static str,
    path: PathBuf,
    at: u64,
    rest: Vec<u8>,
}

/// The ends of an instance's streams now: what comes after them is what follows.
#[derive(Debug)]
pub struct Ends(Vec<Stream>);

impl Ends {
    /// Looks.
    #[must_use]
    pub fn now(dir: &Path, only: &str) -> Self {
        let wanted = STREAMS.into_iter().filter(|name| only.is_empty() || only == *name);
        let streams = wanted.map(|name| {
            let path = current(dir, name);
            let at = std::fs::metadata(&path).map_or(0, |found| found.len());
            Stream { name, path, at, rest: Vec::new() }
        });
        Self(streams.collect())
    }

    /// From the beginning of the files.
    pub(super) fn beginning(dir: &Path) -> Self {
        let stream = |name| Stream { name, path: current(dir, name), at: 0, rest: Vec::new() };
        Self(STREAMS.map(stream).into())
    }
}

impl Stream {
    /// Whole lines that were written since, and how many were dropped.
    fn more(&mut self) -> io::Result<(Vec<LogLine>, u64)> {
        let mut file = File::open(&self.path)?;
        let size = file.metadata()?.len();
        if size < self.at {
            // It was cut by a rotation.
            self.at = 0;
            self.rest.clear();
        }
        let mut dropped = 0;
        let from = self.at.max(size.saturating_sub(MOST));
        file.seek(SeekFrom::Start(self.at))?;
        if from > self.at {
            dropped = 1 + newlines(&mut file, from - self.at)?;
            self.rest.clear();
        }
        let mut text = std::mem::take(&mut self.rest);
        file.take(size - from).read_to_end(&mut text)?;
        self.at = size;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.rest = text.split_off(whole);
        if u64::try_from(self.rest.len()).is_ok_and(|rest| rest > MOST) {
            // A line without an end is not gathered for ever.
            self.rest.clear();
            dropped += 1;
        }
        let at_ms = clock::wall_ms();
        let line = |text: String| LogLine { stream: self.name.to_owned(), text, at_ms };
        Ok((split(&text, dropped > 0).into_iter().map(line).collect(), dropped))
    }
}

fn newlines(file: &mut File, bytes: u64) -> io::Result<u64> {
    let mut count = 0;
    let mut buffer = vec![0; 64 * 1024];
    let mut skipped = file.take(bytes);
    loop {
        let read = skipped.read(&mut buffer)?;
        if read == 0 {
            return Ok(count);
        }
        count += buffer[..read].iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
    }
}

/// Publishes what follows until nobody asks any more.
pub async fn publish(bus: Bus, node: NodeName, id: InstanceId, mut ends: Ends, of: Followed) {
    loop {
        let over = of.over(id);
        publish_once(&bus, &node, id, &mut ends).await;
        if over {
            return;
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Publishes what was written since the last time.
pub(super) async fn publish_once(bus: &Bus, node: &NodeName, id: InstanceId, ends: &mut Ends) {
    let mut chunk = LogChunk { instance: id.to_string(), ..LogChunk::default() };
    for stream in &mut ends.0 {
        match stream.more() {
            Ok((lines, dropped)) => {
                chunk.lines.extend(lines);
                chunk.dropped += dropped;
            }
            Err(error) => debug!(%error, "`{}`: {error}", stream.path.display()),
        }
    }
    let to = LogOf { node: node.clone(), instance: id };
    if (!chunk.lines.is_empty() || chunk.dropped > 0)
        && let Err(error) = bus.publish(&to, &chunk).await
    {
        debug!(%error, "output was not published");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_lines_follow_and_a_cut_file_begins_anew() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("stdout.log");
        std::fs::write(&path, "before\n").expect("written");
        let mut ends = Ends::now(dir.path(), "stdout");
        let mut next = || {
            let (lines, dropped) = ends.0[0].more().expect("read");
            assert_eq!(dropped, 0);
            lines.into_iter().map(|line| line.text).collect::<Vec<_>>()
        };
        std::fs::write(&path, "before\none\ntw").expect("written");
        assert_eq!(next(), ["one"]);
        std::fs::write(&path, "before\none\ntwo\n").expect("written");
        assert_eq!(next(), ["two"]);
        std::fs::write(&path, "new\n").expect("written");
        assert_eq!(next(), ["new"]);
    }
}
