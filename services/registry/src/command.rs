//! Orders to the scheduler that are not a specification, and what became of them.

use ostler_bus::Caller;
use ostler_core::command::{Command, Order};
use ostler_core::id::{NodeName, PoolName};
use ostler_schemas::bucket::{Bucket, CommandKey, HeadKey};
use ostler_schemas::pb;
use ostler_schemas::problem::{Code, Problem};

use crate::app::{App, Shared};
use crate::index::{command_view, limit};
use crate::refusal::{conflict, invalid, not_found, unread, unwritten};

impl App {
    fn command(&self, caller: &Caller, pool: &PoolName, order: Order) -> Command {
        Command {
            id: ulid::Ulid::from_parts(self.now().as_millis(), rand::random()).to_string(),
            pool: pool.clone(),
            order,
            actor: caller.actor.clone(),
            at: self.now(),
        }
    }

    /// What an order would look like; it is not sent.
    pub fn unsent(&self, caller: &Caller, pool: &PoolName, order: Order) -> pb::CommandView {
        let command = self.command(caller, pool, order);
        pb::CommandView { id: String::new(), ..command_view(&command, None) }
    }

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

    /// Sends an order to a pool's scheduler. Asked again it is another one: orders say what is to
    /// be so, and doing one twice does no harm.
    pub async fn order(
        &self,
        caller: &Caller,
        pool: &PoolName,
        order: Order,
    ) -> Result<pb::CommandView, Problem> {
        let command = self.command(caller, pool, order);
        let key = CommandKey((pool.clone(), command.id.clone()));
        let revision = self.bus.put(&key, &command).await.map_err(unwritten)?;
        self.see(&Bucket::Commands, revision).await;
        Ok(command_view(&command, None))
    }
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
    let place = app.index.read(|picture| picture.whereabouts(&request.id))?;
    app.order(&caller, &place.pool, Order::StopInstance { instance: place.id }).await
}

/// `instance.restart`
pub async fn restart(
    app: Shared,
    caller: Caller,
    request: pb::InstanceRestart,
) -> Result<pb::CommandView, Problem> {
    let place = app.index.read(|picture| picture.whereabouts(&request.id))?;
    app.order(&caller, &place.pool, Order::RestartInstance { instance: place.id }).await
}

/// `instance.move`
pub async fn relocate(
    app: Shared,
    caller: Caller,
    request: pb::InstanceMove,
) -> Result<pb::CommandView, Problem> {
    let place = app.index.read(|picture| picture.whereabouts(&request.id))?;
    let node = match request.node.as_str() {
        "" => None,
        text => Some(target(&app, text, &place.pool)?),
    };
    if node.as_ref() == Some(&place.node) {
        return Err(conflict(format!("`{}` is on `{}` already", place.id, place.node)));
    }
    app.order(&caller, &place.pool, Order::MoveInstance { instance: place.id, node }).await
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
    let head = app.bus.get(&HeadKey(key.clone())).await.map_err(unread)?;
    let head = head.ok_or_else(|| not_found("workload", &key))?.value;
    let order = Order::Promote { workload: key.to_string() };
    app.order(&caller, &head.spec.pool, order).await
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
    app.order(&caller, &pool, Order::Rebalance { max_moves }).await
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
    Ok(pb::CommandListReply { items: app.index.read(|picture| picture.commands(limit)) })
}
