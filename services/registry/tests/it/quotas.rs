//! What namespaces may ask for in all, and how the fleet is told to decide.

use futures::future::join_all;
use ostler_bus::{Caller, op_id};
use ostler_schemas::pb;
use ostler_schemas::problem::{Code, Problem};
use ostler_testkit::eventually;

use crate::fixture::{Fleet, put};

fn limits(json: &str) -> pb::QuotaPut {
    let limits = Some(pb::Document { json: json.to_owned() });
    pb::QuotaPut { limits, ..Default::default() }
}

fn scale(count: u32) -> pb::WorkloadScale {
    pb::WorkloadScale { name: "web".to_owned(), count, ..Default::default() }
}

fn workload(name: &str, count: u32, more: &str) -> String {
    format!("name = \"{name}\"\ndriver = \"sim\"\ncount = {count}\n{more}")
}

async fn used(fleet: &Fleet) -> serde_json::Value {
    let view = fleet.call(pb::QuotaGet::default()).await.expect("there is one");
    serde_json::from_str(&view.used.expect("it is answered").json).expect("JSON")
}

fn over(problem: Problem) -> String {
    assert_eq!(problem.status, 409, "{problem:?}");
    problem.detail
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_passes_a_quota_is_refused_with_the_limit_and_changes_nothing() {
    let fleet = Fleet::start().await;
    fleet.put(&workload("web", 3, "")).await.expect("there is no quota yet");
    fleet.call(limits(r#"{"instances":5,"memory":"1GiB"}"#)).await.expect("it is set");
    let refused = fleet.put(&workload("api", 3, "")).await.expect_err("it is too much");
    let says = "the quota of namespace `default` would be passed: `instances`: 6 of 5, 1 too many";
    assert_eq!(refused.field.as_deref(), Some("instances"));
    assert_eq!(over(refused), says);
    assert_eq!(over(fleet.call(scale(6)).await.expect_err("too much")), says);
    let dry = pb::WorkloadScale { dry_run: true, ..scale(6) };
    assert_eq!(over(fleet.call(dry).await.expect_err("too much")), says);
    let big = workload("big", 1, "[resources]\nmemory = \"2GiB\"");
    let refused = over(fleet.put(&big).await.expect_err("it is too much"));
    assert!(refused.ends_with("`memory`: 2240MiB of 1GiB, 1216MiB too much"), "{refused}");
    assert_eq!(used(&fleet).await["instances"], 3);
    fleet.call(scale(5)).await.expect("that is within it");
    assert_eq!(used(&fleet).await["instances"], 5);
    let other = "name = \"api\"\nnamespace = \"shop\"\ndriver = \"sim\"\ncount = 50";
    fleet.put(other).await.expect("another namespace has no quota");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stopped_asks_for_nothing_until_it_is_started_again() {
    let fleet = Fleet::start().await;
    fleet.put(&workload("web", 3, "")).await.expect("it is right");
    fleet.call(limits(r#"{"instances":3}"#)).await.expect("it is set");
    let stop = pb::WorkloadStop { name: "web".to_owned(), ..Default::default() };
    fleet.call(stop).await.expect("it may be stopped");
    fleet.put(&workload("api", 2, "")).await.expect("there is room now");
    let start = pb::WorkloadStart { name: "web".to_owned(), ..Default::default() };
    assert_eq!(fleet.refused(start).await, Code::Conflict);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_below_what_is_there_lets_it_shrink_only() {
    let fleet = Fleet::start().await;
    fleet.put(&workload("web", 9, "")).await.expect("it is right");
    fleet.call(limits(r#"{"instances":2}"#)).await.expect("it is set");
    fleet.call(scale(7)).await.expect("less is always allowed");
    assert_eq!(fleet.refused(scale(8)).await, Code::Conflict);
    let labels = workload("web", 7, "labels = { a = \"b\" }");
    fleet.put(&labels).await.expect("a change that asks for no more is allowed");
    fleet.call(pb::QuotaDelete::default()).await.expect("it was there");
    assert_eq!(fleet.refused(pb::QuotaDelete::default()).await, Code::NotFound);
    fleet.call(scale(8)).await.expect("there is no quota any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_together_let_no_more_through_than_the_quota() {
    let fleet = Fleet::start().await;
    let second = fleet.registry_with(fleet.config()).await;
    fleet.call(limits(r#"{"instances":10}"#)).await.expect("it is set");
    let tries = (0..40).map(|number| {
        let request = put(&workload(&format!("w{number:02}"), 1, ""));
        let bus = fleet.bus.clone();
        async move {
            let caller = Caller { op_id: op_id(), ..Caller::program("test") };
            bus.call(&request, &caller).await
        }
    });
    let answers = join_all(tries).await;
    let made = answers.iter().filter(|answer| answer.is_ok()).count();
    for refused in answers.into_iter().filter_map(Result::err) {
        assert_eq!(refused.code, Code::Conflict, "{refused:?}");
    }
    let listed = fleet.call(pb::WorkloadList::default()).await.expect("it answers");
    assert_eq!((made, listed.items.len()), (10, 10));
    eventually("both have seen all of them", || async { used(&fleet).await["instances"] == 10 })
        .await;
    second.finish().await.expect("it stops cleanly");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quotas_are_listed_and_changed_by_revision() {
    let fleet = Fleet::start().await;
    let first = fleet.call(limits(r#"{"cpu":500}"#)).await.expect("it is set");
    let same = fleet.call(limits(r#"{"cpu":500}"#)).await.expect("it is the same");
    assert_eq!(same.revision, first.revision);
    let at = |revision| pb::QuotaPut { if_revision: Some(revision), ..limits(r#"{"cpu":900}"#) };
    assert_eq!(fleet.refused(at(first.revision + 7)).await, Code::RevisionMismatch);
    assert_eq!(fleet.refused(limits(r#"{"cpus":1}"#)).await, Code::Invalid);
    fleet.call(at(first.revision)).await.expect("it is at that revision");
    let listed = fleet.call(pb::QuotaList::default()).await.expect("it answers");
    assert_eq!(listed.items.len(), 1);
    let json = listed.items[0].limits.as_ref().expect("limits").json.clone();
    assert_eq!(json, r#"{"cpu":900}"#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_are_kept_by_level_and_wrong_ones_are_refused_by_name() {
    let fleet = Fleet::start().await;
    let say = |pool: &str, json: &str| pb::SettingsPut {
        pool: pool.to_owned(),
        settings: Some(pb::Document { json: json.to_owned() }),
        ..Default::default()
    };
    let of = |pool: &str| pb::SettingsGet { pool: pool.to_owned() };
    let none = fleet.call(of("")).await.expect("it answers");
    assert_eq!((none.revision, none.settings.expect("a document").json), (0, "{}".to_owned()));
    fleet.call(say("", r#"{"preemption":true}"#)).await.expect("it is right");
    fleet.call(say("default", r#"{"rebalance":{"threshold":20}}"#)).await.expect("it is right");
    let pool = fleet.call(of("default")).await.expect("it answers");
    assert_eq!(pool.settings.expect("a document").json, r#"{"rebalance":{"threshold":20}}"#);
    let wrong = fleet.call(say("", r#"{"preemtion":true}"#)).await.expect_err("it is wrong");
    assert!(wrong.detail.contains("`preemption`"), "{wrong:?}");
    assert_eq!(fleet.refused(say("nowhere", "{}")).await, Code::Invalid);
    let late = pb::SettingsPut { if_revision: Some(1), ..say("default", "{}") };
    assert_eq!(fleet.refused(late).await, Code::RevisionMismatch);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebalance_is_an_order_to_its_pool() {
    let fleet = Fleet::start().await;
    let start = pb::RebalanceStart { max_moves: 3, ..Default::default() };
    let view = fleet.call(start).await.expect("it is sent");
    assert_eq!((view.order.as_str(), view.state.as_str()), ("rebalance", "pending"));
    let nowhere = pb::RebalanceStart { pool: "nowhere".to_owned(), max_moves: 1 };
    assert_eq!(fleet.refused(nowhere).await, Code::Invalid);
    let many = pb::RebalanceStart { max_moves: 1001, ..Default::default() };
    assert_eq!(fleet.refused(many).await, Code::Invalid);
}
