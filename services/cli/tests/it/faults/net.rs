//! Real processes on hosts of their own, whose cables are cut: both ways, and one way.

use std::time::Duration;

use ostler_core::id::NodeName;
use ostler_schemas::bucket::NodeKey;
use ostler_testkit::{Cut, Host, NatsServer, eventually_within, in_a_network_of_its_own};

use super::checker::check;
use super::parts::{Parts, Place};

/// Detection takes four seconds; a host that hears nothing finds out by its pings.
const NOTICED_WITHIN: Duration = Duration::from_secs(20);

/// Puts a part on a host of its own.
fn on_a_host(parts: &mut Parts, name: &str, number: u8, nats: &NatsServer) -> Host {
    let host = Host::new(number);
    let url = format!("nats://{}:{}", host.gateway(), nats.port());
    parts.add(name, &Place { url, enter: host.enter(), data: None });
    host
}

async fn until(parts: &Parts, node: &str, liveness: &str) {
    let key = NodeKey(node.parse::<NodeName>().expect("a name"));
    eventually_within(NOTICED_WITHIN, &format!("{node} is {liveness}"), || async {
        let record = parts.bus.get(&key).await.ok().flatten();
        record.is_some_and(|entry| entry.value.liveness.as_str() == liveness)
    })
    .await;
}

#[test]
fn hosts_cut_off_both_ways_or_one_way_settle_to_one_copy_of_each() {
    in_a_network_of_its_own(hosts_cut_off);
}

async fn hosts_cut_off() {
    let nats = NatsServer::start_on_all_addresses().await;
    let mut parts = Parts::none(&nats.url()).await;
    parts.add("registry-1", &Place::here(&nats.url()));
    parts.add("scheduler-1", &Place::here(&nats.url()));
    let hosts: Vec<Host> = (1..=10)
        .map(|number| on_a_host(&mut parts, &format!("node-{number}"), number, &nats))
        .collect();
    parts.until_online(10).await;
    parts.put("web", 30).await;
    check(&parts).await;
    for (host, cut) in hosts.iter().zip([Cut::Both, Cut::Mute, Cut::Deaf]) {
        host.cut(cut);
    }
    for node in ["node-1", "node-2"] {
        until(&parts, node, "offline").await;
    }
    parts.put("web", 40).await;
    parts.put("more", 10).await;
    hosts.iter().take(3).for_each(Host::mend);
    for node in ["node-1", "node-2", "node-3"] {
        until(&parts, node, "online").await;
    }
    check(&parts).await;
}

#[test]
fn services_cut_off_both_ways_or_one_way_are_replaced_and_lose_nothing() {
    in_a_network_of_its_own(services_cut_off);
}

async fn services_cut_off() {
    let nats = NatsServer::start_on_all_addresses().await;
    let mut parts = Parts::none(&nats.url()).await;
    let names = ["registry-1", "registry-2", "scheduler-1", "scheduler-2"];
    let hosts: Vec<Host> =
        (1..).zip(names).map(|(number, name)| on_a_host(&mut parts, name, number, &nats)).collect();
    for number in 1..=3 {
        parts.add(&format!("node-{number}"), &Place::here(&nats.url()));
    }
    parts.until_online(3).await;
    parts.put("web", 9).await;
    check(&parts).await;
    for (round, cut) in (1..).zip([Cut::Both, Cut::Mute, Cut::Deaf]) {
        // One of each kind, in turns: whoever leads, leads no more.
        let lost = [round % 2, 2 + round % 2].map(|number| &hosts[number]);
        lost.iter().for_each(|host| host.cut(cut));
        let round = u32::try_from(round).expect("small");
        parts.put("web", 9 + round).await;
        parts.put(&format!("more-{round}"), 3).await;
        lost.iter().for_each(|host| host.mend());
        check(&parts).await;
    }
}
