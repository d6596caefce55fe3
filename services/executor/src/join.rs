//! Hello and goodbye: the registry admits this executor as the next epoch of its node.

use std::time::Duration;

use nkeys::KeyPair;
use ostler_bus::connection::ConnectionState;
use ostler_bus::{Bus, Caller};
use ostler_core::id::{Epoch, PoolName};
use ostler_schemas::pb;
use ostler_schemas::problem::{Code, Problem};
use ostler_service::{Backoff, clock};
use rand::Rng;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::shared::Shared;
use crate::site::Site;

/// What the registry granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// The life that begins now.
    pub epoch: Epoch,
    /// In which life of the fleet.
    pub incarnation: u64,
    /// Whose scheduler gives it work.
    pub pool: PoolName,
}

/// Says hello until the registry admits or refuses us. `None` when stopped meanwhile.
pub async fn join(
    bus: &Bus,
    site: &Site,
    key: &KeyPair,
    shared: &Shared,
    stop: &CancellationToken,
) -> Result<Option<Admission>, Problem> {
    let mut wait_ms = 250;
    loop {
        let problem = match hello(bus, site, key, shared).await {
            Ok(admission) => {
                let Admission { epoch, incarnation, pool } = &admission;
                info!(node.epoch = epoch.0, "joined pool {pool} as epoch {epoch}");
                shared.admitted(*epoch, *incarnation);
                return Ok(Some(admission));
            }
            Err(problem) => problem,
        };
        if is_final(problem.code) {
            return Err(problem);
        }
        warn!(error = %problem, "not admitted yet, trying again: {problem}");
        shared.not_admitted(&format!("not admitted: {problem}"));
        let jittered = Duration::from_millis(rand::rng().random_range(wait_ms / 2..=wait_ms));
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(jittered) => {}
        }
        wait_ms = (wait_ms * 2).min(5000);
    }
}

/// Between two looks whether the node is still known, in milliseconds.
const LOOK_MS: std::ops::Range<u64> = 60_000..120_000;
/// After the bus was away, at most so long: a fleet asks no registry all at once, and no node is
/// given up meanwhile.
const RETURN: Duration = Duration::from_secs(2);
/// Between two questions that nobody answers.
const UNANSWERED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// Says hello again when the fleet does not know this node as it was admitted, because the node was
/// removed or the fleet was restored from a copy, so that the fleet can say what is to become of
/// what runs here; and when its labels have changed. Hears to which pool the node was given. Asks
/// after each time that the bus was away, and now and then. Ends when it is refused, or stopped.
pub async fn stay(
    bus: &Bus,
    (site, key): (&Site, &KeyPair),
    shared: &Shared,
    pool: &watch::Sender<PoolName>,
    stop: &CancellationToken,
) -> Result<(), Problem> {
    let (mut state, mut unanswered) = (bus.state(), Backoff::new(UNANSWERED.0, UNANSWERED.1));
    let mut connects = state.borrow_and_update().connects;
    let mut wait = look();
    loop {
        let mut again = false;
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(wait) => {}
            () = returned(&mut state, &mut connects) => {}
            () = shared.asked.notified() => {}
            () = shared.relabelled.notified() => again = true,
        }
        wait = look();
        if !again {
            let challenge = pb::Challenge { node: site.node.to_string() };
            match bus.call(&challenge, &caller(site)).await {
                Ok(known) => {
                    unanswered.reset();
                    again = is_stranger(&known, shared);
                    known.pool.parse().into_iter().for_each(|now| enter(pool, now));
                }
                Err(_) => wait = unanswered.next_wait(),
            }
        }
        if again {
            let node = &site.node;
            warn!("node {node} is not known as it was admitted or has other labels: hello again");
            let Some(admission) = join(bus, site, key, shared, stop).await? else { return Ok(()) };
            enter(pool, admission.pool);
            shared.sync.notify_one();
            shared.report_again();
        }
    }
}

fn enter(pool: &watch::Sender<PoolName>, now: PoolName) {
    pool.send_if_modified(|before| std::mem::replace(before, now.clone()) != now);
}

