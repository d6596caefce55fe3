//! Whatever is killed, what should run runs, and nothing runs twice.

mod chaos;
mod checker;
mod client;
mod clocks;
mod disks;
mod kills;
mod net;
mod parts;
mod rig;
mod rolling;
mod servers;
mod wires;
mod zombies;

use std::time::Duration;

use ostler_testkit::{eventually, eventually_within};
use rustix::process::Signal;
use serde_json::Value;

use crate::fleet::{Fleet, alive, pid_of_instance, processes_in, signal, web};

async fn three() -> (Fleet, Vec<Value>) {
    three_with(&["--processes"]).await
}

async fn three_with(args: &[&str]) -> (Fleet, Vec<Value>) {
    let fleet = Fleet::start_with(args).await;
    fleet.put(&web(3)).await;
    let instances = fleet.until_ready("web", 3).await;
    (fleet, instances)
}

fn pids(instances: &[Value]) -> Vec<u32> {
    let mut pids: Vec<u32> = instances.iter().map(pid_of_instance).collect();
    pids.sort_unstable();
    pids
}

fn on<'a>(instances: &'a [Value], node: &str) -> &'a Value {
    instances.iter().find(|item| item["node"] == node).expect("one on each node")
}

/// Every instance is the same process as before, none restarted, and each answers.
async fn untouched(fleet: &Fleet, before: &[Value]) {
    let now = fleet.until_ready("web", before.len()).await;
    assert_eq!(pids(&now), pids(before), "{}", fleet.logs());
    for instance in &now {
        assert_eq!(instance["restarts"], 0, "{instance}");
        assert!(fleet.answers(instance).await, "{instance}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_instance_is_back_within_two_seconds_with_a_restart_counted() {
    let (fleet, before) = three().await;
    signal(pid_of_instance(&before[1]), Signal::KILL);
    eventually_within(Duration::from_secs(2), "slot 1 runs again", || async {
        let now = fleet.instances("web").await;
        let one = now.iter().find(|item| item["slot"] == 1).cloned().unwrap_or_default();
        let back = one["ready"] == true && one["restarts"] == 1 && one["pid"] != before[1]["pid"];
        back && fleet.answers(&one).await
    })
    .await;
    let now = fleet.until_ready("web", 3).await;
    assert_eq!(now[1]["id"], before[1]["id"], "the same instance, restarted in place");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_executor_leaves_its_instance_and_the_next_one_adopts_it() {
    let (mut fleet, before) = three().await;
    fleet.signal("node-2", Signal::KILL);
    fleet.start_node("node-2");
    eventually("node-2 is online in its second epoch", || async {
        assert!(
            alive(pid_of_instance(on(&before, "node-2"))),
            "the instance outlives its executor"
        );
        let node = fleet.get("/v1/nodes/node-2").await;
        node["liveness"] == "online" && node["epoch"] == 2
    })
    .await;
    untouched(&fleet, &before).await;
    assert_eq!(processes_in(&fleet.data()).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_host_is_replaced_within_six_seconds_and_nothing_runs_twice_when_it_returns() {
    let (mut fleet, before) = three().await;
    fleet.signal("node-3", Signal::KILL);
    signal(pid_of_instance(on(&before, "node-3")), Signal::KILL);
    eventually_within(Duration::from_secs(6), "three run on two nodes", || async {
        let now = fleet.instances("web").await;
        let good = |item: &&Value| item["ready"] == true && item["node"] != "node-3";
        now.iter().filter(good).count() == 3
    })
    .await;
    fleet.start_node("node-3");
    fleet.until_liveness("node-3", "online").await;
    fleet.until_ready("web", 3).await;
    eventually("three processes, no more", || async { processes_in(&fleet.data()).len() == 3 })
        .await;
    for instance in fleet.until_ready("web", 3).await {
        assert!(fleet.answers(&instance).await, "{instance}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_was_only_cut_off_settles_to_one_copy_of_each() {
    let (fleet, _) = three().await;
    fleet.signal("node-1", Signal::STOP);
    eventually("node-1's instance is replaced", || async {
        let now = fleet.instances("web").await;
        now.iter().filter(|item| item["ready"] == true && item["node"] != "node-1").count() == 3
    })
    .await;
    fleet.signal("node-1", Signal::CONT);
    fleet.until_liveness("node-1", "online").await;
    eventually("three processes, no more", || async { processes_in(&fleet.data()).len() == 3 })
        .await;
    fleet.until_ready("web", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_services_touch_no_instance() {
    let (fleet, before) = three().await;
    for part in ["scheduler", "registry"] {
        fleet.signal(part, Signal::KILL);
    }
    for instance in &before {
        assert!(fleet.answers(instance).await, "{instance}");
    }
    fleet.signal("gateway", Signal::KILL);
    for instance in &before {
        assert!(fleet.answers(instance).await && alive(pid_of_instance(instance)), "{instance}");
    }
    // An instance that dies meanwhile is restarted by its executor alone.
    signal(pid_of_instance(&before[0]), Signal::KILL);
    eventually("it answers again", || fleet.answers(&before[0])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_sleep_touch_no_instance_and_answer_again_when_they_wake() {
    let (fleet, before) = three().await;
    let sleepers = ["gateway", "metrics", "registry"];
    sleepers.iter().for_each(|part| fleet.signal(part, Signal::STOP));
    signal(pid_of_instance(&before[0]), Signal::KILL);
    eventually("its executor restarts it alone", || fleet.answers(&before[0])).await;
    sleepers.iter().for_each(|part| fleet.signal(part, Signal::CONT));
    fleet.put(&web(4)).await;
    let now = fleet.until_ready("web", 4).await;
    assert_eq!(pids(&now[1..3]), pids(&before[1..3]), "nothing else was restarted");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_scheduler_takes_over_within_four_seconds_and_nothing_restarts() {
    let (fleet, before) = three_with(&["--processes", "--schedulers", "2"]).await;
    let leader = leader(&fleet).await;
    fleet.signal(&leader, Signal::KILL);
    fleet.put(&web(4)).await;
    fleet.until_ready_within("web", 4, Duration::from_secs(8)).await;
    let now: Vec<Value> =
        fleet.instances("web").await.into_iter().filter(|item| item["slot"] != 3).collect();
    assert_eq!(pids(&now), pids(&before));
}

/// The part that leads: the pool's leader by name is the scheduler replica of that name.
async fn leader(fleet: &Fleet) -> String {
    let found = std::sync::Mutex::new(String::new());
    eventually("a scheduler leads", || async {
        let status = fleet.get("/v1/status").await;
        let leaders = status["leaders"].as_object().cloned().unwrap_or_default();
        let name =
            leaders.values().filter_map(Value::as_str).find(|name| name.starts_with("scheduler"));
        name.inspect(|name| (*name).clone_into(&mut found.lock().expect("unbroken"))).is_some()
    })
    .await;
    found.into_inner().expect("unbroken")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_slept_and_woke_changes_nothing() {
    let (fleet, before) = three_with(&["--processes", "--schedulers", "2"]).await;
    let first = leader(&fleet).await;
    fleet.signal(&first, Signal::STOP);
    fleet.put(&web(5)).await;
    fleet.until_ready_within("web", 5, Duration::from_secs(10)).await;
    fleet.signal(&first, Signal::CONT);
    fleet.put(&web(6)).await;
    let now = fleet.until_ready("web", 6).await;
    let old: Vec<Value> = now.into_iter().filter(|item| item["slot"].as_u64() < Some(3)).collect();
    assert_eq!(pids(&old), pids(&before));
    assert_eq!(processes_in(&fleet.data()).len(), 6, "nothing is placed twice");
    assert_ne!(leader(&fleet).await, first, "the second one leads still");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_nats_server_comes_back_and_everything_is_known_again() {
    let (fleet, before) = three().await;
    let nats = fleet.pid("nats");
    let line = std::fs::read(format!("/proc/{nats}/cmdline")).expect("it runs");
    let words: Vec<String> = line
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    signal(nats, Signal::KILL);
    eventually("nats is gone", || async { !alive(nats) }).await;
    // Without the bus an executor supervises alone.
    signal(pid_of_instance(&before[2]), Signal::KILL);
    eventually("slot 2 answers again", || fleet.answers(&before[2])).await;

    let mut again = tokio::process::Command::new(&words[0])
        .args(&words[1..])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("nats starts");
    let now = fleet.until_ready("web", 3).await;
    let kept = |items: &[Value]| pids(&items[..2]);
    assert_eq!(kept(&now), kept(&before), "nothing restarted");
    eventually("the restart is known", || async {
        fleet.instances("web").await[2]["restarts"] == 1
    })
    .await;
    fleet.put(&web(4)).await;
    fleet.until_ready("web", 4).await;
    drop(again.start_kill());
    drop(again.wait().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_cleans_up_though_nats_and_an_executor_were_killed() {
    let (mut fleet, before) = three().await;
    fleet.signal("nats", Signal::KILL);
    fleet.signal("node-1", Signal::KILL);
    assert!(alive(pid_of_instance(on(&before, "node-1"))));
    fleet.end().await;
    assert_eq!(processes_in(&fleet.data()), Vec::<u32>::new(), "{}", fleet.logs());
    for part in ["registry", "scheduler", "gateway", "metrics", "node-2", "node-3"] {
        assert!(!alive(fleet.pid(part)), "{part} is left");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_an_executor_that_was_started_again_by_hand() {
    let (mut fleet, _) = three().await;
    fleet.signal("node-1", Signal::KILL);
    fleet.start_node("node-1");
    eventually("node-1 is online in its second epoch", || async {
        let node = fleet.get("/v1/nodes/node-1").await;
        node["liveness"] == "online" && node["epoch"] == 2
    })
    .await;
    fleet.end().await;
    assert_eq!(processes_in(&fleet.data()), Vec::<u32>::new(), "{}", fleet.logs());
    assert!(fleet.by_hand().into_iter().all(|pid| !alive(pid)), "an executor is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_dev_fleet_takes_nats_and_its_parts_with_it_and_leaves_no_instance_after_the_next()
{
    let (mut fleet, _) = three().await;
    let parts = ["nats", "registry", "gateway", "node-1"].map(|part| fleet.pid(part));
    fleet.kill_dev().await;
    eventually("nothing of it is left", || async { parts.iter().all(|pid| !alive(*pid)) }).await;
    fleet.start_again().await;
    fleet.end().await;
    assert_eq!(processes_in(&fleet.data()), Vec::<u32>::new(), "{}", fleet.logs());
}
