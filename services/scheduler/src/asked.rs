//! What the leader answers: why things are where they are, and what would happen.
//!
//! Only the leader serves, on a connection of its reign: what is asked is put to the loop that owns
//! the engine, so that an answer is never of another moment than the decisions.

use std::time::Duration;

use ostler_bus::{Bus, Pings};
use ostler_core::explain::{Explanation, NodeVerdict, Placed};
use ostler_core::id::{NodeName, PoolName, Version, WorkloadKey};
use ostler_core::reconcile::Engine;
use ostler_core::time::Timestamp;
use ostler_core::workload::Workload;
use ostler_schemas::pb;
use ostler_schemas::problem::{Code, Problem};
use ostler_service::{Program, Tasks};
use serde::Serialize;
use std::collections::BTreeMap;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// At most so many questions wait.
pub(crate) const QUEUE: usize = 64;

/// What is asked.
#[derive(Debug)]
pub(crate) enum Question {
    /// Why a workload is where it is.
    Workload(WorkloadKey),
    /// What would happen if these were put now.
    Plan(Vec<Workload>),
    /// Why an instance is where it is; a unique prefix of its id is enough.
    Instance(String),
    /// What a node has, carries and refuses.
    Node(NodeName),
}

/// A question and where its answer goes.
#[derive(Debug)]
pub(crate) struct Ask {
    /// What is asked.
    pub question: Question,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Result<pb::Document, Refusal>>,
}

/// Why there is no answer: what it means to a program, and to people.
#[derive(Debug)]
pub(crate) struct Refusal(Code, String);

impl From<Refusal> for Problem {
    fn from(Refusal(code, text): Refusal) -> Self {
        Self::new(code, text)
    }
}

/// Why one instance is where it is.
#[derive(Debug, Serialize)]
struct InstanceExplanation {
    workload: WorkloadKey,
    version: Version,
    instance: Placed,
    nodes: BTreeMap<NodeName, NodeVerdict>,
}

/// The engine's answer.
pub(crate) fn answer(
    engine: &Engine,
    question: &Question,
    now: Timestamp,
) -> Result<pb::Document, Refusal> {
    match question {
        Question::Workload(key) => {
            let found = engine.explain_workload(key, now);
            document(&found.ok_or_else(|| missing(format!("no workload `{key}`")))?)
        }
        Question::Plan(workloads) => document(&engine.what_if(workloads, now)),
        Question::Instance(prefix) => document(&explain_instance(engine, prefix, now)?),
        Question::Node(node) => {
            let found = engine.explain_node(node, now);
            document(&found.ok_or_else(|| missing(format!("no node `{node}`")))?)
        }
    }
}

fn explain_instance(
    engine: &Engine,
    prefix: &str,
    now: Timestamp,
) -> Result<InstanceExplanation, Refusal> {
    let mut matching = engine.instances().filter(|one| one.id.to_string().starts_with(prefix));
    let found = matching.next().filter(|_| !prefix.is_empty());
    let found = found.ok_or_else(|| missing(format!("no instance `{prefix}`")))?;
    if matching.next().is_some() {
        let text = format!("`{prefix}` begins more than one instance id");
        return Err(Refusal(Code::Invalid, text));
    }
    let explained = engine.explain_workload(found.key, now);
    let Explanation { workload, version, instances, nodes, .. } =
        explained.ok_or_else(|| missing(format!("no workload `{}`", found.key)))?;
    let instance = instances.into_iter().find(|placed| placed.id == found.id);
    let instance = instance.ok_or_else(|| missing(format!("no instance `{prefix}`")))?;
    Ok(InstanceExplanation { workload, version, instance, nodes })
}

fn missing(text: String) -> Refusal {
    Refusal(Code::NotFound, text)
}

fn document(value: &impl Serialize) -> Result<pb::Document, Refusal> {
    let json = serde_json::to_string(value);
    json.map(|json| pb::Document { json })
        .map_err(|error| Refusal(Code::Internal, error.to_string()))
}

/// Serves until the reign ends. Where the connection cannot be made the leader leads on, and is
/// asked nothing.
pub(crate) async fn serve(bus: Bus, id: String, asks: mpsc::Sender<Ask>, stop: CancellationToken) {
    let program = Program { tasks: Tasks::under(stop.clone()), ..Program::new() };
    let connected = Bus::connect(bus.config(), "scheduler-leader", Pings::Usual, &program);
    let own = tokio::select! {
        () = stop.cancelled() => return,
        connected = connected => connected,
    };
    let own = match own {
        Ok(own) => own,
        Err(error) => return warn!(error = %error, "nobody can ask this leader anything"),
    };
    if let Err(error) = register(&own, &id, asks).await {
        warn!(error = %error, "nobody can ask this leader anything");
    }
    stop.cancelled().await;
    program.tasks.shut_down(Duration::from_secs(5)).await;
    own.drain().await;
}

async fn register(
    bus: &Bus,
    id: &str,
    asks: mpsc::Sender<Ask>,
) -> Result<(), ostler_bus::pubsub::SendError> {
    let to = move |question: Result<Question, Refusal>| put(asks.clone(), question);
    let (workload, plan, instance, node) = (to.clone(), to.clone(), to.clone(), to);
    bus.serve("scheduler", id)
        .on(move |_, ask: pb::WorkloadExplain| workload(read_key(&ask)))
        .on(move |_, ask: pb::WorkloadPlan| plan(read_plan(ask)))
        .on(move |_, ask: pb::InstanceExplain| instance(Ok(Question::Instance(ask.id))))
        .on(move |_, ask: pb::NodeExplain| node(read_node(&ask)))
        .start()
        .await
}

/// Puts a question to the leader's loop and waits for its answer.
async fn put(
    asks: mpsc::Sender<Ask>,
    question: Result<Question, Refusal>,
) -> Result<pb::Document, Problem> {
    let gone = || Problem::new(Code::Unavailable, "the leader of the pool has just changed");
    let (reply, answer) = oneshot::channel();
    asks.send(Ask { question: question?, reply }).await.map_err(|_| gone())?;
    Ok(answer.await.map_err(|_| gone())??)
}

fn read_key(ask: &pb::WorkloadExplain) -> Result<Question, Refusal> {
    let namespace = if ask.namespace.is_empty() { "default" } else { &ask.namespace };
    let key = format!("{namespace}/{}", ask.name).parse();
    key.map(Question::Workload).map_err(invalid)
}

fn read_plan(ask: pb::WorkloadPlan) -> Result<Question, Refusal> {
    let workloads = ask.workloads.into_iter().map(Workload::try_from).collect::<Result<_, _>>();
    workloads.map(Question::Plan).map_err(invalid)
}

fn read_node(ask: &pb::NodeExplain) -> Result<Question, Refusal> {
    ask.name.parse().map(Question::Node).map_err(invalid)
}

fn invalid(error: impl ToString) -> Refusal {
    Refusal(Code::Invalid, error.to_string())
}

/// Which pool is asked about, for the log.
pub(crate) fn describe(pool: &PoolName, question: &Question) -> String {
    match question {
        Question::Workload(key) => format!("pool {pool}: explain workload {key}"),
        Question::Plan(workloads) => format!("pool {pool}: plan {} workloads", workloads.len()),
        Question::Instance(id) => format!("pool {pool}: explain instance {id}"),
        Question::Node(node) => format!("pool {pool}: explain node {node}"),
    }
}
