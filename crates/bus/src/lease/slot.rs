//! One lease as it is on the server: read, taken, renewed, given up.

use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use ostler_core::id::Revision;
use ostler_schemas::bucket::{Bucket, LeaseRecord};
use ostler_schemas::wire::{Format, Wire as _};
use ostler_service::clock;

use crate::connection::Bus;
use crate::jetstream::AskError;
use crate::kv::{EXPECTED_SUBJECT, WriteError, is_marker, purge_headers, value_headers};

/// Seconds, whole ones only; without it a value would stay for ever.
const TTL: &str = "Nats-TTL";

/// The lease and what we have last written there.
#[derive(Clone)]
pub(super) struct Slot {
    bus: Bus,
    purpose: String,
    holder: String,
    ttl: Duration,
    revision: Revision,
    renewals: u64,
    /// What was sent without an answer: it may be there all the same.
    open: Vec<Attempt>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Attempt {
    renewals: u64,
    sent: Instant,
}

/// What the stream's leader says.
pub(super) enum State {
    /// Nobody holds it; what is there, if only a marker, is at this revision.
    Free(Revision),
    /// Our own write whose answer was lost; when it was sent.
    Ours(Instant),
    /// Somebody holds it.
    Theirs(Revision),
}

impl Slot {
    pub(super) fn new(bus: &Bus, purpose: &str, holder: &str, ttl: Duration) -> Self {
        Self {
            bus: bus.clone(),
            purpose: purpose.to_owned(),
            holder: holder.to_owned(),
            ttl: Duration::from_secs(ttl.as_secs().max(1)),
            revision: Revision(0),
            renewals: 0,
            open: Vec::new(),
        }
    }

    pub(super) fn bus(&self) -> &Bus {
        &self.bus
    }

    pub(super) fn purpose(&self) -> &str {
        &self.purpose
    }

    pub(super) fn holder(&self) -> &str {
        &self.holder
    }

    /// What we have last written, as far as it is known.
    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    /// How long a renewal is trusted from its sending on.
    pub(super) fn trust(&self) -> Duration {
        self.ttl * 2 / 3
    }

    /// How often it is renewed, and how long an answer is waited for.
    pub(super) fn beat(&self) -> Duration {
        self.ttl / 3
    }

    /// As the schemas write it.
    pub(super) fn usual_subject(&self) -> String {
        format!("$KV.{}.{}", Bucket::Leases, self.purpose)
    }

    pub(super) fn error(&self, error: AskError) -> WriteError {
        WriteError::new(error, &Bucket::Leases, &self.purpose, self.revision)
    }

    /// Asks the stream's leader. What cannot be read is somebody's.
    pub(super) async fn read(&mut self) -> Result<State, String> {
        let Some(raw) = self.bus.raw_from_leader(&Bucket::Leases, &self.purpose).await? else {
            return Ok(State::Free(Revision(0)));
        };
        if is_marker(&raw.headers) {
            return Ok(State::Free(raw.revision));
        }
        let record = LeaseRecord::decode(&raw.payload, Format::Json).ok();
        let ours = record.filter(|record| record.holder == self.holder);
        let open = ours.and_then(|record| {
            self.open.iter().copied().find(|open| open.renewals == record.renewals)
        });
        match open {
            Some(Attempt { sent, .. }) => {
                self.revision = raw.revision;
                self.open.clear();
                Ok(State::Ours(sent))
            }
            None => Ok(State::Theirs(raw.revision)),
        }
    }

    /// Takes it if it is at this revision. Returns when it was sent.
    pub(super) async fn take(&mut self, at: Revision) -> Result<Instant, AskError> {
        self.revision = at;
        // No two lives of a holder count alike, so that neither takes the other's for its own.
        self.renewals = rand::random::<u64>() >> 16;
        self.write().await
    }

    /// Renews it: each try counts, so that no two are alike. Returns when it was sent.
    pub(super) async fn renew(&mut self) -> Result<Instant, AskError> {
        self.renewals += 1;
        self.write().await
    }

    async fn write(&mut self) -> Result<Instant, AskError> {
        let record = LeaseRecord { holder: self.holder.clone(), renewals: self.renewals };
        let mut headers = value_headers(Format::Json);
        headers.insert(TTL, self.ttl.as_secs().to_string());
        let sent = clock::instant();
        self.open.push(Attempt { renewals: self.renewals, sent });
        match self.send(headers, record.encode(Format::Json)).await {
            Ok(revision) => {
                self.revision = Revision(revision);
                self.open.clear();
                Ok(sent)
            }
            Err(error) => {
                if !matches!(error, AskError::Silence(_)) {
                    self.open.pop();
                }
                Err(error)
            }
        }
    }

    /// Gives it up if it is still ours.
    pub(super) async fn give_up(&self) -> Result<(), AskError> {
        self.send(purge_headers(), Vec::new()).await.map(drop)
    }

    async fn send(&self, mut headers: HeaderMap, payload: Vec<u8>) -> Result<u64, AskError> {
        headers.insert(EXPECTED_SUBJECT, self.revision.to_string());
        let subject = self.bus.root().key(&Bucket::Leases, &self.purpose);
        self.bus.publish_acked(subject, headers, payload.into(), self.beat()).await
    }
}
