//! When there is too little for all, on a real fleet: who has to go, who moves, who is refused.

use ostler_testkit::eventually;
use serde_json::{Value, json};

use crate::fleet::{Fleet, web};

fn asking(name: &str, priority: u64, count: u64, cpu: u64) -> Value {
    let mut workload = web(1);
    workload["name"] = name.into();
    workload["priority"] = priority.into();
    workload["count"] = count.into();
    workload["resources"]["cpu"] = cpu.into();
    workload["stop"] = json!({ "grace": "1s" });
    workload
}

/// How much cpu an empty node has.
async fn a_whole_node(fleet: &Fleet) -> u64 {
    fleet.get("/v1/nodes/node-1").await["free"]["cpu"].as_u64().expect("a number")
}

/// So much cpu that a node takes one instance, not two.
async fn most_of_a_node(fleet: &Fleet) -> u64 {
    a_whole_node(fleet).await * 6 / 10
}

#[tokio::test(flavor = "multi_thread")]
async fn more_important_work_takes_the_place_of_less_important_work_where_it_may() {
    let fleet = Fleet::start().await;
    let cpu = most_of_a_node(&fleet).await;
    fleet.put(&asking("low", 10, 3, cpu)).await;
    fleet.until_ready("low", 3).await;
    fleet.put(&asking("high", 90, 1, cpu)).await;
    eventually("it waits as long as nobody may be ended", || async {
        fleet.get("/v1/workloads/default/high").await["status"]["unplaced"] == 1
    })
    .await;
    fleet.done(&["settings", "set", "preemption=true"]).await;
    fleet.until_ready("high", 1).await;
    eventually("two of the others are left, and one waits", || async {
        let low = fleet.get("/v1/workloads/default/low").await;
        low["status"]["ready"] == 2 && low["status"]["unplaced"] == 1
    })
    .await;
    eventually("history says who had to go and for whom", || async {
        let events = fleet.get("/v1/events?kind=instance.preempted").await;
        let items = events["items"].as_array().cloned().unwrap_or_default();
        let [one] = items.as_slice() else { return false };
        let reason = one["event"]["reason"].as_str().unwrap_or_default();
        one["event"]["workload"] == "low" && reason.contains("default/high")
    })
    .await;
    let (status, plan) = fleet.send("POST", "/v1/plan", &asking("next", 80, 1, cpu)).await;
    assert_eq!(status, 200, "{plan}");
    assert_eq!(plan["evictions"][0]["workload"], "default/low", "{plan}");
    assert_eq!(plan["evictions"][0]["by"], "default/next", "{plan}");
    assert_eq!(fleet.ready_count("low").await, 2, "a plan changes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_are_evened_out_by_order_and_a_second_run_finds_nothing() {
    let fleet = Fleet::start().await;
    for node in ["node-2", "node-3"] {
        fleet.done(&["nodes", "cordon", node]).await;
    }
    let cpu = a_whole_node(&fleet).await / 8;
    fleet.put(&asking("web", 50, 6, cpu)).await;
    fleet.until_ready("web", 6).await;
    for node in ["node-2", "node-3"] {
        fleet.done(&["nodes", "uncordon", node]).await;
    }
    let plan = fleet.done(&["rebalance", "--dry-run"]).await;
    assert_eq!(plan.lines().filter(|line| line.starts_with("move ")).count(), 4, "{plan}");
    fleet.done(&["rebalance", "--max-moves", "1"]).await;
    let counts = || async {
        let mut counts = Vec::new();
        for node in ["node-1", "node-2", "node-3"] {
            let node = fleet.get(&format!("/v1/nodes/{node}")).await;
            counts.push(node["instances"].as_u64().expect("a number"));
        }
        counts
    };
    assert_eq!(counts().await[0], 5);
    fleet.done(&["rebalance"]).await;
    eventually("all nodes have two", || async { counts().await == [2, 2, 2] }).await;
    fleet.until_ready("web", 6).await;
    let plan = fleet.done(&["rebalance", "--dry-run"]).await;
    assert!(plan.starts_with("nothing to move"), "{plan}");
    let (status, answer) = fleet.send("POST", "/v1/rebalance", &json!({ "moves": 3 })).await;
    assert_eq!(status, 422, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_refuses_what_passes_it_by_name() {
    let fleet = Fleet::start().await;
    fleet.done(&["quotas", "set", "default", "instances=3", "memory=1GiB"]).await;
    let (status, answer) = fleet.send("PUT", "/v1/workloads/default/web", &web(4)).await;
    assert_eq!((status, &answer["code"]), (409, &json!("conflict")), "{answer}");
    let detail = answer["detail"].as_str().expect("a text");
    assert!(detail.contains("`instances`: 4 of 3, 1 too many"), "{detail}");
    fleet.put(&web(2)).await;
    fleet.until_ready("web", 2).await;
    let said = fleet.ostler(&["scale", "web", "5"]).await;
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.err.contains("2 too many"), "{said:?}");
    let list = fleet.done(&["quotas", "list"]).await;
    assert!(list.contains("2/3"), "{list}");
    fleet.done(&["quotas", "remove", "default"]).await;
    fleet.done(&["scale", "web", "5"]).await;
    let said = fleet.ostler(&["quotas", "set", "default", "instanes=3"]).await;
    assert!(said.err.contains("`instances`"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_change_while_the_fleet_runs_and_those_of_a_pool_count_before_the_fleets() {
    let fleet = Fleet::start().await;
    fleet.done(&["settings", "set", "rebalance.threshold=20", "preemption=true"]).await;
    fleet.done(&["settings", "set", "--pool", "default", "preemption=false"]).await;
    let shown = fleet.done(&["settings", "show"]).await;
    assert!(shown.contains("threshold: 20") && shown.contains("preemption: true"), "{shown}");
    let said = fleet.ostler(&["settings", "set", "rebalance.treshold=20"]).await;
    assert_ne!(said.code, 0);
    assert!(said.err.contains("`threshold`"), "{said:?}");
    let said = fleet.ostler(&["settings", "set", "--pool", "nowhere", "preemption=true"]).await;
    assert!(said.err.contains("`nowhere`"), "{said:?}");
    // What the pool says counts before what the fleet says: nobody has to go.
    let cpu = most_of_a_node(&fleet).await;
    fleet.put(&asking("low", 10, 3, cpu)).await;
    fleet.until_ready("low", 3).await;
    fleet.put(&asking("high", 90, 1, cpu)).await;
    eventually("it waits", || async {
        fleet.get("/v1/workloads/default/high").await["status"]["unplaced"] == 1
    })
    .await;
    fleet.done(&["settings", "set", "--pool", "default", "preemption="]).await;
    fleet.until_ready("high", 1).await;
}
