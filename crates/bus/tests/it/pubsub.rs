//! Core messages and hints.

use std::time::Duration;

use ostler_bus::Batch;
use ostler_bus::pubsub::SendError;
use ostler_core::id::{Epoch, PoolName, Revision};
use ostler_core::node::Heartbeat;
use ostler_core::time::Timestamp;
use ostler_schemas::contract::HeartbeatOf;
use ostler_testkit::{NatsServer, eventually};

use crate::fixture::{Servers, join, manifest, manifest_key, node, provisioned, stranger};

pub fn beat(name: &str) -> Heartbeat {
    Heartbeat {
        node: node(name),
        epoch: Epoch(1),
        applied: Revision(3),
        used: ostler_core::node::Use::default(),
        load: [1, 2, 3],
        instances: 4,
        clock: Timestamp::from_millis(5),
        server: String::new(),
        bid: None,
        battery: false,
    }
}

#[tokio::test]
async fn a_message_arrives_and_one_that_cannot_be_read_is_told() {
    let (_servers, url) = Servers::one().await;
    let bus = join(&url, "test").await;
    let mut all = bus.subscribe::<HeartbeatOf>(None).await.expect("it is up");
    let mut one = bus.subscribe(Some(&HeartbeatOf(node("n2")))).await.expect("it is up");
    let stranger = stranger(&url).await;
    stranger.publish("$KV.heartbeats.n1", "garbage \u{1}".into()).await.expect("it is up");
    stranger.publish("$KV.heartbeats.N9", "".into()).await.expect("it is up");
    stranger.flush().await.expect("it is up");
    all.next().await.expect("it is up").expect_err("garbage is told");
    all.next().await.expect("it is up").expect_err("no node is called so");
    bus.publish(&HeartbeatOf(node("n2")), &beat("n2")).await.expect("it is up");
    let wanted = (HeartbeatOf(node("n2")), beat("n2"));
    assert_eq!(all.next().await.expect("it is up").expect("it can be read"), wanted);
    assert_eq!(one.next().await.expect("it is up").expect("it can be read"), wanted);
}

#[tokio::test]
async fn while_disconnected_nothing_is_queued() {
    let mut server = NatsServer::start().await;
    let bus = join(&server.url(), "test").await;
    let mut heard = bus.subscribe::<HeartbeatOf>(None).await.expect("it is up");
    server.kill();
    let state = bus.state();
    eventually("it is told", || async { !state.borrow().up }).await;
    let sent = bus.publish(&HeartbeatOf(node("n1")), &beat("n1")).await;
    assert!(matches!(sent, Err(SendError::Disconnected)), "{sent:?}");
    server.restart().await;
    eventually("it is found again", || async { state.borrow().up }).await;
    bus.publish(&HeartbeatOf(node("n2")), &beat("n2")).await.expect("it is up");
    let (address, _) = heard.next().await.expect("it is up").expect("it can be read");
    assert_eq!(address, HeartbeatOf(node("n2")), "and the subscription is there again");
}

#[tokio::test]
async fn a_commit_is_hinted_with_its_revision() {
    let (_servers, url) = Servers::one().await;
    let bus = provisioned(&url).await;
    let pool = PoolName::default();
    let mut hints = bus.hints(&pool, &node("n2")).await.expect("it is up");
    let mut batch = Batch::new();
    for name in ["n1", "n2", "n3"] {
        batch.put(&manifest_key(name), &manifest(1)).expect("there is room");
    }
    bus.commit(&pool, batch, Revision(0)).await.expect("nobody else writes");
    let hint = tokio::time::timeout(Duration::from_secs(5), hints.next()).await;
    assert_eq!(hint.expect("it comes"), Some(Revision(2)));
    let read = bus.get_direct(&manifest_key("n2")).await.expect("it answers").expect("it is there");
    assert_eq!((read.value, read.revision), (manifest(1), Revision(2)));
}
