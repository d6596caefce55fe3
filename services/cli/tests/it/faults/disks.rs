//! Disks that are full, under the executor's journal and under what instances say.

use ostler_core::instance::Observed;
use ostler_schemas::bucket::ReportKey;
use ostler_testkit::{NatsServer, SmallDisk};

use super::checker::check;
use super::parts::{Parts, Place};

async fn running_on(parts: &Parts, node: &str) -> usize {
    let key = ReportKey(node.parse().expect("a name"));
    let report = parts.bus.get(&key).await.ok().flatten();
    let statuses = report.into_iter().flat_map(|entry| entry.value.statuses);
    statuses.filter(|one| one.observed == Observed::Running).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_an_executor_stops_nothing_and_what_is_new_runs_elsewhere() {
    let (nats, disk) = (NatsServer::start().await, SmallDisk::new(16));
    let mut parts = Parts::start(&nats.url(), 1, 2).await;
    let data = disk.path().join("node");
    let place = Place { url: nats.url(), enter: disk.enter(), data: Some(data) };
    parts.add("node-3", &place);
    parts.until_online(3).await;
    // It says something all the time.
    parts.client.kind = r#""driver": "process", "resources": { "cpu": 5, "memory": "2MiB" },
        "process": { "command": ["sh", "-c", "while :; do echo so much to say; sleep 0.05; done"] },
        "placement": { "anti_affinity": { "group": "web", "mode": "soft" } },
        "stop": { "grace": "1s" }"#
        .to_owned();
    parts.put("web", 6).await;
    check(&parts).await;
    let before = running_on(&parts, "node-3").await;
    assert!(before > 0, "nothing runs on the small disk: this test says nothing");
    disk.fill();
    parts.put("more", 6).await;
    parts.put("web", 9).await;
    check(&parts).await;
    assert!(running_on(&parts, "node-3").await >= before, "what ran runs on");
    // Even its next life finds what runs, and starts nothing twice.
    parts.part("node-3").kill();
    parts.part("node-3").again();
    check(&parts).await;
    disk.free();
    parts.put("fresh", 6).await;
    let now = check(&parts).await;
    let fresh = now.iter().filter(|one| one.workload == "fresh" && one.node.as_str() == "node-3");
    assert!(fresh.count() > 0, "it is used again");
}
