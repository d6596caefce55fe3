//! Batches are all or nothing, and only what follows the last revision is taken.

use ostler_bus::{Batch, Bus, CommitError, fenced};
use ostler_core::id::{PoolName, Revision};
use ostler_schemas::bucket::Bucket;
use ostler_testkit::NatsServer;

use crate::fixture::{Servers, lease_key, manifest, manifest_key, provisioned, record};

fn batch(names: &[&str], term: u64) -> Batch {
    let mut batch = Batch::new();
    for name in names {
        batch.put(&manifest_key(name), &manifest(term)).expect("there is room");
    }
    batch
}

async fn term_of(bus: &Bus, name: &str) -> Option<u64> {
    let read = bus.get(&manifest_key(name)).await.expect("it answers");
    read.map(|entry| entry.value.term.0)
}

async fn check_fence(url: &str) {
    let bus = provisioned(url).await;
    let pool = PoolName::default();
    let at = bus.commit(&pool, batch(&["n1", "n2", "n3"], 1), Revision(0)).await;
    assert_eq!(at.expect("nobody else writes"), Revision(3));
    let read = bus.get(&manifest_key("n3")).await.expect("it answers").expect("it is there");
    assert_eq!(read.revision, Revision(3), "the write at index i is at after + 1 + i");

    for stale in [batch(&["n1", "n4", "n5"], 2), batch(&["n4"], 2)] {
        for after in [Revision(2), Revision(9)] {
            let error = bus.commit(&pool, stale.clone(), after).await.expect_err("it is stale");
            assert!(matches!(error, CommitError::Conflict { .. }), "{error:?}");
        }
    }
    assert_eq!(term_of(&bus, "n1").await, Some(1), "nothing of a stale batch is visible");
    assert_eq!(term_of(&bus, "n4").await, None);
    let last = bus.last_revision(&Bucket::Placements(pool.clone())).await.expect("it answers");
    assert_eq!(last, Revision(3));

    let mut mixed = batch(&["n1"], 3);
    mixed.delete(&manifest_key("n2")).expect("there is room");
    assert_eq!(bus.commit(&pool, mixed, Revision(3)).await.expect("not stale"), Revision(5));
    assert_eq!((term_of(&bus, "n1").await, term_of(&bus, "n2").await), (Some(3), None));
    let one = bus.commit(&pool, batch(&["n2"], 4), Revision(5)).await;
    assert_eq!(one.expect("not stale"), Revision(6), "a batch of one");
    let none = bus.commit(&pool, Batch::new(), Revision(1)).await;
    assert_eq!(none.expect("nothing to do"), Revision(1));
}

#[tokio::test]
async fn a_stale_batch_is_refused_whole_on_one_server() {
    let (_servers, url) = Servers::one().await;
    check_fence(&url).await;
}

#[tokio::test]
async fn a_stale_batch_is_refused_whole_on_three_servers() {
    let (_servers, url) = Servers::three().await;
    check_fence(&url).await;
}

#[tokio::test]
async fn a_batch_takes_200_writes_and_only_of_its_pool() {
    let (_servers, url) = Servers::one().await;
    let bus = provisioned(&url).await;
    let pool = PoolName::default();
    let mut full = Batch::new();
    for number in 0..fenced::MAX_MESSAGES {
        full.put(&manifest_key(&format!("n{number}")), &manifest(1)).expect("there is room");
    }
    assert_eq!(full.put(&manifest_key("more"), &manifest(1)), Err(fenced::Full));
    let last = bus.commit(&pool, full, Revision(0)).await;
    assert_eq!(last.expect("nobody else writes"), Revision(200));

    let mut stray = batch(&["n1"], 2);
    stray.put(&lease_key("x"), &record("a")).expect("there is room");
    let error = bus.commit(&pool, stray, Revision(200)).await.expect_err("another bucket");
    assert_eq!(
        error.to_string(),
        "the server refused a batch: `leases/x` is not in `placements-default`"
    );
    let mut large = Batch::new();
    large.put(&lease_key("x"), &record(&"a".repeat(fenced::MAX_BYTES))).expect("it is the first");
    assert_eq!(large.put(&lease_key("y"), &record("b")), Err(fenced::Full));
}

#[tokio::test]
async fn a_batch_without_an_answer_is_unknown() {
    let server = NatsServer::start().await;
    let bus = provisioned(&server.url()).await;
    server.stop();
    let sent = bus.commit(&PoolName::default(), batch(&["n1", "n2"], 1), Revision(0)).await;
    assert!(matches!(sent, Err(CommitError::Unknown { .. })), "{sent:?}");
    server.cont();
    // Only its first message was sent, so it is never committed, and does not stand in the way.
    let bus = bus.another("again", ostler_bus::Pings::Usual).await.expect("the server runs");
    let last = bus.last_revision(&Bucket::Placements(PoolName::default())).await;
    assert_eq!(last.expect("it answers"), Revision(0));
    let sent = bus.commit(&PoolName::default(), batch(&["n1", "n2"], 2), Revision(0)).await;
    assert_eq!(sent.expect("nobody else writes"), Revision(2));
}
