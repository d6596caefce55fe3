//! Who may be a node: a hello proves a key, takes over a name, and begins a new epoch.

use nkeys::KeyPair;
use ostler_bus::{Caller, ReadError};
use ostler_core::id::{Epoch, NodeName, PoolName};
use ostler_core::node::{Facts, Kept, Liveness, Node};
use ostler_core::time::{Span, Timestamp};
use ostler_schemas::bucket::{Bucket, NodeKey, ReportKey};
use ostler_schemas::pb;
use ostler_schemas::problem::{Code, Problem};

use super::{admit, effective, event};
use crate::app::{App, Shared};
use crate::refusal::{conflict, invalid, not_found, unread};
use crate::write::{Terms, change};

/// A hello's clock may differ by so much from pool time.
const SKEW: Span = Span::from_secs(60);

/// A hello that was read and proven.
struct Proven {
    node: NodeName,
    pool: Option<PoolName>,
    key: String,
    signed_at: Timestamp,
    facts: Facts,
}

/// Reads a hello and proves that its sender has the key.
fn prove(hello: &pb::Hello, now: Timestamp) -> Result<Proven, Problem> {
    let bad_name = |field: &'static str| {
        move |error: ostler_core::id::IdError| invalid(field, error.to_string())
    };
    let node: NodeName = hello.node.parse().map_err(bad_name("node"))?;
    let pool = match hello.pool.as_str() {
        "" => None,
        text => Some(text.parse().map_err(bad_name("pool"))?),
    };
    let facts = admit::facts(&hello.facts_json)?;
    let key = KeyPair::from_public_key(&hello.key)
        .map_err(|error| invalid("key", format!("not a public key (nkey): {error}")))?;
    let signed_at = Timestamp::from_millis(hello.signed_at_ms);
    let skew = now.since(signed_at).max(signed_at.since(now));
    if skew > SKEW {
        return Err(invalid(
            "signed_at_ms",
            format!("the clock of `{node}` differs by {skew} from ours, at most {SKEW} is allowed"),
        ));
    }
    let text = format!("hello\n{node}\n{}\n{}", facts.hardware, hello.signed_at_ms);
    key.verify(text.as_bytes(), &hello.signature).map_err(|_| {
        Problem::new(Code::Forbidden, format!("the signature of `{node}` is not by its key"))
    })?;
    Ok(Proven { node, pool, key: hello.key.clone(), signed_at, facts })
}

/// Whether the sender may have the name, which `holder` has.
fn may_take_over(holder: &Node, sender: &Proven) -> Result<(), Problem> {
    let name = &holder.name;
    let same = holder.key == sender.key && holder.facts.hardware == sender.facts.hardware;
    if same && sender.signed_at <= holder.kept.signed_at {
        let why = format!("this hello of `{name}` is not newer than the last one: a replay");
        return Err(conflict(why));
    }
    if !same && holder.liveness != Liveness::Left {
        let liveness = holder.liveness.as_str();
        let whose = if holder.key == sender.key { "machine" } else { "key" };
        return Err(conflict(format!(
            "the name `{name}` belongs to a node with another {whose}, which is {liveness}: \
             choose another name, or let that one leave or be removed first"
        )));
    }
    Ok(())
}

/// The record of the life that begins now.
fn begun(holder: Option<&Node>, sender: &Proven, last: Epoch, now: Timestamp) -> Node {
    let same = holder.filter(|holder| holder.key == sender.key);
    let kept = same.map(|holder| holder.kept.clone()).unwrap_or_default();
    let kept = Kept { signed_at: sender.signed_at, ..kept };
    let epoch = holder.map_or(last, |holder| holder.epoch.max(last)).next();
    let pool = same.map(|holder| holder.pool.clone()).or_else(|| sender.pool.clone());
    Node {
        name: sender.node.clone(),
        pool: pool.unwrap_or_default(),
        admin: same.map(|holder| holder.admin).unwrap_or_default(),
        liveness: Liveness::Online,
        liveness_since: now,
        epoch,
        facts: effective(sender.facts.clone(), &kept),
        drain_deadline: same.and_then(|holder| holder.drain_deadline),
        key: sender.key.clone(),
        left_empty: false,
        kept,
        op_id: String::new(),
    }
}

