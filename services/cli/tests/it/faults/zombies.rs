//! Executors that are stopped for long and wake, with singletons of which at most one may be alive.

use std::path::Path;
use std::time::Duration;

use ostler_bus::Caller;
use ostler_core::instance::Observed;
use ostler_schemas::bucket::ReportKey;
use ostler_schemas::pb;
use ostler_testkit::{NatsServer, Wire, eventually, eventually_within};
use rustix::process::Signal;

use super::checker::{Checked as _, check};
use super::parts::Parts;
use crate::fleet::{alive, processes_in, signal};

/// Singletons are replaced when their pledge is gone: eleven seconds after its last renewal.
const REPLACED_WITHIN: Duration = Duration::from_secs(30);
/// So long executors are stopped.
const STOPPED_FOR: Duration = Duration::from_secs(30);

/// Instances that say when they begin, and whether another one is alive then: the kernel keeps the
/// lock for as long as anybody of them lives.
fn witnessed(dir: &Path) -> String {
    let dir = dir.display();
    let script = format!(
        "exec 9>>{dir}/$OSTLER_WORKLOAD.lock; \
         flock -n 9 || echo $OSTLER_INSTANCE >> {dir}/twice; \
         echo $OSTLER_INSTANCE >> {dir}/$OSTLER_WORKLOAD.began; exec sleep 100000"
    );
    let command = serde_json::json!(["sh", "-c", script]);
    format!(
        r#""driver": "process", "process": {{ "command": {command} }},
           "resources": {{ "cpu": 5, "memory": "2MiB" }}, "stop": {{ "grace": "1s" }},
           "reschedule": {{ "on_node_loss": "fence" }},
           "placement": {{ "anti_affinity": {{ "group": "single", "mode": "hard" }} }}"#
    )
}

/// How many of a workload have begun so far.
fn begun(parts: &Parts, workload: &str) -> usize {
    let file = parts.dir().join(format!("{workload}.began"));
    std::fs::read_to_string(file).unwrap_or_default().lines().count()
}

/// The node on which the only instance of a workload runs, and the pid that it reported.
async fn holder(parts: &Parts, workload: &str) -> (String, u32) {
    let file = parts.dir().join(format!("{workload}.began"));
    let found = std::sync::Mutex::new(None);
    eventually("it is reported", || async {
        let began = std::fs::read_to_string(&file).unwrap_or_default();
        let id = began.lines().last().unwrap_or_default();
        for node in parts.nodes() {
            let report = parts.bus.get(&ReportKey(node.clone())).await.ok().flatten();
            let statuses = report.into_iter().flat_map(|entry| entry.value.statuses);
            let status = statuses
                .filter(|one| one.observed == Observed::Running)
                .find(|one| one.id.to_string() == id);
            if let Some(pid) = status.and_then(|status| status.pid) {
                *found.lock().expect("unbroken") = Some((node.to_string(), pid));
            }
        }
        found.lock().expect("unbroken").is_some()
    })
    .await;
    found.into_inner().expect("unbroken").expect("just waited for")
}

/// Nine nodes, so that three may be lost at once and it is not taken for the network.
#[tokio::test(flavor = "multi_thread")]
async fn singletons_of_executors_that_sleep_die_before_their_replacements_start() {
    let nats = NatsServer::start().await;
    let mut parts = Parts::start(&nats.url(), 1, 10).await;
    parts.put("web", 20).await;
    let witnessed = witnessed(parts.dir());
    let plain = std::mem::replace(&mut parts.client.kind, witnessed);
    let singles = ["executor-stopped", "both-stopped", "both-killed"];
    for single in singles {
        parts.put(single, 1).await;
    }
    check(&parts).await;
    let mut nodes = Vec::new();
    for single in singles {
        nodes.push(holder(&parts, single).await);
    }
    signal(nodes[1].1, Signal::STOP);
    parts.part(&nodes[0].0).stop();
    parts.part(&nodes[1].0).stop();
    parts.part(&nodes[2].0).kill();
    signal(nodes[2].1, Signal::KILL);
    let slept = ostler_service::clock::instant();
    eventually_within(REPLACED_WITHIN, "each is replaced", || async {
        singles.iter().all(|single| begun(&parts, single) == 2)
    })
    .await;
    assert!(nodes.iter().all(|(_, guardian)| !alive(*guardian)), "a first one lives");
    let over = || async { ostler_service::clock::since(slept) > STOPPED_FOR };
    eventually_within(STOPPED_FOR * 2, "they slept long", over).await;
    parts.part(&nodes[0].0).cont();
    parts.part(&nodes[1].0).cont();
    parts.part(&nodes[2].0).again();
    parts.until_online(10).await;
    parts.client.kind = plain;
    parts.put("web", 22).await;
    check(&parts).await;
    assert!(!parts.dir().join("twice").exists(), "two of one singleton were alive at once");
    assert!(singles.iter().all(|single| begun(&parts, single) == 2), "one more was started");
    eventually("just what is wanted runs, and guardians", || async {
        let sleeps = processes_in(parts.dir()).into_iter().filter(|pid| is_sleep(*pid));
        sleeps.count() == 22 + singles.len()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_singleton_lives_on_though_renewals_of_its_pledge_and_answers_to_them_are_lost() {
    let nats = NatsServer::start().await;
    let mut parts = Parts::start(&nats.url(), 1, 3).await;
    parts.client.kind = witnessed(parts.dir());
    parts.put("single", 1).await;
    check(&parts).await;
    let (node, guardian) = holder(&parts, "single").await;
    for round in 1..=4 {
        let renewal = format!("HPUB $KV.leases.node.{node}");
        match round % 2 {
            0 => parts.wire(&node).lose(&renewal),
            _ => parts.wire(&node).lose_answer(&renewal),
        }
        eventually("one is lost", || async { parts.wire(&node).met() == round }).await;
    }
    check(&parts).await;
    assert!(alive(guardian) && begun(&parts, "single") == 1, "it was ended for nothing");
    assert!(!parts.dir().join("twice").exists(), "two were alive at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_singleton_that_is_cut_off_when_the_clock_of_the_server_jumps_is_dead_before_it_is_replaced()
 {
    let nats = NatsServer::start().await;
    let mut parts = Parts::start(&nats.url(), 1, 4).await;
    parts.client.kind = witnessed(parts.dir());
    parts.put("single", 1).await;
    check(&parts).await;
    let (node, guardian) = holder(&parts, "single").await;
    parts.wire(&node).set(Wire::Cut);
    eventually("its node is given up", || async {
        let view =
            parts.bus.call(&pb::NodeGet { name: node.clone() }, &Caller::program("test")).await;
        view.is_ok_and(|view| view.liveness == "offline")
    })
    .await;
    assert!(alive(guardian), "it has some seconds left");
    nats.clock_jumps(3_600);
    let replaced = || async { begun(&parts, "single") == 2 };
    eventually_within(REPLACED_WITHIN, "it is replaced", replaced).await;
    assert!(!parts.dir().join("twice").exists(), "two were alive at once");
    parts.wire(&node).set(Wire::Whole);
    parts.until_online(4).await;
    check(&parts).await;
    assert_eq!(begun(&parts, "single"), 2, "one more was started");
}

fn is_sleep(pid: u32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"sleep\0"))
}
