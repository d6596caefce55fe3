//! Everything that a pool's leader hears, in one bounded queue.

use ostler_bus::pubsub::SendError;
use ostler_bus::{Bus, ReadError, WatchEvent};
use ostler_core::id::PoolName;
use ostler_core::node::Heartbeat;
use ostler_core::reconcile::Source;
use ostler_schemas::bucket::Bucket;
use ostler_schemas::contract::HeartbeatOf;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

/// At most so many messages wait; a full queue holds up the watches, which then wait too.
const QUEUE: usize = 4096;

/// The bucket that is watched.
pub(crate) fn bucket(source: Source, pool: &PoolName) -> Bucket {
    match source {
        Source::Workloads => Bucket::Workloads,
        Source::Nodes => Bucket::Nodes,
        Source::Commands => Bucket::Commands,
        Source::Placements => Bucket::Placements(pool.clone()),
        Source::Reports => Bucket::Reports,
        Source::Settings => Bucket::Settings,
    }
}

/// One message.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A watch told something.
    Told(Source, WatchEvent),
    /// A node beat.
    Beat(Heartbeat),
}

/// Why not everything can be heard.
#[derive(Debug, Error)]
pub(crate) enum FeedError {
    /// A watch could not begin.
    #[error("cannot watch `{0}`")]
    Watch(&'static str, #[source] ReadError),
    /// Heartbeats could not be subscribed to.
    #[error("cannot hear heartbeats")]
    Beats(#[source] SendError),
}

/// The six watches and the heartbeats. Its tasks end with it.
#[derive(Debug)]
pub(crate) struct Feed {
    bus: Bus,
    pool: PoolName,
    queue: mpsc::Receiver<(u64, Heard)>,
    sender: mpsc::Sender<(u64, Heard)>,
    /// Those that were not ended, each with its number: what others still told counts no more.
    watches: Vec<(Source, u64, DropGuard)>,
    begun: u64,
    _beats: DropGuard,
}

impl Feed {
    /// Begins to hear.
    pub async fn open(bus: &Bus, pool: &PoolName) -> Result<Self, FeedError> {
        let (sender, queue) = mpsc::channel(QUEUE);
        let beats = hear_beats(bus, sender.clone()).await?;
        let (bus, pool) = (bus.clone(), pool.clone());
        let mut feed =
            Self { bus, pool, queue, sender, watches: Vec::new(), begun: 0, _beats: beats };
        for source in Source::ALL {
            feed.begin(source).await?;
        }
        Ok(feed)
    }

    /// The next message. `None` when the program stops.
    pub async fn next(&mut self) -> Option<Heard> {
        loop {
            let (watch, heard) = self.queue.recv().await?;
            if self.counts(watch, &heard) {
                return Some(heard);
            }
        }
    }

    /// The next message if one waits.
    pub fn waiting(&mut self) -> Option<Heard> {
        loop {
            let (watch, heard) = self.queue.try_recv().ok()?;
            if self.counts(watch, &heard) {
                return Some(heard);
            }
        }
    }

    /// Whether it is of a watch in force: that an earlier one had caught up says nothing.
    fn counts(&self, watch: u64, heard: &Heard) -> bool {
        match heard {
            Heard::Told(..) => self.watches.iter().any(|(_, number, _)| *number == watch),
            Heard::Beat(_) => true,
        }
    }

    /// How many messages wait.
    pub fn depth(&self) -> usize {
        self.queue.len()
    }

    /// Ends one watch: a leader need not hear what it writes itself.
    pub fn end(&mut self, source: Source) {
        self.watches.retain(|(each, ..)| *each != source);
    }

    /// Begins one watch, anew if it is there: everything is told again.
    pub async fn begin(&mut self, source: Source) -> Result<(), FeedError> {
        self.end(source);
        let watch = self.bus.watch(&bucket(source, &self.pool)).await;
        let mut watch = watch.map_err(|error| FeedError::Watch(source.as_str(), error))?;
        let stop = CancellationToken::new();
        self.begun += 1;
        let number = self.begun;
        self.watches.push((source, number, stop.clone().drop_guard()));
        let sender = self.sender.clone();
        self.bus.program().tasks.spawn_brief(async move {
            let told = async {
                while let Some(event) = watch.next().await {
                    if sender.send((number, Heard::Told(source, event))).await.is_err() {
                        break;
                    }
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = told => {}
            }
        });
        Ok(())
    }
}

async fn hear_beats(bus: &Bus, sender: mpsc::Sender<(u64, Heard)>) -> Result<DropGuard, FeedError> {
    let mut beats = bus.subscribe::<HeartbeatOf>(None).await.map_err(FeedError::Beats)?;
    let stop = CancellationToken::new();
    let guard = stop.clone().drop_guard();
    bus.program().tasks.spawn_brief(async move {
        let heard = async {
            while let Some(message) = beats.next().await {
                // What does not decode is counted by the bus; a beat says what its subject says.
                let beat = message.ok().filter(|(of, beat)| of.0 == beat.node);
                let Some((_, beat)) = beat else { continue };
                if sender.send((0, Heard::Beat(beat))).await.is_err() {
                    break;
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = heard => {}
        }
    });
    Ok(guard)
}
