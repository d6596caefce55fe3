//! Server-sent events: bounded, kept alive, ended when the reader is too slow or the program stops.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use ostler_schemas::problem::Code;
use serde::Serialize;
use tokio::sync::{Semaphore, mpsc};

use crate::answer::{Answer, Refusal};
use crate::app::App;

/// A comment is sent so often when nothing else is.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The end of a stream that its producer writes to.
#[derive(Debug, Clone)]
pub struct Sink {
    events: mpsc::Sender<Event>,
    slow_after: Duration,
}

/// The reader is gone or was too slow; produce no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

impl Sink {
    /// Sends `data` as JSON, with an id to carry on from where there is one, and an event name
    /// where readers must tell kinds apart.
    pub async fn send<T: Serialize + Sync>(
        &self,
        id: Option<u64>,
        name: Option<&str>,
        data: &T,
    ) -> Result<(), Gone> {
        let mut event = Event::default().json_data(data).map_err(|_| Gone)?;
        if let Some(id) = id {
            event = event.id(id.to_string());
        }
        if let Some(name) = name {
            event = event.event(name);
        }
        self.events.send_timeout(event, self.slow_after).await.map_err(|_| Gone)
    }
}

/// Answers with a stream that `produce` fills in a task of its own. 503 when too many are open.
pub fn stream<F, Fut>(app: &App, produce: F) -> Answer<Response>
where
    F: FnOnce(Sink) -> Fut,
    Fut: Future<Output = Result<(), Gone>> + Send + 'static,
{
    let permit = app.admit_stream().ok_or_else(|| {
        let limit = app.config().max_streams;
        let detail = format!("{limit} streams are followed already (`gateway.max_streams`)");
        Refusal::new(Code::Unavailable, detail)
    })?;
    let queue = usize::try_from(app.config().stream_queue.max(1)).unwrap_or(usize::MAX);
    let (sender, mut receiver) = mpsc::channel(queue.min(Semaphore::MAX_PERMITS));
    let slow_after = app.config().slow_after.into();
    let producing = produce(Sink { events: sender.clone(), slow_after });
    let (app, stop) = (app.clone(), app.program().tasks.stop_token());
    let tasks = app.program().tasks.clone();
    tasks.spawn_brief(async move {
        let _permit = permit;
        app.counts().streams.inc();
        let full = tokio::select! {
            () = stop.cancelled() => false,
            () = sender.closed() => false,
            ended = producing => ended.is_err() && !sender.is_closed(),
        };
        if full {
            app.counts().dropped.inc();
        }
        app.counts().streams.dec();
    });
    let events = futures::stream::poll_fn(move |context| receiver.poll_recv(context));
    let events = futures::StreamExt::map(events, Ok::<Event, Infallible>);
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Ok(Sse::new(events).keep_alive(keep_alive).into_response())
}
