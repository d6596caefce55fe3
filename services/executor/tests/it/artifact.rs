//! Fetching artifacts: once for all who ask, resumed after a cut, checked, never half there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ostler_bus::{Bus, CHUNK, Caller, Pings};
use ostler_executor::artifact::{ArtifactError, Artifacts, Bounds, Limits, Trust};
use ostler_schemas::pb;
use ostler_schemas::problem::{Code, Problem};
use ostler_service::Program;
use ostler_testkit::NatsServer;
use sha2::{Digest as _, Sha256};

use crate::rig::id;

/// A store by hand: one content, which it serves until it is told to break.
pub struct Store {
    _nats: NatsServer,
    bus: Bus,
    asked: Arc<AtomicU64>,
    /// The lowest offset that was asked for.
    lowest: Arc<AtomicU64>,
    /// From this offset on nobody answers.
    broken_from: Arc<AtomicU64>,
    dir: tempfile::TempDir,
}

fn noise(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| u8::try_from(at * 31 % 251).expect("it fits")).collect()
}

pub fn digest(data: &[u8]) -> String {
    Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Store {
    /// Serves `data` under the hash `sha256`, which may be wrong.
    pub async fn start(data: Vec<u8>, sha256: String) -> Self {
        let nats = NatsServer::start().await;
        let config = ostler_bus::Config { url: nats.url(), ..Default::default() };
        let bus = Bus::connect(&config, "test", Pings::Usual, &Program::new()).await;
        let bus = bus.expect("connects");
        let (asked, broken_from) =
            (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(u64::MAX)));
        let lowest = Arc::new(AtomicU64::new(u64::MAX));
        let least = Arc::clone(&lowest);
        let (counted, breaks) = (Arc::clone(&asked), Arc::clone(&broken_from));
        let size = u64::try_from(data.len()).expect("it fits");
        bus.serve("registry", "test")
            .on::<pb::BlobStat, _, _>(move |_: Caller, stat: pb::BlobStat| {
                let name = stat.artifact.split('@').next().unwrap_or_default().to_owned();
                let known = name == "app";
                let reply = pb::BlobStatReply { name, version: 3, sha256: sha256.clone(), size };
                async move { if known { Ok(reply) } else { Err(Problem::new(Code::NotFound, "none")) } }
            })
            .on::<pb::BlobGet, _, _>(move |_: Caller, get: pb::BlobGet| {
                counted.fetch_add(1, Ordering::SeqCst);
                least.fetch_min(get.offset, Ordering::SeqCst);
                let broken = get.offset >= breaks.load(Ordering::SeqCst);
                let from = usize::try_from(get.offset).expect("it fits");
                let length = usize::try_from(get.length).expect("it fits");
                let end = (from + length).min(data.len());
                let data = data[from..end].to_vec();
                async move {
                    if broken {
                        return Err(Problem::new(Code::Unavailable, "cut"));
                    }
                    Ok(pb::BlobGetReply { data, size })
                }
            })
            .start()
            .await
            .expect("serves");
        let dir = tempfile::tempdir().expect("a directory");
        Self { _nats: nats, bus, asked, lowest, broken_from, dir }
    }

    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    pub fn artifacts(&self, patience: Duration) -> Artifacts {
        let unpacked = Limits { bytes: 1 << 30, entries: 1000 };
        let bounds = Bounds { cache: 64 << 20, unpacked, patience };
        let artifacts = Artifacts::open(self.dir.path().to_owned(), bounds).expect("opens");
        artifacts.link(self.bus.clone());
        artifacts
    }

    fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }
}

/// Ten chunks and a bit.
fn large() -> Vec<u8> {
    noise(usize::try_from(CHUNK).expect("it fits") * 10 + 1000)
}

pub const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread")]
async fn fifty_who_ask_at_once_fetch_once() {
    let data = large();
    let store = Store::start(data.clone(), digest(&data)).await;
    let artifacts = store.artifacts(LONG);
    let asking = (0..50).map(|number| {
        let artifacts = artifacts.clone();
        async move { artifacts.hold(id(number), "app@3").await }
    });
    for path in futures::future::join_all(asking).await {
        assert_eq!(std::fs::read(path.expect("it is fetched")).expect("there").len(), data.len());
    }
    assert_eq!(store.asked(), 11);
    // The next executor has it, without asking anybody.
    let next = Artifacts::open(
        store.dir.path().to_owned(),
        Bounds { cache: 64 << 20, unpacked: Limits { bytes: 1, entries: 1 }, patience: SHORT },
    );
    next.expect("opens").hold(id(1), "app@3").await.expect("it is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_that_broke_off_goes_on_where_it_was() {
    let data = large();
    let store = Store::start(data.clone(), digest(&data)).await;
    store.broken_from.store(u64::from(CHUNK) * 5, Ordering::SeqCst);
    let refused = store.artifacts(SHORT).hold(id(1), "app").await;
    assert!(matches!(refused, Err(ArtifactError::Unavailable { .. })), "{refused:?}");
    // Those that were on their way may still arrive; none of them is for what is here.
    store.lowest.store(u64::MAX, Ordering::SeqCst);
    store.broken_from.store(u64::MAX, Ordering::SeqCst);
    let path = store.artifacts(LONG).hold(id(1), "app").await.expect("it is fetched");
    assert_eq!(std::fs::read(path).expect("there"), data);
    let lowest = store.lowest.load(Ordering::SeqCst);
    assert_eq!(lowest, u64::from(CHUNK) * 5, "five chunks were there already");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_damaged_is_never_there() {
    let store = Store::start(large(), digest(b"something else")).await;
    let artifacts = store.artifacts(SHORT);
    let refused = artifacts.hold(id(1), "app").await;
    assert!(matches!(refused, Err(ArtifactError::Damaged { .. })), "{refused:?}");
    let content = std::fs::read_dir(store.dir.path().join("content")).expect("there");
    assert_eq!(content.count(), 0);
    let missing = artifacts.hold(id(1), "other@1").await;
    assert!(matches!(missing, Err(ArtifactError::Missing(_))), "{missing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_is_unpacked_whole_and_only_once() {
    let program = b"#!/bin/sh\n".to_vec();
    let store = Store::start(program.clone(), digest(&program)).await;
    let artifacts = store.artifacts(LONG);
    let into = store.dir.path().join("instance");
    let package = (into.as_path(), Trust::Package(None));
    artifacts.unpack_into(id(1), "app@3", package).await.expect("it is unpacked");
    assert_eq!(std::fs::read(into.join("app")).expect("there"), program);
    assert!(!store.dir.path().join("instance.part").exists());
}