fn look() -> Duration {
    Duration::from_millis(rand::rng().random_range(LOOK_MS))
}

/// Waits until the bus was away and has been there again for a moment.
async fn returned(state: &mut watch::Receiver<ConnectionState>, connects: &mut u64) {
    // The sender lives as long as the connection.
    let back = state.wait_for(|now| now.up && now.connects != *connects).await.map(|now| *now);
    match back {
        Ok(now) => {
            Backoff::steady(RETURN).wait().await;
            *connects = now.connects;
        }
        Err(_) => std::future::pending().await,
    }
}

/// Whether the fleet does not have on record what it granted. A later life of this node in the same
/// life of the fleet is another executor's, which took its place: whoever reports finds that out.
fn is_stranger(known: &pb::ChallengeReply, shared: &Shared) -> bool {
    let other_fleet = known.incarnation != 0 && known.incarnation != shared.incarnation();
    let older = known.epoch != 0 && known.epoch < shared.epoch().0;
    known.unknown || other_fleet || older
}

/// Whether asking again would get the same answer.
const fn is_final(code: Code) -> bool {
    match code {
        Code::Malformed
        | Code::Invalid
        | Code::Conflict
        | Code::Forbidden
        | Code::NotFound
        | Code::Infeasible => true,
        // Somebody else wrote the node's record since the nonce was given.
        Code::RevisionMismatch
        | Code::LimitExceeded
        | Code::Unavailable
        | Code::Timeout
        | Code::Internal => false,
    }
}

async fn hello(
    bus: &Bus,
    site: &Site,
    key: &KeyPair,
    shared: &Shared,
) -> Result<Admission, Problem> {
    let challenge = pb::Challenge { node: site.node.to_string() };
    let nonce = bus.call(&challenge, &caller(site)).await?.nonce;
    let said = format!("hello\n{}\n{}\n{nonce}", site.node, site.facts.hardware);
    let internal = |what: &str| Problem::new(Code::Internal, what.to_owned());
    let signature = key.sign(said.as_bytes()).map_err(|_| internal("the node key cannot sign"))?;
    let mut facts = site.facts.clone();
    facts.labels.extend(shared.labels());
    let facts_json =
        serde_json::to_string(&facts).map_err(|_| internal("the facts are no JSON"))?;
    let hello = pb::Hello {
        node: site.node.to_string(),
        key: key.public_key(),
        signed_at_ms: clock::wall_ms(),
        signature,
        facts_json,
        pool: site.pool.to_string(),
        nonce,
        epoch: shared.epoch().0,
    };
    let reply = bus.call(&hello, &caller(site)).await?;
    let pool = reply.pool.parse().unwrap_or_else(|_| site.pool.clone());
    Ok(Admission { epoch: Epoch(reply.epoch), incarnation: reply.incarnation, pool })
}

fn caller(site: &Site) -> Caller {
    Caller::program(&format!("node-{}", site.node))
}

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(2);

/// Says goodbye; whether it was heard does not matter to us.
pub async fn leave(bus: &Bus, site: &Site, key: &KeyPair, (epoch, what_stays): (Epoch, Stays)) {
    let empty = what_stays == Stays::Nothing;
    let said = format!("leave\n{}\n{epoch}\n{empty}", site.node);
    let Ok(signature) = key.sign(said.as_bytes()) else {
        return warn!("the node key cannot sign: no goodbye");
    };
    let leave = pb::Leave { node: site.node.to_string(), epoch: epoch.0, empty, signature };
    let mut caller = caller(site);
    caller.timeout = GOODBYE;
    match tokio::time::timeout(GOODBYE, bus.call(&leave, &caller)).await {
        Ok(Ok(_)) => info!("left the fleet"),
        Ok(Err(problem)) => warn!(error = %problem, "the goodbye was not taken: {problem}"),
        Err(_) => warn!("nobody heard the goodbye"),
    }
}

/// What stays on the node when its executor goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stays {
    /// Instances run on.
    Instances,
    /// Nothing.
    Nothing,
}
