//! What comes over the bus, as protobuf, JSON, packed or not.

use std::fmt::Debug;

use ostler_core::head::Head;
use ostler_core::instance::{Manifest, Report};
use ostler_core::node::{Heartbeat, Node};
use ostler_core::workload::Workload;
use ostler_schemas::bucket::{LeaseRecord, TermRecord};
use ostler_schemas::pb;
use ostler_schemas::wire::{Format, Wire};

/// Reads the bytes as each of them, by their first.
pub fn check(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let format = if kind & 0x80 == 0 { Format::Protobuf } else { Format::Json };
    match kind % 16 {
        0 => same::<Manifest>(bytes, format),
        1 => same::<Report>(bytes, format),
        2 => same::<Heartbeat>(bytes, format),
        3 => same::<Head>(bytes, format),
        4 => same::<Node>(bytes, format),
        5 => same::<LeaseRecord>(bytes, format),
        6 => same::<TermRecord>(bytes, format),
        7 => put(bytes, format),
        8 => same::<pb::Event>(bytes, format),
        9 => same::<pb::NodeSample>(bytes, format),
        10 => same::<pb::ExecInput>(bytes, format),
        11 => same::<pb::ExecOutput>(bytes, format),
        12 => same::<pb::Hello>(bytes, format),
        13 => same::<pb::LogChunk>(bytes, format),
        14 => same::<pb::BlobPut>(bytes, format),
        _ => same::<pb::WorkloadPlan>(bytes, format),
    }
}

fn same<T: Wire + PartialEq + Debug>(bytes: &[u8], format: Format) {
    match T::decode(bytes, format) {
        Ok(value) => {
            let again = T::decode(&value.encode(format), format);
            assert_eq!(again.as_ref(), Ok(&value));
        }
        Err(error) => assert!(!error.to_string().is_empty(), "a refusal says why"),
    }
}

/// What a client asks for, as far as the registry would read it.
fn put(bytes: &[u8], format: Format) {
    let Ok(put) = pb::WorkloadPut::decode(bytes, format) else { return };
    let Some(spec) = put.spec else { return };
    let Ok(workload) = Workload::try_from(spec) else { return };
    drop(workload.check());
    let again = Workload::try_from(pb::WorkloadSpec::from(workload.clone()));
    assert_eq!(again.as_ref(), Ok(&workload));
}
