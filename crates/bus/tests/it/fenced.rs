//! Batches are all or nothing, and only what follows the last revision is taken.

use ostler_bus::{Batch, Bus, CommitError, fenced};
use ostler_core::id::{PoolName, Revision, Term};
use ostler_schemas::bucket::{Bucket, Key as _, TermKey, TermRecord};
use ostler_testkit::{NatsServer, Proxy};

use crate::fixture::{Servers, join, lease_key, manifest, manifest_key, provisioned, record};

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

#[tokio::test]
async fn a_write_larger_than_the_server_takes_was_sent_again_and_again() {
    let (_servers, url) = Servers::one().await;
    let bus = provisioned(&url).await;
    let key = TermKey(PoolName::default());
    let holder = "a".repeat(9 << 20);
    let since = bus.pool_time();
    let mut huge = Batch::new();
    let record = TermRecord { incarnation: 1, term: Term(1), holder, since };
    huge.put(&key, &record).expect("an empty batch takes one of any size");
    let error = bus.commit(&PoolName::default(), huge, Revision(0)).await.expect_err("too large");
    assert!(matches!(error, CommitError::TooLarge { .. }), "{error}");
    assert!(error.to_string().starts_with("`placements-default/_term` has 9437"), "{error}");
    let last = bus.last_revision(&Bucket::Placements(PoolName::default())).await;
    assert_eq!(last.expect("it answers"), Revision(0));
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_unknown_and_is_there() {
    let server = NatsServer::start().await;
    let direct = provisioned(&server.url()).await;
    let wire = Proxy::to(&server.url()).await;
    let bus = join(&wire.url(), "behind a wire").await;
    for (number, lost) in [(1, true), (2, false)] {
        match lost {
            true => wire.lose_answer("Nats-Batch-Commit"),
            false => wire.lose("Nats-Batch-Commit"),
        }
        let after = direct.last_revision(&Bucket::Placements(PoolName::default())).await;
        let after = after.expect("it answers");
        let sent = bus.commit(&PoolName::default(), batch(&["n1", "n2"], number), after).await;
        assert!(matches!(sent, Err(CommitError::Unknown { .. })), "{sent:?}");
        let last = direct.last_revision(&Bucket::Placements(PoolName::default())).await;
        let stored = last.expect("it answers").0 - after.0;
        assert_eq!(stored, if lost { 2 } else { 0 }, "its answer was lost: {lost}");
    }
}

#[tokio::test]
async fn a_write_of_a_leader_did_not_say_of_which_reign_it_was() {
    let (_servers, url) = Servers::one().await;
    let bus = provisioned(&url).await;
    let client = crate::fixture::stranger(&url).await;
    let mut seen = client.subscribe("$KV.placements-default.>").await.expect("it is up");
    let mut hints = client.subscribe("ostler.v1.hint.default.>").await.expect("it is up");
    client.flush().await.expect("it is up");
    for names in [&["n1", "n2"][..], &["n3"]] {
        let mut batch = Batch::of(Term(7));
        for name in names {
            batch.put(&manifest_key(name), &manifest(7)).expect("there is room");
        }
        let after = bus.last_revision(&manifest_key("n1").bucket()).await.expect("it answers");
        bus.commit(&PoolName::default(), batch, after).await.expect("nobody else writes");
    }
    for messages in [&mut seen, &mut hints] {
        for _ in 0..3 {
            let message = futures::StreamExt::next(messages).await.expect("it is told");
            let term = message.headers.as_ref().and_then(|headers| headers.get("Ostler-Term"));
            assert_eq!(term.map(async_nats::HeaderValue::as_str), Some("7"), "{}", message.subject);
        }
    }
}
