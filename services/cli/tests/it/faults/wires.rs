//! Wires that lose answers, deliver late, or are cut, in both directions or in one.

use std::time::Duration;

use ostler_bus::{CHUNK, Caller, op_id};
use ostler_core::id::PoolName;
use ostler_schemas::bucket::{HeadKey, TermKey};
use ostler_schemas::pb;
use ostler_service::clock;
use ostler_testkit::{NatsServer, Wire, eventually, eventually_within};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;

use super::checker::{check, events, of};
use super::rig::Rig;

/// Every kind of write of each part, told apart by a text in it.
const WRITES: [(&str, &str); 14] = [
    ("registry", "HPUB $KV.workloads."),
    ("registry", "HPUB $KV.versions."),
    ("registry", "HPUB $KV.specs."),
    ("registry", "HPUB $KV.nodes."),
    ("registry", "HPUB $KV.accounts."),
    ("registry", "HPUB $KV.settings."),
    ("registry", "HPUB $KV.artifacts."),
    ("registry", "HPUB $KV.commands."),
    ("registry", "HPUB $KV.leases.registry"),
    ("registry", "HPUB ostler.v1.event."),
    ("s-1", "Nats-Expected-Last-Sequence"),
    ("s-1", "HPUB $KV.leases.scheduler-default"),
    ("s-1", "HPUB ostler.v1.event."),
    ("node-1", "HPUB $KV.reports."),
];

/// Something of each kind is written, and what was to be lost is.
async fn whole_and_broken(rig: &mut Rig, round: u32) {
    rig.put("web", 40 + round * 7).await;
    rig.put(&format!("more-{round}"), 30).await;
    rig.client.insist(&pb::NodeCordon { name: "node-3".to_owned(), ..Default::default() }).await;
    let (quota, settings) = (quota(round), settings(round));
    rig.client.insist(&quota).await;
    rig.client.insist(&settings).await;
    let pushed = rig.client.insist(&site(rig, round).await).await;
    check(rig).await;
    // As somebody sees it who asks the registry, which may be behind.
    let listed = pb::InstanceList { workload: "web".to_owned(), limit: 1, ..Default::default() };
    let gone = rig.client.insist(&listed).await.items[0].id.clone();
    rig.client.insist(&pb::InstanceStop { id: gone.clone(), ..Default::default() }).await;
    eventually("one of each kind was lost", || async {
        WRITES.iter().all(|(part, _)| {
            let lost = WRITES.iter().filter(|(other, _)| other == part).count();
            rig.wire(part).met() == lost
        })
    })
    .await;
    rig.client.insist(&pb::NodeUncordon { name: "node-3".to_owned(), ..Default::default() }).await;
    let running = check(rig).await;
    assert!(running.iter().all(|one| one.id.to_string() != gone), "{gone} was to end");
    let kept = rig.client.insist(&pb::QuotaGet { namespace: "default".to_owned() }).await;
    assert_eq!(kept.limits, quota.limits);
    let kept = rig.client.insist(&pb::SettingsGet::default()).await;
    assert_eq!(kept.settings, settings.settings);
    assert_eq!(pushed.version, 1, "it is one version, however often it was asked for");
    let told = events(&rig.client).await;
    let told: Vec<_> = told.iter().map(of).collect();
    for kind in ["node.cordoned", "node.uncordoned", "quota.", "settings.", "artifact."] {
        let count = told.iter().filter(|event| event.kind.starts_with(kind)).count();
        assert_eq!(count, 1, "{kind} is told once");
    }
}

fn document(json: String) -> Option<pb::Document> {
    Some(pb::Document { json })
}

