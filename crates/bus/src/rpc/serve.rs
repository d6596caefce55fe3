//! Answering: one NATS service with its endpoints.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{HeaderMap, Message, Subscriber};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::select_all;
use ostler_core::id::{NodeName, PoolName};
use ostler_schemas::api::{Call, Server as Kind};
use ostler_schemas::contract::{to_node, to_pool};
use ostler_schemas::problem::{Code, Problem};
use ostler_schemas::wire::{Wire, WireError};
use ostler_service::clock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::micro::Micro;
use super::work::Work;
use super::{Caller, headers};
use crate::connection::Bus;
use crate::horizon::Picture;
use crate::pubsub::SendError;

/// So many requests are answered at a time; what is more waits in the subscription.
const AT_ONCE: usize = 256;
/// So many that change something go on past their time; what is more is given up.
const LATE: usize = 256;
/// How long what was begun may go on after the stop.
const FINISH_WITHIN: Duration = Duration::from_secs(5);
/// How long the last answers may take to be on their way.
const FLUSH_WITHIN: Duration = Duration::from_secs(1);

pub(super) type Answer = Result<(HeaderMap, Bytes), Problem>;
type Handler = Arc<dyn Fn(Caller, Message) -> BoxFuture<'static, Answer> + Send + Sync>;

/// What answers requests of one kind.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) handler: Handler,
    /// What it began is finished, though its caller was answered for.
    pub(super) finishes: bool,
}

/// Whose requests a server answers.
enum Place {
    /// Those of a kind, shared with its replicas.
    Shared,
    /// Those to one pool.
    Pool(PoolName),
    /// Those to one node.
    Node(NodeName),
}

impl Place {
    fn subject(&self, call: &str) -> String {
        match self {
            Self::Shared => format!("ostler.v1.{call}"),
            Self::Pool(pool) => to_pool(pool, call),
            Self::Node(node) => to_node(node, call),
        }
    }
}

/// A NATS service under construction: `$SRV.PING`, `INFO` and `STATS` answer for it.
pub struct Server {
    bus: Bus,
    micro: Micro,
    place: Place,
    queue: String,
    endpoints: BTreeMap<&'static str, Endpoint>,
    picture: Option<Arc<dyn Picture>>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoints: Vec<_> = self.endpoints.keys().collect();
        f.debug_struct("Server").field("endpoints", &endpoints).finish_non_exhaustive()
    }
}

impl Bus {
    /// Begins a NATS service with a queue group of its own name; `id` tells replicas apart in
    /// `$SRV.INFO` metadata.
    #[must_use]
    pub fn serve(&self, name: &str, id: &str) -> Server {
        Server::new(self, name, name, ("replica", id))
    }

    /// Begins the service of one executor: its verbs are `ostler.v1.node.<node>.<verb>`. In
    /// `$SRV.INFO` it is `executor` with the node in its metadata.
    #[must_use]
    pub fn serve_node(&self, node: &NodeName) -> Server {
        let server = Server::new(self, "executor", node.as_str(), ("node", node.as_str()));
        Server { place: Place::Node(node.clone()), ..server }
    }

    /// Begins the service of one pool's leader: what it answers is asked on
    /// `ostler.v1.pool.<pool>.<call>`.
    #[must_use]
    pub fn serve_pool(&self, name: &str, pool: &PoolName) -> Server {
        let queue = format!("{name}-{pool}");
        let server = Server::new(self, name, &queue, ("pool", pool.as_str()));
        Server { place: Place::Pool(pool.clone()), ..server }
    }
}

impl Server {
    fn new(bus: &Bus, name: &str, queue: &str, (key, id): (&str, &str)) -> Self {
        let root = bus.config().root.clone();
        let metadata = BTreeMap::from([(key.to_owned(), id.to_owned()), ("root".to_owned(), root)]);
        let ms = i64::try_from(bus.pool_time().as_millis()).unwrap_or(i64::MAX);
        let started = jiff::Timestamp::from_millisecond(ms).unwrap_or_default().to_string();
        Self {
            bus: bus.clone(),
            micro: Micro::new(name, queue, metadata, started),
            place: Place::Shared,
            queue: queue.to_owned(),
            endpoints: BTreeMap::new(),
            picture: None,
        }
    }

