//! Requests and replies as NATS services: typed, JSON or protobuf, bounded.

use std::future::Future;
use std::time::Duration;

use ostler_core::id::NodeName;
use ostler_schemas::api::Call;
use ostler_schemas::problem::Problem;

use crate::connection::Bus;
use crate::pubsub::SendError;

/// Who sent a request, and how long an answer is of use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The header `Ostler-Actor`; `anonymous` where absent.
    pub actor: String,
    /// The header `Ostler-Op-Id`; a fresh one where absent.
    pub op_id: String,
    /// The trace id of the header `traceparent`; empty where absent.
    pub trace_id: String,
    /// The header `Ostler-Timeout`: how long from receipt an answer is of use.
    pub timeout: Duration,
}

/// A NATS service under construction: `$SRV.PING`, `INFO` and `STATS` answer for it.
#[derive(Debug)]
pub struct Server {}

impl Server {
    /// Answers requests of this kind, at most 256 at a time over all kinds, each in a task of its
    /// own. A request that cannot be read is answered with the problem `malformed` and never
    /// reaches the handler; a handler that panics or passes `Ostler-Timeout` is answered for.
    /// Replies in the format of the request. For [`Server::Executor`](ostler_schemas::api::Server)
    /// calls use [`Bus::serve_node`].
    #[must_use]
    pub fn on<R, F, Fut>(self, handler: F) -> Self
    where
        R: Call,
        F: Fn(Caller, R) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R::Reply, Problem>> + Send + 'static,
    {
        let _ = handler;
        self
    }

    /// Starts answering; active when this returns. Ends, after what was begun was answered, when
    /// the program stops.
    pub async fn start(self) -> Result<(), SendError> {
        unimplemented!()
    }
}

impl Bus {
    /// Asks a service. `actor` travels as `Ostler-Actor`. No responders → `unavailable`, no answer
    /// in time → `timeout`.
    pub async fn call<R: Call>(&self, request: &R, from: &Caller) -> Result<R::Reply, Problem> {
        let _ = (request, from);
        unimplemented!()
    }

    /// Asks one executor: `ostler.v1.node.<node>.<verb>`.
    pub async fn call_node<R: Call>(
        &self,
        node: &NodeName,
        request: &R,
        from: &Caller,
    ) -> Result<R::Reply, Problem> {
        let _ = (node, request, from);
        unimplemented!()
    }

    /// Begins a NATS service with a queue group of its own name; `id` tells replicas apart in
    /// `$SRV.INFO` metadata.
    #[must_use]
    pub fn serve(&self, name: &str, id: &str) -> Server {
        let _ = (name, id);
        unimplemented!()
    }

    /// Begins the service of one executor: its verbs are `ostler.v1.node.<node>.<verb>`.
    #[must_use]
    pub fn serve_node(&self, node: &NodeName) -> Server {
        let _ = node;
        unimplemented!()
    }
}

impl Caller {
    /// A caller of our own, such as `registry` or `node-7`, with a fresh operation id and 5 s.
    #[must_use]
    pub fn program(actor: &str) -> Self {
        Self {
            actor: actor.to_owned(),
            op_id: crate::op_id(),
            trace_id: String::new(),
            timeout: Duration::from_secs(5),
        }
    }
}
