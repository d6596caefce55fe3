//! The same operation is done once: however often it is asked for, and whatever came after it.

use ostler_bus::Caller;
use ostler_core::id::InstanceId;
use ostler_schemas::api::Call;
use ostler_schemas::pb;
use ostler_schemas::problem::Code;
use ostler_testkit::eventually;

use crate::fixture::{Fleet, caller, manifest, manifest_key};

const FIRST: u128 = 0x1234_5678_9abc_0000_0000;

/// A key that a caller chose: its digest is no ULID of our time.
fn chosen() -> Caller {
    Caller { op_id: "7ZZZZZZZZZ0123456789ABCDEF".to_owned(), ..caller() }
}

async fn as_caller<R: Call>(fleet: &Fleet, request: &R, from: &Caller) -> R::Reply {
    fleet.bus.call(request, from).await.expect("it is done")
}

async fn placed() -> Fleet {
    let fleet = Fleet::start().await;
    fleet.put("name = \"web\"\ndriver = \"sim\"\ncount = 3").await.expect("created");
    fleet.join("n1", &nkeys::KeyPair::new_user()).await.expect("admitted");
    fleet.place(&manifest_key("n1"), &manifest("web", FIRST, 3)).await;
    eventually("three are placed", || async {
        fleet.call(pb::InstanceList::default()).await.is_ok_and(|page| page.items.len() == 3)
    })
    .await;
    fleet
}

async fn commands(fleet: &Fleet) -> usize {
    fleet.call(pb::CommandList::default()).await.expect("it answers").items.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_key_restarted_twice() {
    let fleet = placed().await;
    let id = InstanceId::from_bits(FIRST).to_string();
    let restart = pb::InstanceRestart { id: id.clone(), dry_run: false };
    for (count, from) in [(1, caller()), (2, chosen())] {
        let first = as_caller(&fleet, &restart, &from).await;
        let again = as_caller(&fleet, &restart, &from).await;
        assert_eq!((&first.id, first.target.as_str()), (&again.id, id.as_str()));
        assert_eq!(commands(&fleet).await, count, "it is ordered once");
    }
    let from = chosen();
    let other = pb::InstanceRestart { id: InstanceId::from_bits(FIRST + 1).to_string(), ..restart };
    as_caller(&fleet, &other, &from).await;
    assert_eq!(commands(&fleet).await, 3, "of another instance it is another order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ended_with_its_own_order_is_answered_with_that_order() {
    let fleet = placed().await;
    let (stop, from) = (
        pb::InstanceStop { id: InstanceId::from_bits(FIRST).to_string(), dry_run: false },
        caller(),
    );
    let first = as_caller(&fleet, &stop, &from).await;
    fleet.place(&manifest_key("n1"), &manifest("web", FIRST + 1, 2)).await;
    eventually("it is gone", || async {
        fleet.call(pb::InstanceList::default()).await.is_ok_and(|page| page.items.len() == 2)
    })
    .await;
    assert_eq!(as_caller(&fleet, &stop, &from).await.id, first.id);
    assert_eq!(fleet.refused(stop).await, Code::NotFound, "for others it is gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_asked_at_once_give_one_command() {
    let fleet = placed().await;
    let mut config = fleet.config();
    config.database = config.database.replace("registry.db", "second.db");
    let second = fleet.registry_with(config).await;
    let restart =
        pb::InstanceRestart { id: InstanceId::from_bits(FIRST).to_string(), dry_run: false };
    for (count, from) in [(1, caller()), (2, chosen())] {
        let all = (0..8).map(|_| as_caller(&fleet, &restart, &from));
        let ids: std::collections::BTreeSet<String> =
            futures::future::join_all(all).await.into_iter().map(|view| view.id).collect();
        assert_eq!(ids.len(), 1, "{ids:?}");
        assert_eq!(commands(&fleet).await, count);
    }
    second.finish().await.expect("it stops cleanly");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_that_was_followed_by_another_was_done_again() {
    let fleet = Fleet::start().await;
    fleet.put("name = \"web\"\ndriver = \"sim\"").await.expect("created");
    let scale = |count| pb::WorkloadScale { name: "web".to_owned(), count, ..Default::default() };
    let (first, second) = (caller(), caller());
    as_caller(&fleet, &scale(5), &first).await;
    as_caller(&fleet, &scale(3), &second).await;
    let again = as_caller(&fleet, &scale(5), &first).await;
    assert_eq!((again.version, again.spec.and_then(|spec| spec.count)), (3, Some(3)));
    let versions = pb::WorkloadVersions { name: "web".to_owned(), ..Default::default() };
    let versions = fleet.call(versions).await.expect("it answers").items;
    assert_eq!(versions.len(), 3, "nothing was written");

    let rollback =
        pb::WorkloadRollback { name: "web".to_owned(), if_version: 3, ..Default::default() };
    let third = caller();
    let back = as_caller(&fleet, &rollback, &third).await;
    let again = as_caller(&fleet, &rollback, &third).await;
    assert_eq!((back.version, again.version), (4, 4), "though it is at version 3 no more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_activated_since_is_not_drained_by_a_repetition() {
    let fleet = placed().await;
    let name = || "n1".to_owned();
    let from = caller();
    let drain = pb::NodeDrain { name: name(), ..Default::default() };
    let first = as_caller(&fleet, &drain, &from).await;
    fleet.call(pb::NodeUncordon { name: name(), ..Default::default() }).await.expect("active");
    let again = as_caller(&fleet, &drain, &from).await;
    assert_eq!((again.id, commands(&fleet).await), (first.id, 1));
    assert_eq!(fleet.node("n1").await.admin, "active");
}
