//! Streams are made once, exactly as the table says, and never changed behind anyone's back.

mod config;
mod drift;

use std::fmt;
use std::time::Duration;

use ostler_core::id::PoolName;
use ostler_schemas::table::{self, Stream};
use ostler_service::{Backoff, clock};
use serde_json::{Value, json};
use thiserror::Error;
use tracing::warn;

use crate::connection::Bus;
use crate::jetstream::{AskError, Fault};
pub(crate) use config::INCARNATION;

/// One field of a stream that is not as the table says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// Which stream.
    pub stream: String,
    /// Which field; `missing` when there is no such stream.
    pub field: String,
    /// What the table says.
    pub wanted: String,
    /// What is there.
    pub found: String,
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stream, field, wanted, found } = self;
        if field == drift::MISSING {
            return write!(f, "stream `{stream}` is missing: run `ostler bus provision`");
        }
        write!(f, "stream `{stream}`: `{field}` is {found}, should be {wanted}")
    }
}

/// Why provisioning or checking did not succeed.
#[derive(Debug, Error)]
pub enum ProvisionError {
    /// Streams that are not as the table says. Nothing was changed.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Drift(Vec<Drift>),
    /// The server refused, or did not answer.
    #[error("cannot provision `{stream}`: {cause}")]
    Server {
        /// Which stream.
        stream: String,
        /// What it says.
        cause: String,
    },
}

const STREAM_NOT_FOUND: u64 = 10_059;
/// There is one of that name with another configuration.
const NAME_IN_USE: u64 = 10_058;
/// JetStream has no leader yet; too few servers have joined yet.
const NOT_YET: [u64; 3] = [10_008, 10_005, 10_023];
/// How long a starting cluster is waited for.
const CLUSTER_WITHIN: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_millis(250);
/// Between two tries to check the streams.
const VERIFY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

impl Bus {
    /// Makes every stream of the table and of the given pools that is missing, then checks all.
    /// Calling it twice changes nothing. Returns the names of those that were made. Replicas: 3
    /// where the server says that it is in a cluster, else 1; a cluster with fewer than three
    /// servers that have JetStream is refused after 30 s, and never gets fewer replicas in silence.
    pub async fn provision(&self, pools: &[PoolName]) -> Result<Vec<String>, ProvisionError> {
        let mut made = Vec::new();
        for stream in streams(pools) {
            let name = self.root().stream(&stream.name);
            if self.found(&name).await?.is_none() {
                self.make(&stream, &name).await?;
                made.push(name);
            }
        }
        self.check(pools).await?;
        Ok(made)
    }

    /// Deletes every stream of the table and of the given pools, with all that is in them: what a
    /// measurement leaves of itself on a server of others. Only under a root of its own: a fleet
    /// under the usual root is never deleted by a program. What is not there is no error.
    pub async fn dismantle(&self, pools: &[PoolName]) -> Result<(), ProvisionError> {
        for stream in streams(pools) {
            let name = self.root().stream(&stream.name);
            if self.root().is_usual() {
                let cause = "streams under the usual root are never deleted".to_owned();
                return Err(ProvisionError::Server { stream: name, cause });
            }
            match self.api(&format!("STREAM.DELETE.{name}"), &Value::Null).await {
                Ok(_) | Err(AskError::Fault(Fault { err_code: STREAM_NOT_FOUND, .. })) => {}
                Err(error) => return Err(server(&name, &error)),
            }
        }
        Ok(())
    }

    /// Checks every stream against the table, naming each field that differs.
    pub async fn check(&self, pools: &[PoolName]) -> Result<(), ProvisionError> {
        let mut drifts = Vec::new();
        for stream in streams(pools) {
            let name = self.root().stream(&stream.name);
            let wanted = self.wanted(&stream);
            match self.found(&name).await? {
                Some(found) => drifts.extend(drift::compare(&name, &wanted, &found)),
                None => drifts.push(drift::missing(&name)),
            }
        }
        if drifts.is_empty() { Ok(()) } else { Err(ProvisionError::Drift(drifts)) }
    }

