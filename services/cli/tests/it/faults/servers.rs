//! NATS servers that are killed, one of three, all three, the only one, or whose disk is full.

use ostler_testkit::{NatsCluster, NatsServer, SmallDisk, eventually};

use super::checker::check;
use super::rig::Rig;

#[tokio::test(flavor = "multi_thread")]
async fn each_of_three_servers_killed_while_placing_costs_nothing() {
    let mut cluster = NatsCluster::start(3).await;
    let mut rig = Rig::start(&cluster.url(), 2, 3).await;
    rig.put("web", 20).await;
    // One of them leads the stream of placements, others those of workloads and leases.
    for number in 0..3 {
        let count = 200 + 50 * u32::try_from(number).expect("small");
        rig.put("web", count).await;
        cluster.kill(number);
        rig.put("web", count + 30).await;
        check(&rig).await;
        cluster.restart(number).await;
    }
    check(&rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_three_servers_killed_while_placing_and_started_again_lose_no_acknowledged_write() {
    let mut cluster = NatsCluster::start(3).await;
    let mut rig = Rig::start(&cluster.url(), 1, 3).await;
    rig.put("web", 20).await;
    check(&rig).await;
    rig.put("web", 400).await;
    (0..3).for_each(|number| cluster.kill(number));
    assert!(rig.client.ask("web", 400).await.is_err(), "nobody is there to acknowledge it");
    cluster.restart_all().await;
    rig.put("more", 25).await;
    check(&rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_server_killed_again_and_again_while_placing_loses_no_acknowledged_write() {
    let mut nats = NatsServer::start().await;
    let mut rig = Rig::start(&nats.url(), 1, 3).await;
    for round in 1..=3 {
        rig.put("web", 250 * round).await;
        rig.put(&format!("more-{round}"), 20).await;
        nats.kill();
        nats.restart().await;
    }
    check(&rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_nats_refuses_writes_and_touches_nothing_that_runs() {
    let disk = SmallDisk::new(64);
    let mut nats = NatsServer::start_on(&disk).await;
    let mut rig = Rig::start(&nats.url(), 1, 3).await;
    rig.put("web", 40).await;
    check(&rig).await;
    disk.fill();
    // Each asks for something else: what is there already needs no write.
    let count = std::sync::atomic::AtomicU32::new(100);
    eventually("a write is refused", || async {
        let more = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        rig.client.ask("web", more).await.is_err()
    })
    .await;
    assert!(rig.running().await >= 40, "what runs runs on, whatever the bus says");
    disk.free();
    nats.restart().await;
    rig.put("web", 45).await;
    check(&rig).await;
}
