//! Generated types ↔ types of the core. Past these functions a value is right.

mod bid;
mod placement;
mod report;
mod spec;

use ostler_core::id::InstanceId;
use ostler_core::resources::{Bytes, Resources};

use crate::pb;
use crate::wire::WireError;

/// The id in its 10 bytes.
fn id_to_wire(id: InstanceId) -> Vec<u8> {
    id.bits().to_be_bytes()[6..].to_vec()
}

fn id_from_wire(bytes: &[u8]) -> Result<InstanceId, WireError> {
    if bytes.len() != 10 {
        return Err(WireError::field("id", format!("{} bytes where 10 are wanted", bytes.len())));
    }
    let bits = bytes.iter().fold(0u128, |bits, byte| (bits << 8) | u128::from(*byte));
    Ok(InstanceId::from_bits(bits))
}

impl From<Resources> for pb::Resources {
    fn from(from: Resources) -> Self {
        Self { cpu: from.cpu, memory: from.memory.0, disk: from.disk.0, network: from.network }
    }
}
impl From<pb::Resources> for Resources {
    fn from(from: pb::Resources) -> Self {
        Self {
            cpu: from.cpu,
            memory: Bytes(from.memory),
            disk: Bytes(from.disk),
            network: from.network,
        }
    }
}

/// Packs what is above 16 KiB with zstd; a frame's magic number tells packed from plain, and no
/// protobuf message starts with it (its first byte, 0x28, would be field 5 as a varint, which no
/// packed message of ours has).
pub(crate) fn pack(plain: Vec<u8>) -> Vec<u8> {
    if plain.len() <= PACK_ABOVE {
        return plain;
    }
    zstd::bulk::compress(&plain, 1).unwrap_or(plain)
}

/// Undoes [`pack`]; refuses what would be larger than a manifest can be.
pub(crate) fn unpack(bytes: &[u8]) -> Result<std::borrow::Cow<'_, [u8]>, WireError> {
    if !bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return Ok(bytes.into());
    }
    zstd::bulk::decompress(bytes, UNPACK_LIMIT)
        .map(Into::into)
        .map_err(|error| WireError::field("zstd", error))
}

/// What is larger is packed.
const PACK_ABOVE: usize = 16 * 1024;
/// What unpacks to more is refused.
const UNPACK_LIMIT: usize = 16 * 1024 * 1024;
