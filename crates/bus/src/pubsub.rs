//! Core messages: at most once, typed, bounded.

use std::marker::PhantomData;
use std::time::Duration;

use async_nats::Subscriber;
use futures::StreamExt as _;
use ostler_core::id::{NodeName, PoolName, Revision};
use ostler_schemas::contract::{Contract, hint};
use ostler_schemas::wire::{Format, Wire as _, WireError};
use thiserror::Error;

use crate::connection::Bus;
use crate::kv::{format_of, is_marker, value_headers};
use crate::root::Root;

/// Why nothing was sent.
#[derive(Debug, Error)]
pub enum SendError {
    /// There is no connection. Nothing was queued.
    #[error("not connected")]
    Disconnected,
    /// The client refused it.
    #[error("cannot send: {0}")]
    Client(String),
}

/// A subscription. Messages that do not decode are told, not passed over.
#[derive(Debug)]
pub struct Subscription<C: Contract> {
    messages: Subscriber,
    root: Root,
    contract: PhantomData<fn() -> C>,
}

impl<C: Contract> Subscription<C> {
    /// The next message: its address and its payload, or why it cannot be read. `None` when the
    /// connection was closed. Removals of keys are passed over.
    pub async fn next(&mut self) -> Option<Result<(C, C::Payload), WireError>> {
        loop {
            let message = self.messages.next().await?;
            let headers = message.headers.unwrap_or_default();
            if is_marker(&headers) {
                continue;
            }
            let subject = self.root.usual(&message.subject);
            let Ok(address) = subject.parse::<C>() else {
                let detail = format!("`{subject}` is not of the kind `{}`", C::PATTERN);
                return Some(Err(WireError::field("subject", detail)));
            };
            let format = format_of(&headers, C::Payload::FORMAT);
            let payload = C::Payload::decode(&message.payload, format);
            return Some(payload.map(|payload| (address, payload)));
        }
    }
}

/// The hints of one node.
#[derive(Debug)]
pub struct Hints {
    messages: Subscriber,
}

impl Hints {
    /// The next hint: the revision that the manifest is at, by the header `Nats-Sequence`. `None`
    /// when the connection was closed. A message without that header is no hint.
    pub async fn next(&mut self) -> Option<Revision> {
        loop {
            let headers = self.messages.next().await?.headers.unwrap_or_default();
            let revision = headers.get("Nats-Sequence").map(async_nats::HeaderValue::as_str);
            if let Some(revision) = revision.and_then(|text| text.parse().ok()) {
                return Some(Revision(revision));
            }
        }
    }
}

/// A message that the client's queue does not take in this time is not sent.
const SEND_WITHIN: Duration = Duration::from_secs(1);

impl Bus {
    /// Sends one message. Skipped while disconnected, never queued for long. A payload of the
    /// wrong kind does not compile. `Content-Type` is sent with JSON only: high rates are protobuf.
    pub async fn publish<C: Contract>(
        &self,
        to: &C,
        payload: &C::Payload,
    ) -> Result<(), SendError> {
        if !self.is_up() {
            return Err(SendError::Disconnected);
        }
        let subject = self.root().subject(&to.to_string());
        let bytes = payload.encode(C::Payload::FORMAT).into();
        let send = async {
            match C::Payload::FORMAT {
                Format::Json => {
                    let headers = value_headers(Format::Json);
                    self.client().publish_with_headers(subject, headers, bytes).await
                }
                Format::Protobuf => self.client().publish(subject, bytes).await,
            }
        };
        match tokio::time::timeout(SEND_WITHIN, send).await {
            Ok(sent) => sent.map_err(|error| SendError::Client(error.to_string())),
            Err(_) => Err(SendError::Client("the connection takes no more".to_owned())),
        }
    }

    /// Subscribes to every address of a contract, or to one. Active when this returns; an error
    /// leaves no subscription behind. It survives reconnects, but not what was sent meanwhile.
    pub async fn subscribe<C: Contract>(
        &self,
        only: Option<&C>,
    ) -> Result<Subscription<C>, SendError> {
        let subject = only.map_or_else(|| C::PATTERN.to_owned(), ToString::to_string);
        let messages = self.listen(&subject).await?;
        Ok(Subscription { messages, root: self.root().clone(), contract: PhantomData })
    }

    /// Subscribes to the hints of one node. Active when this returns.
    pub async fn hints(&self, pool: &PoolName, node: &NodeName) -> Result<Hints, SendError> {
        Ok(Hints { messages: self.listen(&hint(pool, node)).await? })
    }

    /// A subscription that the server knows of. `subject` as the schemas write it.
    pub(crate) async fn listen(&self, subject: &str) -> Result<Subscriber, SendError> {
        let subject = self.root().subject(subject);
        let messages = self.client().subscribe(subject).await;
        let messages = messages.map_err(|error| SendError::Client(error.to_string()))?;
        self.settle().await?;
        Ok(messages)
    }

    /// Waits until the server knows what was subscribed to before: it reads in order.
    pub(crate) async fn settle(&self) -> Result<(), SendError> {
        self.round_trip(self.patience()).await.map(drop).ok_or(SendError::Disconnected)
    }
}
