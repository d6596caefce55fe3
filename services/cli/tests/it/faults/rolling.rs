//! Everything is restarted, one after the other, while people ask for things: an upgrade.

use std::collections::BTreeSet;
use std::path::Path;

use ostler_testkit::{NatsCluster, eventually};

use super::checker::{Checked as _, check};
use super::parts::{Parts, Place};

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_of_everything_under_load_loses_nothing_and_restarts_no_instance() {
    let mut cluster = NatsCluster::start(3).await;
    let mut parts = Parts::none(&cluster.url()).await;
    let kinds = [("registry", 2), ("scheduler", 2), ("node", 3)];
    for (kind, count) in kinds {
        for number in 1..=count {
            parts.add(&format!("{kind}-{number}"), &Place::here(&cluster.url()));
        }
    }
    parts.until_online(3).await;
    parts.put("web", 12).await;
    check(&parts).await;
    let before = instances(parts.dir());
    assert_eq!(before.len(), 12);
    for (round, name) in (1..).zip(parts.names()) {
        parts.part(&name).terminate();
        parts.put(&format!("while-{name}-stops"), 1).await;
        until_ended(&mut parts, &name).await;
        parts.put("load", round).await;
        parts.part(&name).again();
        parts.put(&format!("while-{name}-starts"), 1).await;
        parts.until_online(parts.nodes().len()).await;
    }
    for number in 0..cluster.size() {
        cluster.kill(number);
        parts.put(&format!("without-server-{number}"), 1).await;
        cluster.restart(number).await;
    }
    check(&parts).await;
    assert!(before.is_subset(&instances(parts.dir())), "an instance was restarted");
}

async fn until_ended(parts: &mut Parts, name: &str) {
    let part = std::sync::Mutex::new(parts.part(name));
    eventually(&format!("{name} has ended"), || async { !part.lock().expect("unbroken").runs() })
        .await;
}

/// The processes of all instances.
fn instances(dir: &Path) -> BTreeSet<u32> {
    crate::fleet::processes_in(dir).into_iter().collect()
}
