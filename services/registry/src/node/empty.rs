//! Nodes that are to be emptied: drained, kept empty, removed.

use ostler_bus::Caller;
use ostler_core::command::Order;
use ostler_core::id::{NodeName, PoolName};
use ostler_core::node::{Admin, Kept, Node};
use ostler_core::time::Span;
use ostler_schemas::bucket::NodeKey;
use ostler_schemas::pb;
use ostler_schemas::problem::Problem;

use super::{Wish, name};
use crate::app::{App, Shared};
use crate::order::Once;
use crate::refusal::{conflict, revision_mismatch, unwritten};
use crate::write::was_by;

/// How long jobs may still take where a drain says nothing.
const DRAIN: Span = Span::from_secs(3600);

impl App {
    /// What would happen if this node were drained, or lost.
    async fn plan_without(
        &self,
        caller: &Caller,
        pool: &PoolName,
        order: &Order,
    ) -> Result<Option<pb::Document>, Problem> {
        let mut plan = pb::WorkloadPlan { pool: pool.to_string(), ..Default::default() };
        match order {
            Order::Drain { node, .. } => plan.drain.push(node.to_string()),
            Order::Evacuate { node } => plan.lose.push(node.to_string()),
            Order::StopInstance { .. }
            | Order::RestartInstance { .. }
            | Order::MoveInstance { .. }
            | Order::Promote { .. }
            | Order::Rebalance { .. } => return Ok(None),
        }
        self.bus.call(&plan, caller).await.map(Some)
    }

    /// Says how a node would be emptied.
    async fn dry_emptying(
        &self,
        caller: &Caller,
        node: &Node,
        order: Order,
    ) -> Result<pb::CommandView, Problem> {
        let instances = self.index.read(|picture| picture.instances_on(&node.name));
        let reason = format!("a dry run: {instances} instances would be moved");
        let plan = match instances {
            0 => None,
            _ => self.plan_without(caller, &node.pool, &order).await?,
        };
        Ok(pb::CommandView { reason, plan, ..self.unsent(caller, &node.pool, order) })
    }

    /// Refuses to empty what is kept empty, unless this operation has said so itself before.
    async fn may_drain(&self, caller: &Caller, name: &NodeName) -> Result<(), Problem> {
        let (node, _) = self.node(name).await?;
        if node.admin == Admin::Maintenance && !was_by(&node, &caller.op_id) {
            return Err(conflict(format!("`{name}` is in maintenance: it is kept empty already")));
        }
        Ok(())
    }
}

/// `node.drain`: to be emptied. Answers with the command to follow.
pub async fn drain(
    app: Shared,
    caller: Caller,
    request: pb::NodeDrain,
) -> Result<pb::CommandView, Problem> {
    let name = name(&request.name)?;
    let span = match request.deadline_ms {
        0 => DRAIN,
        ms => Span::from_millis(ms),
    };
    let order = Order::Drain { node: name.clone(), force: request.force };
    app.may_drain(&caller, &name).await?;
    let until = app.now().plus(span);
    let changed = app.administer(
        &caller,
        (&name, "draining"),
        Wish { if_revision: request.if_revision, dry_run: request.dry_run },
        |node| {
            Ok(Some(Node { admin: Admin::Draining, drain_deadline: Some(until), ..node.clone() }))
        },
    );
    let changed = changed.await?;
    if request.dry_run {
        return app.dry_emptying(&caller, &changed.value, order).await;
    }
    let once = Once::of(&caller, app.now(), "drain", name.as_str());
    app.order(&caller, &changed.value.pool, once, order).await
}

/// `node.maintenance`: drained and kept empty.
pub async fn maintenance(
    app: Shared,
    caller: Caller,
    request: pb::NodeMaintenance,
) -> Result<pb::CommandView, Problem> {
    let name = name(&request.name)?;
    let until = app.now().plus(DRAIN);
    let changed = app.administer(
        &caller,
        (&name, "maintenance"),
        Wish { if_revision: request.if_revision, dry_run: request.dry_run },
        |node| {
            let already = node.admin == Admin::Maintenance;
            Ok((!already).then(|| Node {
                admin: Admin::Maintenance,
                drain_deadline: Some(until),
                ..node.clone()
            }))
        },
    );
    let changed = changed.await?;
    let once = Once::of(&caller, app.now(), "maintenance", name.as_str());
    let order = Order::Drain { node: name, force: false };
    if request.dry_run {
        return app.dry_emptying(&caller, &changed.value, order).await;
    }
    app.order(&caller, &changed.value.pool, once, order).await
}

/// `node.remove`: at once when it is empty; forced, once everything on it is elsewhere.
pub async fn remove(
    app: Shared,
    caller: Caller,
    request: pb::NodeRemove,
) -> Result<pb::NodeView, Problem> {
    let name = name(&request.name)?;
    let (node, revision) = app.node(&name).await?;
    if let Some(expected) = request.if_revision.filter(|expected| *expected != revision.0)
        && !was_by(&node, &caller.op_id)
    {
        return Err(revision_mismatch(&name, expected, revision.0));
    }
    app.see_placements(&node.pool).await?;
    let instances = app.index.read(|picture| picture.instances_on(&name));
    if instances == 0 {
        if !request.dry_run {
            app.say_farewell(&caller, &node).await?;
            app.bus.delete(&NodeKey(name), revision).await.map_err(unwritten)?;
        }
        return Ok(app.node_view(&node, revision));
    }
    if !request.force {
        return Err(conflict(format!(
            "{instances} instances are on `{name}`: drain it first, or remove it by force, which \
             starts them elsewhere"
        )));
    }
    let changed = app.administer(
        &caller,
        (&name, "removing"),
        Wish { if_revision: request.if_revision, dry_run: request.dry_run },
        |node| {
            Ok(Some(Node {
                admin: Admin::Draining,
                drain_deadline: None,
                kept: Kept { removing: true, ..node.kept.clone() },
                ..node.clone()
            }))
        },
    );
    let changed = changed.await?;
    let once = Once::of(&caller, app.now(), "remove", name.as_str());
    let (pool, order) = (changed.value.pool.clone(), Order::Evacuate { node: name });
    let view = app.node_view(&changed.value, changed.revision);
    if request.dry_run {
        let plan = app.plan_without(&caller, &pool, &order).await?;
        return Ok(pb::NodeView { plan, ..view });
    }
    app.order(&caller, &pool, once, order).await?;
    Ok(view)
}
