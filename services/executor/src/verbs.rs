//! What an executor answers: `ping`, `sync`, `logs`, `signal`, `leftovers`, `host`, `stats`, `import`, `exec`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ostler_bus::pubsub::SendError;
use ostler_bus::{Bus, Caller};
use ostler_core::id::InstanceId;
use ostler_schemas::pb;
use ostler_schemas::problem::{Code, Problem};
use ostler_service::clock;
use tokio::sync::mpsc;

use crate::agent::Message;
use crate::driver::Drivers;
use crate::driver::process::log_dir;
use crate::import;
use crate::logs::follow::{Ends, Follow, Followed, publish};
use crate::logs::{Ask, STREAMS, tail};
use crate::shared::Shared;
use crate::site::Site;

mod exec;
mod host;
mod leftovers;

/// At most so many bytes of output in an answer, unless less is asked for.
const MOST_BYTES: u32 = 512 * 1024;

/// What answers need.
#[derive(Debug, Clone)]
pub struct Parts {
    /// What this node is.
    pub site: Arc<Site>,
    /// What others may look at.
    pub shared: Arc<Shared>,
    /// The loop that owns all instances.
    pub agent: mpsc::Sender<Message>,
    /// How instances are run.
    pub drivers: Arc<Drivers>,
    /// Whose output is followed.
    pub followed: Followed,
}

/// Begins to answer; ends when the program stops.
pub async fn serve(bus: &Bus, parts: Parts) -> Result<(), SendError> {
    let Parts { site, shared, agent, drivers, followed } = parts;
    let of_host =
        host::Desk { site: Arc::clone(&site), shared: Arc::clone(&shared), agent: agent.clone() };
    let of_stats = of_host.clone();
    let foreign = Arc::clone(&drivers);
    let inside = exec::Desk {
        bus: bus.clone(),
        node: site.node.clone(),
        agent,
        drivers,
        shared: Arc::clone(&shared),
        open: exec::Open::default(),
    };
    let (signals, leftovers) = (inside.clone(), inside.clone());
    let (site, shared) = (&site, &shared);
    let (of_ping, to_ping) = (Arc::clone(site), Arc::clone(shared));
    let to_sync = Arc::clone(shared);
    let desk =
        Desk { bus: bus.clone(), site: Arc::clone(site), shared: Arc::clone(shared), followed };
    bus.serve_node(&site.node)
        .on::<pb::Ping, _, _>(move |_: Caller, _| {
            let (node, epoch) = (of_ping.node.to_string(), to_ping.epoch().0);
            async move { Ok(pb::Pong { node, epoch }) }
        })
        .on::<pb::Sync, _, _>(move |_: Caller, _| {
            to_sync.sync.notify_one();
            to_sync.asked.notify_one();
            async { Ok(pb::SyncReply {}) }
        })
        .on::<pb::Logs, _, _>(move |_: Caller, ask| {
            let desk = desk.clone();
            async move { desk.logs(ask).await }
        })
        .on::<pb::Signal, _, _>(move |_: Caller, ask| {
            let signals = signals.clone();
            async move { signals.signal(ask).await }
        })
        .on::<pb::Leftovers, _, _>(move |_: Caller, ask| {
            let leftovers = leftovers.clone();
            async move { leftovers.leftovers(ask).await }
        })
        .on::<pb::Host, _, _>(move |_: Caller, _| {
            let desk = of_host.clone();
            async move { desk.host().await }
        })
        .on::<pb::Stats, _, _>(move |_: Caller, ask| {
            let desk = of_stats.clone();
            async move { desk.stats(ask).await }
        })
        .on::<pb::Import, _, _>(move |_: Caller, _| {
            let drivers = Arc::clone(&foreign);
            async move { Ok(import::report(&drivers).await) }
        })
        .on::<pb::Exec, _, _>(move |caller: Caller, ask| {
            let inside = inside.clone();
            async move { inside.exec(&caller.actor, ask).await }
        })
        .start()
        .await
}

/// Answers questions for output.
#[derive(Debug, Clone)]
struct Desk {
    bus: Bus,
    site: Arc<Site>,
    shared: Arc<Shared>,
    followed: Followed,
}

impl Desk {
    async fn logs(&self, ask: pb::Logs) -> Result<pb::LogsReply, Problem> {
        let id: InstanceId = ask
            .instance
            .parse()
            .map_err(|error| Problem::new(Code::Invalid, format!("`instance`: {error}")))?;
        if !ask.stream.is_empty() && !STREAMS.contains(&ask.stream.as_str()) {
            let what = format!("`stream` is one of {} or empty", STREAMS.join(", "));
            return Err(Problem::new(Code::Invalid, what));
        }
        let none = || Problem::new(Code::NotFound, format!("no output of instance {id} is here"));
        let dir = self.dir(id).ok_or_else(none)?;
        let follow = (ask.follow_ms > 0).then(|| Duration::from_millis(ask.follow_ms));
        let (follow, ends) = match follow.map(|wanted| self.followed.ask(id, wanted)) {
            Some(Follow::Begin) => (true, Ends::now(&dir, "")),
            Some(Follow::GoesOn) | None => (false, Ends::now(&dir, "none")),
        };
        if follow {
            let (bus, node) = (self.bus.clone(), self.site.node.clone());
            let (followed, stop) = (self.followed.clone(), self.shared.tasks.stop_token());
            self.shared.tasks.spawn_brief(async move {
                tokio::select! {
                    () = publish(bus, node, id, ends, followed) => {}
                    () = stop.cancelled() => {}
                }
            });
        }
        read(dir, ask).await
    }

    fn dir(&self, id: InstanceId) -> Option<PathBuf> {
        let dir = log_dir(self.site.data_dir.as_ref()?, id);
        dir.is_dir().then_some(dir)
    }
}

async fn read(dir: PathBuf, ask: pb::Logs) -> Result<pb::LogsReply, Problem> {
    let given = |asked: u32, usual: u32| if asked == 0 { usual } else { asked };
    let lines = usize::try_from(given(ask.tail, 100)).unwrap_or(usize::MAX);
    let bytes = u64::from(given(ask.max_bytes, MOST_BYTES).min(MOST_BYTES));
    let shares = if ask.stream.is_empty() { 2 } else { 1 };
    let since = match ask.within_ms {
        0 => 0,
        within => clock::wall_ms().saturating_sub(within).max(1),
    };
    let read = tokio::task::spawn_blocking(move || {
        let (stream, grep) = (ask.stream.as_str(), ask.grep.as_str());
        tail(&dir, Ask { stream, grep, since, lines, bytes: bytes / shares })
    });
    let tail = read.await.map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
    Ok(pb::LogsReply { lines: tail.lines, truncated: tail.truncated })
}
