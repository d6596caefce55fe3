//! The questions that people ask: why, what if, and what would become of it.

use ostler_testkit::eventually;
use serde_json::{Value, json};

use crate::fleet::{Fleet, web};

async fn until_unplaced(fleet: &Fleet, workload: &str) {
    eventually("it is unplaced", || async {
        let view = fleet.get(&format!("/v1/workloads/default/{workload}")).await;
        view["status"]["unplaced"] == 1
    })
    .await;
}

/// Waits until history has an event of this kind about the instance.
async fn until_told(fleet: &Fleet, id: &str, kind: &str) {
    eventually(&format!("history has {kind}"), || async {
        let page = fleet.get(&format!("/v1/events?instance={id}&kind={kind}")).await;
        page["items"].as_array().is_some_and(|items| !items.is_empty())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_tells_why_why_not_and_what_would_help() {
    let fleet = Fleet::start_with(&[]).await;
    fleet.put(&web(2)).await;
    fleet.until_ready("web", 2).await;
    let mut picky = web(1);
    picky["name"] = json!("picky");
    picky["resources"] = json!({ "memory": "9000TiB" });
    picky["placement"] = json!({ "require": ["node.zone == mars"] });
    fleet.put(&picky).await;
    until_unplaced(&fleet, "picky").await;

    let said = fleet.done(&["explain", "picky"]).await;
    assert!(said.contains("0 of 3 nodes would take one more"), "{said}");
    assert!(said.contains("needs `node.zone == mars`"), "{said}");
    assert!(said.contains("needs 9000TiB of memory"), "{said}");
    assert!(said.contains("to make room:"), "{said}");
    let said = fleet.done(&["explain", "picky", "node-2"]).await;
    assert!(said.contains("node-2 would not take one more") && !said.contains("node-1"), "{said}");

    let said = fleet.done(&["explain", "web/0"]).await;
    assert!(said.contains("3 of 3 nodes would take it") && said.contains("BEHIND"), "{said}");
    let said = fleet.done(&["explain", "node-1"]).await;
    assert!(said.contains("node-1 is online and active"), "{said}");
    assert!(said.contains("waits for a place: default/picky"), "{said}");

    let said = fleet.ostler(&["explain", "nobody"]).await;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("there is no workload, node or instance `nobody`"), "{said:?}");

    let page = fleet.get("/v1/workloads/default/picky/explain?node=node-3").await;
    assert_eq!(page["nodes"]["node-3"]["verdict"], "rejected", "{page}");
    assert_eq!(page["nodes"].as_object().map(serde_json::Map::len), Some(1), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_can_be_read_long_after_it_was_made() {
    let fleet = Fleet::start_with(&[]).await;
    fleet.put(&web(1)).await;
    let before = fleet.until_ready("web", 1).await;
    let id = before[0]["id"].as_str().expect("an id").to_owned();
    until_told(&fleet, &id, "instance.placed").await;
    let said = fleet.done(&["explain", "web/0", "--history"]).await;
    assert!(said.contains("instance.placed web/0 on node-"), "{said}");
    assert!(said.contains("next best: node-") && said.contains("3 of 3 nodes fitted"), "{said}");
    assert!(said.contains(", term 1") && said.contains(", revision "), "{said}");

    fleet.done(&["scale", "web", "0"]).await;
    until_told(&fleet, &id, "instance.stopping").await;
    let said = fleet.done(&["history", "web", "--decisions"]).await;
    assert!(said.contains("instance.stopping web/0") && said.contains(": scaled"), "{said}");
    let said = fleet.done(&["explain", &id, "--history"]).await;
    assert!(said.contains("instance.placed"), "of one that is gone too: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_supposes_losses_drains_and_additions_and_changes_nothing() {
    let fleet = Fleet::start_with(&[]).await;
    fleet.put(&web(3)).await;
    let before = fleet.until_ready("web", 3).await;

    let said = fleet.ostler(&["plan", "--lose", "node-1"]).await;
    assert_eq!(said.code, 10, "{said:?}");
    assert!(said.out.contains("yes: 1 instance moves, all placed"), "{said:?}");
    assert!(said.out.contains("web/") && said.out.contains("node_lost"), "{said:?}");
    assert!(said.out.contains("LOAD"), "{said:?}");

    let all = ["plan", "--lose", "node-1", "--lose", "node-2", "--lose", "node-3"];
    let said = fleet.ostler(&all).await;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("no: 3 have no place"), "{said:?}");
    let mut with = all.to_vec();
    with.extend(["--add", "2=node-1"]);
    let said = fleet.ostler(&with).await;
    assert_eq!(said.code, 10, "{said:?}");
    assert!(said.out.contains("added    new-1, new-2"), "{said:?}");

    let said = fleet.ostler(&["plan", "--drain", "node-2", "-o", "json"]).await;
    let plan: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!((said.code, &plan["survives"]), (10, &json!(true)), "{plan}");
    assert_eq!(plan["moves"][0]["from"], "node-2", "{plan}");

    let said = fleet.ostler(&["plan", "--lose", "zone=mars"]).await;
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("no node is meant by `zone=mars`"), "{said:?}");
    assert_eq!(fleet.ostler(&["plan"]).await.code, 2, "nothing is supposed");
    let ids = |all: &[Value]| all.iter().map(|one| one["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&fleet.until_ready("web", 3).await), ids(&before), "nothing has changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulation_begins_with_the_live_fleet_as_it_is() {
    let fleet = Fleet::start_with(&[]).await;
    fleet.put(&web(3)).await;
    let instances = fleet.until_ready("web", 3).await;
    let file = fleet.data().join("fleet.json").display().to_string();
    let said = fleet.done(&["simulate", "--from-fleet", "--write", &file, "--json"]).await;
    let step: Value = serde_json::from_str(said.lines().next().expect("a step")).expect("JSON");
    assert_eq!((&step["placed"], &step["unplaced"]), (&json!([]), &json!([])), "{step}");
    for (live, simulated) in instances.iter().zip(step["instances"].as_array().expect("a list")) {
        assert_eq!(live["node"], simulated["node"], "{step}");
    }
    let again = fleet.done(&["simulate", &file, "--json"]).await;
    assert_eq!(again, said, "what was saved runs without a fleet");
}
