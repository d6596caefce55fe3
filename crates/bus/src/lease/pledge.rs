//! A node's pledge: as long as it stands, the node may run what only one node may run.
//!
//! Not like a [`Lease`](super::Lease): it is never given up because renewals fail, since what was
//! started under it may still be alive; it expires by the server's clock alone. And it can be taken
//! up by the next life of its holder, without a gap: each renewal is a compare-and-set on the one
//! before, so an unbroken row of them means that it never expired.

use std::time::Duration;

use async_nats::HeaderMap;
use ostler_core::id::{NodeName, Revision};
use ostler_schemas::bucket::{Bucket, LeaseRecord};
use ostler_schemas::wire::{Format, Wire as _};

use crate::connection::Bus;
use crate::jetstream::AskError;
use crate::kv::{EXPECTED_SUBJECT, is_marker, purge_headers, value_headers};

/// So long the server keeps a pledge that is not renewed. What was started under it is killed a second
/// earlier, since what is killed needs a moment to be gone.
pub const KEPT: Duration = Duration::from_secs(11);

/// Renewals count up to this within one period.
const COUNT_BITS: u32 = 24;
/// How long one answer is waited for.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// What is known of a pledge: to be kept by its holder, and given to its next life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pledged {
    /// Which unbroken row of renewals; 0: none. Later ones are greater.
    pub period: u64,
    /// The last renewal's revision.
    pub revision: u64,
}

/// The pledge `leases/node.<node>`.
#[derive(Debug)]
pub struct Pledge {
    bus: Bus,
    key: String,
    holder: String,
    ttl: Duration,
    known: Pledged,
    count: u64,
    /// Periods up to this were used.
    floor: u64,
}

/// Why a pledge was not renewed.
#[derive(Debug, thiserror::Error)]
pub enum NotRenewed {
    /// There was no answer, or the server refuses; it may have been renewed all the same.
    #[error("{0}")]
    Unclear(String),
    /// An earlier pledge of this node, which nobody here knows, has not expired yet.
    #[error("an earlier pledge of this node has not expired yet")]
    Theirs,
}

impl Pledge {
    /// Of this node, where an earlier life of it may have left off. `ttl`, in whole seconds, is [`KEPT`]
    /// but in tests.
    #[must_use]
    pub fn new(bus: &Bus, node: &NodeName, ttl: Duration, known: Pledged) -> Self {
        let ttl = Duration::from_secs(ttl.as_secs().max(1));
        let key = format!("node.{node}");
        Self { bus: bus.clone(), key, holder: node.to_string(), ttl, known, count: 0, floor: 0 }
    }

    /// Renews it, or begins a new period if it had expired. It stands until its time to live after
    /// the server took it, which is later than the moment of this call. Twice is safe.
    pub async fn renew(&mut self) -> Result<Pledged, NotRenewed> {
        if self.known.period > 0 {
            match self.write(self.known.period, Revision(self.known.revision)).await {
                Ok(renewed) => return Ok(renewed),
                Err(AskError::Fault(fault)) if fault.is_conflict() => {}
                Err(error) => return Err(NotRenewed::Unclear(error.to_string())),
            }
        }
        let raw = self.bus.raw_from_leader(&Bucket::Leases, &self.key).await;
        let raw = raw.map_err(NotRenewed::Unclear)?;
        let (period, at) = match raw {
            None => (self.next_period(), Revision(0)),
            Some(raw) if is_marker(&raw.headers) => (self.next_period(), raw.revision),
            Some(raw) => {
                let record = LeaseRecord::decode(&raw.payload, Format::Json).ok();
                let ours = record.filter(|record| record.holder == self.holder);
                let renewals = ours.map_or(0, |record| record.renewals);
                let period = renewals >> COUNT_BITS;
                if period == 0 || period != self.known.period {
                    // What nobody here can vouch for has to expire first.
                    self.floor = self.floor.max(period);
                    return Err(NotRenewed::Theirs);
                }
                // One of our own whose answer was lost.
                self.count = renewals & ((1 << COUNT_BITS) - 1);
                (period, raw.revision)
            }
        };
        self.write(period, at).await.map_err(|error| NotRenewed::Unclear(error.to_string()))
    }

    fn next_period(&self) -> u64 {
        self.known.period.max(self.floor) + 1
    }

    async fn write(&mut self, period: u64, at: Revision) -> Result<Pledged, AskError> {
        self.count += 1;
        let renewals = (period << COUNT_BITS) | (self.count & ((1 << COUNT_BITS) - 1));
        let record = LeaseRecord { holder: self.holder.clone(), renewals };
        let mut headers = value_headers(Format::Json);
        headers.insert("Nats-TTL", self.ttl.as_secs().to_string());
        let revision = self.send(headers, record.encode(Format::Json), at).await?;
        self.known = Pledged { period, revision };
        Ok(self.known)
    }

    /// Gives it up: nothing that was started under it is alive. If this fails, it expires.
    pub async fn give_up(&mut self) -> Result<(), NotRenewed> {
        let at = Revision(self.known.revision);
        let gone = self.send(purge_headers(), Vec::new(), at).await;
        gone.map(drop).map_err(|error| NotRenewed::Unclear(error.to_string()))
    }

    async fn send(
        &self,
        mut headers: HeaderMap,
        payload: Vec<u8>,
        at: Revision,
    ) -> Result<u64, AskError> {
        headers.insert(EXPECTED_SUBJECT, at.to_string());
        let subject = self.bus.root().key(&Bucket::Leases, &self.key);
        self.bus.publish_acked(subject, headers, payload.into(), ANSWER_WITHIN).await
    }
}
