//! Nodes: who joins, what operators want of them, and how they are removed.

use ostler_bus::Caller;
use ostler_core::id::{NodeName, PoolName, Revision};
use ostler_core::node::{Admin, Facts, Kept, Node};
use ostler_core::resources::Resources;
use ostler_schemas::bucket::{Bucket, NodeKey};
use ostler_schemas::pb;
use ostler_schemas::problem::Problem;
use tracing::debug;

use crate::app::{App, Shared};
use crate::index::{NodeFilter, limit};
use crate::refusal::{conflict, invalid, not_found, unread};
use crate::write::{Changed, Terms, change, event_id, farewell_id};

mod admit;
mod empty;
mod join;
mod retell;
mod sense;

pub use empty::{drain, maintenance, remove};
pub use join::{challenge, hello, leave};
pub use retell::begin as begin_retelling;
pub use sense::sense;

/// What a node says of itself, with what operators set above it.
fn effective(facts: Facts, kept: &Kept) -> Facts {
    let mut labels = facts.labels;
    for (key, value) in &kept.labels {
        match value.as_str() {
            "" => drop(labels.remove(key)),
            value => drop(labels.insert(key.clone(), value.to_owned())),
        }
    }
    Facts {
        labels,
        reserved: kept.reserved.unwrap_or(facts.reserved),
        max_instances: kept.max_instances.unwrap_or(facts.max_instances),
        ..facts
    }
}

fn name(text: &str) -> Result<NodeName, Problem> {
    text.parse().map_err(|error: ostler_core::id::IdError| invalid("name", error.to_string()))
}

fn event(kind: &str, node: &Node, reason: impl Into<String>) -> pb::Event {
    pb::Event {
        kind: format!("node.{kind}"),
        node: node.name.to_string(),
        reason: reason.into(),
        details: [("epoch".to_owned(), node.epoch.to_string())].into(),
        ..Default::default()
    }
}

impl App {
    fn node_view(&self, node: &Node, revision: Revision) -> pb::NodeView {
        self.index.read(|picture| picture.node_view(node, revision))
    }

    async fn node(&self, name: &NodeName) -> Result<(Node, Revision), Problem> {
        let entry = self.bus.get(&NodeKey(name.clone())).await.map_err(unread)?;
        let entry = entry.ok_or_else(|| not_found("node", name))?;
        Ok((entry.value, entry.revision))
    }

    /// Tells that a node is no more: before it is removed, and again by whoever has to remove it once
    /// more.
    pub(crate) async fn say_farewell(&self, caller: &Caller, node: &Node) -> Result<(), Problem> {
        let id = farewell_id("node.removed", &node.op_id, node.liveness_since);
        self.tell_durably(caller, pb::Event { id, ..event("removed", node, "") }).await
    }

    /// Changes a node that must exist, and tells it as `kind`; with `dry_run` says what it would be.
    async fn administer(
        &self,
        caller: &Caller,
        (name, kind): (&NodeName, &str),
        wish: Wish,
        step: impl Fn(&Node) -> Result<Option<Node>, Problem>,
    ) -> Result<Changed<Node>, Problem> {
        let Wish { if_revision, dry_run } = wish;
        let terms = Terms { if_revision, dry_run, ..Terms::of(caller) };
        let changed = change(&self.bus, NodeKey(name.clone()), terms, |node| {
            let next = step(node.ok_or_else(|| not_found("node", name))?)?;
            Ok(next.map(|next| Node { op_id: caller.op_id.clone(), ..next }))
        });
        let changed = changed.await?;
        if changed.ours() {
            let id = event_id(&caller.op_id);
            let event = pb::Event { id, ..event(kind, &changed.value, "") };
            self.tell_durably(caller, event).await?;
            self.see(&Bucket::Nodes, changed.revision).await;
        }
        Ok(changed)
    }
}

/// How a node is to be changed.
#[derive(Debug, Clone, Copy)]
struct Wish {
    /// Only at this revision.
    if_revision: Option<u64>,
    /// Not at all, but say what would be.
    dry_run: bool,
}

/// `node.get`
pub async fn get(app: Shared, _: Caller, request: pb::NodeGet) -> Result<pb::NodeView, Problem> {
    let (node, revision) = app.node(&name(&request.name)?).await?;
    Ok(app.node_view(&node, revision))
}

/// `node.list`
pub async fn list(
    app: Shared,
    _: Caller,
    request: pb::NodeList,
) -> Result<pb::NodeListReply, Problem> {
    let (filter, limit) = (NodeFilter::read(&request)?, limit(request.limit)?);
    let revision = app.index.revision(&Bucket::Nodes).0;
    let page = app.index.read(|picture| picture.nodes(&filter, &request.cursor, limit))?;
    Ok(pb::NodeListReply { items: page.items, next_cursor: page.next, revision })
}