    /// Says something more of itself in `$SRV.PING` and `INFO`.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.micro.say(key, value);
        self
    }

    /// Answers are made from a picture: a request waits until that is as far as its sender was told
    /// before, and each answer tells how far it is.
    #[must_use]
    pub fn from_picture(self, picture: Arc<dyn Picture>) -> Self {
        Self { picture: Some(picture), ..self }
    }

    /// Answers requests of this kind, at most 256 at a time over all kinds, each in a task of its
    /// own. A request that cannot be read is answered with the problem `malformed` (`invalid` where
    /// a field can be named) and never reaches the handler; a handler that panics or passes
    /// `Ostler-Timeout` is answered for; one of the registry that changes something goes on then,
    /// so that what it wrote is told. Replies in the format of the request. A request whose reply
    /// subject is no inbox is passed over. For [`Kind::Executor`] calls use
    /// [`Bus::serve_node`].
    #[must_use]
    pub fn on<R, F, Fut>(mut self, handler: F) -> Self
    where
        R: Call,
        F: Fn(Caller, R) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R::Reply, Problem>> + Send + 'static,
    {
        debug_assert!(
            (R::SERVER == Kind::Executor) == matches!(self.place, Place::Node(_)),
            "`{}` is answered by {:?}",
            R::SUBJECT,
            R::SERVER
        );
        let handler = Arc::new(handler);
        let answer = move |caller: Caller, message: Message| -> BoxFuture<'static, Answer> {
            let handler = Arc::clone(&handler);
            Box::pin(async move {
                let said = message.headers.unwrap_or_default();
                let format = headers::format(&said, R::FORMAT).map_err(|problem| *problem)?;
                let request = R::decode(&message.payload, format).map_err(unreadable)?;
                let reply = handler(caller, request).await?;
                Ok((headers::of_answer(format), reply.encode(format).into()))
            })
        };
        let finishes = R::MUTATES && R::SERVER == Kind::Registry;
        self.endpoints.insert(R::SUBJECT, Endpoint { handler: Arc::new(answer), finishes });
        self
    }

    /// Starts answering; active when this returns. Ends, after what was begun was answered, when
    /// the program stops.
    pub async fn start(self) -> Result<(), SendError> {
        self.start_until(CancellationToken::new()).await
    }

    /// As [`Server::start`], but ends also when `until` is cancelled: for what only a leader
    /// answers.
    pub async fn start_until(self, until: CancellationToken) -> Result<(), SendError> {
        let mut requests = Vec::new();
        for (verb, endpoint) in &self.endpoints {
            let subject = self.bus.root().subject(&self.place.subject(verb));
            let name = verb.replace('.', "-");
            self.micro.add(&name, &subject);
            let queue = self.queue.clone();
            let messages = self.bus.client().queue_subscribe(subject, queue).await;
            requests.push((messages.map_err(client)?, name, endpoint.clone()));
        }
        let mut questions = Vec::new();
        for subject in self.micro.subjects() {
            questions.push(self.bus.client().subscribe(subject).await.map_err(client)?);
        }
        self.bus.settle().await?;
        let tasks = self.bus.program().tasks.clone();
        let stop = tasks.stop_token();
        let Self { bus, micro, picture, .. } = self;
        let (busy, late) = (TaskTracker::new(), Arc::new(Semaphore::new(LATE)));
        let running = Running { bus, micro, picture, busy, late };
        tasks.spawn_brief(async move {
            let stop = async {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = until.cancelled() => {}
                }
            };
            running.run(requests, questions, stop).await;
        });
        Ok(())
    }
}

struct Running {
    bus: Bus,
    micro: Micro,
    picture: Option<Arc<dyn Picture>>,
    busy: TaskTracker,
    late: Arc<Semaphore>,
}

impl Running {
    async fn run(
        self,
        mut requests: Vec<(Subscriber, String, Endpoint)>,
        questions: Vec<Subscriber>,
        stop: impl Future<Output = ()>,
    ) {
        let mut questions = select_all(questions);
        let permits = Arc::new(Semaphore::new(AT_ONCE));
        // A program without endpoints only answers pings.
        let serves = !requests.is_empty();
        let answering = futures::future::join_all(requests.iter_mut().map(
            async |(messages, name, endpoint)| {
                self.serve(messages, name, endpoint, &permits).await;
            },
        ));
        tokio::select! {
            _ = answering, if serves => return,
            () = self.introduce(&mut questions) => return,
            () = stop => {}
        }
        let rest = async {
            // The server sends nothing more, and what it had sent before is answered; without one
            // nobody would hear an answer.
            if self.bus.is_up() {
                for (messages, _, _) in &mut requests {
                    messages.drain().await.ok();
                }
                for (messages, name, endpoint) in &mut requests {
                    self.serve(messages, name, endpoint, &permits).await;
                }
            }
            self.busy.close();
            self.busy.wait().await;
        };
        if tokio::time::timeout(FINISH_WITHIN, rest).await.is_err() {
            warn!(requests = self.busy.len(), "stopping with requests unanswered");
        }
        // A flush waits for a server for ever.
        if self.bus.is_up() {
            let flushed = self.bus.client().flush();
            drop(tokio::time::timeout(FLUSH_WITHIN, flushed).await);
        }
    }

