//! Who may be a node: a hello proves a key, takes over a name, and begins a new epoch.

use std::fmt;

use nkeys::KeyPair;
use ostler_bus::{Caller, ReadError, WriteError};
use ostler_core::id::{Epoch, NodeName, PoolName, Revision};
use ostler_core::node::{Facts, Liveness, Node};
use ostler_core::time::{Span, Timestamp};
use ostler_schemas::bucket::{Bucket, NodeKey, ReportKey};
use ostler_schemas::pb;
use ostler_schemas::problem::{Code, Problem};
use tracing::warn;

use super::retell::liveness_event;
use super::{admit, effective};
use crate::app::{App, Shared};
use crate::index::Picture;
use crate::refusal::{conflict, invalid, not_found, unread, unwritten};
use crate::write::{Terms, alarm, change, settle};

/// A clock that differs by more from pool time is told.
const SKEW: Span = Span::from_secs(60);

/// What a hello has to sign: at which revision the node's record was last written or removed, in
/// which life of the fleet. Whoever is admitted writes the record, so it is good for one hello, by
/// whichever replica it was given, and by nobody's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Nonce {
    incarnation: u64,
    revision: Revision,
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.incarnation, self.revision)
    }
}

/// A hello that was read and proven.
struct Proven {
    node: NodeName,
    pool: Option<PoolName>,
    key: String,
    facts: Facts,
    /// The life that it was last admitted as.
    epoch: Epoch,
}

/// No executor begins so often.
const LAST_EPOCH: u64 = 1 << 48;

fn signed_by(key: &str, text: &str, signature: &[u8], node: &NodeName) -> Result<(), Problem> {
    let key = KeyPair::from_public_key(key)
        .map_err(|error| invalid("key", format!("not a public key (nkey): {error}")))?;
    key.verify(text.as_bytes(), signature).map_err(|_| {
        Problem::new(Code::Forbidden, format!("the signature of `{node}` is not by its key"))
    })
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
    if hello.epoch > LAST_EPOCH {
        return Err(invalid("epoch", format!("no node comes to its life {}", hello.epoch)));
    }
    let text = format!("hello\n{node}\n{}\n{}", facts.hardware, hello.nonce);
    signed_by(&hello.key, &text, &hello.signature, &node)?;
    let clock = Timestamp::from_millis(hello.signed_at_ms);
    let skew = now.since(clock).max(clock.since(now));
    if skew > SKEW {
        warn!(node = %node, "the clock of node {node} is wrong by {skew}: its logs will say odd times");
    }
    let epoch = Epoch(hello.epoch);
    Ok(Proven { node, pool, key: hello.key.clone(), facts, epoch })
}

