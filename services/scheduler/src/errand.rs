//! What the leader asks of others: a rollback of the registry, a look of a node at its manifest,
//! and whether a node's own lease is gone. None holds up the loop.

use std::time::Duration;

use ostler_bus::lease::pledge::KEPT;
use ostler_bus::{Bus, Caller};
use ostler_core::id::{NodeName, Version, WorkloadKey};
use ostler_schemas::bucket::LeaseKey;
use ostler_schemas::pb;
use ostler_schemas::problem::Code;
use ostler_service::{Backoff, clock};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::leases::Found;

/// How long to wait before the registry is asked again: at first, at most.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// Asks the registry to set a workload back, until it answers or the reign ends.
pub(crate) async fn roll_back(
    bus: Bus,
    workload: WorkloadKey,
    (good, failed): (Version, Version),
    stop: CancellationToken,
) {
    let request = pb::WorkloadRollback {
        namespace: workload.namespace.to_string(),
        name: workload.name.to_string(),
        version: good.0,
        if_version: failed.0,
        ..Default::default()
    };
    let mut pause = Backoff::new(SHORTEST, LONGEST);
    loop {
        match bus.call(&request, &Caller::program("scheduler")).await {
            Ok(_) => {
                info!(workload = %workload, "{workload} goes back from {failed} to {good}");
                return;
            }
            Err(problem) if comes_to_pass(problem.code) => {}
            Err(problem) => {
                warn!(workload = %workload, error = %problem, "{workload} is not set back");
                return;
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = pause.wait() => {}
        }
    }
}

/// Asked again, it may be answered: nobody was there, or somebody changed the workload meanwhile.
const fn comes_to_pass(code: Code) -> bool {
    matches!(code, Code::Unavailable | Code::Timeout | Code::RevisionMismatch)
}

/// Asks a node to read its manifest again.
pub(crate) async fn sync(bus: Bus, node: NodeName) {
    if let Err(problem) = bus.call_node(&node, &pb::Sync {}, &Caller::program("scheduler")).await {
        debug!(node = %node, error = %problem, "{node} lags and does not answer");
    }
}

/// Looks for the lease under which a node runs fenced instances, by the stream's leader. Nothing where
/// there is no answer.
pub(crate) async fn look_for_lease(bus: &Bus, node: &NodeName) -> Option<Found> {
    let entry = bus.get(&LeaseKey(format!("node.{node}"))).await.ok()?;
    Some(entry.map_or(Found::Nothing, |entry| {
        let age = Duration::from(bus.pool_time().since(entry.at));
        Found::Expires(clock::instant() + KEPT.saturating_sub(age))
    }))
}