fn quota(round: u32) -> pb::QuotaPut {
    let limits = document(format!(r#"{{"instances":{}}}"#, 5_000 + round));
    pb::QuotaPut { namespace: "default".to_owned(), limits, ..Default::default() }
}

fn settings(round: u32) -> pb::SettingsPut {
    let settings = document(format!(r#"{{"rebalance":{{"threshold":{}}}}}"#, 50 + round));
    pb::SettingsPut { settings, ..Default::default() }
}

/// The name of an artifact whose only chunk is there already.
async fn site(rig: &Rig, round: u32) -> pb::ArtifactPut {
    let data = format!("site {round}").into_bytes();
    let (upload, size) = (op_id(), data.len() as u64);
    let sha256 = Sha256::digest(&data).iter().map(|byte| format!("{byte:02x}")).collect();
    rig.client.insist(&pb::BlobPut { upload: upload.clone(), index: 0, data }).await;
    pb::ArtifactPut { name: "site".to_owned(), upload, sha256, size, chunk: CHUNK, dry_run: false }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_answer_is_lost_is_neither_lost_nor_done_twice() {
    let nats = NatsServer::start().await;
    let mut rig = Rig::start(&nats.url(), 1, 3).await;
    rig.put("web", 20).await;
    check(&rig).await;
    for (part, text) in WRITES {
        rig.wire(part).lose_answer(text);
    }
    whole_and_broken(&mut rig, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_answer_was_lost_with_the_bus_was_told_by_nobody() {
    let nats = NatsServer::start().await;
    let rig = Rig::start(&nats.url(), 1, 0).await;
    let wire = rig.wire("registry").clone();
    wire.lose_answer("HPUB $KV.workloads.");
    let cut = async {
        eventually("the write is there", || async { wire.met() == 1 }).await;
        wire.set(Wire::Cut);
    };
    let (asked, ()) = tokio::join!(rig.client.ask("web", 1), cut);
    assert!(asked.is_err(), "nobody can have answered: {asked:?}");
    let begun = clock::instant();
    eventually("every time that anybody waits has passed", || async {
        clock::since(begun) > Duration::from_secs(6)
    })
    .await;
    wire.set(Wire::Whole);
    eventually("it is told, though nobody asks again", || async {
        let told = events(&rig.client).await;
        told.iter().map(of).filter(|event| event.kind == "workload.created").count() == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_lost_on_its_way_is_written_again() {
    let nats = NatsServer::start().await;
    let mut rig = Rig::start(&nats.url(), 1, 3).await;
    rig.put("web", 20).await;
    check(&rig).await;
    for (part, text) in WRITES {
        rig.wire(part).lose(text);
    }
    whole_and_broken(&mut rig, 2).await;
}

async fn leader(rig: &Rig) -> String {
    let term = rig.bus.get(&TermKey(PoolName::default())).await.ok().flatten();
    term.map(|entry| entry.value.holder).unwrap_or_default()
}

/// The scheduler that leads, and the other.
async fn leader_and_other(rig: &Rig) -> (String, String) {
    eventually("somebody leads", || async { !leader(rig).await.is_empty() }).await;
    let first = leader(rig).await;
    let other = if first == "s-1" { "s-2" } else { "s-1" };
    (first, other.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_a_deposed_leader_that_arrives_late_is_refused_whole() {
    let nats = NatsServer::start().await;
    let mut rig = Rig::start(&nats.url(), 2, 3).await;
    let (zombie, other) = leader_and_other(&rig).await;
    rig.put("web", 10).await;
    check(&rig).await;
    // In the middle of a row: some of its batches are in, one is on its way for long.
    rig.wire(&zombie).hold("Nats-Expected-Last-Sequence", 2);
    rig.put("web", 900).await;
    let wire = rig.wire(&zombie).clone();
    eventually("a batch is held", || async { wire.met() == 1 }).await;
    eventually("the other leads", || async { leader(&rig).await == other }).await;
    wire.release();
    check(&rig).await;
    rig.put("more", 20).await;
    check(&rig).await;
    assert_eq!(leader(&rig).await, other, "the first one stays deposed");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_whose_wires_are_cut_both_ways_or_one_way_settle_to_one_copy_of_each() {
    let nats = NatsServer::start().await;
    let mut rig = Rig::start(&nats.url(), 1, 10).await;
    rig.put("web", 60).await;
    check(&rig).await;
    for (node, wire) in [("node-1", Wire::Cut), ("node-2", Wire::Deaf), ("node-3", Wire::Mute)] {
        rig.wire(node).set(wire);
    }
    eventually("what was on those that are not heard runs elsewhere", || async {
        let mut lost = 0;
        for node in ["node-1", "node-3"] {
            let view = rig.bus.call(&pb::NodeGet { name: node.to_owned() }, &caller()).await;
            lost += u32::from(view.is_ok_and(|view| view.liveness == "offline"));
        }
        lost == 2
    })
    .await;
    rig.put("web", 80).await;
    for node in ["node-1", "node-2", "node-3"] {
        rig.wire(node).set(Wire::Whole);
    }
    check(&rig).await;
}

fn caller() -> Caller {
    Caller::program("test")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leader_and_the_registry_cut_off_together_are_replaced_or_come_back() {
    let nats = NatsServer::start().await;
    let mut rig = Rig::start(&nats.url(), 2, 3).await;
    let (first, other) = leader_and_other(&rig).await;
    rig.put("web", 30).await;
    rig.wire(&first).set(Wire::Mute);
    rig.wire("registry").set(Wire::Deaf);
    let asked = rig.client.ask("web", 30).await;
    assert!(asked.is_err(), "a registry that hears nothing acknowledged a write: {asked:?}");
    eventually("the other leads", || async { leader(&rig).await == other }).await;
    rig.wire("registry").set(Wire::Whole);
    rig.put("web", 50).await;
    rig.wire(&first).set(Wire::Whole);
    check(&rig).await;
    rig.end(&other).await;
    rig.put("web", 12).await;
    check(&rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn followers_that_never_read_hold_up_nobody() {
    let nats = NatsServer::start().await;
    let mut rig = Rig::start(&nats.url(), 1, 3).await;
    let _unread = rig.bus.events_from(ostler_core::id::Revision(0));
    let _unwatched = rig.bus.watch(&ostler_schemas::bucket::Bucket::Reports).await;
    let address = nats.url().trim_start_matches("nats://").to_owned();
    let mut deaf = tokio::net::TcpStream::connect(address).await.expect("it listens");
    deaf.write_all(b"CONNECT {\"verbose\":false}\r\nSUB > 1\r\n").await.expect("it is connected");
    for round in 1..=4 {
        rig.put("web", 300 * round).await;
        rig.put("churn", 150 * (round % 2)).await;
    }
    check(&rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_by_an_hour_changes_nothing() {
    let nats = NatsServer::start().await;
    let mut rig = Rig::start(&nats.url(), 2, 3).await;
    rig.put("web", 20).await;
    check(&rig).await;
    let key = HeadKey("default/web".parse().expect("a key"));
    for (round, hours) in [(1, 1), (2, -1), (3, 0)] {
        clock::set_wall(hours * 3_600_000);
        rig.put("web", 20 + round * 5).await;
        check(&rig).await;
        let entry = rig.bus.get(&key).await.expect("NATS answers").expect("it is there");
        let off =
            entry.value.updated_at.since(entry.at).max(entry.at.since(entry.value.updated_at));
        assert!(off.as_millis() < 60_000, "what is kept is by the server's clock: {off}");
    }
    let (leads, _) = leader_and_other(&rig).await;
    rig.end(&leads).await;
    rig.put("web", 9).await;
    eventually_within(Duration::from_secs(20), "the next one leads", || async {
        leader(&rig).await != leads
    })
    .await;
    check(&rig).await;
}
