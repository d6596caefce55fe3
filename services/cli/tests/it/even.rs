//! The even distribution of many small workloads.

use std::collections::BTreeMap;

use ostler_testkit::eventually;
use serde_json::{Value, json};

use crate::fleet::Fleet;

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_workloads_of_one_instance_are_fifty_on_each_of_two_nodes() {
    let fleet = Fleet::start_with(&["--nodes", "2"]).await;
    for number in 0..100 {
        fleet
            .put(&json!({
                "name": format!("w{number}"), "driver": "sim",
                "resources": { "cpu": 5, "memory": "1MiB" },
                "placement": { "strategy": "least_instances" },
            }))
            .await;
    }
    eventually("all hundred run", || async {
        let page = fleet.get("/v1/instances?state=running&limit=1000").await;
        page["items"].as_array().is_some_and(|items| items.len() == 100)
    })
    .await;
    let page = fleet.get("/v1/instances?limit=1000").await;
    let mut nodes: BTreeMap<String, u32> = BTreeMap::new();
    for item in page["items"].as_array().expect("a list") {
        *nodes.entry(item["node"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    let want = [("node-1".to_owned(), 50), ("node-2".to_owned(), 50)];
    assert_eq!(nodes, BTreeMap::from(want));
    assert_eq!(fleet.get("/v1/nodes/node-1").await["instances"], Value::from(50));
}
