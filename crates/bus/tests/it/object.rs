//! Content in chunks.

use bytes::Bytes;
use ostler_bus::{ObjectError, Store};

use crate::fixture::{Servers, provisioned};

const STORE: Store = Store::Artifacts;

#[tokio::test]
async fn a_chunk_is_put_twice_in_any_order_and_read_by_its_number() {
    let (_servers, url) = Servers::one().await;
    let bus = provisioned(&url).await;
    for (index, data) in [(1u64, "b"), (0, "old"), (0, "a"), (1, "b")] {
        bus.put_chunk(STORE, "one", index, Bytes::from(data)).await.expect("it is put");
    }
    bus.put_chunk(STORE, "two", 0, Bytes::from("other")).await.expect("it is put");
    for (index, data) in [(0, "a"), (1, "b")] {
        assert_eq!(bus.get_chunk(STORE, "one", index).await.expect("it is there"), data);
    }
    let missing = bus.get_chunk(STORE, "one", 2).await;
    assert!(matches!(missing, Err(ObjectError::Missing { index: 2, .. })), "{missing:?}");
    let uploads = bus.uploads(STORE).await.expect("it answers");
    assert_eq!(uploads.into_iter().collect::<Vec<_>>(), [("one".into(), 2), ("two".into(), 1)]);
    assert!(bus.upload_time(STORE, "one").await.expect("it answers").is_some());

    for _ in 0..2 {
        bus.purge_upload(STORE, "one").await.expect("it is removed");
    }
    assert!(bus.get_chunk(STORE, "one", 0).await.is_err());
    assert_eq!(bus.upload_time(STORE, "one").await.expect("it answers"), None);
    assert_eq!(bus.get_chunk(STORE, "two", 0).await.expect("it is there"), "other");
}
