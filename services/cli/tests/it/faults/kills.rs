//! Real processes that are killed or stopped at the worst moment: in the middle of a batch, of a plan,
//! of anything.

use std::collections::BTreeSet;

use ostler_core::id::PoolName;
use ostler_schemas::bucket::{HeadKey, LeaseKey, TermKey};
use ostler_testkit::{NatsCluster, NatsServer, eventually};

use super::checker::{check, events, of};
use super::parts::{Parts, Place};
use super::rig::Rig;

/// The scheduler that leads, and the other, by the names of their parts.
async fn leader_and_other(parts: &Parts) -> (String, String) {
    let first = std::sync::Mutex::new(String::new());
    eventually("somebody leads", || async {
        let term = parts.bus.get(&TermKey(PoolName::default())).await.ok().flatten();
        let holder = term.map(|entry| entry.value.holder).unwrap_or_default();
        let name = if holder == "scheduler" { "scheduler-1".to_owned() } else { holder };
        name.clone_into(&mut first.lock().expect("unbroken"));
        !name.is_empty()
    })
    .await;
    let first = first.into_inner().expect("unbroken");
    let other = if first == "scheduler-1" { "scheduler-2" } else { "scheduler-1" };
    (first, other.to_owned())
}

async fn until_leads(parts: &Parts, who: &str) {
    eventually(&format!("{who} leads"), || async { leader_and_other(parts).await.0 == who }).await;
}

