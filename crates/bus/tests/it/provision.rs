//! Streams are made once and drift is named.

use ostler_bus::provision::ProvisionError;
use ostler_bus::{Bus, Config};
use ostler_core::id::PoolName;
use ostler_schemas::contract::HeartbeatOf;
use serde_json::Value;

use crate::fixture::{
    Servers, config, join, join_with, lease_key, node, provisioned, record, stranger,
};

async fn ask(url: &str, subject: &str, body: String) -> Value {
    let answer = stranger(url).await.request(subject.to_owned(), body.into()).await;
    serde_json::from_slice(&answer.expect("JetStream answers").payload).expect("it is JSON")
}

async fn stream(url: &str, name: &str) -> Value {
    ask(url, &format!("$JS.API.STREAM.INFO.{name}"), String::new()).await["config"].clone()
}

fn pools() -> Vec<PoolName> {
    vec![PoolName::default(), "gpu".parse().expect("a name")]
}

/// How many streams the table and the pools have.
fn all() -> usize {
    ostler_schemas::table::streams().len() + pools().len()
}

async fn drifts(bus: &Bus) -> Vec<String> {
    match bus.check(&pools()).await {
        Ok(()) => Vec::new(),
        Err(ProvisionError::Drift(drifts)) => drifts.iter().map(ToString::to_string).collect(),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn every_stream_is_made_once_and_keeps_its_incarnation() {
    let (_servers, url) = Servers::one().await;
    let bus = join(&url, "test").await;
    assert_eq!(drifts(&bus).await.len(), all(), "all are missing");
    let made = bus.provision(&pools()).await.expect("an empty server takes all");
    assert_eq!(made.len(), all());
    let incarnation = bus.incarnation().await.expect("it was drawn");
    assert_eq!(bus.provision(&pools()).await.expect("nothing to do"), [""; 0]);
    assert_eq!(bus.incarnation().await.expect("it was drawn"), incarnation);
    let placements = stream(&url, "KV_placements-gpu").await;
    assert_eq!(placements["allow_atomic"], true);
    assert_eq!(placements["republish"]["dest"], "ostler.v1.hint.gpu.{{wildcard(1)}}");
    assert_eq!(stream(&url, "KV_leases").await["allow_msg_ttl"], true);
    assert_eq!(stream(&url, "KV_heartbeats").await["no_ack"], true);
}

#[tokio::test]
async fn drift_names_the_field_what_is_there_and_what_should_be() {
    let (_servers, url) = Servers::one().await;
    let bus = join(&url, "test").await;
    bus.provision(&pools()).await.expect("an empty server takes all");
    let mut config = stream(&url, "KV_nodes").await;
    config["max_bytes"] = 12_345.into();
    config["allow_direct"] = false.into();
    ask(&url, "$JS.API.STREAM.UPDATE.KV_nodes", config.to_string()).await;
    ask(&url, "$JS.API.STREAM.DELETE.KV_reports", String::new()).await;
    let wanted = [
        "stream `KV_nodes`: `allow_direct` is false, should be true",
        "stream `KV_nodes`: `max_bytes` is 12345, should be 1073741824",
        "stream `KV_reports` is missing: run `ostler bus provision`",
    ];
    assert_eq!(drifts(&bus).await, wanted);
    // Provisioning makes what is missing, and changes nothing that is there.
    let left = bus.provision(&pools()).await.expect_err("the drift is still there");
    assert!(matches!(left, ProvisionError::Drift(drifts) if drifts.len() == 2));
    assert_eq!(stream(&url, "KV_nodes").await["max_bytes"], 12_345);
}

#[tokio::test]
async fn a_cluster_keeps_three_replicas_of_all_but_heartbeats() {
    let (_servers, url) = Servers::three().await;
    let bus = provisioned(&url).await;
    assert_eq!(stream(&url, "KV_workloads").await["num_replicas"], 3);
    assert_eq!(stream(&url, "KV_heartbeats").await["num_replicas"], 1);
    assert_eq!(stream(&url, "EVENTS").await["num_replicas"], 3);
    bus.check(&[PoolName::default()]).await.expect("as the table says");
}

#[tokio::test]
async fn only_what_is_under_a_root_of_its_own_is_ever_deleted() {
    let (_servers, url) = Servers::one().await;
    let usual = provisioned(&url).await;
    let own = join_with(&Config { root: "bench".to_owned(), ..config(&url) }, "test").await;
    own.provision(&pools()).await.expect("another root");
    let refused = usual.dismantle(&[PoolName::default()]).await.expect_err("a fleet stays");
    assert!(refused.to_string().contains("never deleted"), "{refused}");
    own.dismantle(&pools()).await.expect("it goes");
    own.dismantle(&pools()).await.expect("it is gone already");
    assert!(matches!(own.check(&pools()).await,
        Err(ProvisionError::Drift(drifts)) if drifts.len() == all()));
    usual.check(&[PoolName::default()]).await.expect("the other fleet is as it was");
}

#[tokio::test]
async fn two_fleets_share_a_server() {
    let (_servers, url) = Servers::one().await;
    let ours = provisioned(&url).await;
    let acme = Config { root: "acme".to_owned(), ..config(&url) };
    let theirs = join_with(&acme, "test").await;
    assert_eq!(theirs.provision(&pools()).await.expect("another root").len(), all());
    assert_eq!(stream(&url, "KV_acme_nodes").await["subjects"][0], "$KV.acme_nodes.>");
    assert_eq!(stream(&url, "acme_EVENTS").await["subjects"][0], "acme.v1.event.>");

    let key = lease_key("x");
    ours.put(&key, &record("ours")).await.expect("it is written");
    assert_eq!(theirs.get(&key).await.expect("it answers"), None);
    theirs.put(&key, &record("theirs")).await.expect("it is written");
    let read = ours.get(&key).await.expect("it answers").expect("it is there");
    assert_eq!(read.value, record("ours"));

    let mut heard = theirs.subscribe::<HeartbeatOf>(None).await.expect("it is up");
    let mut beat = crate::pubsub::beat("n1");
    ours.publish(&HeartbeatOf(node("n1")), &beat).await.expect("it is up");
    beat = crate::pubsub::beat("n2");
    theirs.publish(&HeartbeatOf(node("n2")), &beat).await.expect("it is up");
    let (address, payload) = heard.next().await.expect("it is up").expect("it can be read");
    assert_eq!(
        (address, payload),
        (HeartbeatOf(node("n2")), beat),
        "the other fleet's is not heard"
    );
}
