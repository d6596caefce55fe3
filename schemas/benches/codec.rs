//! What an instance costs in bytes and time on its way: manifests down, reports up, beats.
//!
//! `cargo bench -p ostler-schemas`. Rates are instances per second; sizes are of one node with 100.

use criterion::{Criterion, Throughput};
use ostler_core::id::{Epoch, Generation, InstanceId, Revision, Slot, SpecHash, Term, Version};
use ostler_core::instance::{Desired, Entry, Group, Manifest, Observed, Report, Status, Usage};
use ostler_core::node::{Heartbeat, Use};
use ostler_core::resources::{Bytes, Resources};
use ostler_core::time::Timestamp;
use ostler_schemas::wire::Wire;

/// Instances on a node: with 1,000 a message is packed.
const SIZES: [u16; 2] = [100, 1_000];
const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn id(number: u16) -> InstanceId {
    format!("01h{number:013}").parse().expect("0-9 and a-v")
}

fn manifest(instances: u16) -> Manifest {
    let entry = |number: u16| Entry {
        id: id(number),
        slot: Slot(u32::from(number) * 97),
        desired: Desired::Run,
        generation: Generation(0),
        restarted: Generation(0),
        ports: Vec::new(),
        score: 8_123,
        reason: String::new(),
    };
    let group = Group {
        key: "default/web".parse().expect("a key"),
        version: Version(3),
        spec: SpecHash([7; 32]),
        ask: Resources { cpu: 10, memory: Bytes::from_mib(8), ..Resources::default() },
        priority: 50,
        entries: (0..instances).map(entry).collect(),
    };
    Manifest { incarnation: 1, term: Term(2), revision: Revision(12_345), groups: vec![group] }
}

fn report(instances: u16) -> Report {
    let status = |number: u16| Status {
        id: id(number),
        generation: Generation(0),
        observed: Observed::Running,
        ready: true,
        proven: true,
        since: NOW,
        ready_at: Some(NOW),
        proven_at: Some(NOW),
        restarts: 0,
        exit: None,
        reason: String::new(),
        pid: Some(4_242),
        version: Version(3),
        usage: Usage { cpu: 12, memory: 8 << 20 },
    };
    Report {
        epoch: Epoch(1),
        incarnation: 1,
        term: Term(2),
        applied: Revision(12_345),
        pool: None,
        statuses: (0..instances).map(status).collect(),
    }
}

fn beat() -> Heartbeat {
    Heartbeat {
        node: "worker-1".parse().expect("a name"),
        epoch: Epoch(1),
        applied: Revision(12_345),
        used: Use { cpu: 1_000, memory: 1 << 30, disk: 1 << 34, network: 10 },
        load: [100, 90, 80],
        instances: 100,
        clock: NOW,
        server: "ostler-1".to_owned(),
        bid: None,
        battery: false,
    }
}

/// There and back. What comes back is what went.
fn both<T: Wire + PartialEq>(bench: &mut Criterion, (name, per): (String, u16), value: &T) {
    let bytes = value.encode(T::FORMAT);
    let back = T::decode(&bytes, T::FORMAT);
    assert!(back.is_ok_and(|back| back == *value), "{name} comes back as it went");
    println!("{name}: {} bytes", bytes.len());
    let mut group = bench.benchmark_group(name);
    group.throughput(Throughput::Elements(per.into()));
    group.bench_function("encode", |bench| bench.iter(|| value.encode(T::FORMAT)));
    group.bench_function("decode", |bench| bench.iter(|| T::decode(&bytes, T::FORMAT)));
    group.finish();
}

fn codec(bench: &mut Criterion) {
    for instances in SIZES {
        both(bench, (format!("manifest of {instances}"), instances), &manifest(instances));
        both(bench, (format!("report of {instances}"), instances), &report(instances));
    }
    both(bench, ("heartbeat".to_owned(), 1), &beat());
}

fn main() {
    let mut bench = Criterion::default().configure_from_args();
    codec(&mut bench);
    bench.final_summary();
}
