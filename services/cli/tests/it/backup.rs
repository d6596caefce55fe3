//! A fleet whose NATS lost everything is restored from a copy while its instances run on.

use ostler_testkit::eventually;
use rustix::process::Signal;
use serde_json::Value;

use crate::fleet::{Fleet, alive, pid_of_instance, processes_in, signal, web};

fn pids(instances: &[Value]) -> Vec<u32> {
    instances.iter().map(pid_of_instance).collect()
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

    let server = fleet.pid("nats");
    let program = std::fs::read_link(format!("/proc/{server}/exe")).expect("it runs");
    signal(server, Signal::KILL);
    eventually("nats is gone", || async { !alive(server) }).await;
    std::fs::remove_dir_all(fleet.data().join("nats")).expect("its store is there");
    let mut again = tokio::process::Command::new(program)
        .arg("-c")
        .arg(fleet.data().join("nats.conf"))
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("nats starts");
    fleet.done(&["restore", file, "--nats", &nats]).await;

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
    drop(again.start_kill());
    drop(again.wait().await);
}
