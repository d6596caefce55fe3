//! Fills history from the stream of events, exactly once by its sequence, and answers from it.

use std::time::Duration;

use ostler_bus::{Bus, Caller, EventEntry, EventReader};
use ostler_core::id::Revision;
use ostler_schemas::pb;
use ostler_schemas::problem::Problem;
use ostler_service::Backoff;
use tracing::{debug, info, warn};

use crate::app::Shared;
use crate::index::limit;
use crate::refusal::{internal, invalid};
use crate::store::{AppendError, Query, Store};

/// At most so many events in one transaction.
const BATCH: usize = 500;
/// After so long without an event it is asked whether this is still the same life of the fleet.
const STILL: Duration = Duration::from_secs(10);
/// Between two tries: at first, at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));
/// The part of the program's health.
const PART: &str = "history";

/// Begins to fill, for as long as the program runs: a private database by every replica, a shared
/// one by the leader.
pub fn begin(app: &Shared) {
    let app = app.clone();
    let tasks = app.bus.program().tasks.clone();
    let stop = tasks.stop_token();
    tasks.spawn("history", async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = fill(&app) => {}
        }
        Ok::<(), &str>(())
    });
}

async fn fill(app: &Shared) {
    let shared = !app.history.is_private();
    let mut pause = Backoff::new(PAUSE.0, PAUSE.1);
    loop {
        if shared {
            app.lead.gained().await;
        }
        let health = &app.bus.program().health;
        match begin_reading(app).await {
            Ok(start) => {
                health.set(PART, Ok(()));
                pause.reset();
                match go_on(app, start, shared).await {
                    Ok(()) => {}
                    Err(cause @ AppendError::Moved(_)) => {
                        debug!(error = %cause, "history begins anew: {cause}");
                    }
                    Err(cause @ AppendError::Sql(_)) => {
                        warn!(error = %cause, "history is not filled, trying again: {cause}");
                        health.set(PART, Err(cause.to_string()));
                    }
                }
            }
            Err(cause) => {
                warn!(error = %cause, "history cannot be filled: {cause}");
                health.set(PART, Err(cause));
            }
        }
        pause.wait().await;
    }
}

/// From where it is read, in which life of the fleet.
struct Start {
    incarnation: u64,
    position: Revision,
    reader: EventReader,
}

async fn begin_reading(app: &Shared) -> Result<Start, String> {
    let incarnation = app.bus.incarnation().await.map_err(|error| error.to_string())?;
    let position = app.history.position(incarnation).await.map_err(|error| error.to_string())?;
    info!(after = position.0, "history is filled from event {position} on");
    Ok(Start { incarnation, position, reader: app.bus.events_from(position) })
}

async fn go_on(app: &Shared, start: Start, shared: bool) -> Result<(), AppendError> {
    let Start { incarnation, mut position, mut reader } = start;
    loop {
        let next = tokio::time::timeout(STILL, reader.next()).await;
        if shared && !app.lead.holds() {
            return Ok(());
        }
        let first = match next {
            Ok(Some(first)) => first,
            Ok(None) => return Ok(()),
            // Restored from a copy meanwhile: sequences below `position` are told again.
            Err(_) if app.bus.incarnation().await.is_ok_and(|now| now != incarnation) => {
                return Ok(());
            }
            Err(_) => continue,
        };
        let mut batch = vec![first];
        while batch.len() < BATCH
            && let Some(next) = reader.try_next()
        {
            batch.push(next);
        }
        let upto = batch.last().map_or(position, |entry| entry.sequence);
        let events: Vec<_> = batch.into_iter().filter_map(readable).collect();
        app.history.append(position, &events, upto).await?;
        position = upto;
    }
}

fn readable(entry: EventEntry) -> Option<(Revision, pb::Event)> {
    let EventEntry { sequence, event, .. } = entry;
    match event {
        Ok(event) => Some((sequence, event)),
        Err(cause) => {
            warn!(sequence = sequence.0, error = %cause, "event {sequence} cannot be read");
            None
        }
    }
}

/// `event.list`
pub async fn events(
    app: Shared,
    _: Caller,
    request: pb::EventList,
) -> Result<pb::EventListReply, Problem> {
    let limit = limit(request.limit)?;
    let (namespace, workload) = match request.workload.split_once('/') {
        Some((namespace, workload)) => (namespace.to_owned(), workload.to_owned()),
        None => (String::new(), request.workload.clone()),
    };
    let mut since = request.since;
    let mut before = 0;
    if !request.cursor.is_empty() {
        let last: u64 =
            request.cursor.parse().map_err(|_| invalid("cursor", "it is of no earlier page"))?;
        match request.newest {
            true => before = last,
            false => since = since.max(last),
        }
    }
    let query = Query {
        since: Revision(since),
        before: Revision(before),
        kind: request.kind,
        namespace,
        workload,
        node: request.node,
        instance: request.instance,
        // One more tells whether there is more.
        limit: u32::try_from(limit + 1).unwrap_or(u32::MAX),
        newest: request.newest,
    };
    let revision = app.history.reached().await.map_err(internal)?.0;
    let mut items = app.history.events(&query).await.map_err(internal)?;
    let mut next_cursor = None;
    if items.len() > limit {
        // The newest come last, whichever are asked for.
        let last = if query.newest { 0 } else { limit - 1 };
        items.remove(if query.newest { 0 } else { limit });
        next_cursor = items.get(last).map(|event| event.sequence.to_string());
    }
    Ok(pb::EventListReply { items, next_cursor, revision })
}

/// Opens history, which must be there before anything else starts.
pub async fn open(address: &str, bus: &Bus) -> Result<Store, crate::store::OpenError> {
    let store = Store::open(address).await?;
    let (closing, stop) = (store.clone(), bus.program().tasks.stop_token());
    bus.program().tasks.spawn_brief(async move {
        stop.cancelled().await;
        closing.close().await;
    });
    Ok(store)
}
