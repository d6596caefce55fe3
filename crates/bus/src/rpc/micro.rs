//! `$SRV.PING`, `INFO` and `STATS`: the NATS service protocol, answered for one server.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ostler_schemas::problem::Problem;
use serde_json::{Value, json};

/// One endpoint and what it has done.
#[derive(Debug, Default)]
struct Endpoint {
    subject: String,
    requests: u64,
    errors: u64,
    last_error: String,
    busy: Duration,
}

/// What a server tells of itself.
#[derive(Debug, Clone)]
pub(super) struct Micro {
    name: String,
    id: String,
    queue: String,
    metadata: BTreeMap<String, String>,
    started: String,
    endpoints: Arc<Mutex<BTreeMap<String, Endpoint>>>,
}

impl Micro {
    pub(super) fn new(
        name: &str,
        queue: &str,
        metadata: BTreeMap<String, String>,
        started: String,
    ) -> Self {
        Self {
            name: name.to_owned(),
            id: crate::op_id(),
            queue: queue.to_owned(),
            metadata,
            started,
            endpoints: Arc::default(),
        }
    }

    /// Adds to its metadata.
    pub(super) fn say(&mut self, key: &str, value: &str) {
        self.metadata.insert(key.to_owned(), value.to_owned());
    }

    /// The subjects on which it is asked.
    pub(super) fn subjects(&self) -> Vec<String> {
        let Self { name, id, .. } = self;
        ["PING", "INFO", "STATS"]
            .iter()
            .flat_map(|verb| {
                [
                    format!("$SRV.{verb}"),
                    format!("$SRV.{verb}.{name}"),
                    format!("$SRV.{verb}.{name}.{id}"),
                ]
            })
            .collect()
    }

    fn with<T>(&self, change: impl FnOnce(&mut BTreeMap<String, Endpoint>) -> T) -> T {
        change(&mut self.endpoints.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn add(&self, name: &str, subject: &str) {
        let endpoint = Endpoint { subject: subject.to_owned(), ..Endpoint::default() };
        self.with(|endpoints| endpoints.insert(name.to_owned(), endpoint));
    }

    /// Counts a request.
    pub(super) fn count(&self, name: &str, took: Duration, problem: Option<&Problem>) {
        self.with(|endpoints| {
            let Some(endpoint) = endpoints.get_mut(name) else { return };
            endpoint.requests += 1;
            endpoint.busy += took;
            if let Some(problem) = problem {
                endpoint.errors += 1;
                endpoint.last_error = format!("{}:{}", problem.status, problem.title);
            }
        });
    }

    /// The answer to a question on this subject.
    pub(super) fn answer(&self, subject: &str) -> Option<Value> {
        let (kind, endpoints) = match subject.split('.').nth(1)? {
            "PING" => ("ping", None),
            "INFO" => ("info", Some(self.infos())),
            "STATS" => ("stats", Some(self.stats())),
            _ => return None,
        };
        let mut answer = json!({
            "type": format!("io.nats.micro.v1.{kind}_response"),
            "name": self.name,
            "id": self.id,
            "version": env!("CARGO_PKG_VERSION"),
            "metadata": self.metadata,
        });
        if let Some(endpoints) = endpoints {
            answer["endpoints"] = endpoints;
        }
        match kind {
            "info" => answer["description"] = json!(""),
            "stats" => answer["started"] = json!(self.started),
            _ => {}
        }
        Some(answer)
    }

    fn infos(&self) -> Value {
        let info = |(name, endpoint): (&String, &Endpoint)| {
            json!({
                "name": name, "subject": endpoint.subject, "queue_group": self.queue,
                "metadata": {},
            })
        };
        self.with(|endpoints| endpoints.iter().map(info).collect())
    }

    fn stats(&self) -> Value {
        let nanos = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        let stats = |(name, endpoint): (&String, &Endpoint)| {
            let busy = nanos(endpoint.busy);
            json!({
                "name": name, "subject": endpoint.subject, "queue_group": self.queue,
                "num_requests": endpoint.requests, "num_errors": endpoint.errors,
                "last_error": endpoint.last_error, "processing_time": busy,
                "average_processing_time": busy.checked_div(endpoint.requests).unwrap_or(0),
            })
        };
        self.with(|endpoints| endpoints.iter().map(stats).collect())
    }
}
