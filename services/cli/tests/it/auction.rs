//! Nodes that bid, and workloads that sleep until the fleet can carry them, on a real fleet.

use std::path::PathBuf;
use std::time::Duration;

use ostler_testkit::eventually;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::fleet::{Fleet, alive};

/// Starts a node's executor anew with this `[executor.bid]`.
async fn rebid(fleet: &mut Fleet, node: &str, bid: &str) {
    let pid = fleet.pid(node);
    fleet.signal(node, Signal::KILL);
    eventually("it is gone", || async { !alive(pid) }).await;
    let settings = fleet.data().join(node).join("ostler.toml");
    let text = std::fs::read_to_string(&settings).expect("its settings");
    std::fs::write(&settings, format!("{text}\n[executor.bid]\n{bid}\n")).expect("written");
    fleet.start_node(node);
}

/// A script of the node's owner that answers with what is in a file.
fn predicate(fleet: &Fleet) -> (String, PathBuf) {
    let (script, answer) = (fleet.data().join("predicate"), fleet.data().join("answer"));
    let text = format!(
        "#!/bin/sh\nread -r code rest < {answer}\necho \"$rest\"\nexit $code\n",
        answer = answer.display()
    );
    std::fs::write(&script, text).expect("written");
    let bid = format!("predicate = [\"sh\", \"{}\"]\npredicate_every = \"1s\"", script.display());
    (bid, answer)
}

fn sim(name: &str, count: u32, placement: &Value) -> Value {
    json!({
        "name": name, "driver": "sim", "count": count,
        "resources": { "cpu": 10, "memory": "1MiB" }, "placement": placement,
    })
}

fn nodes(items: &[Value]) -> Vec<&str> {
    items.iter().filter_map(|item| item["node"].as_str()).collect()
}

/// Auctions one workload after the other until this node wins: bids come with beats.
async fn until_won_by(fleet: &Fleet, name: &str, node: &str) {
    let auction = json!({ "strategy": "auction" });
    let won = async {
        for number in 0.. {
            let name = format!("{name}-{number}");
            fleet.put(&sim(&name, 1, &auction)).await;
            let placed = fleet.until_ready(&name, 1).await;
            if nodes(&placed) == [node] {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), won).await.expect("its bid is heard");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_an_auction_the_lowest_price_wins_and_a_predicate_may_refuse() {
    let mut fleet = Fleet::start().await;
    let (bid, answer) = predicate(&fleet);
    std::fs::write(&answer, "0 price 2\n").expect("written");
    rebid(&mut fleet, "node-1", "price = 5").await;
    rebid(&mut fleet, "node-2", &bid).await;
    rebid(&mut fleet, "node-3", "price = 1\nrefuse = [\"sim\"]").await;
    for node in ["node-1", "node-2", "node-3"] {
        eventually("its next life is admitted", || async {
            let view = fleet.get(&format!("/v1/nodes/{node}")).await;
            view["liveness"] == "online" && view["epoch"].as_u64() > Some(1)
        })
        .await;
    }
    until_won_by(&fleet, "first", "node-2").await;
    fleet.put(&sim("cheap", 2, &json!({ "strategy": "auction" }))).await;
    let placed = fleet.until_ready("cheap", 2).await;
    assert_eq!(nodes(&placed), ["node-2", "node-2"], "{placed:#?}");
    // The owner of node-2 wants it for himself.
    std::fs::write(&answer, "1 somebody sits here\n").expect("written");
    until_won_by(&fleet, "next", "node-1").await;
    // What a node refuses is not sent to it by any other strategy either, and people are told why.
    fleet.put(&sim("pinned", 1, &json!({ "node": "node-2" }))).await;
    eventually("it is blocked by that", || async {
        let told = fleet.done(&["explain", "pinned"]).await;
        told.contains("declined") && told.contains("somebody sits here")
    })
    .await;
    assert_eq!(fleet.until_ready("cheap", 2).await.len(), 2, "what runs there runs on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_sleeps_until_its_fleet_can_carry_it() {
    let mut fleet = Fleet::start().await;
    fleet.signal("node-3", Signal::KILL);
    fleet.until_liveness("node-3", "offline").await;
    let enough = json!({ "feasible_when": "nodes(online) >= 3" });
    fleet.put(&sim("web", 2, &enough)).await;
    eventually("it says what it waits for", || async {
        let view = fleet.get("/v1/workloads/default/web").await;
        view["status"]["reason"]
            .as_str()
            .is_some_and(|why| why.contains("`nodes(online) >= 3` does not hold"))
    })
    .await;
    assert_eq!(fleet.instances("web").await.len(), 0);
    fleet.start_node("node-3");
    fleet.until_ready("web", 2).await;
    let wrong = sim("other", 1, &json!({ "feasible_when": "nodes(online) >> 3" }));
    let (status, problem) = fleet.send("PUT", "/v1/workloads/default/other", &wrong).await;
    assert_eq!(status, 422, "{problem}");
    assert!(problem.to_string().contains("feasible_when"), "{problem}");
}
