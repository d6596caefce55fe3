//! Takes questions from the bus, and sees that each reaches the leader of the pool it is about.
//!
//! All leaders share the usual subjects; whoever gets a question that is not about its own pool
//! asks the registry whose it is, and passes it on to `ostler.v1.pool.<pool>.…`, where only that
//! pool's leader answers, from its own engine.

use std::sync::Arc;
use std::time::Duration;

use ostler_bus::pubsub::SendError;
use ostler_bus::{Bus, Caller, Pings};
use ostler_core::id::{NodeName, PoolName};
use ostler_schemas::api::Call;
use ostler_schemas::pb;
use ostler_schemas::problem::{Code, Problem};
use ostler_service::{Program, Tasks};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{Ask, Question, Refusal, Said, invalid, of_instance, plan};

/// A plan of a rebalance shows no more moves than one makes, and so many unless said.
const MOST_MOVES: u32 = 1000;
const FEW_MOVES: u32 = 10;

/// A leader, as those see it who ask.
#[derive(Clone)]
pub(super) struct Oracle {
    pub bus: Bus,
    pub pool: PoolName,
    asks: mpsc::Sender<Ask>,
    /// One what-if at a time: each has a copy of the engine.
    one: Arc<Semaphore>,
}

/// Who may be asked again, if this pool's leader has no answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// This leader or nobody.
    Here,
    /// The leader of whatever pool it is about.
    Anywhere,
}

/// Serves until the reign ends. Where the connection cannot be made the leader leads on, and is
/// asked nothing.
pub(crate) async fn serve(
    bus: Bus,
    (id, pool): (String, PoolName),
    asks: mpsc::Sender<Ask>,
    stop: CancellationToken,
) {
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
    let oracle = Oracle { bus: own.clone(), pool, asks, one: Arc::new(Semaphore::new(1)) };
    if let Err(error) = oracle.register(&id).await {
        warn!(error = %error, "nobody can ask this leader anything");
    }
    stop.cancelled().await;
    program.tasks.shut_down(Duration::from_secs(5)).await;
    own.drain().await;
}

impl Oracle {
    async fn register(&self, id: &str) -> Result<(), SendError> {
        for (server, reach) in [
            (self.bus.serve_pool("scheduler-pool", &self.pool), Reach::Here),
            (self.bus.serve("scheduler", id), Reach::Anywhere),
        ] {
            let each = || self.clone();
            let (workload, instance, node, plan) = (each(), each(), each(), each());
            let evening = each();
            server
                .on(move |caller, ask| workload.clone().on_workload_explain(caller, ask, reach))
                .on(move |caller, ask| instance.clone().on_instance_explain(caller, ask, reach))
                .on(move |caller, ask| node.clone().on_node_explain(caller, ask, reach))
                .on(move |caller, ask| plan.clone().on_workload_plan(caller, ask, reach))
                .on(move |caller, ask| evening.clone().on_rebalance_plan(caller, ask, reach))
                .start()
                .await?;
        }
        Ok(())
    }

    async fn on_workload_explain(
        self,
        caller: Caller,
        ask: pb::WorkloadExplain,
        reach: Reach,
    ) -> Result<pb::Document, Problem> {
        let namespace = if ask.namespace.is_empty() { "default" } else { &ask.namespace };
        let key = format!("{namespace}/{}", ask.name).parse().map_err(invalid)?;
        let here = self.tell(Question::Workload(key, only(&ask.node)?)).await;
        self.or_elsewhere(here, (caller, ask, reach), Self::pool_of_workload).await
    }

    async fn on_instance_explain(
        self,
        caller: Caller,
        ask: pb::InstanceExplain,
        reach: Reach,
    ) -> Result<pb::Document, Problem> {
        let only = only(&ask.node)?;
        let here = self.tell_of_instance(ask.id.clone(), only).await;
        self.or_elsewhere(here, (caller, ask, reach), Self::pool_of_instance).await
    }

    async fn on_node_explain(
        self,
        caller: Caller,
        ask: pb::NodeExplain,
        reach: Reach,
    ) -> Result<pb::Document, Problem> {
        let here = self.tell(Question::Node(ask.name.parse().map_err(invalid)?)).await;
        self.or_elsewhere(here, (caller, ask, reach), Self::pool_of_node).await
    }

    async fn on_workload_plan(
        self,
        caller: Caller,
        ask: pb::WorkloadPlan,
        reach: Reach,
    ) -> Result<pb::Document, Problem> {
        match reach {
            Reach::Here => plan::here(&self, ask, caller.timeout).await,
            Reach::Anywhere => plan::anywhere(&self, &caller, ask).await,
        }
    }

