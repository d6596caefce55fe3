//! What the gateway and the command line promise of outcomes: a failure is told, what is tried
//! changes nothing, what has ended can be read.

use ostler_testkit::eventually;
use serde_json::{Value, json};

use crate::fleet::{Fleet, web};

/// Writes a workload where `ostler run` can read it.
fn file(fleet: &Fleet, workload: &Value) -> String {
    let path = fleet.data().join("workload.json");
    std::fs::write(&path, workload.to_string()).expect("it is written");
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_update_went_back_said_that_it_was_ready() {
    let fleet = Fleet::start().await;
    fleet.put(&web(2)).await;
    fleet.until_ready("web", 2).await;
    eventually("version 1 has proven itself", || async {
        fleet.instances("web").await.iter().all(|item| item["proven"] == true)
    })
    .await;
    let mut broken = web(2);
    broken["process"]["command"] = json!(["sh", "-c", "exit 3"]);
    broken["restart"] = json!({ "attempts": 0 });
    let said = fleet.ostler(&["run", &file(&fleet, &broken)]).await;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("version 2") && said.err.contains("failed"), "{said:?}");
    eventually("it is back at the old text", || async {
        fleet.get("/v1/workloads/default/web").await["version"] == 3
    })
    .await;
    fleet.until_ready("web", 2).await;

    broken["process"]["env"] = json!({ "AGAIN": "1" });
    let path = "/v1/workloads/default/web?wait=60s";
    let (status, answer) = fleet.send("PUT", path, &broken).await;
    assert_eq!(status, 202, "what was put is not so: {answer}");
    broken["update"]["auto_revert"] = json!(false);
    let said = fleet.ostler(&["run", &file(&fleet, &broken)]).await;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("failed"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_instance_is_made_where_it_fits_or_refused_with_the_reasons() {
    let fleet = Fleet::start_with(&[]).await;
    let small = ["create", "--driver", "sim", "--node", "node-2", "--name"];
    fleet.done(&[&small[..], &["small"]].concat()).await;
    assert_eq!(fleet.until_ready("small", 1).await[0]["node"], "node-2");
    let said = fleet.ostler(&[&small[..], &["large", "--memory", "9000TiB"]].concat()).await;
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.err.contains("memory: "), "{said:?}");
    let nowhere = json!({ "name": "lost", "driver": "sim", "node": "node-9" });
    let (status, problem) = fleet.send("POST", "/v1/instances", &nowhere).await;
    assert_eq!((status, &problem["code"]), (409, &json!("infeasible")), "{problem}");
    assert!(problem["reasons"].as_object().is_some_and(|all| !all.is_empty()), "{problem}");
    let here = json!({ "name": "here", "driver": "sim", "node": "node-1" });
    let (status, answer) = fleet.send("POST", "/v1/instances?wait=30s", &here).await;
    assert_eq!((status, &answer["version"]), (201, &json!(1)), "{answer}");
    let (status, plan) = fleet.send("POST", "/v1/instances?dry_run=true", &nowhere).await;
    assert_eq!(status, 200, "{plan}");
    assert!(plan["plan"]["unplaced"]["default/lost"].is_array(), "{plan}");
    for name in ["large", "lost"] {
        let path = format!("/v1/workloads/default/{name}");
        assert_eq!(fleet.send("GET", &path, &Value::Null).await.0, 404, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_tried_answers_with_a_plan_and_changes_nothing() {
    let fleet = Fleet::start_with(&[]).await;
    let work = json!({ "name": "work", "count": 3, "driver": "sim" });
    fleet.put(&work).await;
    let before = fleet.until_ready("work", 3).await;
    let head = fleet.get("/v1/workloads/default/work").await["revision"].clone();
    let id = before[0]["id"].as_str().expect("an id");
    let node = before[0]["node"].as_str().expect("a node");
    let there = before.iter().filter(|item| item["node"] == node).count();
    let of = |verb: &str| format!("/v1/workloads/default/work/{verb}?dry_run=true");
    let of_node = |verb: &str| format!("/v1/nodes/{node}/{verb}?dry_run=true");
    for (method, path, body, list, count) in [
        ("POST", of("scale"), json!({ "count": 5 }), "placements", 2),
        ("POST", of("scale"), json!({ "count": 1 }), "stops", 2),
        ("POST", of("stop"), json!({}), "stops", 3),
        ("DELETE", of("").replace("/?", "?"), json!({}), "stops", 3),
        ("POST", of_node("drain"), json!({}), "moves", there),
        ("POST", of_node("maintenance"), json!({}), "moves", there),
    ] {
        let (status, view) = fleet.send(method, &path, &body).await;
        assert_eq!(status, 200, "{path}: {view}");
        assert_eq!(view["plan"][list].as_array().map(Vec::len), Some(count), "{path}: {view}");
    }
    for (method, path) in [
        ("POST", format!("/v1/instances/{id}/stop?dry_run=true")),
        ("POST", format!("/v1/instances/{id}/move?dry_run=true")),
        ("DELETE", format!("/v1/nodes/{node}?dry_run=true&force=true")),
    ] {
        let (status, view) = fleet.send(method, &path, &json!({})).await;
        assert_eq!(status, 200, "{path}: {view}");
        assert!(view["plan"].is_object(), "{path}: {view}");
    }
    for path in [
        format!("/v1/instances/{id}/restart?dry_run=true"),
        format!("/v1/instances/{id}/reload?dry_run=true"),
        of("restart"),
        of("reload"),
        of("promote"),
        of_node("cordon"),
    ] {
        assert_eq!(fleet.send("POST", &path, &json!({})).await.0, 200, "{path}");
    }
    let ids = |items: &[Value]| -> Vec<Value> { items.iter().map(|i| i["id"].clone()).collect() };
    assert_eq!(ids(&fleet.until_ready("work", 3).await), ids(&before));
    assert_eq!(fleet.get("/v1/workloads/default/work").await["revision"], head);
    assert_eq!(fleet.get("/v1/commands").await["items"], json!([]));
    assert_eq!(fleet.get(&format!("/v1/nodes/{node}")).await["admin"], "active");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_hears_a_signal_and_what_it_wrote_is_read_after_its_end() {
    let fleet = Fleet::start().await;
    let script = "trap 'echo heard usr1' USR1; echo begun; while :; do sleep 0.1; done";
    let sleeper = json!({
        "name": "sleeper", "driver": "process", "process": { "command": ["sh", "-c", script] },
        "stop": { "grace": "1s" },
    });
    fleet.put(&sleeper).await;
    let one = fleet.until_ready("sleeper", 1).await;
    let id = one[0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(one[0]["epoch"], 1, "{one:?}");
    for field in ["started_at", "ready_at"] {
        assert!(one[0][field].as_str().is_some_and(|at| at.starts_with("20")), "{one:?}");
    }
    eventually("it has begun", || async {
        fleet.ostler(&["logs", "sleeper"]).await.out.contains("begun")
    })
    .await;
    fleet.done(&["signal", "sleeper/0", "usr1"]).await;
    eventually("it has heard", || async {
        fleet.ostler(&["logs", &id]).await.out.contains("heard usr1")
    })
    .await;
    let said = fleet.ostler(&["signal", "sleeper/0", "SIGNONE"]).await;
    assert_eq!(said.code, 2, "{said:?}");
    fleet.done(&["--yes", "delete", "sleeper"]).await;
    assert!(fleet.done(&["logs", &id]).await.contains("heard usr1"), "by its id");
    assert!(fleet.done(&["logs", &id[..12]]).await.contains("heard usr1"), "by its beginning");
    assert!(fleet.done(&["logs", "sleeper"]).await.contains("heard usr1"), "by its workload");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_output_of_a_job_that_has_ended_is_read() {
    let fleet = Fleet::start().await;
    let sum = json!({
        "name": "sum", "kind": "job", "driver": "process",
        "process": { "command": ["sh", "-c", "echo the sum is $((2 + 3))"] },
    });
    fleet.put(&sum).await;
    eventually("it has ended and nothing of it is listed", || async {
        let view = fleet.get("/v1/workloads/default/sum").await;
        let left = fleet.get("/v1/instances?workload=sum").await;
        view["status"]["completed"] == 1 && left["items"] == json!([])
    })
    .await;
    assert!(fleet.done(&["logs", "sum"]).await.contains("the sum is 5"));
}
