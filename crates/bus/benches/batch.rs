//! What a fenced batch costs before it is sent: `cargo bench -p ostler-bus`. Rates are manifests
//! per second.

use criterion::{BatchSize, Criterion, Throughput};
use ostler_bus::Batch;
use ostler_bus::fenced::MAX_MESSAGES;
use ostler_core::id::{PoolName, Revision, Term};
use ostler_core::instance::Manifest;
use ostler_schemas::bucket::ManifestKey;

fn full(bench: &mut Criterion) {
    let pool = PoolName::default();
    let keys: Vec<ManifestKey> = (0..MAX_MESSAGES)
        .map(|number| ManifestKey {
            pool: pool.clone(),
            node: format!("worker-{number}").parse().expect("a name"),
        })
        .collect();
    let manifest = Manifest { term: Term(1), revision: Revision(1), ..Manifest::default() };
    let mut group = bench.benchmark_group("batch");
    group.throughput(Throughput::Elements(MAX_MESSAGES.try_into().expect("a batch is short")));
    group.bench_function("filled with small manifests", |bench| {
        bench.iter(|| {
            let mut batch = Batch::new();
            keys.iter().for_each(|key| batch.put(key, &manifest).expect("there is room"));
            batch
        });
    });
    let mut batch = Batch::new();
    keys.iter().for_each(|key| batch.put(key, &manifest).expect("there is room"));
    group.bench_function("copied for another try", |bench| {
        bench.iter_batched(|| (), |()| batch.clone(), BatchSize::SmallInput);
    });
    group.finish();
}

fn main() {
    let mut bench = Criterion::default().configure_from_args();
    full(&mut bench);
    bench.final_summary();
}
