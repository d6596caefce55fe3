//! Manifests and heartbeats.

use ostler_core::id::{Epoch, Generation, Revision, Slot, SpecHash, Term, Version, WorkloadKey};
use ostler_core::instance::{Desired, Entry, Group, Manifest, PortGrant};
use ostler_core::node::{Heartbeat, Use};
use ostler_core::time::Timestamp;
use prost::Message;

use super::{id_from_wire, id_to_wire, pack, unpack};
use crate::pb;
use crate::wire::{Format, Wire, WireError};

impl From<Desired> for pb::Desired {
    fn from(desired: Desired) -> Self {
        match desired {
            Desired::Run => Self::Run,
            Desired::Stop => Self::Stop,
            Desired::Hibernate => Self::Hibernate,
            Desired::Keep => Self::Keep,
        }
    }
}

fn desired(raw: i32) -> Result<Desired, WireError> {
    match pb::Desired::try_from(raw) {
        Ok(pb::Desired::Run) => Ok(Desired::Run),
        Ok(pb::Desired::Stop) => Ok(Desired::Stop),
        Ok(pb::Desired::Hibernate) => Ok(Desired::Hibernate),
        Ok(pb::Desired::Keep) => Ok(Desired::Keep),
        Ok(pb::Desired::Unspecified) | Err(_) => {
            Err(WireError::field("desired", format!("{raw} is no order")))
        }
    }
}

fn port(raw: pb::PortGrant) -> Result<PortGrant, WireError> {
    let number = |field: &str, raw: u32| {
        u16::try_from(raw).map_err(|_| WireError::field(field, format!("{raw} is above 65535")))
    };
    Ok(PortGrant {
        name: raw.name.parse().map_err(|error| WireError::field("ports.name", error))?,
        first: number("ports.first", raw.first)?,
        count: number("ports.count", raw.count)?,
    })
}

fn entry(raw: pb::ManifestEntry) -> Result<Entry, WireError> {
    Ok(Entry {
        id: id_from_wire(&raw.id)?,
        slot: Slot(raw.slot),
        desired: desired(raw.desired)?,
        generation: Generation(raw.generation),
        restarted: Generation(raw.restarted),
        ports: raw.ports.into_iter().map(port).collect::<Result<_, _>>()?,
        score: raw.score,
        reason: raw.reason,
    })
}

fn group(raw: pb::ManifestGroup) -> Result<Group, WireError> {
    let hash: [u8; 32] = raw.spec_hash.try_into().map_err(|bytes: Vec<u8>| {
        WireError::field("spec_hash", format!("{} bytes where 32 are wanted", bytes.len()))
    })?;
    let namespace = raw.namespace.parse().map_err(|error| WireError::field("namespace", error))?;
    let name = raw.workload.parse().map_err(|error| WireError::field("workload", error))?;
    let priority = u8::try_from(raw.priority)
        .map_err(|_| WireError::field("priority", format!("{} is above 255", raw.priority)))?;
    Ok(Group {
        key: WorkloadKey::new(namespace, name),
        version: Version(raw.version),
        spec: SpecHash(hash),
        ask: raw.ask.unwrap_or_default().into(),
        priority,
        entries: raw.entries.into_iter().map(entry).collect::<Result<_, _>>()?,
    })
}

impl TryFrom<pb::Manifest> for Manifest {
    type Error = WireError;
    fn try_from(raw: pb::Manifest) -> Result<Self, WireError> {
        Ok(Self {
            incarnation: raw.incarnation,
            term: Term(raw.term),
            revision: Revision(raw.revision),
            groups: raw.groups.into_iter().map(group).collect::<Result<_, _>>()?,
        })
    }
}