/// `node.cordon`: no new work. A node that is being emptied or kept empty gets none anyway.
pub async fn cordon(
    app: Shared,
    caller: Caller,
    request: pb::NodeCordon,
) -> Result<pb::NodeView, Problem> {
    let name = name(&request.name)?;
    let changed = app.administer(
        &caller,
        (&name, "cordoned"),
        Wish { if_revision: request.if_revision, dry_run: request.dry_run },
        |node| {
            let active = node.admin == Admin::Active;
            Ok(active.then(|| Node { admin: Admin::Cordoned, ..node.clone() }))
        },
    );
    let changed = changed.await?;
    Ok(app.node_view(&changed.value, changed.revision))
}

/// It takes work again, whatever it was kept from it by.
async fn activated(
    app: &App,
    caller: &Caller,
    (name, kind): (&NodeName, &str),
    wish: Wish,
) -> Result<pb::NodeView, Problem> {
    let changed = app.administer(caller, (name, kind), wish, |node| {
        let already = node.admin == Admin::Active && !node.kept.removing;
        Ok((!already).then(|| Node {
            admin: Admin::Active,
            drain_deadline: None,
            kept: Kept { removing: false, ..node.kept.clone() },
            ..node.clone()
        }))
    });
    let changed = changed.await?;
    Ok(app.node_view(&changed.value, changed.revision))
}

/// `node.uncordon`
pub async fn uncordon(
    app: Shared,
    caller: Caller,
    request: pb::NodeUncordon,
) -> Result<pb::NodeView, Problem> {
    let name = name(&request.name)?;
    activated(
        &app,
        &caller,
        (&name, "uncordoned"),
        Wish { if_revision: request.if_revision, dry_run: request.dry_run },
    )
    .await
}

/// `node.activate`
pub async fn activate(
    app: Shared,
    caller: Caller,
    request: pb::NodeActivate,
) -> Result<pb::NodeView, Problem> {
    let name = name(&request.name)?;
    activated(
        &app,
        &caller,
        (&name, "activated"),
        Wish { if_revision: request.if_revision, dry_run: request.dry_run },
    )
    .await
}

/// `node.patch`: what is absent stays.
pub async fn patch(
    app: Shared,
    caller: Caller,
    request: pb::NodePatch,
) -> Result<pb::NodeView, Problem> {
    let name = name(&request.name)?;
    let pool: Option<PoolName> = match &request.pool {
        None => None,
        Some(text) => Some(
            text.parse()
                .map_err(|error: ostler_core::id::IdError| invalid("pool", error.to_string()))?,
        ),
    };
    if let Some(pool) = &pool {
        app.check_pool(pool)?;
    }
    admit::labels(&request.labels)?;
    let before = app.node(&name).await?.0.pool;
    if pool.as_ref().is_some_and(|pool| *pool != before) {
        app.see_placements(&before).await?;
    }
    let instances = app.index.read(|picture| picture.instances_on(&name));
    let changed = app.administer(
        &caller,
        (&name, "patched"),
        Wish { if_revision: request.if_revision, dry_run: request.dry_run },
        |node| patched(node, &request, pool.as_ref(), instances),
    );
    let changed = changed.await?;
    if changed.ours() && changed.value.pool != before {
        tell_to_look(&app, name);
    }
    Ok(app.node_view(&changed.value, changed.revision))
}

/// The executor finds out by itself within two minutes; it is told to look at once.
fn tell_to_look(app: &Shared, node: NodeName) {
    let bus = app.bus.clone();
    app.bus.program().tasks.spawn_brief(async move {
        let told = bus.call_node(&node, &pb::Sync {}, &Caller::program("registry")).await;
        if let Err(problem) = told {
            debug!(node = %node, error = %problem, "{node} was not told that its pool is another");
        }
    });
}

fn patched(
    node: &Node,
    request: &pb::NodePatch,
    pool: Option<&PoolName>,
    instances: usize,
) -> Result<Option<Node>, Problem> {
    let mut next = node.clone();
    if let Some(pool) = pool.filter(|pool| node.pool != **pool) {
        if instances > 0 {
            let name = &node.name;
            let why = format!("{instances} instances are on `{name}`: drain it before its pool");
            return Err(conflict(why));
        }
        next.pool = pool.clone();
    }
    for (key, value) in &request.labels {
        next.kept.labels.insert(key.clone(), value.clone());
    }
    if let Some(reserved) = request.reserved {
        let reserved = Resources::from(reserved);
        if reserved.cpu > node.facts.capacity.cpu || reserved.memory > node.facts.capacity.memory {
            return Err(invalid("reserved", "it is more than the node has"));
        }
        next.kept.reserved = Some(reserved);
    }
    if let Some(most) = request.max_instances {
        admit::max_instances(most)?;
        next.kept.max_instances = Some(most);
    }
    next.facts = effective(next.facts, &next.kept);
    Ok((next != *node).then_some(next))
}
