//! Hello and goodbye: the registry admits this executor as the next epoch of its node.

use std::time::Duration;

use nkeys::KeyPair;
use ostler_bus::{Bus, Caller};
use ostler_core::id::{Epoch, PoolName};
use ostler_schemas::pb;
use ostler_schemas::problem::{Code, Problem};
use ostler_service::clock;
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
                let Admission { epoch, pool } = &admission;
                info!(node.epoch = epoch.0, "joined pool {pool} as epoch {epoch}");
                shared.admitted(*epoch);
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

/// Says hello again when the node was removed from the fleet, so that the fleet can say what is to
/// become of what runs here, and when its labels have changed; hears to which pool the node was
/// given. Ends when it is refused, or stopped.
pub async fn stay(
    bus: &Bus,
    (site, key): (&Site, &KeyPair),
    shared: &Shared,
    pool: &watch::Sender<PoolName>,
    stop: &CancellationToken,
) -> Result<(), Problem> {
    loop {
        let wait = Duration::from_millis(rand::rng().random_range(LOOK_MS));
        let mut again = false;
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(wait) => {}
            () = shared.asked.notified() => {}
            () = shared.relabelled.notified() => again = true,
        }
        if !again {
            let challenge = pb::Challenge { node: site.node.to_string() };
            if let Ok(known) = bus.call(&challenge, &caller(site)).await {
                again = known.unknown;
                known.pool.parse().into_iter().for_each(|now| enter(pool, now));
            }
        }
        if again {
            warn!("node {} was removed or has other labels: it says hello again", site.node);
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
    };
    let reply = bus.call(&hello, &caller(site)).await?;
    let pool = reply.pool.parse().unwrap_or_else(|_| site.pool.clone());
    Ok(Admission { epoch: Epoch(reply.epoch), pool })
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
