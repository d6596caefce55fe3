//! A copy of a fleet's streams, and a fleet made of one.
//!
//! The server itself packs a stream and unpacks it again (`$JS.API.STREAM.SNAPSHOT` and `.RESTORE`),
//! so that sequences, times and headers are what they were: revisions that clients hold stay good.
//! A restored fleet is a new life of it: executors believe manifests of an earlier one no more.

use std::io::{self, Read, Write};
use std::time::Duration;

use async_nats::{Message, Request, RequestErrorKind};
use bytes::Bytes;
use futures::StreamExt as _;
use ostler_core::id::PoolName;
use ostler_schemas::table::{Storage, Stream};
use ostler_service::{Backoff, clock};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;

use crate::connection::Bus;
use crate::jetstream::AskError;
use crate::provision::{INCARNATION, streams};

/// How much is asked for in one message.
const CHUNK: usize = 128 << 10;
/// How long the next piece of a copy may take.
const PIECE_WITHIN: Duration = Duration::from_secs(30);
/// Between two tries while nobody takes pieces yet, at most.
const NOT_YET: Duration = Duration::from_millis(100);
/// What the server says when a copy is whole.
const WHOLE: u16 = 204;

/// What a stream is made of again, beside its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// Its name as it is on the server.
    pub stream: String,
    /// Its configuration.
    pub config: Value,
    /// How many messages it had, and which: as the server tells it.
    pub state: Value,
}

/// Why a copy was not made or not put back.
#[derive(Debug, Error)]
pub enum BackupError {
    /// There is such a stream already: a fleet is restored only where there is none. Nothing was
    /// changed.
    #[error("stream `{0}` is there already: a fleet is restored only where there is none")]
    Occupied(String),
    /// The copy is not of this fleet's streams. Nothing was changed.
    #[error("`{0}` is no stream of this fleet: were `--root` and `--pool` other ones?")]
    Unknown(String),
    /// The server refused, or did not answer. Streams that were restored before stay.
    #[error("stream `{stream}`: {cause}")]
    Server {
        /// Which stream.
        stream: String,
        /// What it says.
        cause: String,
    },
    /// What was put back is not what the copy says. The stream stays, to be looked at.
    #[error("stream `{stream}` has only {found} as its last sequence, the copy had {wanted}")]
    Short {
        /// Which stream.
        stream: String,
        /// What it should have.
        wanted: u64,
        /// What it has.
        found: u64,
    },
    /// The file could not be read or written.
    #[error("cannot read or write the copy")]
    File(#[from] io::Error),
}

impl Bus {
    /// The streams that are worth a copy, in the order in which they are copied: what was placed
    /// before what is wanted, so that nothing placed lacks its workload. Beats, reports and leases
    /// are told anew by who is alive.
    #[must_use]
    pub fn copied_streams(&self, pools: &[PoolName]) -> Vec<String> {
        let mut kept: Vec<Stream> = streams(pools)
            .into_iter()
            .filter(|stream| stream.storage == Storage::File)
            .filter(|stream| !["KV_leases", "KV_reports"].contains(&stream.name.as_str()))
            .collect();
        kept.sort_by_key(|stream| !stream.name.starts_with("KV_placements-"));
        kept.iter().map(|stream| self.root().stream(&stream.name)).collect()
    }

    /// Copies a stream as it is now into `sink`; its consumers are not copied.
    pub async fn copy_out(
        &self,
        stream: &str,
        sink: &mut (dyn Write + Send),
    ) -> Result<Copied, BackupError> {
        let failed = |cause: String| BackupError::Server { stream: stream.to_owned(), cause };
        let inbox = self.client().new_inbox();
        let subscribed = self.client().subscribe(inbox.clone()).await;
        let mut pieces = subscribed.map_err(|error| failed(error.to_string()))?;
        let ask = json!({ "deliver_subject": inbox, "no_consumers": true, "chunk_size": CHUNK });
        let answer = self.api(&format!("STREAM.SNAPSHOT.{stream}"), &ask).await;
        let answer = answer.map_err(|error| failed(error.to_string()))?;
        loop {
            let piece = tokio::time::timeout(PIECE_WITHIN, pieces.next()).await;
            let Ok(Some(piece)) = piece else {
                return Err(failed("the server stopped sending".to_owned()));
            };
            if piece.payload.is_empty() {
                let whole = piece.status.is_none_or(|status| status.as_u16() == WHOLE);
                let why = piece.description.unwrap_or_default();
                return match whole {
                    true => Ok(Copied {
                        stream: stream.to_owned(),
                        config: answer["config"].clone(),
                        state: answer["state"].clone(),
                    }),
                    false => Err(failed(format!("the server gave up: {why}"))),
                };
            }
            sink.write_all(&piece.payload)?;
            if let Some(reply) = piece.reply {
                let sent = self.client().publish(reply, Bytes::new()).await;
                sent.map_err(|error| failed(error.to_string()))?;
            }
        }
    }

