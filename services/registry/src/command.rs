//! What is asked of instances, workloads and pools that is no specification, and what became of it.

use ostler_bus::Caller;
use ostler_core::command::Order;
use ostler_core::id::{NodeName, PoolName};
use ostler_schemas::bucket::{Bucket, CommandKey, HeadKey};
use ostler_schemas::pb;
use ostler_schemas::problem::{Code, Problem};

use crate::app::{App, Shared};
use crate::index::{Whereabouts, limit};
use crate::order::Once;
use crate::refusal::{conflict, invalid, not_found, revision_mismatch, unread};

impl App {
    /// A command that another replica took so lately that our index has not seen it.
    async fn command_from_leader(&self, id: &str) -> Result<Option<pb::CommandView>, Problem> {
        // Only what we write ourselves may be part of a key.
        if id.parse::<ulid::Ulid>().is_err() {
            return Ok(None);
        }
        for pool in &self.bus.config().pools {
            let key = CommandKey((pool.clone(), id.to_owned()));
            if let Some(entry) = self.bus.get(&key).await.map_err(unread)? {
                return Ok(Some(self.index.read(|picture| picture.command_as(&entry.value))));
            }
        }
        Ok(None)
    }

    /// Orders something of one instance, or says what that would look like.
    async fn order_of_instance(
        &self,
        caller: &Caller,
        ask: OfInstance<'_>,
        order: impl FnOnce(&Whereabouts) -> Result<Order, Problem> + Send,
    ) -> Result<pb::CommandView, Problem> {
        let OfInstance { verb, id, dry_run } = ask;
        let once = Once::of(caller, self.now(), verb, id);
        if !dry_run && let Some(known) = self.ordered(once) {
            return Ok(known);
        }
        let place = match self.index.read(|picture| picture.whereabouts(id)) {
            // It may be gone because this very operation ended it.
            Err(gone) if gone.code == Code::NotFound && !dry_run => {
                return self.ordered_by_now(once).await?.ok_or(gone);
            }
            place => place?,
        };
        let order = order(&place)?;
        if !dry_run {
            return self.order(caller, &place.pool, once, order).await;
        }
        let node = match &order {
            Order::StopInstance { .. } => Some(None),
            Order::MoveInstance { node, .. } => Some(node.clone()),
            Order::RestartInstance { .. }
            | Order::Drain { .. }
            | Order::Evacuate { .. }
            | Order::Promote { .. }
            | Order::Rebalance { .. } => None,
        };
        let view = self.unsent(caller, &place.pool, order);
        let Some(node) = node else { return Ok(view) };
        // Where it would be placed again.
        let node = node.map(String::from).unwrap_or_default();
        let ask = pb::InstanceExplain { id: place.id.to_string(), node };
        let plan = Some(self.bus.call(&ask, caller).await?);
        Ok(pb::CommandView { plan, ..view })
    }
}

/// What is asked of an instance, as the caller said it.
#[derive(Debug, Clone, Copy)]
struct OfInstance<'a> {
    verb: &'a str,
    id: &'a str,
    dry_run: bool,
}

/// `instance.get`
pub async fn instance(
    app: Shared,
    _: Caller,
    request: pb::InstanceGet,
) -> Result<pb::InstanceView, Problem> {
    app.index.read(|picture| picture.instance(&request.id))
}

/// `instance.list`
pub async fn instances(
    app: Shared,
    _: Caller,
    request: pb::InstanceList,
) -> Result<pb::InstanceListReply, Problem> {
    let (filter, limit) = (crate::index::InstanceFilter::read(&request)?, limit(request.limit)?);
    let pools = app.bus.config().pools.iter().cloned().map(Bucket::Placements);
    let revision = pools.map(|bucket| app.index.revision(&bucket).0).max().unwrap_or_default();
    let page = app.index.read(|picture| picture.instances(&filter, &request.cursor, limit))?;
    Ok(pb::InstanceListReply { items: page.items, next_cursor: page.next, revision })
}

/// `instance.stop`: its slot is filled again.
pub async fn stop(
    app: Shared,
    caller: Caller,
    request: pb::InstanceStop,
) -> Result<pb::CommandView, Problem> {
    let ask = OfInstance { verb: "stop", id: &request.id, dry_run: request.dry_run };
    app.order_of_instance(&caller, ask, |place| Ok(Order::StopInstance { instance: place.id }))
        .await
}

