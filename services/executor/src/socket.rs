//! The local socket of an instance, `OSTLER_SOCKET`: lines of JSON, one answer to each.
//!
//! `docs/socket.md` is its description. Whoever may open the file is the instance: it belongs to the
//! instance's user and to nobody else. The socket is there before the instance starts, and again
//! when the executor comes back; clients connect again.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ostler_core::id::InstanceId;
use ostler_service::clock;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{debug, warn};

use crate::driver::{Launch, Sink};
use crate::shared::Shared;
use crate::supervise::Event;

mod ask;

pub use ask::endpoints;

/// A line has at most so many bytes: a scroll, quoted.
const LONGEST: u64 = 16 * 1024;
/// So many connections to one instance's socket.
const AT_ONCE: usize = 16;
/// Who says nothing for so long is disconnected.
const QUIET: Duration = Duration::from_secs(600);

/// What an instance last said of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulse {
    /// Nothing yet in this run.
    None,
    /// It is well.
    Beat(Instant),
    /// It is not ready.
    NotReady(Instant),
}

/// The pulses of all instances.
#[derive(Debug, Clone, Default)]
pub struct Pulses(Arc<Mutex<HashMap<InstanceId, watch::Sender<Pulse>>>>);

impl Pulses {
    fn with<T>(&self, id: InstanceId, on: impl FnOnce(&watch::Sender<Pulse>) -> T) -> T {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        on(all.entry(id).or_insert_with(|| watch::Sender::new(Pulse::None)))
    }

    /// What an instance says from now on.
    #[must_use]
    pub fn of(&self, id: InstanceId) -> watch::Receiver<Pulse> {
        self.with(id, watch::Sender::subscribe)
    }

    fn set(&self, id: InstanceId, pulse: Pulse) {
        self.with(id, |sender| sender.send_replace(pulse));
    }

    /// A new run of it begins, or it is forgotten.
    pub fn forget(&self, id: InstanceId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

/// Where an instance's socket is.
#[must_use]
pub fn path(dir: &Path) -> PathBuf {
    dir.join(".ostler.sock")
}

/// What the sockets of a node need.
#[derive(Debug, Clone)]
pub struct Sockets {
    /// Tasks, and the bus where it is there.
    pub shared: Arc<Shared>,
    /// Where it is told what an instance says of itself.
    pub sink: Sink,
    /// What instances said last.
    pub pulses: Pulses,
    /// The open ones.
    pub open: Arc<Mutex<HashMap<InstanceId, DropGuard>>>,
}

impl Sockets {
    /// Opens the socket of an instance, anew if it was open. Its directory has to be there.
    pub fn open(&self, launch: Arc<Launch>, dir: &Path, access: Access) {
        let (id, path) = (launch.id, path(dir));
        let listener = match listen(&path, access) {
            Ok(listener) => listener,
            Err(error) => {
                // It runs without, as it would beside an executor that is away.
                warn!(instance.id = %id, %error, "instance {id} has no local socket: {error}");
                return;
            }
        };
        let over = CancellationToken::new();
        let guard = over.clone().drop_guard();
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(id, guard);
        let (here, stop) = (self.clone(), self.shared.stop.clone());
        self.shared.tasks.spawn_brief(async move {
            tokio::select! {
                () = here.accept(listener, launch) => {}
                () = over.cancelled() => {}
                () = stop.cancelled() => {}
            }
        });
    }

    /// Closes it.
    pub fn close(&self, id: InstanceId) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        self.pulses.forget(id);
    }

    async fn accept(&self, listener: UnixListener, launch: Arc<Launch>) {
        let room = Arc::new(Semaphore::new(AT_ONCE));
        let over = CancellationToken::new();
        let _all_end_with_it = over.clone().drop_guard();
        loop {
            let permit = Arc::clone(&room).acquire_owned().await.expect("it is never closed");
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let (here, launch, over) = (self.clone(), Arc::clone(&launch), over.clone());
            self.shared.tasks.spawn_brief(async move {
                let _permit = permit;
                tokio::select! {
                    talked = here.talk(stream, &launch) => if let Err(error) = talked {
                        debug!(instance.id = %launch.id, %error, "a local conversation ended");
                    },
                    () = over.cancelled() => {}
                }
            });
        }
    }

    async fn talk(&self, stream: UnixStream, launch: &Launch) -> io::Result<()> {
        let (read, mut write) = stream.into_split();
        let mut read = BufReader::new(read);
        loop {
            let mut line = Vec::new();
            let mut limited = (&mut read).take(LONGEST);
            let reading = limited.read_until(b'\n', &mut line);
            let Ok(got) = tokio::time::timeout(QUIET, reading).await else { return Ok(()) };
            if got? == 0 {
                return Ok(());
            }
            let whole = line.ends_with(b"\n");
            let answer = if whole {
                self.answer(launch, &line).await
            } else {
                Err(format!("a line of at most {LONGEST} bytes is wanted"))
            };
            let answer = answer.unwrap_or_else(|why| json!({ "ok": false, "error": why }));
            write.write_all(format!("{answer}\n").as_bytes()).await?;
            if !whole {
                return Ok(());
            }
        }
    }

    async fn answer(&self, launch: &Launch, line: &[u8]) -> Result<Value, String> {
        let said: ask::Said = serde_json::from_slice(line).map_err(|error| {
            format!("one of `ready`, `proven`, `beat`, `sos`, `leader`, `endpoints`, `publish`, `who`: {error}")
        })?;
        let (id, now) = (launch.id, clock::instant());
        match said {
            ask::Said::Ready(true) | ask::Said::Beat(true) => {
                self.pulses.set(id, Pulse::Beat(now));
            }
            ask::Said::Ready(false) => self.pulses.set(id, Pulse::NotReady(now)),
            ask::Said::Beat(false) => return Err("`beat` is true".to_owned()),
            ask::Said::Proven(true) => {
                self.pulses.set(id, Pulse::Beat(now));
                let proven = (id, Event::Proven(launch.run));
                // The executor stops when nobody listens.
                drop(self.sink.send(proven).await);
            }
            ask::Said::Proven(false) => return Err("`proven` is true".to_owned()),
            ask::Said::Sos(why) => {
                ask::check(&why)?;
                drop(self.sink.send((id, Event::Sos(why))).await);
            }
            ask::Said::Publish(text) => {
                ask::check(&text)?;
                drop(self.sink.send((id, Event::Scroll(text))).await);
            }
            ask::Said::Leader(false) | ask::Said::Who(false) => {
                return Err("`leader` and `who` are true".to_owned());
            }
            ask::Said::Leader(true) => return ask::leaders(&self.shared).await,
            ask::Said::Endpoints(of) => return ask::endpoints(&self.shared, launch, &of).await,
            ask::Said::Who(true) => return Ok(ask::who(launch)),
        }
        Ok(json!({ "ok": true }))
    }
}

/// Who may open the socket of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// What runs as the executor does.
    Us,
    /// This user, and that group as its own.
    User(u32, u32),
    /// Everybody inside of the instance: nobody else sees its directory.
    Inside,
}

/// A socket that only those may open.
fn listen(path: &Path, access: Access) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    let mode = match access {
        Access::Us | Access::User(..) => 0o600,
        Access::Inside => 0o666,
    };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    if let Access::User(user, group) = access {
        std::os::unix::fs::lchown(path, Some(user), Some(group))?;
    }
    Ok(listener)
}