/// Whether the sender may have the name, which `holder` has.
fn may_take_over(holder: &Node, sender: &Proven) -> Result<(), Problem> {
    let name = &holder.name;
    let same = holder.key == sender.key && holder.facts.hardware == sender.facts.hardware;
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

/// What is on record under a name.
struct Record {
    /// Where it was last written or removed; 0: never.
    at: Revision,
    /// Who has the name.
    holder: Option<Node>,
    /// Somebody else wrote what cannot be read: its executor says hello, and it is written over.
    unreadable: bool,
}

impl App {
    async fn on_record(&self, name: &NodeName) -> Result<Record, Problem> {
        match self.bus.get_last(&NodeKey(name.clone())).await {
            Ok((at, entry)) => {
                Ok(Record { at, holder: entry.map(|entry| entry.value), unreadable: false })
            }
            Err(ReadError::Value { revision, .. }) => {
                self.see(&Bucket::Nodes, revision).await;
                // As it was read last.
                let known = |picture: &Picture| picture.node(name).map(|(node, _)| node.clone());
                Ok(Record { at: revision, holder: self.index.read(known), unreadable: true })
            }
            Err(error @ ReadError::Unavailable { .. }) => Err(unread(error)),
        }
    }

    async fn incarnation(&self) -> Result<u64, Problem> {
        self.bus.incarnation().await.map_err(|error| {
            Problem::new(Code::Unavailable, format!("cannot tell the life of the fleet: {error}"))
        })
    }

    /// Writes the record of a life that begins, if nobody wrote since `last`.
    async fn admit(&self, key: &NodeKey, node: &Node, last: Revision) -> Result<Revision, Problem> {
        match self.bus.update(key, node, last).await {
            Ok(revision) => Ok(revision),
            Err(WriteError::Conflict { .. }) => Err(used_up(&node.name)),
            Err(refused @ WriteError::Refused { .. }) => Err(unwritten(refused)),
            Err(unknown @ WriteError::Unknown { .. }) => {
                let found = settle(&self.bus, key).await?;
                let ours = found.filter(|(found, _)| found.op_id == node.op_id);
                ours.map(|(_, revision)| revision).ok_or_else(|| unwritten(unknown))
            }
        }
    }

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

/// `join.challenge`: what the next hello of a node has to sign.
pub async fn challenge(
    app: Shared,
    _: Caller,
    request: pb::Challenge,
) -> Result<pb::ChallengeReply, Problem> {
    let node = super::name(&request.node)?;
    let incarnation = app.incarnation().await?;
    let Record { at, holder, unreadable } = app.on_record(&node).await?;
    let nonce = Nonce { incarnation, revision: at }.to_string();
    let unknown = holder.is_none() || unreadable;
    let epoch = holder.as_ref().map_or(0, |holder| holder.epoch.0);
    let pool = holder.map(|holder| holder.pool.to_string()).unwrap_or_default();
    Ok(pb::ChallengeReply { nonce, unknown, pool, epoch, incarnation })
}

/// `join.hello`: an executor wants to be admitted. The same hello again is refused: its nonce is
/// used up.
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
    let incarnation = app.incarnation().await?;
    let last = app.reported_epoch(&sender.node).await?.max(sender.epoch);
    let key = NodeKey(sender.node.clone());
    let Record { at, holder, unreadable } = app.on_record(&sender.node).await?;
    if request.nonce != (Nonce { incarnation, revision: at }).to_string() {
        return Err(used_up(&sender.node));
    }
    if let Some(holder) = &holder {
        may_take_over(holder, &sender)?;
    }
    let node = begun(holder.as_ref(), &sender, last, now);
    let node = Node { op_id: caller.op_id.clone(), ..node };
    let revision = app.admit(&key, &node, at).await?;
    if unreadable {
        alarm(&app.bus, &key, at);
    }
    let reason = match &holder {
        None => "it is new".to_owned(),
        Some(before) => format!("it was {}", before.liveness.as_str()),
    };
    app.tell(&caller, liveness_event("joined", &node, reason));
    app.see(&Bucket::Nodes, revision).await;
    Ok(pb::HelloReply { epoch: node.epoch.0, incarnation, pool: node.pool.to_string() })
}

/// Not an answer for ever: who asks for another nonce may be admitted.
fn used_up(node: &NodeName) -> Problem {
    let detail = format!(
        "the nonce of this hello of `{node}` is used up, or something else of the node has changed: \
         ask for another"
    );
    Problem::new(Code::RevisionMismatch, detail)
}

/// `join.leave`: an executor goes. Only for the epoch that is in force.
pub async fn leave(
    app: Shared,
    caller: Caller,
    request: pb::Leave,
) -> Result<pb::LeaveReply, Problem> {
    let name = super::name(&request.node)?;
    let now = app.now();
    let terms = Terms::of(&caller);
    let changed = change(&app.bus, NodeKey(name.clone()), terms, |node| {
        let node = node.ok_or_else(|| not_found("node", &name))?;
        let text = format!("leave\n{name}\n{}\n{}", request.epoch, request.empty);
        signed_by(&node.key, &text, &request.signature, &name)?;
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
    if changed.ours() {
        let reason = if request.empty { "nothing of it runs on" } else { "its instances run on" };
        app.tell(&caller, liveness_event("left", &changed.value, reason));
        app.see(&Bucket::Nodes, changed.revision).await;
    }
    Ok(pb::LeaveReply {})
}
