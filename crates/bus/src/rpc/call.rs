//! Asking: one request, one answer or a problem.

use async_nats::RequestErrorKind;
use ostler_core::id::{NodeName, PoolName};
use ostler_schemas::api::{Call, Server as Kind};
use ostler_schemas::contract::{to_node, to_pool};
use ostler_schemas::problem::{Code, Problem};
use ostler_schemas::wire::Format;

use super::{Caller, headers};
use crate::connection::Bus;

impl Bus {
    /// Asks a service. `actor` travels as `Ostler-Actor`. No responders → `unavailable`, no answer
    /// in time → `timeout`. Waits for `from.timeout`, the time the answer is of use. For
    /// [`Kind::Executor`] use [`Bus::call_node`].
    pub async fn call<R: Call>(&self, request: &R, from: &Caller) -> Result<R::Reply, Problem> {
        debug_assert!(R::SERVER != Kind::Executor, "`{}` is asked of a node", R::SUBJECT);
        self.request(format!("ostler.v1.{}", R::SUBJECT), request, from).await
    }

    /// Asks one executor: `ostler.v1.node.<node>.<verb>`.
    pub async fn call_node<R: Call>(
        &self,
        node: &NodeName,
        request: &R,
        from: &Caller,
    ) -> Result<R::Reply, Problem> {
        self.request(to_node(node, R::SUBJECT), request, from).await
    }

    /// Asks the leader of one pool: `ostler.v1.pool.<pool>.<call>`.
    pub async fn call_pool<R: Call>(
        &self,
        pool: &PoolName,
        request: &R,
        from: &Caller,
    ) -> Result<R::Reply, Problem> {
        debug_assert!(R::SERVER == Kind::Scheduler, "`{}` is not asked of a pool", R::SUBJECT);
        self.request(to_pool(pool, R::SUBJECT), request, from).await
    }

    async fn request<R: Call>(
        &self,
        subject: String,
        request: &R,
        from: &Caller,
    ) -> Result<R::Reply, Problem> {
        let problem = |code, detail: String| {
            let mut problem = Problem::new(code, detail);
            problem.trace_id.clone_from(&from.trace_id);
            problem
        };
        if !self.is_up() {
            return Err(problem(Code::Unavailable, "not connected to NATS".to_owned()));
        }
        // Among ourselves; whoever asks in JSON is answered in JSON.
        let format = Format::Protobuf;
        let body = request.encode(format).into();
        let (mut sent, seen) = (headers::of_request(from, format), self.told().get());
        headers::tell_seen(&mut sent, &seen);
        let request =
            async_nats::Request::new().payload(body).headers(sent).timeout(Some(from.timeout));
        let wire = self.root().subject(&subject);
        // The client's own limit does not cover a full queue of commands.
        let answer =
            tokio::time::timeout(from.timeout, self.client().send_request(wire, request)).await;
        let late = || format!("no answer from `{subject}` within {:?}", from.timeout);
        match answer {
            Ok(Ok(message)) => {
                let said = message.headers.unwrap_or_default();
                self.told().hear(&headers::seen(&said), &seen);
                headers::read(&said, &message.payload, format).map_err(|problem| *problem)
            }
            Ok(Err(error)) => Err(match error.kind() {
                RequestErrorKind::NoResponders => {
                    problem(Code::Unavailable, format!("nobody answers `{subject}`"))
                }
                RequestErrorKind::TimedOut => problem(Code::Timeout, late()),
                RequestErrorKind::MaxPayloadExceeded => {
                    problem(Code::LimitExceeded, format!("the request is too large: {error}"))
                }
                RequestErrorKind::InvalidSubject | RequestErrorKind::Other => {
                    problem(Code::Unavailable, format!("cannot ask `{subject}`: {error}"))
                }
            }),
            Err(_) => Err(problem(Code::Timeout, late())),
        }
    }
}