impl App {
    /// The epoch that the last report under this name has: a later holder must be past it, or it
    /// would take itself for a zombie.
    async fn reported_epoch(&self, name: &NodeName) -> Result<Epoch, Problem> {
        match self.bus.get(&ReportKey(name.clone())).await {
            Ok(Some(entry)) => Ok(entry.value.epoch),
            // What cannot be read is no report; what was not answered may be one.
            Ok(None) | Err(ReadError::Value { .. }) => Ok(Epoch(0)),
            Err(error @ ReadError::Unavailable { .. }) => Err(unread(error)),
        }
    }
}

/// `join.hello`: an executor wants to be admitted. Asked again with the same hello, it is a replay.
pub async fn hello(
    app: Shared,
    caller: Caller,
    request: pb::Hello,
) -> Result<pb::HelloReply, Problem> {
    let now = app.now();
    let sender = prove(&request, now)?;
    if let Some(pool) = &sender.pool {
        app.check_pool(pool)?;
    }
    let incarnation = app.bus.incarnation().await.map_err(|error| {
        Problem::new(Code::Unavailable, format!("cannot tell the life of the fleet: {error}"))
    })?;
    let last = app.reported_epoch(&sender.node).await?;
    let terms = Terms { op_id: &caller.op_id, if_revision: None };
    let changed = change(&app.bus, NodeKey(sender.node.clone()), terms, |holder| {
        if let Some(holder) = holder {
            may_take_over(holder, &sender)?;
        }
        let node = begun(holder, &sender, last, now);
        Ok(Some(Node { op_id: caller.op_id.clone(), ..node }))
    });
    let changed = changed.await?;
    let node = &changed.value;
    if (&node.key, node.kept.signed_at) != (&sender.key, sender.signed_at) {
        return Err(conflict(format!("`{}` is not its sender's", node.name)));
    }
    if changed.wrote {
        let reason = match &changed.before {
            None => "it is new".to_owned(),
            Some(before) => format!("it was {}", before.liveness.as_str()),
        };
        app.tell(&caller, event("joined", node, reason));
        app.see(&Bucket::Nodes, changed.revision).await;
    }
    Ok(pb::HelloReply { epoch: node.epoch.0, incarnation, pool: node.pool.to_string() })
}

/// `join.leave`: an executor goes. Only for the epoch that is in force.
pub async fn leave(
    app: Shared,
    caller: Caller,
    request: pb::Leave,
) -> Result<pb::LeaveReply, Problem> {
    let name = super::name(&request.node)?;
    let now = app.now();
    let terms = Terms { op_id: &caller.op_id, if_revision: None };
    let changed = change(&app.bus, NodeKey(name.clone()), terms, |node| {
        let node = node.ok_or_else(|| not_found("node", &name))?;
        if node.epoch.0 != request.epoch {
            let (found, asked) = (node.epoch, request.epoch);
            return Err(conflict(format!("`{name}` is in epoch {found}, not {asked}")));
        }
        let already = node.liveness == Liveness::Left && node.left_empty == request.empty;
        Ok((!already).then(|| Node {
            liveness: Liveness::Left,
            liveness_since: now,
            left_empty: request.empty,
            op_id: caller.op_id.clone(),
            ..node.clone()
        }))
    });
    let changed = changed.await?;
    if changed.wrote {
        let reason = if request.empty { "nothing of it runs on" } else { "its instances run on" };
        app.tell(&caller, event("left", &changed.value, reason));
        app.see(&Bucket::Nodes, changed.revision).await;
    }
    Ok(pb::LeaveReply {})
}
