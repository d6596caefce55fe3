//! What the leader answers: why things are where they are, and what would happen.
//!
//! What is asked is put to the loop that owns the engine, so that an answer is never of another
//! moment than the decisions. Why-questions are answered there, in milliseconds; for what-if the
//! loop only gives away a copy of the engine, and all else happens on another thread.

use ostler_core::id::{NodeName, PoolName, WorkloadKey};
use ostler_core::reconcile::{Engine, Named};
use ostler_core::time::Timestamp;
use ostler_schemas::pb;
use ostler_schemas::problem::{Code, Problem};
use serde::Serialize;
use tokio::sync::oneshot;

mod plan;
mod serve;

pub(crate) use serve::serve;

/// At most so many questions wait.
pub(crate) const QUEUE: usize = 64;

/// What is asked.
#[derive(Debug, Clone)]
pub(crate) enum Question {
    /// Why a workload is where it is; only the verdict of this node, if one is named.
    Workload(WorkloadKey, Option<NodeName>),
    /// What a node has, carries and refuses.
    Node(NodeName),
    /// What a rebalance would move now, with at most so many moves.
    Evening(u32),
    /// A copy of the engine, to be led on elsewhere.
    Copy,
}

/// What is answered.
#[derive(Debug)]
pub(crate) enum Said {
    /// A document as it goes out.
    Document(pb::Document),
    /// The engine as it was at this moment.
    Copy(Box<Engine>, Timestamp),
}

/// A question and where its answer goes.
#[derive(Debug)]
pub(crate) struct Ask {
    /// What is asked.
    pub question: Question,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Result<Said, Refusal>>,
}

/// Why there is no answer: what it means to a program, and to people.
#[derive(Debug)]
pub(crate) struct Refusal(Code, String);

impl From<Refusal> for Problem {
    fn from(Refusal(code, text): Refusal) -> Self {
        Self::new(code, text)
    }
}

/// The engine's answer.
pub(crate) fn answer(
    engine: &mut Engine,
    question: &Question,
    now: Timestamp,
) -> Result<Said, Refusal> {
    match question {
        Question::Workload(key, only) => {
            let found = engine.explain_workload(key, only.as_ref(), now);
            document(&found.ok_or_else(|| missing(format!("no workload `{key}`")))?)
        }
        Question::Evening(max_moves) => document(&engine.evening(*max_moves, now)),
        Question::Node(node) => {
            let found = engine.explain_node(node, now);
            let ours =
                found.filter(|one| !one.closed.contains(&ostler_core::placement::Reason::Pool));
            document(&ours.ok_or_else(|| missing(format!("no node `{node}`")))?)
        }
        Question::Copy => Ok(Said::Copy(Box::new(engine.clone()), now)),
    }
}

/// Why an instance is where it is; a unique prefix of its id is enough.
fn of_instance(
    engine: Engine,
    prefix: &str,
    only: Option<&NodeName>,
    now: Timestamp,
) -> Result<pb::Document, Refusal> {
    let id = match engine.named(prefix) {
        Named::One(id) => id,
        Named::None => return Err(missing(format!("no instance `{prefix}`"))),
        Named::Many => {
            let text = format!("`{prefix}` begins more than one instance id");
            return Err(Refusal(Code::Invalid, text));
        }
    };
    let found = engine.explain_instance(id, only, now);
    as_document(&found.ok_or_else(|| missing(format!("no instance `{prefix}`")))?)
}

fn missing(text: String) -> Refusal {
    Refusal(Code::NotFound, text)
}

fn invalid(error: impl ToString) -> Refusal {
    Refusal(Code::Invalid, error.to_string())
}

fn document(value: &impl Serialize) -> Result<Said, Refusal> {
    as_document(value).map(Said::Document)
}

fn as_document(value: &impl Serialize) -> Result<pb::Document, Refusal> {
    let json = serde_json::to_string(value);
    json.map(|json| pb::Document { json })
        .map_err(|error| Refusal(Code::Internal, error.to_string()))
}

/// Which pool is asked about what, for the log.
pub(crate) fn describe(pool: &PoolName, question: &Question) -> String {
    match question {
        Question::Workload(key, _) => format!("pool {pool}: explain workload {key}"),
        Question::Evening(moves) => format!("pool {pool}: plan {moves} moves that even out"),
        Question::Node(node) => format!("pool {pool}: explain node {node}"),
        Question::Copy => format!("pool {pool}: a copy for what-if"),
    }
}
