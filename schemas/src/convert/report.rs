//! Reports.

use ostler_core::id::{Epoch, Generation, IdError, PoolName, Revision, Term, Version};
use ostler_core::instance::{Exit, Observed, Report, Status, Usage};
use ostler_core::time::Timestamp;
use prost::Message;

use super::{id_from_wire, id_to_wire, pack, unpack};
use crate::pb;
use crate::wire::{Format, Wire, WireError};

/// Each state beside its form on the wire.
const OBSERVED: [(Observed, pb::Observed); 12] = [
    (Observed::Accepted, pb::Observed::Accepted),
    (Observed::Declined, pb::Observed::Declined),
    (Observed::Preparing, pb::Observed::Preparing),
    (Observed::Starting, pb::Observed::Starting),
    (Observed::Running, pb::Observed::Running),
    (Observed::Stopping, pb::Observed::Stopping),
    (Observed::Stopped, pb::Observed::Stopped),
    (Observed::Completed, pb::Observed::Completed),
    (Observed::Failed, pb::Observed::Failed),
    (Observed::Hibernating, pb::Observed::Hibernating),
    (Observed::Hibernated, pb::Observed::Hibernated),
    (Observed::Lost, pb::Observed::Lost),
];

fn observed(raw: i32) -> Result<Observed, WireError> {
    let raw = pb::Observed::try_from(raw)
        .map_err(|_| WireError::field("observed", format!("{raw} is no state")))?;
    let found = OBSERVED.iter().find(|(_, wire)| *wire == raw);
    found.map(|(state, _)| *state).ok_or_else(|| WireError::field("observed", "missing"))
}

fn observed_to_wire(state: Observed) -> i32 {
    let found = OBSERVED.iter().find(|(ours, _)| *ours == state);
    found.map_or(pb::Observed::Unspecified, |(_, wire)| *wire).into()
}

fn exit(raw: pb::Exit) -> Option<Exit> {
    raw.how.map(|how| match how {
        pb::exit::How::Code(code) => Exit::Code(code),
        pb::exit::How::Signal(signal) => Exit::Signal(i32::try_from(signal).unwrap_or_default()),
        pb::exit::How::OutOfMemory(_) => Exit::OutOfMemory,
        pb::exit::How::Unknown(_) => Exit::Unknown,
    })
}

fn exit_to_wire(exit: Exit) -> pb::Exit {
    let how = match exit {
        Exit::Code(code) => pb::exit::How::Code(code),
        Exit::Signal(signal) => pb::exit::How::Signal(u32::try_from(signal).unwrap_or_default()),
        Exit::OutOfMemory => pb::exit::How::OutOfMemory(true),
        Exit::Unknown => pb::exit::How::Unknown(true),
    };
    pb::Exit { how: Some(how) }
}

fn moment(ms: u64) -> Option<Timestamp> {
    (ms != 0).then(|| Timestamp::from_millis(ms))
}

impl TryFrom<pb::InstanceStatus> for Status {
    type Error = WireError;
    fn try_from(raw: pb::InstanceStatus) -> Result<Self, WireError> {
        Ok(Self {
            id: id_from_wire(&raw.id)?,
            generation: Generation(raw.generation),
            observed: observed(raw.observed)?,
            ready: raw.ready,
            proven: raw.proven,
            since: Timestamp::from_millis(raw.since_ms),
            ready_at: moment(raw.ready_at_ms),
            proven_at: moment(raw.proven_at_ms),
            restarts: raw.restarts,
            exit: raw.exit.and_then(exit),
            reason: raw.reason,
            pid: (raw.pid != 0).then_some(raw.pid),
            version: Version(raw.version),
            usage: Usage { cpu: raw.used_cpu, memory: raw.used_memory },
        })
    }
}

impl From<&Status> for pb::InstanceStatus {
    fn from(status: &Status) -> Self {
        Self {
            id: id_to_wire(status.id),
            generation: status.generation.0,
            observed: observed_to_wire(status.observed),
            ready: status.ready,
            proven: status.proven,
            since_ms: status.since.as_millis(),
            ready_at_ms: status.ready_at.map_or(0, Timestamp::as_millis),
            proven_at_ms: status.proven_at.map_or(0, Timestamp::as_millis),
            restarts: status.restarts,
            exit: status.exit.map(exit_to_wire),
            reason: status.reason.clone(),
            pid: status.pid.unwrap_or_default(),
            version: status.version.0,
            used_cpu: status.usage.cpu,
            used_memory: status.usage.memory,
        }
    }
}

fn pool_from_wire(text: &str) -> Result<Option<PoolName>, WireError> {
    match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|error: IdError| WireError::field("pool", error)),
    }
}

impl Wire for Report {
    const FORMAT: Format = Format::Protobuf;

    /// Always protobuf, packed above 16 KiB.
    fn encode(&self, _: Format) -> Vec<u8> {
        let message = pb::Report {
            epoch: self.epoch.0,
            incarnation: self.incarnation,
            term: self.term.0,
            applied: self.applied.0,
            pool: self.pool.as_ref().map(ToString::to_string).unwrap_or_default(),
            statuses: self.statuses.iter().map(Into::into).collect(),
        };
        pack(message.encode_to_vec())
    }

    fn decode(bytes: &[u8], format: Format) -> Result<Self, WireError> {
        let plain = unpack(bytes)?;
        let raw = pb::Report::decode(plain.as_ref()).map_err(|error| WireError::Malformed {
            message: "Report",
            format,
            detail: error.to_string(),
        })?;
        if raw.epoch == 0 {
            return Err(WireError::field("epoch", "0 is no epoch"));
        }
        Ok(Self {
            epoch: Epoch(raw.epoch),
            incarnation: raw.incarnation,
            term: Term(raw.term),
            applied: Revision(raw.applied),
            pool: pool_from_wire(&raw.pool)?,
            statuses: raw.statuses.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
        })
    }
}