    /// What every service does first: waits until the streams can be checked, and refuses to run on
    /// what is not as the table says. `false`: the program was stopped before.
    pub async fn verified(&self, pools: &[PoolName]) -> Result<bool, ProvisionError> {
        let mut pause = Backoff::new(VERIFY.0, VERIFY.1);
        loop {
            match self.check(pools).await {
                Ok(()) => return Ok(true),
                Err(drift @ ProvisionError::Drift(_)) => return Err(drift),
                Err(error @ ProvisionError::Server { .. }) => {
                    warn!(%error, "the streams cannot be checked yet: {error}");
                }
            }
            tokio::select! {
                () = self.program().tasks.stopped() => return Ok(false),
                () = pause.wait() => {}
            }
        }
    }

    /// Which life of the fleet this is: drawn at provisioning (milliseconds since 1970), kept in
    /// the metadata of the stream `KV_workloads`.
    pub async fn incarnation(&self) -> Result<u64, ProvisionError> {
        let name = self.root().stream("KV_workloads");
        let Some(config) = self.found(&name).await? else {
            return Err(ProvisionError::Drift(vec![drift::missing(&name)]));
        };
        let text = config["metadata"][INCARNATION].as_str();
        text.and_then(|text| text.parse().ok()).ok_or_else(|| {
            ProvisionError::Drift(vec![Drift {
                stream: name,
                field: format!("metadata.{INCARNATION}"),
                wanted: "a number".to_owned(),
                found: text.unwrap_or("absent").to_owned(),
            }])
        })
    }

    fn wanted(&self, stream: &Stream) -> Value {
        let replicas = if stream.single { 1 } else { self.replicas() };
        config::config(stream, self.root(), replicas)
    }

    /// How many replicas a stream gets here: a server tells the name of its cluster if and only if
    /// it is in one.
    pub(crate) fn replicas(&self) -> u8 {
        if self.client().server_info().cluster.is_some() { 3 } else { 1 }
    }

    /// The configuration of a stream, if there is one.
    pub(crate) async fn found(&self, name: &str) -> Result<Option<Value>, ProvisionError> {
        match self.patiently(|| self.stream_info(name)).await {
            Ok(info) => Ok(Some(info["config"].clone())),
            Err(AskError::Fault(fault)) if fault.err_code == STREAM_NOT_FOUND => Ok(None),
            Err(error) => Err(server(name, &error)),
        }
    }

    async fn make(&self, stream: &Stream, name: &str) -> Result<(), ProvisionError> {
        let mut config = self.wanted(stream);
        if stream.name == "KV_workloads" {
            config["metadata"][INCARNATION] = json!(clock::wall_ms().to_string());
        }
        let subject = format!("STREAM.CREATE.{name}");
        match self.patiently(|| self.api(&subject, &config)).await {
            // Somebody else has just made it; the check will tell whether it is right.
            Ok(_) | Err(AskError::Fault(Fault { err_code: NAME_IN_USE, .. })) => Ok(()),
            Err(error) => Err(server(name, &error)),
        }
    }

    /// Asks again while a cluster is starting.
    pub(crate) async fn patiently<F, Fut>(&self, ask: F) -> Result<Value, AskError>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<Value, AskError>>,
    {
        let begun = clock::instant();
        let mut pause = Backoff::steady(RETRY);
        loop {
            let again = match ask().await {
                Err(AskError::Fault(fault)) if NOT_YET.contains(&fault.err_code) => {
                    AskError::Fault(fault)
                }
                Err(AskError::Silence(why)) => AskError::Silence(why),
                done => return done,
            };
            if clock::since(begun) > CLUSTER_WITHIN {
                return Err(again);
            }
            pause.wait().await;
        }
    }
}

pub(crate) fn streams(pools: &[PoolName]) -> Vec<Stream> {
    table::streams().into_iter().chain(pools.iter().map(table::placements)).collect()
}

fn server(stream: &str, error: &AskError) -> ProvisionError {
    ProvisionError::Server { stream: stream.to_owned(), cause: error.to_string() }
}