    async fn on_rebalance_plan(
        self,
        caller: Caller,
        ask: pb::RebalancePlan,
        reach: Reach,
    ) -> Result<pb::Document, Problem> {
        let named = only_pool(&ask.pool)?.unwrap_or_default();
        if named != self.pool && reach == Reach::Anywhere {
            return self.bus.call_pool(&named, &ask, &caller).await;
        }
        let most = if ask.max_moves == 0 { FEW_MOVES } else { ask.max_moves.min(MOST_MOVES) };
        self.tell(Question::Evening(most)).await
    }

    /// The answer from here; where nothing is known here, that of the pool it is about.
    async fn or_elsewhere<R: Call<Reply = pb::Document>>(
        &self,
        here: Result<pb::Document, Problem>,
        (caller, ask, reach): (Caller, R, Reach),
        pool_of: impl AsyncFnOnce(&Self, &Caller, &R) -> Result<PoolName, Problem>,
    ) -> Result<pb::Document, Problem> {
        match here {
            Err(problem) if problem.code == Code::NotFound && reach == Reach::Anywhere => {
                let pool = pool_of(self, &caller, &ask).await?;
                if pool == self.pool {
                    return Err(problem);
                }
                self.bus.call_pool(&pool, &ask, &caller).await
            }
            here => here,
        }
    }

    async fn pool_of_workload(
        &self,
        caller: &Caller,
        ask: &pb::WorkloadExplain,
    ) -> Result<PoolName, Problem> {
        let (namespace, name) = (ask.namespace.clone(), ask.name.clone());
        let view = self.bus.call(&pb::WorkloadGet { namespace, name }, caller).await?;
        let pool = view.spec.map(|spec| spec.pool).unwrap_or_default();
        if pool.is_empty() { Ok(PoolName::default()) } else { Ok(pool.parse().map_err(invalid)?) }
    }

    async fn pool_of_instance(
        &self,
        caller: &Caller,
        ask: &pb::InstanceExplain,
    ) -> Result<PoolName, Problem> {
        let view = self.bus.call(&pb::InstanceGet { id: ask.id.clone() }, caller).await?;
        self.pool_of_node(caller, &pb::NodeExplain { name: view.node }).await
    }

    async fn pool_of_node(
        &self,
        caller: &Caller,
        ask: &pb::NodeExplain,
    ) -> Result<PoolName, Problem> {
        let view = self.bus.call(&pb::NodeGet { name: ask.name.clone() }, caller).await?;
        Ok(view.pool.parse().map_err(invalid)?)
    }

    /// An instance is taken out of a copy of the engine, elsewhere than on the leader's loop.
    async fn tell_of_instance(
        &self,
        id: String,
        only: Option<NodeName>,
    ) -> Result<pb::Document, Problem> {
        let _alone = self.alone().await;
        let Said::Copy(engine, now) = self.put(Question::Copy).await? else {
            return Err(Problem::new(Code::Internal, "an answer to another question"));
        };
        let told =
            tokio::task::spawn_blocking(move || of_instance(*engine, &id, only.as_ref(), now));
        let told = told.await.map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
        Ok(told?)
    }

    /// Asks the leader's loop for a document.
    async fn tell(&self, question: Question) -> Result<pb::Document, Problem> {
        match self.put(question).await? {
            Said::Document(document) => Ok(document),
            Said::Copy(..) => Err(Problem::new(Code::Internal, "an answer to another question")),
        }
    }

    /// Puts a question to the leader's loop and waits for its answer.
    pub(super) async fn put(&self, question: Question) -> Result<Said, Problem> {
        let gone = || Problem::new(Code::Unavailable, "the leader of the pool has just changed");
        let (reply, answer) = oneshot::channel();
        self.asks.send(Ask { question, reply }).await.map_err(|_| gone())?;
        Ok(answer.await.map_err(|_| gone())??)
    }

    /// Waits until no other what-if has a copy of the engine.
    pub(super) async fn alone(&self) -> tokio::sync::OwnedSemaphorePermit {
        Arc::clone(&self.one).acquire_owned().await.expect("it is never closed")
    }
}

fn only(node: &str) -> Result<Option<NodeName>, Refusal> {
    if node.is_empty() { Ok(None) } else { node.parse().map(Some).map_err(invalid) }
}

fn only_pool(pool: &str) -> Result<Option<PoolName>, Refusal> {
    if pool.is_empty() { Ok(None) } else { pool.parse().map(Some).map_err(invalid) }
}