async fn until_met(parts: &Parts, who: &str, times: usize) {
    let wire = parts.wire(who).clone();
    eventually("a message is held", || async { wire.met() >= times }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_killed_in_the_middle_of_a_batch_leaves_nothing_of_it() {
    let nats = NatsServer::start().await;
    let mut parts = Parts::start(&nats.url(), 2, 3).await;
    parts.put("web", 6).await;
    check(&parts).await;
    // After its first message, and when only its last is missing.
    for (count, text) in [(9, "Nats-Batch-Sequence: 2"), (12, "Nats-Batch-Commit: 1")] {
        let (leader, other) = leader_and_other(&parts).await;
        let met = parts.wire(&leader).met();
        parts.wire(&leader).hold(text, 0);
        parts.put("web", count).await;
        until_met(&parts, &leader, met + 1).await;
        parts.part(&leader).kill();
        until_leads(&parts, &other).await;
        // What was on its way arrives, from a leader that is no more.
        parts.wire(&leader).release();
        check(&parts).await;
        parts.part(&leader).again();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_killed_after_a_commit_that_it_never_heard_of_has_placed_nothing_twice() {
    let nats = NatsServer::start().await;
    let mut parts = Parts::start(&nats.url(), 2, 3).await;
    let (leader, other) = leader_and_other(&parts).await;
    parts.wire(&leader).lose_answer("Nats-Batch-Commit: 1");
    parts.put("web", 12).await;
    until_met(&parts, &leader, 1).await;
    parts.part(&leader).kill();
    parts.put("web", 15).await;
    until_leads(&parts, &other).await;
    check(&parts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_stopped_in_the_middle_of_a_plan_writes_nothing_when_it_wakes() {
    let nats = NatsServer::start().await;
    let mut parts = Parts::start(&nats.url(), 2, 3).await;
    parts.put("web", 6).await;
    check(&parts).await;
    let (zombie, other) = leader_and_other(&parts).await;
    // It has planned, and stops before its batch is out.
    parts.wire(&zombie).hold("Nats-Expected-Last-Sequence", 0);
    parts.put("web", 12).await;
    until_met(&parts, &zombie, 1).await;
    parts.part(&zombie).stop();
    until_leads(&parts, &other).await;
    parts.put("web", 15).await;
    check(&parts).await;
    parts.part(&zombie).cont();
    parts.wire(&zombie).release();
    parts.put("more", 6).await;
    check(&parts).await;
    assert_eq!(leader_and_other(&parts).await.0, other, "the first one stays deposed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_leader_placed_and_could_not_tell_is_told_by_the_next_once() {
    let nats = NatsServer::start().await;
    let mut parts = Parts::start(&nats.url(), 2, 3).await;
    let (leader, other) = leader_and_other(&parts).await;
    parts.wire(&leader).hold("instance-placed", 0);
    parts.put("web", 9).await;
    until_met(&parts, &leader, 1).await;
    parts.part(&leader).kill();
    until_leads(&parts, &other).await;
    let running = check(&parts).await;
    let running: BTreeSet<String> = running.iter().map(|one| one.id.to_string()).collect();
    eventually("each placement is told once", || async {
        let told = events(&parts.client).await;
        let placed = told.iter().map(of).filter(|event| event.kind == "instance.placed");
        let placed: Vec<String> = placed.map(|event| event.instance.clone()).collect();
        placed.len() == running.len() && placed.into_iter().collect::<BTreeSet<_>>() == running
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_slept_and_read_nothing_leads_with_the_right_picture() {
    let nats = NatsServer::start().await;
    let mut parts = Parts::start(&nats.url(), 2, 3).await;
    let (leader, standby) = leader_and_other(&parts).await;
    parts.part(&standby).stop();
    for round in 1..=4 {
        parts.put("web", 9 * round).await;
        parts.put(&format!("more-{round}"), 3).await;
    }
    check(&parts).await;
    parts.part(&standby).cont();
    parts.part(&leader).kill();
    until_leads(&parts, &standby).await;
    parts.put("web", 7).await;
    check(&parts).await;
}

/// The registry that leads.
async fn registry(parts: &Parts) -> String {
    let found = std::sync::Mutex::new(String::new());
    eventually("a registry leads", || async {
        let lease = parts.bus.get(&LeaseKey("registry".to_owned())).await.ok().flatten();
        let holder = lease.map(|entry| entry.value.holder).unwrap_or_default();
        let name = holder.split('/').next().unwrap_or_default();
        name.clone_into(&mut found.lock().expect("unbroken"));
        !name.is_empty()
    })
    .await;
    found.into_inner().expect("unbroken")
}

#[tokio::test(flavor = "multi_thread")]
async fn registries_killed_and_stopped_while_they_are_asked_lose_nothing() {
    let nats = NatsServer::start().await;
    let mut parts = Parts::start(&nats.url(), 1, 3).await;
    parts.add("registry-2", &Place::here(&nats.url()));
    parts.put("web", 3).await;
    check(&parts).await;
    let first = registry(&parts).await;
    parts.part(&first).stop();
    for round in 1..=3 {
        parts.put(&format!("while-stopped-{round}"), 1).await;
    }
    eventually("the other leads", || async { registry(&parts).await != first }).await;
    parts.part(&first).cont();
    let second = registry(&parts).await;
    parts.part(&second).kill();
    parts.put("web", 5).await;
    eventually("the first leads again", || async { registry(&parts).await == first }).await;
    parts.part(&second).again();
    check(&parts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_killed_before_it_told_of_an_end_is_followed_by_one_that_tells_it_once() {
    let nats = NatsServer::start().await;
    let mut parts = Parts::start(&nats.url(), 1, 2).await;
    parts.put("web", 2).await;
    parts.put("gone", 2).await;
    check(&parts).await;
    parts.wire("registry-1").hold("workload-ended", 0);
    parts.client.delete("gone").await;
    until_met(&parts, "registry-1", 1).await;
    parts.part("registry-1").kill();
    parts.part("registry-1").again();
    let key = HeadKey("default/gone".parse().expect("a key"));
    eventually("it is forgotten", || async {
        parts.bus.get(&key).await.is_ok_and(|head| head.is_none())
    })
    .await;
    check(&parts).await;
    let told = events(&parts.client).await;
    let told = told.iter().map(of).filter(|event| event.kind == "workload.ended");
    assert_eq!(told.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_server_stopped_and_woken_costs_nothing_but_time() {
    let nats = NatsServer::start().await;
    let mut parts = Parts::start(&nats.url(), 2, 3).await;
    parts.put("web", 9).await;
    check(&parts).await;
    let before = sleepers(&parts);
    nats.stop();
    assert!(parts.client.ask("web", 9).await.is_err(), "nobody acknowledges anything");
    assert_eq!(sleepers(&parts), before, "what runs runs on");
    nats.cont();
    parts.put("more", 3).await;
    check(&parts).await;
    let after = sleepers(&parts);
    assert!(before.iter().all(|pid| after.contains(pid)), "nothing is restarted");
}

/// The processes of all instances.
fn sleepers(parts: &Parts) -> Vec<u32> {
    crate::fleet::processes_in(parts.dir())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_three_servers_and_then_all_stopped_and_woken_lose_nothing() {
    let cluster = NatsCluster::start(3).await;
    let mut rig = Rig::start(&cluster.url(), 2, 3).await;
    rig.put("web", 20).await;
    check(&rig).await;
    cluster.stop(0);
    rig.put("web", 50).await;
    check(&rig).await;
    cluster.cont(0);
    (0..3).for_each(|number| cluster.stop(number));
    assert!(rig.client.ask("web", 50).await.is_err(), "nobody acknowledges anything");
    (0..3).for_each(|number| cluster.cont(number));
    rig.put("web", 25).await;
    check(&rig).await;
}