/// `instance.restart`
pub async fn restart(
    app: Shared,
    caller: Caller,
    request: pb::InstanceRestart,
) -> Result<pb::CommandView, Problem> {
    let ask = OfInstance { verb: "restart", id: &request.id, dry_run: request.dry_run };
    let order = |place: &Whereabouts| Ok(Order::RestartInstance { instance: place.id });
    app.order_of_instance(&caller, ask, order).await
}

/// `instance.move`
pub async fn relocate(
    app: Shared,
    caller: Caller,
    request: pb::InstanceMove,
) -> Result<pb::CommandView, Problem> {
    let ask = OfInstance { verb: "move", id: &request.id, dry_run: request.dry_run };
    let order = |place: &Whereabouts| {
        let node = match request.node.as_str() {
            "" => None,
            text => Some(target(&app, text, &place.pool)?),
        };
        if node.as_ref() == Some(&place.node) {
            return Err(conflict(format!("`{}` is on `{}` already", place.id, place.node)));
        }
        Ok(Order::MoveInstance { instance: place.id, node })
    };
    app.order_of_instance(&caller, ask, order).await
}

/// A node that an instance of this pool can be moved to.
fn target(app: &App, text: &str, pool: &PoolName) -> Result<NodeName, Problem> {
    let name: NodeName = text
        .parse()
        .map_err(|error: ostler_core::id::IdError| invalid("node", error.to_string()))?;
    let found = app.index.read(|picture| picture.node(&name).map(|(node, _)| node.pool.clone()));
    match found {
        None => Err(not_found("node", name)),
        Some(other) if other != *pool => {
            Err(conflict(format!("`{name}` is in pool `{other}`, the instance in `{pool}`")))
        }
        Some(_) => Ok(name),
    }
}

/// `workload.promote`: take the canaries' version for all.
pub async fn promote(
    app: Shared,
    caller: Caller,
    request: pb::WorkloadPromote,
) -> Result<pb::CommandView, Problem> {
    let key = crate::workload::key(&request.namespace, &request.name)?;
    let once = Once::of(&caller, app.now(), "promote", &key.to_string());
    if !request.dry_run
        && let Some(known) = app.ordered(once)
    {
        return Ok(known);
    }
    let head = app.bus.get(&HeadKey(key.clone())).await.map_err(unread)?;
    let head = head.ok_or_else(|| not_found("workload", &key))?;
    let found = head.revision.0;
    if let Some(expected) = request.if_revision.filter(|expected| *expected != found) {
        return Err(revision_mismatch(&key, expected, found));
    }
    let (pool, order) = (head.value.spec.pool, Order::Promote { workload: key.to_string() });
    if request.dry_run {
        return Ok(app.unsent(&caller, &pool, order));
    }
    app.order(&caller, &pool, once, order).await
}

/// Moves of a rebalance, where nobody says.
const USUAL_MOVES: u32 = 10;
/// More moves are not made by one rebalance.
const MOST_MOVES: u32 = 1000;

/// `rebalance.start`: even out the use of a pool's nodes.
pub async fn rebalance(
    app: Shared,
    caller: Caller,
    request: pb::RebalanceStart,
) -> Result<pb::CommandView, Problem> {
    let pool = match request.pool.as_str() {
        "" => PoolName::default(),
        text => text
            .parse()
            .map_err(|error: ostler_core::id::IdError| invalid("pool", error.to_string()))?,
    };
    app.check_pool(&pool)?;
    let max_moves = match request.max_moves {
        0 => USUAL_MOVES,
        moves if moves <= MOST_MOVES => moves,
        moves => {
            return Err(invalid("max_moves", format!("{moves} is too many: at most {MOST_MOVES}")));
        }
    };
    let once = Once::of(&caller, app.now(), "rebalance", pool.as_str());
    app.order(&caller, &pool, once, Order::Rebalance { max_moves }).await
}

/// `command.get`
pub async fn get(
    app: Shared,
    _: Caller,
    request: pb::CommandGet,
) -> Result<pb::CommandView, Problem> {
    let known = app.index.read(|picture| picture.command(&request.id));
    match known {
        Err(missing) if missing.code == Code::NotFound => {
            app.command_from_leader(&request.id).await?.ok_or(missing)
        }
        known => known,
    }
}

/// `command.list`: the newest first.
pub async fn list(
    app: Shared,
    _: Caller,
    request: pb::CommandList,
) -> Result<pb::CommandListReply, Problem> {
    let limit = limit(request.limit)?;
    let revision = app.index.revision(&Bucket::Commands).0;
    let page = app.index.read(|picture| picture.commands(&request.cursor, limit));
    Ok(pb::CommandListReply { items: page.items, next_cursor: page.next, revision })
}
