//! One holder at a time; the next one soon.

use std::time::Duration;

use futures::future::join_all;
use ostler_bus::{Bus, Lease};
use ostler_service::clock;
use ostler_testkit::{NatsServer, eventually_within};

use crate::fixture::{Servers, join, lease_key, provisioned};

const TTL: Duration = Duration::from_secs(2);
const SOON: Duration = Duration::from_secs(20);

async fn acquire(bus: &Bus, holder: &str) -> Lease {
    let lease = Lease::acquire(bus, "test", holder, TTL);
    tokio::time::timeout(SOON, lease).await.expect("it is free in time").expect("it is allowed")
}

async fn check_handover(url: &str) {
    let bus = provisioned(url).await;
    let first = acquire(&bus, "a").await;
    assert!(first.holds());
    let rival = join(url, "rival").await;
    // Renewed for longer than it lives, it is neither lost nor taken.
    tokio::select! {
        _ = acquire(&rival, "b") => panic!("taken while it was held"),
        () = first.lost() => panic!("lost while it was renewed"),
        () = tokio::time::sleep(TTL * 2) => {}
    }
    let begun = clock::instant();
    let ((), second) = tokio::join!(first.release(), acquire(&rival, "b"));
    assert!(clock::since(begun) < Duration::from_secs(1), "{:?}", clock::since(begun));

    // A holder that is gone renews no more.
    let begun = clock::instant();
    drop(second);
    let third = acquire(&bus, "c").await;
    let took = clock::since(begun);
    assert!(took < TTL + Duration::from_secs(1), "{took:?}");
    assert!(took > TTL / 2, "{took:?}: it expires by the server's clock only");

    // Taken after an expiry, it expires again: the client's own `create_with_ttl` does not.
    drop(third);
    eventually_within(TTL + Duration::from_secs(1), "the lease expires again", || async {
        bus.get(&lease_key("test")).await.expect("it answers").is_none()
    })
    .await;
}

#[tokio::test]
async fn a_lease_is_handed_over_on_one_server() {
    let (_servers, url) = Servers::one().await;
    check_handover(&url).await;
}

#[tokio::test]
async fn a_lease_is_handed_over_on_three_servers() {
    let (_servers, url) = Servers::three().await;
    check_handover(&url).await;
}

#[tokio::test]
async fn of_many_only_one_holds() {
    let (_servers, url) = Servers::one().await;
    let bus = provisioned(&url).await;
    let short = Duration::from_millis(1_500);
    let held = join_all((0..8).map(|number| {
        let bus = bus.clone();
        async move {
            let name = format!("r{number}");
            let lease = Lease::acquire(&bus, "test", &name, TTL);
            tokio::time::timeout(short, lease).await.ok().map(|lease| lease.expect("allowed"))
        }
    }));
    let held: Vec<_> = held.await.into_iter().flatten().collect();
    assert_eq!(held.len(), 1);
}

#[tokio::test]
async fn a_holder_that_hears_nothing_stops_acting_before_the_lease_expires() {
    let server = NatsServer::start().await;
    let bus = provisioned(&server.url()).await;
    let lease = acquire(&bus, "a").await;
    server.stop();
    let begun = clock::instant();
    tokio::time::timeout(TTL, lease.lost()).await.expect("it is lost before it expires");
    assert!(!lease.holds());
    assert!(clock::since(begun) < TTL, "two thirds after the last sending");
    server.cont();
    acquire(&bus, "b").await;
    assert!(!lease.holds(), "and it stays lost");
}

#[tokio::test]
async fn a_restarted_server_costs_a_holder_nothing_if_it_is_quick() {
    let mut server = NatsServer::start().await;
    let bus = provisioned(&server.url()).await;
    let ttl = Duration::from_secs(9);
    let lease = Lease::acquire(&bus, "test", "a", ttl).await.expect("it is allowed");
    server.restart().await;
    let kept = tokio::time::timeout(ttl * 2 / 3 + TTL, lease.lost()).await;
    assert!(kept.is_err() && lease.holds());
}

#[tokio::test]
async fn a_program_that_stops_gives_its_lease_up() {
    let (_servers, url) = Servers::one().await;
    let bus = provisioned(&url).await;
    let lease = acquire(&bus, "a").await;
    let rival = join(&url, "rival").await;
    let begun = clock::instant();
    bus.program().tasks.stop();
    drop(lease);
    acquire(&rival, "b").await;
    assert!(clock::since(begun) < Duration::from_secs(1), "{:?}", clock::since(begun));
}

#[tokio::test]
async fn a_lease_is_taken_over_though_the_clock_of_the_server_went_back_by_an_hour() {
    let server = NatsServer::start().await;
    let bus = provisioned(&server.url()).await;
    let lease = acquire(&bus, "a").await;
    server.clock_jumps(-3_600);
    let rival = join(&server.url(), "rival").await;
    tokio::select! {
        _ = acquire(&rival, "b") => panic!("taken while it was held"),
        () = lease.lost() => panic!("lost while it was renewed"),
        () = tokio::time::sleep(TTL * 3) => {}
    }
    // Renewed for the last time before the clock goes back: the server keeps it for an hour.
    drop(lease);
    server.clock_jumps(-7_200);
    acquire(&rival, "b").await;
}