    /// Fails unless every copy is of a stream of this fleet, and none of the fleet's streams is
    /// there.
    pub async fn vacant(&self, copies: &[Copied], pools: &[PoolName]) -> Result<(), BackupError> {
        let ours: Vec<String> =
            streams(pools).iter().map(|stream| self.root().stream(&stream.name)).collect();
        for copied in copies {
            if !ours.contains(&copied.stream) || copied.config["name"] != *copied.stream {
                return Err(BackupError::Unknown(copied.stream.clone()));
            }
        }
        for stream in ours {
            let found = self.found(&stream).await;
            let found = found.map_err(|error| server(&stream, error.to_string()))?;
            if found.is_some() {
                return Err(BackupError::Occupied(stream));
            }
        }
        Ok(())
    }

    /// Makes a stream of its copy.
    pub async fn copy_in(
        &self,
        copied: &Copied,
        source: &mut (dyn Read + Send),
    ) -> Result<(), BackupError> {
        let stream = &copied.stream;
        let failed = |error: &AskError| server(stream, error.to_string());
        let mut config = copied.config.clone();
        // As many replicas as there are servers for, now and here.
        config["num_replicas"] = json!(self.replicas());
        let ask = json!({ "config": config, "state": copied.state });
        let subject = format!("STREAM.RESTORE.{stream}");
        let answer = self.patiently(|| self.api(&subject, &ask)).await;
        let answer = answer.map_err(|error| failed(&error))?;
        let to = answer["deliver_subject"].as_str().unwrap_or_default().to_owned();
        let mut piece = vec![0; CHUNK];
        loop {
            let length = read_full(source, &mut piece)?;
            let sent = Bytes::copy_from_slice(&piece[..length]);
            let heard = self.hand_over(&to, sent).await.map_err(|error| server(stream, error))?;
            if length == 0 {
                let said: Value = serde_json::from_slice(&heard.payload).unwrap_or_default();
                return match said.get("error") {
                    Some(error) => Err(server(stream, error["description"].to_string())),
                    None => self.is_whole(copied).await,
                };
            }
        }
    }

    /// Sends one piece of a copy. In a cluster our server hears who takes it a moment after the
    /// answer that named the subject: until then nobody is there.
    async fn hand_over(&self, to: &str, piece: Bytes) -> Result<Message, String> {
        let (began, mut again) = (clock::instant(), Backoff::steady(NOT_YET));
        loop {
            let left = PIECE_WITHIN.saturating_sub(clock::since(began));
            let request = Request::new().payload(piece.clone()).timeout(Some(left));
            match self.client().send_request(to.to_owned(), request).await {
                Err(error) if error.kind() == RequestErrorKind::NoResponders && !left.is_zero() => {
                    again.wait().await;
                }
                heard => return heard.map_err(|error| error.to_string()),
            }
        }
    }

    async fn is_whole(&self, copied: &Copied) -> Result<(), BackupError> {
        let stream = &copied.stream;
        let info = self.patiently(|| self.stream_info(stream)).await;
        let info = info.map_err(|error| server(stream, error.to_string()))?;
        let last = |state: &Value| state["last_seq"].as_u64().unwrap_or_default();
        let (wanted, found) = (last(&copied.state), last(&info["state"]));
        // Whoever serves this fleet still may have written to it at once.
        if wanted <= found {
            return Ok(());
        }
        Err(BackupError::Short { stream: stream.clone(), wanted, found })
    }

    /// Begins a new life of the fleet, after its streams were put back: what executors and
    /// schedulers of the old one still say counts no more.
    pub async fn begin_life(&self) -> Result<u64, BackupError> {
        let name = self.root().stream("KV_workloads");
        let failed = |cause: String| server(&name, cause);
        let found = self.found(&name).await.map_err(|error| failed(error.to_string()))?;
        let mut config = found.ok_or_else(|| failed("is not there".to_owned()))?;
        let old = config["metadata"][INCARNATION].as_str().and_then(|text| text.parse().ok());
        let life = clock::wall_ms().max(old.map_or(0, |old: u64| old + 1));
        config["metadata"][INCARNATION] = json!(life.to_string());
        let updated = self.api(&format!("STREAM.UPDATE.{name}"), &config).await;
        updated.map_err(|error| failed(error.to_string()))?;
        Ok(life)
    }
}

fn server(stream: &str, cause: String) -> BackupError {
    BackupError::Server { stream: stream.to_owned(), cause }
}

/// As much as there is, up to the whole buffer.
fn read_full(source: &mut (dyn Read + Send), buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match source.read(&mut buffer[length..])? {
            0 => break,
            more => length += more,
        }
    }
    Ok(length)
}