impl From<&Entry> for pb::ManifestEntry {
    fn from(entry: &Entry) -> Self {
        let port = |grant: &PortGrant| pb::PortGrant {
            name: grant.name.to_string(),
            first: grant.first.into(),
            count: grant.count.into(),
        };
        Self {
            id: id_to_wire(entry.id),
            slot: entry.slot.0,
            desired: pb::Desired::from(entry.desired).into(),
            generation: entry.generation.0,
            restarted: entry.restarted.0,
            ports: entry.ports.iter().map(port).collect(),
            score: entry.score,
            reason: entry.reason.clone(),
        }
    }
}

impl From<&Manifest> for pb::Manifest {
    fn from(manifest: &Manifest) -> Self {
        let group = |group: &Group| pb::ManifestGroup {
            namespace: group.key.namespace.to_string(),
            workload: group.key.name.to_string(),
            version: group.version.0,
            spec_hash: group.spec.0.to_vec(),
            ask: Some(group.ask.into()),
            priority: group.priority.into(),
            entries: group.entries.iter().map(Into::into).collect(),
        };
        Self {
            incarnation: manifest.incarnation,
            term: manifest.term.0,
            revision: manifest.revision.0,
            groups: manifest.groups.iter().map(group).collect(),
        }
    }
}

impl Wire for Manifest {
    const FORMAT: Format = Format::Protobuf;

    /// Always protobuf, packed above 16 KiB.
    fn encode(&self, _: Format) -> Vec<u8> {
        pack(pb::Manifest::from(self).encode_to_vec())
    }

    fn decode(bytes: &[u8], format: Format) -> Result<Self, WireError> {
        let plain = unpack(bytes)?;
        pb::Manifest::decode(plain.as_ref())
            .map_err(|error| WireError::Malformed {
                message: "Manifest",
                format,
                detail: error.to_string(),
            })?
            .try_into()
    }
}

impl From<&Heartbeat> for pb::Heartbeat {
    fn from(beat: &Heartbeat) -> Self {
        Self {
            node: beat.node.to_string(),
            epoch: beat.epoch.0,
            applied: beat.applied.0,
            used: Some(pb::Resources {
                cpu: beat.used.cpu,
                memory: beat.used.memory,
                disk: beat.used.disk,
                network: beat.used.network,
            }),
            load: beat.load.to_vec(),
            instances: beat.instances,
            clock_ms: beat.clock.as_millis(),
            server: beat.server.clone(),
            bid: beat.bid.as_ref().map(Into::into),
            battery: beat.battery,
        }
    }
}

impl TryFrom<pb::Heartbeat> for Heartbeat {
    type Error = WireError;
    fn try_from(raw: pb::Heartbeat) -> Result<Self, WireError> {
        let used = raw.used.unwrap_or_default();
        if raw.epoch == 0 {
            return Err(WireError::field("epoch", "0 is no epoch"));
        }
        if raw.server.len() > 128 {
            return Err(WireError::field("server", "longer than 128 bytes"));
        }
        let load = [0, 1, 2].map(|index| raw.load.get(index).copied().unwrap_or_default());
        Ok(Self {
            node: raw.node.parse().map_err(|error| WireError::field("node", error))?,
            epoch: Epoch(raw.epoch),
            applied: Revision(raw.applied),
            used: Use {
                cpu: used.cpu,
                memory: used.memory,
                disk: used.disk,
                network: used.network,
            },
            load,
            instances: raw.instances,
            clock: Timestamp::from_millis(raw.clock_ms),
            server: raw.server,
            bid: raw.bid.map(TryInto::try_into).transpose()?,
            battery: raw.battery,
        })
    }
}

impl Wire for Heartbeat {
    const FORMAT: Format = Format::Protobuf;

    /// Always protobuf.
    fn encode(&self, _: Format) -> Vec<u8> {
        pb::Heartbeat::from(self).encode_to_vec()
    }

    fn decode(bytes: &[u8], format: Format) -> Result<Self, WireError> {
        pb::Heartbeat::decode(bytes)
            .map_err(|error| WireError::Malformed {
                message: "Heartbeat",
                format,
                detail: error.to_string(),
            })?
            .try_into()
    }
}
