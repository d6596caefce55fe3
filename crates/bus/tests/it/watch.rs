//! Watches tell everything, whatever happens to the server.

use std::collections::BTreeMap;
use std::time::Duration;

use ostler_bus::{Bus, Watch, WatchEvent};
use ostler_core::id::Revision;
use ostler_schemas::bucket::{Bucket, LeaseRecord};
use ostler_testkit::{NatsCluster, NatsServer};

use crate::fixture::{Servers, join, lease_key, provisioned, record, stranger};

const SOON: Duration = Duration::from_secs(20);

async fn next(watch: &mut Watch) -> WatchEvent {
    let event = tokio::time::timeout(SOON, watch.next()).await.expect("something comes in time");
    event.expect("the program runs")
}

/// What a reader knows after the events up to the next `CaughtUp`.
async fn caught_up(watch: &mut Watch, known: &mut BTreeMap<String, String>) -> Revision {
    loop {
        match next(watch).await {
            WatchEvent::Resync => known.clear(),
            WatchEvent::Put { key, value, .. } => {
                let record: LeaseRecord = WatchEvent::decode(&value).expect("we wrote it");
                known.insert(key, record.holder);
            }
            WatchEvent::Gone { key, .. } => {
                known.remove(&key);
            }
            WatchEvent::CaughtUp { revision } => return revision,
        }
    }
}

async fn put(bus: &Bus, key: &str, holder: &str) -> Revision {
    bus.put(&lease_key(key), &record(holder)).await.expect("the server runs")
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, holder)| ((*key).to_owned(), (*holder).to_owned())).collect()
}

#[tokio::test]
async fn an_empty_bucket_is_caught_up_with_at_once_and_then_followed_in_order() {
    let (_servers, url) = Servers::one().await;
    let bus = provisioned(&url).await;
    let mut watch = bus.watch(&Bucket::Leases).await.expect("the bucket is there");
    assert_eq!(next(&mut watch).await, WatchEvent::CaughtUp { revision: Revision(0) });
    let revision = put(&bus, "a", "x").await;
    let event = next(&mut watch).await;
    assert!(
        matches!(&event, WatchEvent::Put { key, revision: at, .. } if key == "a" && *at == revision),
        "{event:?}"
    );
    bus.delete(&lease_key("a"), revision).await.expect("it is there");
    let gone = WatchEvent::Gone { key: "a".to_owned(), revision: Revision(2) };
    assert_eq!(next(&mut watch).await, gone);
}

#[tokio::test]
async fn caught_up_is_exact_though_the_last_message_is_gone() {
    let (_servers, url) = Servers::one().await;
    let bus = provisioned(&url).await;
    for number in 0..500 {
        put(&bus, &format!("k{}", number % 250), &number.to_string()).await;
    }
    put(&bus, "last", "x").await;
    let purge = r#"{"filter":"$KV.leases.last"}"#;
    let purged = stranger(&url).await.request("$JS.API.STREAM.PURGE.KV_leases", purge.into()).await;
    purged.expect("it is purged");
    let mut watch = bus.watch(&Bucket::Leases).await.expect("the bucket is there");
    let mut known = BTreeMap::new();
    assert_eq!(caught_up(&mut watch, &mut known).await, Revision(501));
    assert_eq!(known.len(), 250);
    assert_eq!(known["k7"], "257");
}

#[tokio::test]
async fn a_bucket_that_is_not_there_cannot_be_watched() {
    let (_servers, url) = Servers::one().await;
    let bus = join(&url, "test").await;
    let error = bus.watch(&Bucket::Leases).await.expect_err("there is no such stream");
    assert!(error.to_string().contains("stream not found"), "{error}");
}

#[tokio::test]
async fn a_killed_server_costs_no_change_and_no_deletion() {
    let mut server = NatsServer::start().await;
    let bus = provisioned(&server.url()).await;
    let mut watch = bus.watch(&Bucket::Leases).await.expect("the bucket is there");
    for key in ["a", "b", "c"] {
        put(&bus, key, "1").await;
    }
    let mut known = BTreeMap::new();
    caught_up(&mut watch, &mut known).await;
    server.restart().await;
    // Purged without a marker: nothing tells of it but its absence.
    let purge = r#"{"filter":"$KV.leases.b"}"#;
    let stranger = stranger(&server.url()).await;
    stranger.request("$JS.API.STREAM.PURGE.KV_leases", purge.into()).await.expect("it is purged");
    put(&bus, "a", "2").await;
    put(&bus, "d", "2").await;
    while known != map(&[("a", "2"), ("c", "1"), ("d", "2")]) {
        match next(&mut watch).await {
            WatchEvent::Resync => {
                known.clear();
                caught_up(&mut watch, &mut known).await;
            }
            WatchEvent::Put { key, value, .. } => {
                let record: LeaseRecord = WatchEvent::decode(&value).expect("we wrote it");
                known.insert(key, record.holder);
            }
            WatchEvent::Gone { .. } | WatchEvent::CaughtUp { .. } => {}
        }
    }
}

#[tokio::test]
async fn a_watch_of_three_servers_outlives_each_of_them() {
    let mut cluster = NatsCluster::start(3).await;
    let bus = provisioned(&cluster.url()).await;
    let mut watch = bus.watch(&Bucket::Leases).await.expect("the bucket is there");
    let mut known = BTreeMap::new();
    caught_up(&mut watch, &mut known).await;
    for number in 0..cluster.size() {
        cluster.kill(number);
        let holder = number.to_string();
        // Until a new leader is there, an outcome is unknown; writing again is safe.
        while bus.put(&lease_key("a"), &record(&holder)).await.is_err() {}
        loop {
            if let WatchEvent::Put { value, .. } = next(&mut watch).await {
                let record: LeaseRecord = WatchEvent::decode(&value).expect("we wrote it");
                if record.holder == holder {
                    break;
                }
            }
        }
        cluster.restart(number).await;
    }
}

#[tokio::test]
async fn a_watch_ends_with_the_program() {
    let (_servers, url) = Servers::one().await;
    let bus = provisioned(&url).await;
    let mut watch = bus.watch(&Bucket::Leases).await.expect("the bucket is there");
    next(&mut watch).await;
    bus.program().tasks.stop();
    assert_eq!(watch.next().await, None);
    let end = bus.program().tasks.clone().shut_down(SOON).await;
    assert_eq!((end.left, end.failure), (0, None));
}
