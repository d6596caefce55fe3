//! Single keys by compare-and-set, on one server and on three.

use futures::future::join_all;
use ostler_bus::{ReadError, WriteError};
use ostler_core::id::Revision;
use ostler_schemas::bucket::Bucket;
use ostler_testkit::NatsServer;

use crate::fixture::{Servers, lease_key, provisioned, record, stranger};

async fn check_compare_and_set(url: &str) {
    let bus = provisioned(url).await;
    let key = lease_key("x");
    let conflict = |wrote: Result<Revision, WriteError>| {
        assert!(matches!(wrote, Err(WriteError::Conflict { .. })), "{wrote:?}");
    };
    assert_eq!(bus.get(&key).await.expect("it answers"), None);
    let first = bus.update(&key, &record("a"), Revision(0)).await.expect("it is absent");
    conflict(bus.update(&key, &record("b"), Revision(0)).await);
    conflict(bus.update(&key, &record("b"), Revision(99)).await);
    let second = bus.update(&key, &record("b"), first).await.expect("it is there");
    let read = bus.get(&key).await.expect("it answers").expect("it is there");
    assert_eq!((read.value, read.revision), (record("b"), second));
    let removed = bus.delete(&key, first).await;
    assert!(matches!(removed, Err(WriteError::Conflict { .. })), "{removed:?}");
    bus.delete(&key, second).await.expect("it is there");
    assert_eq!(bus.get(&key).await.expect("it answers"), None);
    // A marker is there now, but for us the key is absent.
    let again = bus.update(&key, &record("c"), Revision(0)).await.expect("it is absent");
    assert_eq!(bus.last_revision(&Bucket::Leases).await.expect("it answers"), again);
    conflict(bus.update(&key, &record("d"), Revision(0)).await);

    let rivals = (0..16).map(|number| {
        let (bus, key) = (bus.clone(), key.clone());
        async move { bus.update(&key, &record(&format!("r{number}")), again).await }
    });
    let (won, lost): (Vec<_>, Vec<_>) = join_all(rivals).await.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    lost.into_iter().for_each(conflict);
}

#[tokio::test]
async fn one_of_sixteen_rivals_wins_on_one_server() {
    let (_servers, url) = Servers::one().await;
    check_compare_and_set(&url).await;
}

#[tokio::test]
async fn one_of_sixteen_rivals_wins_on_three_servers() {
    let (_servers, url) = Servers::three().await;
    check_compare_and_set(&url).await;
}

#[tokio::test]
async fn what_cannot_be_read_is_no_absence() {
    let (_servers, url) = Servers::one().await;
    let bus = provisioned(&url).await;
    let key = lease_key("x");
    stranger(&url).await.request("$KV.leases.x", "{]".into()).await.expect("it is stored");
    for read in [bus.get(&key).await, bus.get_direct(&key).await] {
        match read {
            Err(error @ ReadError::Value { .. }) => {
                assert_eq!(error.to_string(), "`leases/x` cannot be read");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_says_so() {
    let (_servers, url) = Servers::one().await;
    let bus = provisioned(&url).await;
    match bus.put(&lease_key("x"), &record(&"a".repeat(9 << 20))).await {
        Err(WriteError::Refused { cause, .. }) => assert!(cause.contains("payload"), "{cause}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn no_answer_means_that_the_outcome_is_unknown() {
    let server = NatsServer::start().await;
    let bus = provisioned(&server.url()).await;
    server.stop();
    let wrote = bus.update(&lease_key("x"), &record("a"), Revision(0)).await;
    assert!(matches!(wrote, Err(WriteError::Unknown { .. })), "{wrote:?}");
    let read = bus.get(&lease_key("x")).await;
    assert!(matches!(read, Err(ReadError::Unavailable { .. })), "{read:?}");
    server.cont();
    // It was stored after all: that is what unknown means.
    let read = bus.get(&lease_key("x")).await.expect("it answers").expect("it is there");
    assert_eq!(read.value, record("a"));
}

#[tokio::test]
async fn where_a_key_was_last_written_or_removed_is_told_by_the_leader() {
    let (_servers, url) = Servers::one().await;
    let bus = provisioned(&url).await;
    let key = lease_key("x");
    assert_eq!(bus.get_last(&key).await.expect("it answers"), (Revision(0), None));
    let first = bus.put(&key, &record("a")).await.expect("written");
    let (last, entry) = bus.get_last(&key).await.expect("it answers");
    assert_eq!((last, entry.map(|entry| entry.value)), (first, Some(record("a"))));
    bus.delete(&key, first).await.expect("removed");
    let (gone, entry) = bus.get_last(&key).await.expect("it answers");
    assert!(gone > first && entry.is_none(), "{gone}");
    bus.update(&key, &record("b"), gone).await.expect("it follows its own removal");
}
