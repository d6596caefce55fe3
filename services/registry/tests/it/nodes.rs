//! Who may be a node, and what operators do with one.

use nkeys::KeyPair;
use ostler_core::node::Facts;
use ostler_core::resources::Resources;
use ostler_registry::Config as RegistryConfig;
use ostler_schemas::pb;
use ostler_schemas::problem::Code;
use ostler_service::clock;
use ostler_testkit::eventually;

use crate::fixture::{Fleet, facts, leave, manifest, manifest_key};

async fn fleet_of_one() -> (Fleet, KeyPair) {
    let fleet = Fleet::start().await;
    let key = KeyPair::new_user();
    let reply = fleet.join("n1", &key).await.expect("admitted");
    assert_eq!((reply.epoch, reply.pool.as_str()), (1, "default"));
    (fleet, key)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_joins_and_is_shown() {
    let (fleet, _) = fleet_of_one().await;
    let node = fleet.node("n1").await;
    assert_eq!((node.liveness.as_str(), node.admin.as_str(), node.epoch), ("online", "active", 1));
    assert_eq!(node.capacity.map(|capacity| capacity.cpu), Some(4_000));
    fleet.beat("n1", 1).await;
    eventually("its beat is shown", || async {
        let node = fleet.node("n1").await;
        !node.last_heartbeat.is_empty() && node.r#use.is_some_and(|used| used.cpu > 0.1)
    })
    .await;
    let listed = fleet.call(pb::NodeList::default()).await.expect("it answers");
    assert_eq!(listed.items.len(), 1);
    let rack = pb::NodeList { label: vec!["rack=r2".to_owned()], ..Default::default() };
    assert!(fleet.call(rack).await.expect("it answers").items.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_is_taken_over_only_by_its_own_key_on_its_own_machine() {
    let (fleet, key) = fleet_of_one().await;
    let stranger = KeyPair::new_user();
    let problem = fleet.join("n1", &stranger).await.expect_err("it is taken");
    assert_eq!(problem.code, Code::Conflict);
    assert!(problem.detail.contains("another key"), "{}", problem.detail);
    let elsewhere = Facts { hardware: "machine-2".to_owned(), ..facts() };
    let copy = fleet.hello("n1", &key, &elsewhere).await;
    assert_eq!(fleet.refused(copy).await, Code::Conflict);
    let reply = fleet.join("n1", &key).await.expect("its own successor is admitted");
    assert_eq!(reply.epoch, 2);
    assert_eq!(fleet.refused(leave("n1", &key, 1, true)).await, Code::Conflict);
    fleet.call(leave("n1", &key, 2, true)).await.expect("it may leave");
    assert_eq!(fleet.node("n1").await.liveness, "left");
    let reply = fleet.join("n1", &stranger).await.expect("the name is free");
    assert_eq!(reply.epoch, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_goodbye_was_taken_from_anybody_and_is_now_only_from_the_node_itself() {
    let (fleet, key) = fleet_of_one().await;
    let neighbour = KeyPair::new_user();
    fleet.join("n2", &neighbour).await.expect("admitted");
    let unsigned = pb::Leave { signature: Vec::new(), ..leave("n1", &key, 1, true) };
    let altered = pb::Leave { empty: true, ..leave("n1", &key, 1, false) };
    for forged in [unsigned, altered, leave("n1", &neighbour, 1, true)] {
        assert_eq!(fleet.refused(forged).await, Code::Forbidden);
    }
    assert_eq!(fleet.node("n1").await.liveness, "online");
    fleet.call(leave("n1", &key, 1, false)).await.expect("its own is taken");
    assert_eq!(fleet.node("n1").await.liveness, "left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hello_that_is_forged_or_replayed_is_refused() {
    let (fleet, key) = fleet_of_one().await;
    let good = fleet.hello("n2", &key, &facts()).await;
    let forged = pb::Hello { key: KeyPair::new_user().public_key(), ..good.clone() };
    assert_eq!(fleet.refused(forged).await, Code::Forbidden);
    let renamed = pb::Hello { node: "n3".to_owned(), ..good.clone() };
    assert_eq!(fleet.refused(renamed).await, Code::Forbidden);
    fleet.call(good.clone()).await.expect("admitted");
    assert_eq!(fleet.refused(good.clone()).await, Code::RevisionMismatch);
    assert_eq!(fleet.node("n2").await.epoch, 1);
    let remove = pb::NodeRemove { name: "n2".to_owned(), ..Default::default() };
    fleet.call(remove).await.expect("it is empty");
    assert_eq!(fleet.refused(good).await, Code::RevisionMismatch, "nor does it come back so");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_clock_jumped_by_an_hour_could_not_join_any_more() {
    let (fleet, key) = fleet_of_one().await;
    let now = clock::wall_ms();
    for (epoch, clock) in [(2, now + 3_600_000), (3, now - 3_600_000), (4, 0), (5, now)] {
        let hello = fleet.hello("n1", &key, &facts()).await;
        let reply = fleet.call(pb::Hello { signed_at_ms: clock, ..hello }).await;
        assert_eq!(reply.expect("admitted").epoch, epoch);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nonce_of_one_registry_is_good_at_the_others_and_for_one_hello_only() {
    let (fleet, key) = fleet_of_one().await;
    let other = RegistryConfig { replica: "other".to_owned(), ..fleet.config() };
    let database = format!("sqlite:{}", fleet.folder.path().join("other.db").display());
    let second = fleet.registry_with(RegistryConfig { database, ..other }).await;
    let (first, again) =
        (fleet.hello("n1", &key, &facts()).await, fleet.hello("n1", &key, &facts()).await);
    // Whoever answers which of these: one of the two is admitted, for both it is one nonce.
    let (one, two) = tokio::join!(fleet.call(first), fleet.call(again));
    assert_eq!([one.is_ok(), two.is_ok()].iter().filter(|admitted| **admitted).count(), 1);
    for epoch in 3..10 {
        let reply = fleet.join("n1", &key).await.expect("admitted, by whichever replica");
        assert_eq!(reply.epoch, epoch);
    }
    second.finish().await.expect("it stops cleanly");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn facts_that_cannot_be_are_refused_by_name() {
    let (fleet, key) = fleet_of_one().await;
    let nothing = Facts { capacity: Resources::default(), ..facts() };
    let wordy = Facts { kernel: "x".repeat(10_000), ..facts() };
    let backwards = Facts { ports: (9, 8), ..facts() };
    let crowded = Facts { max_instances: 5_000, ..facts() };
    for (wrong, field) in [
        (nothing, "facts.capacity.cpu"),
        (wordy, "facts.kernel"),
        (backwards, "facts.ports"),
        (crowded, "facts.max_instances"),
    ] {
        let hello = fleet.hello("n2", &key, &wrong).await;
        let problem = fleet.call(hello).await.expect_err("it cannot be");
        assert_eq!(problem.field.as_deref(), Some(field));
    }
    let huge =
        pb::Hello { facts_json: "[".repeat(100_000), ..fleet.hello("n2", &key, &facts()).await };
    assert_eq!(fleet.refused(huge).await, Code::Invalid);
    let nowhere = pb::Hello { pool: "moon".to_owned(), ..fleet.hello("n2", &key, &facts()).await };
    assert_eq!(fleet.refused(nowhere).await, Code::Invalid);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_operators_set_outlives_the_executor() {
    let (fleet, key) = fleet_of_one().await;
    let patch = pb::NodePatch {
        name: "n1".to_owned(),
        labels: [("gpu".to_owned(), "a100".to_owned()), ("rack".to_owned(), String::new())].into(),
        reserved: Some(pb::Resources { cpu: 500, ..Default::default() }),
        max_instances: Some(7),
        ..Default::default()
    };
    fleet.call(patch).await.expect("patched");
    let kept = pb::NodeMaintenance { name: "n1".to_owned(), ..Default::default() };
    fleet.call(kept).await.expect("it is kept empty");
    eventually("it joins again", || async {
        fleet.join("n1", &key).await.is_ok_and(|reply| reply.epoch == 2)
    })
    .await;
    let node = fleet.node("n1").await;
    assert_eq!((node.admin.as_str(), node.max_instances), ("maintenance", 7));
    assert_eq!(node.labels.get("gpu").map(String::as_str), Some("a100"));
    assert_eq!(node.labels.get("rack"), None);
    assert_eq!(node.free.map(|free| free.cpu), Some(3_500));
    let too_much = pb::NodePatch {
        name: "n1".to_owned(),
        reserved: Some(pb::Resources { cpu: 9_000, ..Default::default() }),
        ..Default::default()
    };
    assert_eq!(fleet.refused(too_much).await, Code::Invalid);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_cordoned_drained_and_activated() {
    let (fleet, _) = fleet_of_one().await;
    let name = || "n1".to_owned();
    let cordoned =
        fleet.call(pb::NodeCordon { name: name(), ..Default::default() }).await.expect("cordoned");
    assert_eq!(cordoned.admin, "cordoned");
    let dry = pb::NodeDrain { name: name(), dry_run: true, ..Default::default() };
    assert_eq!(fleet.call(dry).await.expect("answered").id, "");
    assert_eq!(fleet.node("n1").await.admin, "cordoned");
    let drain = pb::NodeDrain { name: name(), ..Default::default() };
    let command = fleet.call(drain).await.expect("it is ordered");
    assert_eq!((command.order.as_str(), command.target.as_str()), ("drain", "n1"));
    assert_eq!(fleet.node("n1").await.admin, "draining");
    let active =
        fleet.call(pb::NodeUncordon { name: name(), ..Default::default() }).await.expect("active");
    assert_eq!(active.admin, "active");
    let unknown = pb::NodeDrain { name: "n9".to_owned(), ..Default::default() };
    assert_eq!(fleet.refused(unknown).await, Code::NotFound);
    let nameless = pb::NodeCordon { name: "N 1".to_owned(), ..Default::default() };
    assert_eq!(fleet.refused(nameless).await, Code::Invalid);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_instances_is_removed_only_by_force_and_once_it_is_empty() {
    let (fleet, key) = fleet_of_one().await;
    fleet.put("name = \"web\"\ndriver = \"sim\"").await.expect("created");
    fleet.place(&manifest_key("n1"), &manifest("web", 1, 1)).await;
    let remove = pb::NodeRemove { name: "n1".to_owned(), ..Default::default() };
    assert_eq!(fleet.refused(remove.clone()).await, Code::Conflict);
    let forced = pb::NodeRemove { force: true, ..remove.clone() };
    fleet.call(forced).await.expect("it is ordered");
    assert_eq!(fleet.node("n1").await.admin, "draining");
    let listed = fleet.call(pb::CommandList::default()).await.expect("it answers").items;
    assert_eq!(listed[0].order, "evacuate");
    fleet.place(&manifest_key("n1"), &manifest("web", 1, 0)).await;
    eventually("it is gone", || async {
        let found = fleet.call(pb::NodeGet { name: "n1".to_owned() }).await;
        found.is_err_and(|problem| problem.code == Code::NotFound)
    })
    .await;
    let reply = fleet.join("n1", &key).await.expect("the name is free");
    assert_eq!(reply.epoch, 1);
    fleet.call(remove).await.expect("an empty node goes at once");
    assert_eq!(fleet.refused(pb::NodeGet { name: "n1".to_owned() }).await, Code::NotFound);
}
