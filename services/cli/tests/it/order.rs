//! What starts when: canaries and their promotion, schedules, and who comes first.

use ostler_testkit::eventually;
use serde_json::{Value, json};

use crate::fleet::Fleet;

fn sim(name: &str, more: &Value) -> Value {
    let mut workload = json!({
        "name": name, "driver": "sim", "resources": { "cpu": 10, "memory": "1MiB" },
        "update": { "min_ready": "200ms", "canary": 1 },
    });
    let object = workload.as_object_mut().expect("an object");
    object.extend(more.as_object().expect("an object").clone());
    workload
}

fn versions(items: &[Value]) -> Vec<u64> {
    items.iter().filter_map(|item| item["version"].as_u64()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_waits_for_its_promotion_and_goes_last() {
    let fleet = Fleet::start_with(&["--nodes", "2"]).await;
    fleet.put(&sim("web", &json!({ "count": 2 }))).await;
    fleet.until_ready("web", 2).await;
    fleet.put(&sim("web", &json!({ "count": 2, "labels": { "only": "in place" } }))).await;
    let next = json!({ "count": 2, "resources": { "cpu": 20, "memory": "1MiB" } });
    fleet.put(&sim("web", &next)).await;
    let three = fleet.until_ready("web", 3).await;
    assert_eq!(versions(&three), [2, 2, 3], "{three:#?}");
    let status = &fleet.get("/v1/workloads/default/web").await["status"];
    assert_eq!(status["reason"], "1 of version 3 wait to be promoted", "{status}");
    fleet.done(&["promote", "web"]).await;
    eventually("all run version 3 and the canary is gone", || async {
        let now = fleet.instances("web").await;
        let ready = now.iter().filter(|item| item["ready"] == true).count();
        assert!(ready >= 1, "one serves at any time: {now:#?}");
        versions(&now) == [3, 3] && ready == 2
    })
    .await;
    let again = fleet.ostler(&["promote", "nothing"]).await;
    assert_ne!(again.code, 0, "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn workloads_wait_for_those_that_come_first_and_run_when_due() {
    let fleet = Fleet::start_with(&["--nodes", "2"]).await;
    fleet.put(&sim("web", &json!({ "after": ["db"] }))).await;
    eventually("web says what it waits for", || async {
        let view = fleet.get("/v1/workloads/default/web").await;
        view["status"]["reason"] == "it waits for `db`, which is not there"
    })
    .await;
    let circle = sim("db", &json!({ "after": ["web"] }));
    let (status, problem) = fleet.send("PUT", "/v1/workloads/default/db", &circle).await;
    assert_eq!(status, 422, "{problem}");
    assert!(problem.to_string().contains("`db` after `web` after `db`"), "{problem}");
    fleet.put(&sim("db", &json!({}))).await;
    fleet.until_ready("web", 1).await;

    let cron = json!({
        "kind": "cron", "sim": { "exit_after": "200ms", "exit_code": 0 },
        "cron": { "schedule": "*/2 * * * * *", "time_zone": "Europe/Berlin" },
    });
    fleet.put(&sim("tick", &cron)).await;
    eventually("it ran three times", || async {
        let page = fleet.get("/v1/events?workload=tick&limit=1000").await;
        let events = page["items"].as_array().cloned().unwrap_or_default();
        let kind = |kind: &str| events.iter().filter(|item| item["event"]["kind"] == kind).count();
        kind("workload.run_began") >= 3 && kind("workload.run_ended") >= 2
    })
    .await;
    let wrong = json!({ "kind": "cron", "cron": { "schedule": "every day" } });
    let path = "/v1/workloads/default/wrong";
    let (status, problem) = fleet.send("PUT", path, &sim("wrong", &wrong)).await;
    assert_eq!(status, 422, "{problem}");
    assert!(problem.to_string().contains("is not a schedule"), "{problem}");
}
