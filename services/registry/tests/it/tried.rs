//! What is only tried changes nothing; what is said at an older revision is refused.

use ostler_schemas::api::Call;
use ostler_schemas::pb;
use ostler_schemas::problem::Code;

use crate::fixture::{Fleet, manifest, manifest_key, put};

const WEB: &str = "name = \"web\"\ndriver = \"sim\"\ncount = 3";

fn web() -> String {
    "web".to_owned()
}

async fn tried<R: Call>(fleet: &Fleet, request: R) -> R::Reply {
    let before = fleet.bus.last_event().await.expect("it answers");
    let view = fleet.call(request).await.expect("it is answered");
    assert_eq!(fleet.bus.last_event().await.expect("it answers"), before, "nothing is told");
    view
}

async fn start() -> (Fleet, pb::WorkloadView, pb::NodeView) {
    let fleet = Fleet::start().await;
    let view = fleet.put(WEB).await.expect("created").workload.expect("a view");
    fleet.join("n1", &nkeys::KeyPair::new_user()).await.expect("admitted");
    let node = fleet.node("n1").await;
    (fleet, view, node)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trying_a_workloads_actions_changes_nothing() {
    let (fleet, before, _) = start().await;
    let restart = pb::WorkloadRestart { name: web(), dry_run: true, ..Default::default() };
    assert_eq!(tried(&fleet, restart).await.revision, before.revision);
    let reload = pb::WorkloadReload { name: web(), dry_run: true, ..Default::default() };
    assert_eq!(tried(&fleet, reload).await.plan, None, "there is nothing to plan");
    let start = pb::WorkloadStart { name: web(), dry_run: true, ..Default::default() };
    assert!(!tried(&fleet, start).await.stopped);
    let promote = pb::WorkloadPromote { name: web(), dry_run: true, ..Default::default() };
    assert_eq!(tried(&fleet, promote).await.id, "", "it is not ordered");
    let stop = pb::WorkloadStop { name: web(), dry_run: true, ..Default::default() };
    assert_eq!(fleet.refused(stop).await, Code::Unavailable, "there is no scheduler to ask");
    let get = pb::WorkloadGet { name: web(), ..Default::default() };
    let now = fleet.call(get).await.expect("it is there");
    assert_eq!((now.revision, now.stopped), (before.revision, false));
    assert!(fleet.call(pb::CommandList::default()).await.expect("it answers").items.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trying_to_stop_what_has_no_count_tells_what_would_end() {
    let fleet = Fleet::start().await;
    fleet.put("name = \"web\"\ndriver = \"sim\"\nkind = \"system\"").await.expect("created");
    fleet.place(&manifest_key("n1"), &manifest("web", 1, 2)).await;
    ostler_testkit::eventually("two are placed", || async {
        fleet.call(pb::InstanceList::default()).await.is_ok_and(|page| page.items.len() == 2)
    })
    .await;
    let delete = pb::WorkloadDelete { name: web(), dry_run: true, ..Default::default() };
    let would = tried(&fleet, delete).await;
    let plan: serde_json::Value =
        serde_json::from_str(&would.plan.expect("a plan").json).expect("JSON");
    assert!(would.deleted);
    assert_eq!(plan["stops"].as_array().map(Vec::len), Some(2), "{plan}");
    assert_eq!(plan["stops"][0]["reason"], "deleted", "{plan}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trying_what_operators_do_changes_no_node() {
    let (fleet, _, before) = start().await;
    let name = || "n1".to_owned();
    let cordon = pb::NodeCordon { name: name(), dry_run: true, ..Default::default() };
    assert_eq!(tried(&fleet, cordon).await.admin, "cordoned");
    let drain = pb::NodeDrain { name: name(), dry_run: true, ..Default::default() };
    assert_eq!(tried(&fleet, drain).await.id, "");
    let kept = pb::NodeMaintenance { name: name(), dry_run: true, ..Default::default() };
    assert_eq!(tried(&fleet, kept).await.id, "");
    let patch =
        pb::NodePatch { name: name(), max_instances: Some(7), dry_run: true, ..Default::default() };
    assert_eq!(tried(&fleet, patch).await.max_instances, 7);
    let remove = pb::NodeRemove { name: name(), dry_run: true, ..Default::default() };
    assert_eq!(tried(&fleet, remove).await.name, "n1");
    let now = fleet.node("n1").await;
    assert_eq!((now.revision, now.admin), (before.revision, "active".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trying_quotas_and_settings_sets_none() {
    let (fleet, ..) = start().await;
    let limits = Some(pb::Document { json: r#"{"instances":9}"#.to_owned() });
    let quota = pb::QuotaPut { limits, dry_run: true, ..Default::default() };
    let would = tried(&fleet, quota.clone()).await;
    assert!(would.limits.is_some_and(|limits| limits.json.contains('9')));
    assert_eq!(fleet.refused(pb::QuotaGet::default()).await, Code::NotFound);
    fleet.call(pb::QuotaPut { dry_run: false, ..quota }).await.expect("it is set");
    tried(&fleet, pb::QuotaDelete { dry_run: true, ..Default::default() }).await;
    assert!(fleet.call(pb::QuotaGet::default()).await.is_ok(), "it is there still");
    let settings = Some(pb::Document { json: r#"{"preemption":true}"#.to_owned() });
    tried(&fleet, pb::SettingsPut { settings, dry_run: true, ..Default::default() }).await;
    let now = fleet.call(pb::SettingsGet::default()).await.expect("it answers");
    assert_eq!(now.revision, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_of_an_older_revision_is_refused_tried_or_not() {
    let (fleet, view, node) = start().await;
    for dry_run in [true, false] {
        let if_revision = Some(view.revision + 9);
        let scale =
            pb::WorkloadScale { name: web(), count: 5, if_revision, dry_run, ..Default::default() };
        assert_eq!(fleet.refused(scale).await, Code::RevisionMismatch);
        let restart =
            pb::WorkloadRestart { name: web(), if_revision, dry_run, ..Default::default() };
        assert_eq!(fleet.refused(restart).await, Code::RevisionMismatch);
        let promote =
            pb::WorkloadPromote { name: web(), if_revision, dry_run, ..Default::default() };
        assert_eq!(fleet.refused(promote).await, Code::RevisionMismatch);
        let rollback =
            pb::WorkloadRollback { name: web(), if_revision, dry_run, ..Default::default() };
        assert_eq!(fleet.refused(rollback).await, Code::RevisionMismatch);
        let if_revision = Some(node.revision + 9);
        let name = || "n1".to_owned();
        let cordon = pb::NodeCordon { name: name(), if_revision, dry_run };
        assert_eq!(fleet.refused(cordon).await, Code::RevisionMismatch);
        let drain = pb::NodeDrain { name: name(), if_revision, dry_run, ..Default::default() };
        assert_eq!(fleet.refused(drain).await, Code::RevisionMismatch);
        let remove = pb::NodeRemove { name: name(), if_revision, dry_run, ..Default::default() };
        assert_eq!(fleet.refused(remove).await, Code::RevisionMismatch);
    }
    let right =
        pb::NodeCordon { name: "n1".to_owned(), if_revision: Some(node.revision), dry_run: false };
    assert_eq!(fleet.call(right).await.expect("it is right").admin, "cordoned");
    let placed = pb::WorkloadPut { placed: true, ..put(WEB) };
    assert_eq!(fleet.refused(placed).await, Code::Unavailable, "nobody can say whether it fits");
}
