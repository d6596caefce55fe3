//! One instance in about a hundred bytes: there may be a million of them.

use ostler_core::id::{Generation, InstanceId, PortName};
use ostler_core::instance::{Desired, Entry, Exit, Observed, Status};

/// The 80 bits of an instance id, in its order, without the padding of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id([u8; 10]);

impl From<InstanceId> for Id {
    fn from(id: InstanceId) -> Self {
        let mut bytes = [0; 10];
        bytes.copy_from_slice(&id.bits().to_be_bytes()[6..]);
        Self(bytes)
    }
}

impl From<Id> for InstanceId {
    fn from(id: Id) -> Self {
        Self::from_bits(id.0.iter().fold(0, |bits, byte| (bits << 8) | u128::from(*byte)))
    }
}

/// What few instances have, or what is long.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Extra {
    pub(super) ports: Vec<(PortName, u16, u16)>,
    /// Why it is ordered to do anything but run.
    pub(super) why: Box<str>,
    /// What its executor says of it.
    pub(super) reason: Box<str>,
    pub(super) exit: Option<Exit>,
}

/// One instance: what is ordered of it, and what was last seen.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) workload: u32,
    pub(super) node: u32,
    pub(super) slot: u32,
    pub(super) version: u32,
    pub(super) generation: u64,
    pub(super) since_ms: u64,
    pub(super) used_memory: u64,
    pub(super) used_cpu: u32,
    /// The version that its executor says is in force; 0: nothing was said.
    pub(super) seen_version: u32,
    pub(super) restarts: u32,
    pub(super) pid: u32,
    pub(super) score: u16,
    pub(super) desired: Desired,
    pub(super) observed: Option<Observed>,
    pub(super) ready: bool,
    pub(super) proven: bool,
    extra: Option<Box<Extra>>,
}

fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl Row {
    pub(super) fn new(workload: u32, node: u32) -> Self {
        Self {
            workload,
            node,
            slot: 0,
            version: 0,
            generation: 0,
            since_ms: 0,
            used_memory: 0,
            used_cpu: 0,
            seen_version: 0,
            restarts: 0,
            pid: 0,
            score: 0,
            desired: Desired::Run,
            observed: None,
            ready: false,
            proven: false,
            extra: None,
        }
    }

    /// What few instances have; empty for the others.
    pub(super) fn extra(&self) -> Extra {
        self.extra.as_deref().cloned().unwrap_or_default()
    }

    fn set_extra(&mut self, extra: Extra) {
        self.extra = (extra != Extra::default()).then(|| Box::new(extra));
    }

    /// Takes over what a manifest orders.
    pub(super) fn order(&mut self, version: u32, entry: Entry) {
        self.slot = entry.slot.0;
        self.version = version;
        self.generation = entry.generation.0;
        self.desired = entry.desired;
        self.score = u16::try_from(entry.score).unwrap_or(u16::MAX);
        let ports = entry.ports.into_iter().map(|grant| (grant.name, grant.first, grant.count));
        let ports = ports.collect();
        self.set_extra(Extra { ports, why: entry.reason.into(), ..self.extra() });
    }

    /// Takes over what a report says.
    pub(super) fn see(&mut self, status: &Status) {
        self.observed = Some(status.observed);
        self.ready = status.ready;
        self.proven = status.proven;
        self.since_ms = status.since.as_millis();
        self.used_memory = status.usage.memory;
        self.used_cpu = narrow(status.usage.cpu);
        self.seen_version = status.version.0;
        self.restarts = status.restarts;
        self.pid = status.pid.unwrap_or_default();
        let reason = status.reason.as_str().into();
        self.set_extra(Extra { reason, exit: status.exit, ..self.extra() });
    }

    /// The version whose text it runs, as far as is known.
    pub(super) fn version_in_force(&self) -> u32 {
        if self.seen_version == 0 { self.version } else { self.seen_version }
    }

    pub(super) fn generation(&self) -> Generation {
        Generation(self.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keep_their_order_and_read_back() {
        let (low, high) = (InstanceId::from_bits(255), InstanceId::from_bits(256));
        assert!(Id::from(low) < Id::from(high));
        assert_eq!(InstanceId::from(Id::from(high)), high);
    }

    #[test]
    fn a_million_rows_fit_into_a_hundred_megabytes() {
        assert!(size_of::<Row>() <= 88, "{}", size_of::<Row>());
        assert_eq!(size_of::<Id>(), 10);
    }
}