    /// Answers `$SRV.…`.
    async fn introduce(&self, questions: &mut (impl futures::Stream<Item = Message> + Unpin)) {
        while let Some(Message { subject, reply, .. }) = questions.next().await {
            let Some(reply) = reply.filter(|reply| is_inbox(reply)) else { continue };
            if let Some(answer) = self.micro.answer(&subject) {
                let body = Bytes::from(answer.to_string());
                self.bus.client().publish(reply, body).await.ok();
            }
        }
    }

    /// Takes requests while there is room, until the subscription ends. May be dropped: room comes
    /// first, so that no request is ever held without being answered.
    async fn serve(
        &self,
        messages: &mut Subscriber,
        name: &str,
        endpoint: &Endpoint,
        permits: &Arc<Semaphore>,
    ) {
        loop {
            let permit = Arc::clone(permits).acquire_owned().await.expect("it is never closed");
            let Some(message) = messages.next().await else { return };
            self.take(message, name, endpoint, permit);
        }
    }

    /// Answers one request in a task of its own.
    fn take(
        &self,
        message: Message,
        name: &str,
        endpoint: &Endpoint,
        permit: OwnedSemaphorePermit,
    ) {
        let Some(reply) = message.reply.clone().filter(|reply| is_inbox(reply)) else {
            debug!(subject = %message.subject, "a request without an inbox is passed over");
            return;
        };
        let (bus, micro, name) = (self.bus.clone(), self.micro.clone(), name.to_owned());
        let (endpoint, picture) = (endpoint.clone(), self.picture.clone());
        let (late, tasks) = (Arc::clone(&self.late), self.bus.program().tasks.clone());
        let answer = self.busy.track_future(async move {
            let begun = clock::instant();
            catch_up(picture.as_deref(), &message).await;
            let mut work = Work::begin(&endpoint, message, &name);
            let mut answer = work.answer().await;
            let unfinished = work.unfinished();
            if let (Some(picture), Ok((headers, _))) = (picture, &mut answer) {
                headers::tell_seen(headers, &picture.reached());
            }
            micro.count(&name, clock::since(begun), answer.as_ref().err());
            send(&bus, reply, answer, &name).await;
            drop(permit);
            let Some(work) = unfinished else { return };
            match late.try_acquire() {
                Ok(_turn) => work.finish(tasks.stop_token()).await,
                Err(_) => work.give_up(),
            }
        });
        self.bus.program().tasks.spawn_brief(answer);
    }
}

/// Waits until the picture is as far as the sender of a request has seen.
async fn catch_up(picture: Option<&dyn Picture>, message: &Message) {
    if let (Some(picture), Some(headers)) = (picture, &message.headers) {
        let seen = headers::seen(headers);
        if !seen.is_empty() {
            picture.until(seen).await;
        }
    }
}

async fn send(bus: &Bus, reply: async_nats::Subject, answer: Answer, name: &str) {
    let limit = bus.client().max_payload();
    // Headers count too, and are short.
    const HEADERS: usize = 1_024;
    let (headers, body) = match answer {
        Ok((_, body)) if body.len() + HEADERS > limit => {
            let bytes = body.len();
            let detail = format!("the answer has {bytes} bytes, the server takes {limit}");
            headers::of_problem(&Problem::new(Code::LimitExceeded, detail))
        }
        Ok(good) => good,
        Err(problem) => headers::of_problem(&problem),
    };
    if let Err(error) = bus.client().publish_with_headers(reply, headers, body).await {
        warn!(endpoint = name, %error, "an answer of `{name}` cannot be sent");
    }
}

/// Whether an answer may go there: any client can name any subject as its reply, also that of
/// somebody else's data.
fn is_inbox(reply: &str) -> bool {
    ["_INBOX", "_R_", "_GR_"].iter().any(|start| reply.starts_with(start))
}

fn unreadable(error: WireError) -> Problem {
    let code = match error {
        WireError::Malformed { .. } => Code::Malformed,
        WireError::Field { .. } => Code::Invalid,
        WireError::TooLarge { .. } => Code::LimitExceeded,
    };
    Problem::new(code, error.to_string())
}

fn client(error: impl fmt::Display) -> SendError {
    SendError::Client(error.to_string())
}
