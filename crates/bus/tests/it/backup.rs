//! A fleet's streams are copied, and an empty server becomes the fleet again.

use ostler_bus::Bus;
use ostler_bus::backup::{BackupError, Copied};
use ostler_core::id::PoolName;

use crate::fixture::{Servers, join, lease_key, manifest, manifest_key, provisioned, record};

fn pools() -> Vec<PoolName> {
    vec![PoolName::default()]
}

/// Every stream that is worth it, with its content.
async fn copy(bus: &Bus) -> Vec<(Copied, Vec<u8>)> {
    let mut copies = Vec::new();
    for stream in bus.copied_streams(&pools()) {
        let mut content = Vec::new();
        let copied = bus.copy_out(&stream, &mut content).await.expect("the server copies");
        copies.push((copied, content));
    }
    copies
}

async fn put_back(bus: &Bus, copies: &[(Copied, Vec<u8>)]) -> Result<(), BackupError> {
    let heads: Vec<Copied> = copies.iter().map(|(copied, _)| copied.clone()).collect();
    bus.vacant(&heads, &pools()).await?;
    for (copied, content) in copies {
        bus.copy_in(copied, &mut content.as_slice()).await?;
    }
    bus.begin_life().await?;
    bus.provision(&pools()).await.expect("what is not copied is made");
    Ok(())
}

#[tokio::test]
async fn a_restored_fleet_has_every_key_at_its_revision_and_begins_a_new_life() {
    let (_old, url) = Servers::one().await;
    let bus = provisioned(&url).await;
    let life = bus.incarnation().await.expect("it is provisioned");
    for number in 1..=300 {
        let key = manifest_key(&format!("n{number}"));
        bus.put(&key, &manifest(number)).await.expect("it is written");
    }
    let lease = lease_key("someone");
    bus.put(&lease, &record("holder")).await.expect("it is written");
    let before = bus.get(&manifest_key("n300")).await.expect("read").expect("there");
    let copies = copy(&bus).await;

    let (_new, url) = Servers::three().await;
    let restored = join(&url, "restore").await;
    put_back(&restored, &copies).await.expect("an empty cluster takes it");
    let after = restored.get(&manifest_key("n300")).await.expect("read").expect("there");
    assert_eq!((after.revision, after.value), (before.revision, before.value));
    assert!(restored.incarnation().await.expect("provisioned") > life);
    assert!(restored.get(&lease).await.expect("read").is_none(), "leases are not restored");
    restored.check(&pools()).await.expect("nothing has drifted, and three replicas are three");
}

#[tokio::test]
async fn a_fleet_that_is_there_is_not_restored_over() {
    let (_servers, url) = Servers::one().await;
    let bus = provisioned(&url).await;
    let copies = copy(&bus).await;
    let refused = put_back(&bus, &copies).await;
    assert!(matches!(refused, Err(BackupError::Occupied(_))), "{refused:?}");
}

#[tokio::test]
async fn a_copy_that_was_cut_is_refused_by_the_server() {
    let (_old, url) = Servers::one().await;
    let mut copies = copy(&provisioned(&url).await).await;
    let (_new, url) = Servers::one().await;
    let bus = join(&url, "restore").await;
    for (_, content) in &mut copies {
        content.truncate(content.len() / 2);
    }
    let refused = put_back(&bus, &copies).await;
    assert!(matches!(refused, Err(BackupError::Server { .. })), "{refused:?}");
}
