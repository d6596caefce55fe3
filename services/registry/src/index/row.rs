//! One instance in about a hundred bytes: there may be a million of them.

use ostler_core::id::{Generation, InstanceId, PortName};
use ostler_core::instance::{Desired, Entry, Exit, Observed, Status};
use ostler_core::time::Timestamp;

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

/// How long after a known moment something was, in four bytes: to the millisecond within 24 days,
/// to the second after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct After(u32);

const IN_SECONDS: u32 = 1 << 31;

impl After {
    pub(super) const NEVER: Self = Self(u32::MAX);

    /// Clocks may have been set back meanwhile; then it was at once.
    fn new(since: Timestamp, at: Option<Timestamp>) -> Self {
        let Some(at) = at else { return Self::NEVER };
        let ms = at.as_millis().saturating_sub(since.as_millis());
        match u32::try_from(ms) {
            Ok(ms) if ms < IN_SECONDS => Self(ms),
            Ok(_) | Err(_) => Self(IN_SECONDS | narrow(ms / 1000).min(IN_SECONDS - 2)),
        }
    }

    /// When it was.
    pub(super) fn at(self, since_ms: u64) -> Option<Timestamp> {
        let ms = match self {
            Self::NEVER => return None,
            Self(ms) if ms < IN_SECONDS => u64::from(ms),
            Self(seconds) => u64::from(seconds - IN_SECONDS) * 1000,
        };
        Some(Timestamp::from_millis(since_ms + ms))
    }
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
    pub(super) ready_after: After,
    pub(super) proven_after: After,
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
            ready_after: After::NEVER,
            proven_after: After::NEVER,
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
        self.ready_after = After::new(status.since, status.ready_at);
        self.proven_after = After::new(status.since, status.proven_at);
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
    fn a_moment_is_kept_to_the_millisecond_for_weeks_and_to_the_second_for_years() {
        let (since, day) = (1_700_000_000_000, 86_400_000);
        let back = |at: Option<u64>| {
            let after = After::new(Timestamp::from_millis(since), at.map(Timestamp::from_millis));
            after.at(since).map(Timestamp::as_millis)
        };
        for at in [since, since + 1, since + 20 * day + 7] {
            assert_eq!(back(Some(at)), Some(at));
        }
        assert_eq!(back(Some(since + 1000 * day + 7)), Some(since + 1000 * day));
        assert_eq!(back(Some(since - 5)), Some(since));
        assert_eq!(back(None), None);
    }

    #[test]
    fn a_million_rows_fit_into_a_hundred_megabytes() {
        assert!(size_of::<Row>() <= 88, "{}", size_of::<Row>());
        assert_eq!(size_of::<Id>(), 10);
    }
}
