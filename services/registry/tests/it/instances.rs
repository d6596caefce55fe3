//! The live index: manifests and reports become instances that can be found, filtered and paged.

use ostler_core::command::{Outcome, Verdict};
use ostler_core::id::{InstanceId, PoolName};
use ostler_core::time::Timestamp;
use ostler_schemas::bucket::{Outcomes, OutcomesKey};
use ostler_schemas::pb;
use ostler_schemas::problem::Code;
use ostler_testkit::eventually;

use crate::fixture::{Fleet, manifest, manifest_key, report, running};

const WEB: &str = "name = \"web\"\ndriver = \"sim\"\ncount = 3\n[labels]\ntier = \"front\"";
/// High bits, so that ids differ in their first characters.
const FIRST: u128 = 0x1234_5678_9abc_0000_0000;

async fn list(fleet: &Fleet, request: pb::InstanceList) -> Vec<pb::InstanceView> {
    fleet.call(request).await.expect("it answers").items
}

async fn three_running() -> Fleet {
    let fleet = Fleet::start().await;
    fleet.put(WEB).await.expect("created");
    let key = nkeys::KeyPair::new_user();
    fleet.join("n1", &key).await.expect("admitted");
    // The report may be seen before the manifest that it is about.
    fleet.report("n1", &report((0..3).map(|index| running(FIRST + index)).collect())).await;
    fleet.place(&manifest_key("n1"), &manifest("web", FIRST, 3)).await;
    eventually("three run", || async {
        list(&fleet, pb::InstanceList { state: "running".to_owned(), ..Default::default() })
            .await
            .len()
            == 3
    })
    .await;
    fleet
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_show_what_is_ordered_and_what_was_seen() {
    let fleet = three_running().await;
    let all = list(&fleet, pb::InstanceList::default()).await;
    let first = &all[0];
    assert_eq!((first.workload.as_str(), first.slot, first.node.as_str()), ("web", 0, "n1"));
    assert_eq!((first.desired.as_str(), first.observed.as_str()), ("run", "running"));
    assert_eq!((first.pid, first.restarts, first.ready), (Some(4_711), 2, true));
    assert_eq!((first.address.as_str(), first.driver.as_str()), ("127.0.0.1", "sim"));
    assert_eq!(first.since, "2023-11-14T22:13:20Z");
    let levels = [&first.started_at, &first.ready_at, &first.proven_at].map(Option::as_deref);
    let at = ["2023-11-14T22:13:20Z", "2023-11-14T22:13:20.25Z", "2023-11-14T22:13:30Z"];
    assert_eq!(levels, at.map(Some));
    let get = pb::WorkloadGet { name: "web".to_owned(), ..Default::default() };
    let status = fleet.call(get).await.expect("it is there").status.expect("a status");
    assert_eq!((status.wanted, status.running, status.ready), (3, 3, 3));
    let node = fleet.node("n1").await;
    assert_eq!((node.instances, node.free.map(|free| free.cpu)), (3, Some(3_700)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_are_filtered_and_paged_and_found_by_a_unique_beginning() {
    let fleet = three_running().await;
    let some = |request: pb::InstanceList| list(&fleet, request);
    let text = str::to_owned;
    assert_eq!(
        some(pb::InstanceList { workload: text("web"), ..Default::default() }).await.len(),
        3
    );
    let full = pb::InstanceList { workload: text("default/web"), ..Default::default() };
    assert_eq!(some(full).await.len(), 3);
    assert_eq!(some(pb::InstanceList { node: text("n2"), ..Default::default() }).await.len(), 0);
    assert_eq!(some(pb::InstanceList { zone: text("east"), ..Default::default() }).await.len(), 3);
    let labels = vec!["tier=front".to_owned()];
    assert_eq!(some(pb::InstanceList { label: labels, ..Default::default() }).await.len(), 3);
    let page = pb::InstanceList { node: text("n1"), limit: 2, ..Default::default() };
    let page = fleet.call(page).await.expect("it answers");
    let cursor = page.next_cursor.expect("there is more");
    let rest = pb::InstanceList { node: text("n1"), limit: 2, cursor, ..Default::default() };
    let rest = fleet.call(rest).await.expect("it answers");
    assert_eq!((page.items.len(), rest.items.len(), rest.next_cursor), (2, 1, None));
    let id = InstanceId::from_bits(FIRST + 2).to_string();
    let found = fleet.call(pb::InstanceGet { id: id.clone() }).await.expect("the full id");
    assert_eq!(found.id, id);
    let get = |id: &str| pb::InstanceGet { id: id.to_owned() };
    assert_eq!(fleet.refused(get(&id[..6])).await, Code::Conflict, "three begin with this");
    assert_eq!(fleet.refused(get("0")).await, Code::NotFound);
    assert_eq!(fleet.refused(get("XYZ")).await, Code::Invalid);
    let state = pb::InstanceList { state: text("bored"), ..Default::default() };
    assert_eq!(fleet.refused(state).await, Code::Invalid);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_about_an_instance_is_a_command_that_can_be_followed() {
    let fleet = three_running().await;
    let id = InstanceId::from_bits(FIRST).to_string();
    let sent = fleet
        .call(pb::InstanceRestart { id: id.clone(), dry_run: false })
        .await
        .expect("it is sent");
    assert_eq!((sent.state.as_str(), sent.target.as_str()), ("pending", id.as_str()));
    assert_eq!((sent.order.as_str(), sent.actor.as_str()), ("restart_instance", "tester"));
    let outcome = Outcome {
        id: sent.id.clone(),
        verdict: Verdict::Done,
        reason: String::new(),
        generation: None,
        at: Timestamp::from_millis(1),
    };
    fleet.place(&OutcomesKey(PoolName::default()), &Outcomes(vec![outcome])).await;
    eventually("it is done", || async {
        let command = fleet.call(pb::CommandGet { id: sent.id.clone() }).await;
        command.is_ok_and(|command| command.state == "done")
    })
    .await;
    let listed = fleet.call(pb::CommandList::default()).await.expect("it answers").items;
    assert_eq!(listed.len(), 1);
    let nowhere = pb::InstanceMove { id: id.clone(), node: "n9".to_owned(), dry_run: false };
    assert_eq!(fleet.refused(nowhere).await, Code::NotFound);
    let here = pb::InstanceMove { id, node: "n1".to_owned(), dry_run: false };
    assert_eq!(fleet.refused(here).await, Code::Conflict);
    assert_eq!(
        fleet.refused(pb::InstanceStop { id: "7".to_owned(), dry_run: false }).await,
        Code::NotFound
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_counts_everything() {
    let fleet = three_running().await;
    let status = fleet.call(pb::StatusGet {}).await.expect("it answers");
    assert_eq!(status.instances.get("running"), Some(&3));
    assert_eq!(status.nodes.get("online"), Some(&1));
    assert_eq!(status.workloads.get("ready"), Some(&1));
    assert!(status.incarnation > 0);
    assert!(status.nats.is_some_and(|nats| nats.version.starts_with('2')));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_registry_answers_the_same() {
    let fleet = three_running().await;
    let mut config = fleet.config();
    config.database = config.database.replace("registry.db", "second.db");
    let second = fleet.registry_with(config).await;
    for _ in 0..20 {
        assert_eq!(list(&fleet, pb::InstanceList::default()).await.len(), 3);
    }
    second.finish().await.expect("it stops cleanly");
    assert_eq!(list(&fleet, pb::InstanceList::default()).await.len(), 3);
}
