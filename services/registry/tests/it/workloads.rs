//! Workloads: put, change, delete, and everything that is refused.

use ostler_core::id::{PoolName, Term, WorkloadKey};
use ostler_core::reconcile::Progress;
use ostler_core::time::{Span, Timestamp};
use ostler_registry::Config as RegistryConfig;
use ostler_schemas::bucket::{HeadKey, ProgressKey, SpecKey, TermKey, TermRecord};
use ostler_schemas::pb;
use ostler_schemas::problem::Code;
use ostler_testkit::eventually;

use crate::fixture::{Fleet, caller, manifest, manifest_key, put};

const WEB: &str = "name = \"web\"\ndriver = \"sim\"\ncount = 3";

fn web() -> WorkloadKey {
    "default/web".parse().expect("a key")
}

fn get() -> pb::WorkloadGet {
    pb::WorkloadGet { namespace: String::new(), name: "web".to_owned() }
}

fn scale(count: u32) -> pb::WorkloadScale {
    pb::WorkloadScale { name: "web".to_owned(), count, ..Default::default() }
}

fn delete() -> pb::WorkloadDelete {
    pb::WorkloadDelete { name: "web".to_owned(), ..Default::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workload_is_created_read_listed_and_not_created_again() {
    let fleet = Fleet::start().await;
    let reply = fleet.put(WEB).await.expect("it is right");
    let view = reply.workload.expect("it is answered");
    assert!(reply.created && reply.changed);
    assert_eq!((view.version, view.status.expect("a status").wanted), (1, 3));
    let again = fleet.put(WEB).await.expect("it is right");
    assert!(!again.created && !again.changed);
    let found = fleet.call(get()).await.expect("it is there");
    assert_eq!((found.version, found.revision), (1, view.revision));
    let listed = fleet.call(pb::WorkloadList::default()).await.expect("it answers");
    assert_eq!(listed.items.len(), 1);
    assert!(listed.revision >= view.revision);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_executors_need_lies_under_its_own_hash() {
    let fleet = Fleet::start().await;
    fleet.put(WEB).await.expect("it is right");
    let head = fleet.bus.get(&ostler_schemas::bucket::HeadKey(web())).await.expect("it answers");
    let head = head.expect("it is there").value;
    let spec = fleet.bus.get(&SpecKey(head.spec_hash)).await.expect("it answers");
    assert_eq!(spec.expect("it is there").value, head.spec.spec());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_is_a_version_and_an_old_one_comes_back_as_a_new_one() {
    let fleet = Fleet::start().await;
    fleet.put(WEB).await.expect("created");
    let scaled = fleet.call(scale(30)).await.expect("scaled");
    assert_eq!(scaled.version, 2);
    let rollback = pb::WorkloadRollback { name: "web".to_owned(), ..Default::default() };
    let back = fleet.call(rollback.clone()).await.expect("rolled back");
    assert_eq!((back.version, back.status.expect("a status").wanted), (3, 3));
    let guarded = pb::WorkloadRollback { if_version: 2, ..rollback.clone() };
    assert_eq!(fleet.refused(guarded).await, Code::Conflict);
    let unknown = pb::WorkloadRollback { version: 9, ..rollback };
    assert_eq!(fleet.refused(unknown).await, Code::NotFound);
    let versions = pb::WorkloadVersions { name: "web".to_owned(), ..Default::default() };
    let versions = fleet.call(versions).await.expect("it answers").items;
    assert_eq!(versions.iter().map(|v| v.version).collect::<Vec<_>>(), [3, 2, 1]);
    assert_eq!(versions[0].actor, "tester");
    let first = pb::WorkloadVersion { name: "web".to_owned(), version: 1, ..Default::default() };
    let first = fleet.call(first).await.expect("it is kept");
    assert_eq!(first.spec.and_then(|spec| spec.count), Some(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_revision_changes_nothing() {
    let fleet = Fleet::start().await;
    let view = fleet.put(WEB).await.expect("created").workload.expect("a view");
    let exists = pb::WorkloadPut { if_revision: Some(0), ..put(WEB) };
    assert_eq!(fleet.refused(exists).await, Code::RevisionMismatch);
    let stale = pb::WorkloadScale { if_revision: Some(view.revision + 9), ..scale(7) };
    assert_eq!(fleet.refused(stale).await, Code::RevisionMismatch);
    let right = pb::WorkloadScale { if_revision: Some(view.revision), ..scale(7) };
    assert_eq!(fleet.call(right).await.expect("it is right").version, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_writers_at_once_are_all_heard() {
    let fleet = Fleet::start().await;
    fleet.put(WEB).await.expect("created");
    let restart = || pb::WorkloadRestart { name: "web".to_owned(), ..Default::default() };
    let writers = (0..20).map(|_| fleet.call(restart()));
    let answers = futures::future::join_all(writers).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let head = fleet.bus.get(&ostler_schemas::bucket::HeadKey(web())).await.expect("it answers");
    assert_eq!(head.expect("it is there").value.restart_generation.0, 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_sent_again_is_done_once() {
    let fleet = Fleet::start().await;
    fleet.put(WEB).await.expect("created");
    let (request, from) =
        (pb::WorkloadRestart { name: "web".to_owned(), ..Default::default() }, caller());
    fleet.bus.call(&request, &from).await.expect("done");
    fleet.bus.call(&request, &from).await.expect("done already");
    let head = fleet.bus.get(&ostler_schemas::bucket::HeadKey(web())).await.expect("it answers");
    assert_eq!(head.expect("it is there").value.restart_generation.0, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_is_named_field_by_field() {
    let fleet = Fleet::start().await;
    let mut wrong = put(WEB);
    let spec = wrong.spec.as_mut().expect("a spec");
    spec.priority = Some(101);
    spec.count = Some(2_000_000);
    let problem = fleet.call(wrong).await.expect_err("it makes no sense");
    assert_eq!(problem.code, Code::Invalid);
    let fields: Vec<_> = problem.errors.iter().map(|error| error.field.as_str()).collect();
    assert!(fields.contains(&"count") && fields.contains(&"priority"), "{fields:?}");
    assert_eq!(fleet.refused(get()).await, Code::NotFound);
    let elsewhere = put("name = \"web\"\ndriver = \"sim\"\npool = \"moon\"");
    assert_eq!(fleet.refused(elsewhere).await, Code::Invalid);
    assert_eq!(fleet.refused(scale(1)).await, Code::NotFound);
    assert_eq!(fleet.refused(pb::WorkloadPut::default()).await, Code::Invalid);
    let many = pb::WorkloadList { limit: 1_001, ..Default::default() };
    assert_eq!(fleet.refused(many).await, Code::Invalid);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_workload_is_forgotten_once_nothing_of_it_is_left() {
    let fleet = Fleet::start().await;
    fleet.put(WEB).await.expect("created");
    fleet.place(&manifest_key("n1"), &manifest("web", 1, 3)).await;
    let progress = ProgressKey { pool: PoolName::default(), workload: web() };
    fleet.place(&progress, &Progress::default()).await;
    let view = fleet.call(delete()).await.expect("deleted");
    assert!(view.deleted);
    assert_eq!(fleet.refused(put(WEB)).await, Code::Conflict);
    assert!(fleet.call(delete()).await.expect("it is said again").deleted);
    fleet.place(&manifest_key("n1"), &manifest("web", 1, 0)).await;
    assert!(fleet.call(get()).await.is_ok(), "its progress is still there");
    let mut batch = ostler_bus::Batch::new();
    batch.delete(&progress).expect("there is room");
    fleet.commit(batch).await;
    eventually("it is forgotten", || async {
        fleet.call(get()).await.is_err_and(|problem| problem.code == Code::NotFound)
    })
    .await;
    let again = fleet.put(WEB).await.expect("the name is free");
    assert_eq!(again.workload.map(|view| view.version), Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pool_of_a_workload_with_instances_stays_and_stop_and_start_keep_the_text() {
    let fleet = Fleet::start().await;
    fleet.put(WEB).await.expect("created");
    let stop = pb::WorkloadStop { name: "web".to_owned(), ..Default::default() };
    let stopped = fleet.call(stop.clone()).await.expect("stopped");
    assert_eq!((stopped.stopped, stopped.version), (true, 1));
    assert_eq!(stopped.status.expect("a status").wanted, 0);
    let again = fleet.call(stop).await.expect("stopped already");
    assert_eq!(again.revision, stopped.revision);
    let start = pb::WorkloadStart { name: "web".to_owned(), ..Default::default() };
    let started = fleet.call(start).await.expect("started");
    assert_eq!(started.status.expect("a status").wanted, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_changes_nothing_and_asks_the_scheduler() {
    let fleet = Fleet::start().await;
    let dry = pb::WorkloadPut { dry_run: true, ..put(WEB) };
    assert_eq!(fleet.refused(dry).await, Code::Unavailable, "there is no scheduler here");
    assert_eq!(fleet.refused(get()).await, Code::NotFound);
    fleet.put(WEB).await.expect("created");
    let dry = pb::WorkloadScale { dry_run: true, ..scale(9) };
    assert_eq!(fleet.refused(dry).await, Code::Unavailable, "nor is its plan there");
    assert_eq!(fleet.call(get()).await.expect("it is there").version, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_paged_in_order_without_gaps() {
    let fleet = Fleet::start().await;
    for index in 0..7 {
        fleet.put(&format!("name = \"w{index}\"\ndriver = \"sim\"")).await.expect("created");
    }
    let (mut names, mut cursor) = (Vec::new(), String::new());
    loop {
        let request = pb::WorkloadList { limit: 3, cursor, ..Default::default() };
        let page = fleet.call(request).await.expect("it answers");
        names.extend(page.items.into_iter().map(|view| view.name));
        match page.next_cursor {
            Some(next) => cursor = next,
            None => break,
        }
    }
    assert_eq!(names, ["w0", "w1", "w2", "w3", "w4", "w5", "w6"]);
}

fn term(holder: &str) -> TermRecord {
    let since = Timestamp::from_millis(1);
    TermRecord { incarnation: 1, term: Term(1), holder: holder.to_owned(), since }
}

async fn gone(fleet: &Fleet, name: &str) -> bool {
    let get = pb::WorkloadGet { namespace: String::new(), name: name.to_owned() };
    fleet.call(get).await.is_err_and(|problem| problem.code == Code::NotFound)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_workload_was_forgotten_while_a_lagging_scheduler_could_still_place_it() {
    let fleet = Fleet::start().await;
    fleet.place(&TermKey(PoolName::default()), &term("lagging")).await;
    for name in ["web", "other"] {
        fleet.put(&WEB.replace("web", name)).await.expect("created");
        let delete = pb::WorkloadDelete { name: name.to_owned(), ..Default::default() };
        fleet.call(delete).await.expect("deleted");
    }
    let confirm = async |name: &str, op_id: Option<String>| {
        let workload: WorkloadKey = format!("default/{name}").parse().expect("a key");
        let head = fleet.bus.get(&HeadKey(workload.clone())).await.expect("it answers");
        let at_rest = op_id.unwrap_or(head.expect("it is there").value.op_id);
        let key = ProgressKey { pool: PoolName::default(), workload };
        fleet.place(&key, &Progress { at_rest, ..Progress::default() }).await;
    };
    confirm("web", Some("an older head".to_owned())).await;
    confirm("other", None).await;
    eventually("the one that is confirmed is forgotten", || gone(&fleet, "other")).await;
    assert!(!gone(&fleet, "web").await, "what was confirmed of an older head says nothing");
    confirm("web", None).await;
    eventually("the other too", || gone(&fleet, "web")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_replica_acknowledged_was_unknown_to_the_next() {
    let fleet = Fleet::start().await;
    let database = format!("sqlite:{}", fleet.folder.path().join("other.db").display());
    let other = RegistryConfig { database, ..RegistryConfig::default() };
    let second = fleet.registry_with(other).await;
    for number in 0..60 {
        let name = format!("w{number}");
        fleet.put(&WEB.replace("web", &name)).await.expect("created");
        let list = pb::WorkloadList { limit: 1_000, ..Default::default() };
        let items = fleet.call(list).await.expect("it answers").items;
        assert!(items.iter().any(|item| item.name == name), "`{name}` is not listed");
        let promote = pb::WorkloadPromote { name, ..Default::default() };
        let sent = fleet.call(promote).await.expect("it is ordered");
        let again = fleet.call(pb::CommandGet { id: sent.id.clone() }).await;
        assert_eq!(again.expect("any replica knows it").id, sent.id);
    }
    second.finish().await.expect("it stops cleanly");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn specifications_were_kept_for_ever_and_go_once_nothing_names_them() {
    let fleet = Fleet::start().await;
    let grace = Span::from_millis(1_000);
    fleet.replace(RegistryConfig { specs_kept_for: grace, ..fleet.config() }).await;
    let mut hashes = Vec::new();
    for cpu in [100, 200, 300] {
        fleet.put(&format!("{WEB}\n[resources]\ncpu = {cpu}")).await.expect("written");
        let head = fleet.bus.get(&HeadKey(web())).await.expect("it answers").expect("it is there");
        hashes.push(head.value.spec_hash);
        if cpu == 200 {
            let mut placed = manifest("web", 1, 1);
            placed.groups[0].spec = head.value.spec_hash;
            fleet.place(&manifest_key("n1"), &placed).await;
        }
    }
    let there = async |hash| fleet.bus.get(&SpecKey(hash)).await.expect("it answers").is_some();
    eventually("what nothing names is gone", async || !there(hashes[0]).await).await;
    assert!(there(hashes[1]).await, "a manifest names it");
    assert!(there(hashes[2]).await, "the head names it");
    fleet.put(&format!("{WEB}\n[resources]\ncpu = 100")).await.expect("written");
    assert!(there(hashes[0]).await, "it is written again before it is named again");
}
