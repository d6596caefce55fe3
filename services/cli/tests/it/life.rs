//! Scaling, draining, moving, restarting, deleting.

use std::collections::BTreeSet;

use ostler_testkit::eventually;
use serde_json::{Value, json};

use crate::fleet::{Fleet, pid_of_instance, processes_in, web};

#[tokio::test(flavor = "multi_thread")]
async fn scaling_from_3_to_30_to_1_touches_no_other_slot() {
    let fleet = Fleet::start().await;
    fleet.put(&web(3)).await;
    let before = fleet.until_ready("web", 3).await;
    fleet.done(&["scale", "web", "30"]).await;
    let many = fleet.until_ready("web", 30).await;
    assert_eq!(processes_in(&fleet.data()).len(), 30);
    for (old, new) in before.iter().zip(&many) {
        assert_eq!(pid_of_instance(old), pid_of_instance(new), "slots 0 to 2 are as they were");
    }
    fleet.done(&["scale", "web", "1"]).await;
    let one = fleet.until_ready("web", 1).await;
    assert_eq!(pid_of_instance(&one[0]), pid_of_instance(&before[0]));
    eventually("one process is left", || async { processes_in(&fleet.data()).len() == 1 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_node_is_empty_and_nothing_was_lost() {
    let fleet = Fleet::start().await;
    fleet.put(&web(6)).await;
    let before = fleet.until_ready("web", 6).await;
    let there = before.iter().filter(|item| item["node"] == "node-2").count();
    assert!(there > 0, "something is there to be moved");
    let watch = async {
        let mut least = 6;
        loop {
            least = least.min(fleet.ready_count("web").await);
            if fleet.get("/v1/nodes/node-2").await["instances"] == 0 {
                return least;
            }
            tokio::task::yield_now().await;
        }
    };
    let (least, said) = tokio::join!(watch, fleet.ostler(&["nodes", "drain", "node-2"]));
    assert_eq!(said.code, 0, "{said:?}\n{}", fleet.logs());
    assert!(least >= 5, "never fewer than count - max_parallel were ready, but {least}");
    let node = fleet.get("/v1/nodes/node-2").await;
    assert_eq!((&node["admin"], &node["instances"]), (&json!("draining"), &json!(0)), "{node}");
    let now = fleet.until_ready("web", 6).await;
    assert!(now.iter().all(|item| item["node"] != "node-2"), "{now:#?}");
    fleet.done(&["nodes", "uncordon", "node-2"]).await;
    assert_eq!(fleet.get("/v1/nodes/node-2").await["admin"], "active");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_moves_to_the_node_that_was_named() {
    let fleet = Fleet::start().await;
    fleet.put(&web(2)).await;
    let before = fleet.until_ready("web", 2).await;
    let taken: BTreeSet<&str> = before.iter().filter_map(|item| item["node"].as_str()).collect();
    let free = ["node-1", "node-2", "node-3"].into_iter().find(|node| !taken.contains(node));
    let free = free.expect("two instances leave a node");
    fleet.done(&["move", "web/0", free]).await;
    let now = fleet.until_ready("web", 2).await;
    assert_eq!(now[0]["node"], free);
    assert_eq!(pid_of_instance(&now[1]), pid_of_instance(&before[1]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_gives_every_instance_a_new_process_one_by_one() {
    let fleet = Fleet::start().await;
    fleet.put(&web(3)).await;
    let before = fleet.until_ready("web", 3).await;
    fleet.done(&["restart", "web"]).await;
    eventually("each is another process", || async {
        let now = fleet.instances("web").await;
        let changed = |(old, new): (&Value, &Value)| {
            old["id"] == new["id"] && old["pid"] != new["pid"] && new["ready"] == true
        };
        now.len() == 3 && before.iter().zip(&now).all(changed)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_workload_is_gone_with_its_processes_and_its_name_is_free() {
    let fleet = Fleet::start().await;
    fleet.put(&web(3)).await;
    fleet.until_ready("web", 3).await;
    fleet.done(&["--yes", "delete", "web"]).await;
    assert_eq!(processes_in(&fleet.data()), Vec::<u32>::new());
    assert_eq!(fleet.send("GET", "/v1/workloads/default/web", &Value::Null).await.0, 404);
    fleet.put(&web(1)).await;
    fleet.until_ready("web", 1).await;
}
