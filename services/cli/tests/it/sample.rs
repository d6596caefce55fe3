//! The sample: three web servers on three nodes.

use std::collections::BTreeSet;

use ostler_testkit::eventually;

use crate::fleet::{Fleet, processes_in};

fn example(name: &str) -> String {
    format!("{}/../../examples/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[tokio::test(flavor = "multi_thread")]
async fn three_web_servers_run_on_three_nodes_and_say_why() {
    let fleet = Fleet::start_with(&[]).await;
    let said = fleet.ostler(&["run", &example("web.toml")]).await;
    assert_eq!(said.code, 0, "{said:?}\n{}", fleet.logs());
    assert!(said.out.contains("web: 3/3 ready"), "{said:?}");

    let instances = fleet.until_ready("web", 3).await;
    let nodes: BTreeSet<&str> = instances.iter().filter_map(|item| item["node"].as_str()).collect();
    assert_eq!(nodes.into_iter().collect::<Vec<_>>(), ["node-1", "node-2", "node-3"]);
    for instance in &instances {
        assert!(fleet.answers(instance).await, "{instance}");
    }

    let ps = fleet.done(&["ps"]).await;
    assert!(ps.contains("web/0") && ps.contains("running"), "{ps}");
    let list = fleet.done(&["nodes", "list"]).await;
    let head = "ID      STATUS  ADMIN   INSTANCES  CPU  MEMORY  ZONE";
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let first = words(list.lines().next().unwrap_or_default());
    assert!(first.starts_with(&words(head)), "{list}");
    assert!(list.contains("node-2") && list.contains("1/50"), "{list}");
    let why = fleet.done(&["explain", "web"]).await;
    assert!(why.contains("node-1") && why.contains("score"), "{why}");
    assert_eq!(fleet.ostler(&["plan", &example("web.toml")]).await.code, 0, "nothing would change");
    let logs = fleet.done(&["logs", "web/0"]).await;
    assert!(logs.contains("GET / HTTP"), "{logs}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_leaves_no_process_and_the_next_start_carries_on() {
    let mut fleet = Fleet::start_with(&[]).await;
    fleet.done(&["run", &example("web.toml")]).await;
    fleet.end().await;
    assert_eq!(processes_in(&fleet.data()), Vec::<u32>::new());

    fleet.start_again().await;
    let again = fleet.until_ready("web", 3).await;
    for instance in &again {
        assert!(fleet.answers(instance).await, "{instance}");
    }
    let view = fleet.get("/v1/workloads/default/web").await;
    assert_eq!(view["version"], 1, "{view}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_runs_to_completion_once_a_slot() {
    let fleet = Fleet::start_with(&[]).await;
    let said = fleet.ostler(&["run", &example("job.toml")]).await;
    assert_eq!(said.code, 0, "{said:?}\n{}", fleet.logs());
    // `run` follows a job until it runs; on a slow machine that is before it is through.
    eventually("both slots are completed", || async {
        fleet.get("/v1/workloads/default/sum").await["status"]["completed"] == 2
    })
    .await;
}
