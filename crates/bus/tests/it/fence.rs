//! Keys that are written by compare-and-set together, on one server and on three.

use futures::future::join_all;
use ostler_bus::WriteError;
use ostler_core::id::Revision;
use ostler_schemas::bucket::Bucket;

use crate::fixture::{Servers, lease_key, provisioned, record};

async fn check_fence(url: &str) {
    let bus = provisioned(url).await;
    let fence = || async { bus.fence(&Bucket::Leases, "shop.*").await.expect("it answers") };
    assert_eq!(fence().await.at, Revision(0));
    let none = fence().await;
    let (web, api) = (lease_key("shop.web"), lease_key("shop.api"));
    let first = bus.update_within(&web, &record("a"), &none).await.expect("nobody wrote");
    // Another key of the same namespace is written as if nobody had been there.
    let late = bus.update_within(&api, &record("b"), &none).await;
    assert!(matches!(late, Err(WriteError::Conflict { .. })), "{late:?}");
    assert_eq!(fence().await.at, first);
    bus.update(&lease_key("other.web"), &record("c"), Revision(0)).await.expect("it is absent");
    assert_eq!(fence().await.at, first, "other namespaces do not count");
    bus.update_within(&api, &record("b"), &fence().await).await.expect("nobody wrote since");
    let before = fence().await;
    bus.delete(&web, first).await.expect("it is there");
    let late = bus.update_within(&api, &record("d"), &before).await;
    assert!(matches!(late, Err(WriteError::Conflict { .. })), "a removal counts: {late:?}");

    let now = fence().await;
    let rivals = (0..16).map(|number| {
        let (bus, now) = (bus.clone(), now.clone());
        let key = lease_key(&format!("shop.w{number}"));
        async move { bus.update_within(&key, &record("x"), &now).await }
    });
    let (won, lost): (Vec<_>, Vec<_>) = join_all(rivals).await.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1, "one of many keys: {lost:?}");
    for lost in lost {
        assert!(matches!(lost, Err(WriteError::Conflict { .. })), "{lost:?}");
    }
}

#[tokio::test]
async fn one_of_sixteen_keys_of_a_namespace_is_written_on_one_server() {
    let (_servers, url) = Servers::one().await;
    check_fence(&url).await;
}

#[tokio::test]
async fn one_of_sixteen_keys_of_a_namespace_is_written_on_three_servers() {
    let (_servers, url) = Servers::three().await;
    check_fence(&url).await;
}
