//! What was removed is forgotten for good, and nobody who follows a sequence notices.

use ostler_bus::keys::Swept;
use ostler_bus::{Batch, WatchEvent};
use ostler_core::id::{PoolName, Revision, Term};
use ostler_core::time::Span;
use ostler_schemas::bucket::{Bucket, Key as _};

use crate::fixture::{Servers, lease_key, manifest, manifest_key, provisioned, record};

const LONG: Span = Span::from_secs(3_600);
const NOW: Span = Span::from_millis(0);

#[tokio::test]
async fn the_marker_of_every_key_that_was_ever_removed_stayed() {
    let (_servers, url) = Servers::one().await;
    let bus = provisioned(&url).await;
    let keys = async || bus.keys(&Bucket::Leases, ">").await.expect("it answers");
    let key = lease_key("shop.x");
    let first = bus.put(&key, &record("a")).await.expect("written");
    bus.put(&lease_key("shop.y"), &record("b")).await.expect("written");
    let sweep =
        async |kept_for| bus.sweep(&key.bucket(), "shop.x", kept_for).await.expect("it answers");
    assert_eq!(sweep(NOW).await, Swept::Written, "what is there stays");
    bus.delete(&key, first).await.expect("removed");
    assert_eq!(keys().await, ["shop.x", "shop.y"]);
    assert_eq!(sweep(LONG).await, Swept::Young);
    assert_eq!(sweep(NOW).await, Swept::Gone);
    assert_eq!(sweep(NOW).await, Swept::Gone);
    assert_eq!(keys().await, ["shop.y"]);
    bus.update(&key, &record("c"), Revision(0)).await.expect("it is absent");
    // What was written since is not erased.
    bus.erase(&key.bucket(), "shop.x", first).await.expect("nothing to do");
    assert_eq!(bus.get(&key).await.expect("it answers").map(|it| it.value), Some(record("c")));
}

#[tokio::test]
async fn erasing_what_a_stream_ends_with_moves_neither_its_fence_nor_its_watches() {
    let (_servers, url) = Servers::one().await;
    let bus = provisioned(&url).await;
    let (pool, key) = (PoolName::default(), manifest_key("n1"));
    let (mut written, mut removed) = (Batch::of(Term(1)), Batch::of(Term(1)));
    written.put(&key, &manifest(1)).expect("there is room");
    removed.delete(&key).expect("there is room");
    let first = bus.commit(&pool, written, Revision(0)).await.expect("nobody else writes");
    let last = bus.commit(&pool, removed, first).await.expect("nobody else writes");
    let bucket = key.bucket();
    assert_eq!(bus.sweep(&bucket, "n1", NOW).await.expect("it answers"), Swept::Gone);
    assert_eq!(bus.last_revision(&bucket).await.expect("it answers"), last);
    let mut watch = bus.watch(&bucket).await.expect("it begins");
    assert_eq!(watch.next().await, Some(WatchEvent::CaughtUp { revision: last }));
    let mut next = Batch::of(Term(1));
    next.put(&manifest_key("n2"), &manifest(1)).expect("there is room");
    bus.commit(&pool, next, last).await.expect("the fence stands where it stood");
}
