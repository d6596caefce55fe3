//! A fleet whose NATS lost everything is restored from a copy while its instances run on.

use std::process::Stdio;

use ostler_testkit::eventually;
use rustix::process::Signal;
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::fleet::{Fleet, alive, pid_of_instance, processes_in, signal, web};

fn pids(instances: &[Value]) -> Vec<u32> {
    instances.iter().map(pid_of_instance).collect()
}

/// NATS is killed with its store and started again, empty, then filled from the copy.
async fn lose_and_restore(fleet: &Fleet, file: &str) -> Child {
    let (server, nats) = (fleet.pid("nats"), fleet.nats());
    let program = std::fs::read_link(format!("/proc/{server}/exe")).expect("it runs");
    signal(server, Signal::KILL);
    eventually("nats is gone", || async { !alive(server) }).await;
    std::fs::remove_dir_all(fleet.data().join("nats")).expect("its store is there");
    let again = Command::new(program)
        .arg("-c")
        .arg(fleet.data().join("nats.conf"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("nats starts");
    fleet.done(&["restore", file, "--nats", &nats]).await;
    again
}

async fn end(mut nats: Child) {
    drop(nats.start_kill());
    drop(nats.wait().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_whose_nats_lost_its_store_is_restored_and_nothing_restarts() {
    let fleet = Fleet::start().await;
    fleet.put(&web(3)).await;
    let before = fleet.until_ready("web", 3).await;
    let file = fleet.data().join("copy.tar");
    let file = file.to_str().expect("plain text");
    let nats = fleet.nats();
    fleet.done(&["backup", file, "--nats", &nats]).await;
    let over = fleet.ostler(&["restore", file, "--nats", &nats]).await;
    assert_eq!(over.code, 3, "a fleet that is there is not restored over: {over:?}");

    let again = lose_and_restore(&fleet, file).await;
    let after = fleet.until_ready("web", 3).await;
    assert_eq!(pids(&after), pids(&before), "nothing restarted");
    fleet.put(&web(5)).await;
    fleet.until_ready("web", 5).await;
    assert_eq!(processes_in(&fleet.data()).len(), 5, "nothing runs twice");
    eventually("history goes on in the new life of the fleet", || async {
        let text = fleet.done(&["events", "--workload", "web", "--limit", "1000"]).await;
        text.lines().filter(|line| line.contains("instance.ready")).count() == 5
    })
    .await;
    end(again).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_executor_was_younger_than_the_copy_stayed_away_and_its_instances_ran_twice() {
    let mut fleet = Fleet::start().await;
    fleet.put(&web(6)).await;
    fleet.until_ready("web", 6).await;
    let file = fleet.data().join("copy.tar");
    let file = file.to_str().expect("plain text");
    fleet.done(&["backup", file, "--nats", &fleet.nats()]).await;
    fleet.signal("node-1", Signal::KILL);
    fleet.start_node("node-1");
    let epoch = async |fleet: &Fleet| fleet.get("/v1/nodes/node-1").await["epoch"].as_u64();
    eventually("its next life has begun", || async { epoch(&fleet).await == Some(2) }).await;
    let before = fleet.until_ready("web", 6).await;

    let again = lose_and_restore(&fleet, file).await;
    eventually("it is known again, in a later life", || async {
        let node = fleet.get("/v1/nodes/node-1").await;
        node["epoch"].as_u64() > Some(2) && node["liveness"] == "online"
    })
    .await;
    let after = fleet.until_ready("web", 6).await;
    assert_eq!(pids(&after), pids(&before), "nothing restarted");
    assert_eq!(processes_in(&fleet.data()).len(), 6, "nothing runs twice");
    end(again).await;
}
