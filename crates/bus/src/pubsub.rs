//! Core messages: at most once, typed, bounded.

use ostler_core::id::{NodeName, PoolName, Revision};
use ostler_schemas::contract::Contract;
use ostler_schemas::wire::WireError;
use thiserror::Error;

use crate::connection::Bus;

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
    contract: std::marker::PhantomData<C>,
}

impl<C: Contract> Subscription<C> {
    /// The next message: its address and its payload, or why it cannot be read. `None` when the
    /// connection was closed.
    pub async fn next(&mut self) -> Option<Result<(C, C::Payload), WireError>> {
        unimplemented!()
    }
}

/// The hints of one node.
#[derive(Debug)]
pub struct Hints {}

impl Hints {
    /// The next hint: the revision that the manifest is at, by the header `Nats-Sequence`. `None`
    /// when the connection was closed.
    pub async fn next(&mut self) -> Option<Revision> {
        unimplemented!()
    }
}

impl Bus {
    /// Sends one message. Skipped while disconnected, never queued. A payload of the wrong kind
    /// does not compile.
    pub async fn publish<C: Contract>(
        &self,
        to: &C,
        payload: &C::Payload,
    ) -> Result<(), SendError> {
        let _ = (to, payload);
        unimplemented!()
    }

    /// Subscribes to every address of a contract, or to one. Active when this returns.
    pub async fn subscribe<C: Contract>(
        &self,
        only: Option<&C>,
    ) -> Result<Subscription<C>, SendError> {
        let _ = only;
        unimplemented!()
    }

    /// Subscribes to the hints of one node. Active when this returns.
    pub async fn hints(&self, pool: &PoolName, node: &NodeName) -> Result<Hints, SendError> {
        let _ = (pool, node);
        unimplemented!()
    }
}
