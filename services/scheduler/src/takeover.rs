//! From standby to leader: catch up with every stream, write a new term, understand everything.
//!
//! The lease only says who may try. The term's record is written at the very sequence up to which
//! the placements were heard, so whoever led before can write nothing any more, and nothing that it
//! wrote was missed.

use std::collections::BTreeMap;
use std::time::Duration;

use ostler_bus::provision::ProvisionError;
use ostler_bus::{Batch, CommitError, Lease, ReadError, WatchEvent};
use ostler_core::id::{PoolName, Revision, Term};
use ostler_core::instance::Manifest;
use ostler_core::reconcile::{Again, Engine, Event, Source};
use ostler_schemas::bucket::{PlacementKey, TermKey, TermRecord};
use ostler_schemas::pb;
use thiserror::Error;
use tracing::{error, warn};

use crate::feed::{Feed, FeedError, bucket};
use crate::history;
use crate::pool::Context;
use crate::reader::{Reader, Unreadable};
use crate::reign::Reign;
use crate::retell::Recent;
use crate::world::World;

/// A watch that is behind and has told nothing for so long is begun anew.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often a term is tried when others write.
const TRIES: u32 = 8;

/// Why the lease is not put to use, or no longer.
#[derive(Debug, Error)]
pub(crate) enum TakeoverError {
    /// The lease ran out meanwhile.
    #[error("the lease was lost")]
    LeaseLost,
    /// The program stops.
    #[error("the program stops")]
    Stopped,
    /// A stream could not be read.
    #[error("a stream cannot be read")]
    Read(#[from] ReadError),
    /// A watch could not be begun anew.
    #[error("a watch cannot begin")]
    Feed(#[from] FeedError),
    /// Which life of the fleet it is could not be read.
    #[error("the fleet's incarnation cannot be read")]
    Incarnation(#[from] ProvisionError),
    /// What was placed cannot be understood; planning without it would start it twice.
    #[error("what was placed cannot be understood")]
    Unreadable(#[from] Unreadable),
    /// The new term was not written.
    #[error("the new term was not written")]
    Term(#[from] CommitError),
    /// It was led, and the server did not take what was to be written.
    #[error("the server does not take what is to be written")]
    Unwritable,
    /// It was led, and the task that writes ended.
    #[error("the task that writes placements ended")]
    PenLost,
    /// Others kept writing.
    #[error("others keep writing placements")]
    Crowded,
}

/// A reign that has begun, and where its pen begins.
#[derive(Debug)]
pub(crate) struct Begun {
    /// The picture.
    pub reign: Reign,
    /// The record of the term.
    pub term: TermRecord,
    /// The revision of that record.
    pub after: Revision,
    /// What the leader before may not have told.
    pub retold: Vec<pb::Event>,
}

/// What a reign knew that ended because somebody else wrote into its placements. It knows what was
/// there before, as long as nobody has led since.
#[derive(Debug)]
pub(crate) struct Memory {
    /// Which reign.
    pub term: TermRecord,
    /// Its picture.
    pub reign: Reign,
}

/// Takes over a pool whose lease is held.
pub(crate) async fn take_over(
    context: &Context,
    pool: &PoolName,
    lease: &Lease,
    feed: &mut Feed,
    world: &mut World,
) -> Result<Begun, TakeoverError> {
    let incarnation = context.bus.incarnation().await?;
    let mut herald = Herald { context, pool, lease, feed, incarnation };
    let (term, after) = herald.proclaim(world).await?;
    feed.end(Source::Placements);
    let (reign, retold) = understand(context, pool, (&term, after), world)?;
    Ok(Begun { reign, term, after, retold })
}

/// Writes the new term.
struct Herald<'a> {
    context: &'a Context,
    pool: &'a PoolName,
    lease: &'a Lease,
    feed: &'a mut Feed,
    incarnation: u64,
}

impl Herald<'_> {
    async fn proclaim(
        &mut self,
        world: &mut World,
    ) -> Result<(TermRecord, Revision), TakeoverError> {
        let mut tried = None;
        for _ in 0..TRIES {
            let mut goals = Vec::new();
            for source in Source::ALL {
                goals.push((source, self.last(source).await?));
            }
            self.catch_up(world, &goals).await?;
            let end = goals.iter().find(|(source, _)| *source == Source::Placements);
            let after = end.map(|(_, revision)| *revision).expect("all sources are there");
            let last = last_term(self.pool, world);
            let ours = |last: &TermRecord| {
                let memory = world.memory.as_ref().map(|memory| &memory.term);
                memory == Some(last) || tried.as_ref() == Some(last)
            };
            if !last.as_ref().is_some_and(ours) {
                // Others have led since, or nobody knows.
                world.memory = None;
            }
            let record = self.next_term(last.map_or_else(|| after_all(world), |last| last.term));
            tried = Some(record.clone());
            match self.write(&record, after).await {
                Ok(written) => {
                    self.catch_up(world, &[(Source::Placements, written)]).await?;
                    return Ok((record, written));
                }
                Err(error @ (CommitError::Refused(_) | CommitError::TooLarge { .. })) => {
                    return Err(error.into());
                }
                Err(error) => {
                    warn!(pool = %self.pool, error = %error, "reading on before the next try");
                }
            }
        }
        Err(TakeoverError::Crowded)
    }

    async fn last(&self, source: Source) -> Result<Revision, ReadError> {
        self.context.bus.last_revision(&bucket(source, self.pool)).await
    }

    /// Hears until every watch has told everything up to its goal.
    async fn catch_up(
        &mut self,
        world: &mut World,
        goals: &[(Source, Revision)],
    ) -> Result<(), TakeoverError> {
        let mut patience = tokio::time::interval(PATIENCE);
        patience.tick().await;
        let heard = goals.iter().map(|(source, _)| (*source, world.told(*source)));
        let mut told: BTreeMap<Source, u64> = heard.collect();
        loop {
            let late: Vec<Source> = goals
                .iter()
                .filter(|(source, goal)| !world.reached(*source, *goal))
                .map(|(source, _)| *source)
                .collect();
            if late.is_empty() {
                return Ok(());
            }
            tokio::select! {
                () = self.lease.lost() => return Err(TakeoverError::LeaseLost),
                heard = self.feed.next() => world.hear(heard.ok_or(TakeoverError::Stopped)?),
                _ = patience.tick() => {
                    // One that is still being told a large pool is not begun again and again.
                    let stuck = |source: &Source| {
                        told.insert(*source, world.told(*source)) == Some(world.told(*source))
                    };
                    let stuck: Vec<Source> = late.into_iter().filter(stuck).collect();
                    self.begin_anew(world, &stuck).await?;
                }
            }
        }
    }

    async fn begin_anew(&mut self, world: &mut World, late: &[Source]) -> Result<(), FeedError> {
        for source in late {
            warn!(pool = %self.pool, watch = source.as_str(), "the watch lags, beginning it anew");
            self.feed.begin(*source).await?;
            world.begin_anew(*source);
        }
        Ok(())
    }

    fn next_term(&self, last: Term) -> TermRecord {
        TermRecord {
            incarnation: self.incarnation,
            term: last.next(),
            holder: self.context.replica.clone(),
            since: self.context.bus.pool_time(),
        }
    }

    async fn write(&self, record: &TermRecord, after: Revision) -> Result<Revision, CommitError> {
        let mut batch = Batch::of(record.term);
        batch.put(&TermKey(self.pool.clone()), record).expect("an empty batch has room");
        self.context.bus.commit(self.pool, batch, after).await
    }
}

/// A picture of everything that was heard. What somebody else wrote and cannot be read is passed
/// over and told; of our own placements nothing may be, unless this replica knows what was there.
fn understand(
    context: &Context,
    pool: &PoolName,
    (term, after): (&TermRecord, Revision),
    world: &World,
) -> Result<(Reign, Vec<pb::Event>), Unreadable> {
    let now = context.bus.pool_time();
    let mut recent = Recent::new(pool, now);
    let seed = seed(pool, term.term);
    let mut engine = Engine::new(pool.clone(), context.config.settings(), seed);
    engine = engine.in_life(term.incarnation);
    let (mut reader, mut alarms) = (Reader::new(pool.clone()), Vec::new());
    for source in Source::ALL {
        let values = world.bucket(source).into_iter().flat_map(|kept| kept.values());
        for (key, value) in values {
            let event = reader.put(source, key, value).or_else(|unreadable| {
                alarms.push(passed_over(pool, &unreadable));
                let known = stand_in(&mut reader, world, (source, key), (term, after));
                let known = known.map_err(|NeitherKnown| unreadable)?;
                Ok(known.map(|(event, again)| {
                    engine.write_again(again);
                    event
                }))
            })?;
            let Some(event) = event else { continue };
            if let Event::Manifest(node, manifest) = &event {
                recent.note(node, manifest);
            }
            engine.observe(event, now);
        }
    }
    for event in reader.intake.removed_meanwhile() {
        engine.observe(event, now);
    }
    for beat in world.beats().filter(|beat| !reader.intake.is_stranger(&beat.node)) {
        engine.observe(Event::Heartbeat(beat.clone()), now);
    }
    let metrics = context.metrics.pool(pool);
    alarms.extend(recent.events());
    Ok((Reign::new(pool.clone(), term.term, engine, reader, metrics), alarms))
}

/// It cannot be read, something may run because of it, and nobody here knows what.
struct NeitherKnown;

/// What stands for a value that cannot be read, if anything has to.
fn stand_in(
    reader: &mut Reader,
    world: &World,
    (source, key): (Source, &str),
    now: (&TermRecord, Revision),
) -> Result<Option<(Event, Again)>, NeitherKnown> {
    if source != Source::Placements || !needs(reader, world, key) {
        return Ok(None);
    }
    let (event, again) = recalled(world, key, now).ok_or(NeitherKnown)?;
    Ok(Some((reader.recall(event), again)))
}

/// Whether nothing may be planned while this key of the placements cannot be read: something may run
/// because of it. What is of no node and of no workload of ours is a scribble.
fn needs(reader: &Reader, world: &World, key: &str) -> bool {
    match PlacementKey::read(key) {
        Some(PlacementKey::Manifest(node)) => reader.intake.knows(&node),
        Some(PlacementKey::Progress(workload)) => {
            let heads = world.bucket(Source::Workloads);
            heads.is_some_and(|heads| heads.value(&workload.token()).is_some())
        }
        Some(PlacementKey::Outcomes) => true,
        Some(PlacementKey::Brake | PlacementKey::Term) | None => false,
    }
}

/// What this replica had written there before. What is not reported of it has ended only if that was
/// said of what is written in this reign.
fn recalled(
    world: &World,
    key: &str,
    (term, after): (&TermRecord, Revision),
) -> Option<(Event, Again)> {
    let memory = world.memory.as_ref()?;
    let (mut event, again) = memory.reign.recall(&PlacementKey::read(key)?)?;
    if let Event::Manifest(_, manifest) = &mut event {
        manifest.incarnation = term.incarnation;
        (manifest.term, manifest.revision) = (term.term, after);
    }
    Some((event, again))
}

/// The record of the last reign; the first is none. `None`: it cannot be read.
fn last_term(pool: &PoolName, world: &World) -> Option<TermRecord> {
    let kept = world.bucket(Source::Placements).and_then(|kept| kept.value("_term"));
    match kept.map(|value| WatchEvent::decode::<TermRecord>(value)) {
        Some(Ok(record)) => Some(record),
        Some(Err(cause)) => {
            error!(pool = %pool, error = %cause, "the last term cannot be read: {cause}");
            None
        }
        None => None,
    }
}

fn passed_over(pool: &PoolName, unreadable: &Unreadable) -> pb::Event {
    error!(pool = %pool, error = %unreadable, cause = %unreadable.source,
        "{unreadable}; it is passed over");
    let key = format!("{}/{}", unreadable.bucket, unreadable.key);
    pb::Event {
        reason: format!("somebody else wrote it, it is passed over: {}", unreadable.source),
        ..history::of_pool(pool, "record.unreadable", &[("key", key)])
    }
}

/// A term that is no earlier than any that was led in, where its record is lost or there is none: what
/// it led to is in the manifests, but for a reign that wrote none.
fn after_all(world: &World) -> Term {
    let kept = world.bucket(Source::Placements).into_iter().flat_map(|kept| kept.values());
    let manifests =
        kept.filter(|(key, _)| matches!(PlacementKey::read(key), Some(PlacementKey::Manifest(_))));
    let terms = manifests.filter_map(|(_, value)| WatchEvent::decode::<Manifest>(value).ok());
    terms.map(|manifest| manifest.term.next()).max().unwrap_or(Term(0))
}

/// Tells the ids of two leaders apart (FNV-1a over pool and term).
fn seed(pool: &PoolName, term: Term) -> u32 {
    let bytes = pool.to_string().into_bytes().into_iter().chain(term.0.to_be_bytes());
    bytes.fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
