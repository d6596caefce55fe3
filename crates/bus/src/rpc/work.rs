//! The work behind one answer: done in its time, or answered for. What changes something is then
//! done all the same: a write that was made is told, though nobody waits for its answer any more.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use async_nats::{HeaderMap, Message};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use ostler_schemas::problem::{Code, Problem};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::headers;
use super::serve::{Answer, Endpoint};

/// How long work goes on that was answered for: longer than a bus is away while its servers are
/// started again.
const CARRY_ON: Duration = Duration::from_secs(600);
/// How long it may go on after the program was told to stop.
const STOP_WITHIN: Duration = Duration::from_secs(3);

/// The work behind one answer.
pub(super) struct Work {
    future: BoxFuture<'static, std::thread::Result<Answer>>,
    timeout: Duration,
    trace_id: String,
    name: String,
    finishes: bool,
    done: bool,
}

impl Work {
    /// What the endpoint of this name has to do for a request.
    pub(super) fn begin(endpoint: &Endpoint, message: Message, name: &str) -> Self {
        let said = message.headers.as_ref();
        let caller = said.map_or_else(|| headers::caller(&HeaderMap::new()), headers::caller);
        let (timeout, trace_id) = (caller.timeout, caller.trace_id.clone());
        let future = AssertUnwindSafe((endpoint.handler)(caller, message)).catch_unwind().boxed();
        let (name, finishes) = (name.to_owned(), endpoint.finishes);
        Self { future, timeout, trace_id, name, finishes, done: false }
    }

    /// What the handler answers, in its time and whatever it does.
    pub(super) async fn answer(&mut self) -> Answer {
        let timeout = self.timeout;
        let answer = match tokio::time::timeout(timeout, &mut self.future).await {
            Ok(ended) => {
                self.done = true;
                ended.unwrap_or_else(|_| Err(self.panicked()))
            }
            Err(_) => Err(Problem::new(Code::Timeout, format!("not done within {timeout:?}"))),
        };
        answer.map_err(|mut problem| {
            if problem.trace_id.is_empty() {
                problem.trace_id.clone_from(&self.trace_id);
            }
            problem
        })
    }

    fn panicked(&self) -> Problem {
        let (name, trace_id) = (&self.name, &self.trace_id);
        error!(endpoint = name, trace.id = %trace_id, "a handler of `{name}` panicked");
        Problem::new(Code::Internal, "internal error")
    }

    /// Itself, if it was answered for and must be finished.
    pub(super) fn unfinished(self) -> Option<Self> {
        (self.finishes && !self.done).then_some(self)
    }

    /// Goes on until it is done, for ten minutes at most, or a moment after the program is to stop.
    pub(super) async fn finish(mut self, stop: CancellationToken) {
        let stopped = async {
            stop.cancelled().await;
            tokio::time::sleep(STOP_WITHIN).await;
        };
        let ended = tokio::select! {
            ended = tokio::time::timeout(CARRY_ON, &mut self.future) => ended.ok(),
            () = stopped => None,
        };
        match ended {
            Some(Ok(_)) => {
                let name = &self.name;
                info!(endpoint = name, "a request of `{name}` was finished after its time");
            }
            Some(Err(_)) => drop(self.panicked()),
            None => self.give_up(),
        }
    }

    /// What it began may be half done.
    pub(super) fn give_up(self) {
        let Self { name, trace_id, .. } = self;
        error!(endpoint = name, trace.id = %trace_id,
            "a request of `{name}` was given up: what it changed may be told nowhere");
    }
}
