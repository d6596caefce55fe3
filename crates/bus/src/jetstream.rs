//! JetStream by hand: requests to its API and publishes whose answer is read in full.

use std::time::Duration;

use async_nats::{HeaderMap, Message, Request, RequestErrorKind};
use bytes::Bytes;
use ostler_core::time::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::connection::Bus;

/// Wrong last sequence: what a single server answers.
const WRONG_LAST: u64 = 10_071;
/// Wrong last sequence: what clusters answer; the client calls it `Other`.
const WRONG_LAST_CONSTANT: u64 = 10_164;
/// The same message is being stored.
const DUPLICATE_IN_PROCESS: u64 = 10_158;

/// An error as JetStream answers it.
#[derive(Debug, Clone, Deserialize, thiserror::Error)]
#[error("{description} ({err_code})")]
pub(crate) struct Fault {
    #[serde(default)]
    pub(crate) err_code: u64,
    #[serde(default)]
    description: String,
}

impl Fault {
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self.err_code, WRONG_LAST | WRONG_LAST_CONSTANT | DUPLICATE_IN_PROCESS)
    }
}

/// Why there is no good answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// JetStream refused; nothing was changed.
    #[error("{0}")]
    Fault(Fault),
    /// The client refused, so nothing was sent.
    #[error("{0}")]
    Unsent(String),
    /// No answer. What was asked may have been done, or be done later.
    #[error("{0}")]
    Silence(String),
}

#[derive(Deserialize)]
struct Ack {
    error: Option<Fault>,
    #[serde(default)]
    seq: u64,
}

impl Bus {
    /// Sends a request once the connection is up, and waits for the answer.
    pub(crate) async fn ask(
        &self,
        subject: String,
        headers: HeaderMap,
        payload: Bytes,
        timeout: Duration,
    ) -> Result<Message, AskError> {
        let begun = ostler_service::clock::instant();
        if !self.until_up(timeout).await {
            return Err(AskError::Silence("not connected".to_owned()));
        }
        let left = timeout.saturating_sub(ostler_service::clock::since(begun));
        let mut request = Request::new().payload(payload).timeout(Some(left));
        if !headers.is_empty() {
            request = request.headers(headers);
        }
        // The client's own limit does not cover a full queue of commands.
        let answer = tokio::time::timeout(left, self.client().send_request(subject, request));
        match answer.await {
            Ok(Ok(message)) => Ok(message),
            Ok(Err(error)) => Err(match error.kind() {
                RequestErrorKind::MaxPayloadExceeded | RequestErrorKind::InvalidSubject => {
                    AskError::Unsent(error.to_string())
                }
                RequestErrorKind::NoResponders => {
                    AskError::Silence("nobody answers there".to_owned())
                }
                RequestErrorKind::TimedOut | RequestErrorKind::Other => {
                    AskError::Silence(error.to_string())
                }
            }),
            Err(_) => Err(AskError::Silence(format!("no answer within {left:?}"))),
        }
    }

    /// A request to `$JS.API.<subject>`.
    pub(crate) async fn api(&self, subject: &str, body: &Value) -> Result<Value, AskError> {
        let subject = format!("$JS.API.{subject}");
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let answer = self.ask(subject, HeaderMap::new(), body, self.patience()).await?;
        let answer: Value = serde_json::from_slice(&answer.payload)
            .map_err(|error| AskError::Silence(format!("unreadable answer: {error}")))?;
        match answer.get("error") {
            None => Ok(answer),
            Some(fault) => Err(AskError::Fault(
                serde_json::from_value(fault.clone())
                    .map_err(|error| AskError::Silence(format!("unreadable error: {error}")))?,
            )),
        }
    }

    /// What the stream's leader says of a stream. `stream` as it is on the server.
    pub(crate) async fn stream_info(&self, stream: &str) -> Result<Value, AskError> {
        let info = self.api(&format!("STREAM.INFO.{stream}"), &Value::Null).await?;
        self.saw_in(&info);
        Ok(info)
    }

    /// Takes the server's clock out of an answer.
    pub(crate) fn saw_in(&self, answer: &Value) {
        let ts = answer.get("ts").and_then(Value::as_str);
        let ts = ts.and_then(|text| text.parse::<jiff::Timestamp>().ok());
        if let Some(ms) = ts.and_then(|ts| u64::try_from(ts.as_millisecond()).ok()) {
            self.saw(Timestamp::from_millis(ms));
        }
    }

    /// Asks for the server's time, if it has our streams already.
    pub(crate) async fn learn_time(&self) {
        let stream = self.root().stream("KV_workloads");
        self.stream_info(&stream).await.ok();
    }

    /// The newest message of a subject, which may have wildcards, from the stream's leader.
    pub(crate) async fn last_sequence_of(
        &self,
        stream: &str,
        subject: &str,
    ) -> Result<Option<u64>, AskError> {
        const NOT_FOUND: u64 = 10_037;
        let body = json!({ "last_by_subj": subject });
        match self.api(&format!("STREAM.MSG.GET.{stream}"), &body).await {
            Ok(answer) => Ok(answer["message"]["seq"].as_u64()),
            Err(AskError::Fault(fault)) if fault.err_code == NOT_FOUND => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Publishes into a stream and reads the ack: the sequence, or 0 where the ack is empty (a
    /// batch that is not committed yet).
    pub(crate) async fn publish_acked(
        &self,
        subject: String,
        headers: HeaderMap,
        payload: Bytes,
        timeout: Duration,
    ) -> Result<u64, AskError> {
        let answer = self.ask(subject, headers, payload, timeout).await?;
        if answer.payload.is_empty() {
            return Ok(0);
        }
        let ack: Ack = serde_json::from_slice(&answer.payload)
            .map_err(|error| AskError::Silence(format!("unreadable ack: {error}")))?;
        match ack.error {
            None => Ok(ack.seq),
            Some(fault) => Err(AskError::Fault(fault)),
        }
    }
}
