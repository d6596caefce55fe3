//! Connecting, losing and finding the server again.

use std::time::Duration;

use ostler_bus::{Bus, Config, ConnectError, Pings};
use ostler_service::{Program, clock};
use ostler_testkit::{NatsServer, eventually};

use crate::fixture::{config, join, provisioned};

#[tokio::test]
async fn a_lost_server_is_told_and_found_again() {
    let mut server = NatsServer::start().await;
    let bus = join(&server.url(), "registry").await;
    let state = bus.state();
    assert!(state.borrow().up);
    assert_eq!(state.borrow().connects, 1);
    assert_eq!(bus.program().health.ready(), Ok(()));
    server.kill();
    eventually("it is told", || async { !state.borrow().up }).await;
    assert_eq!(bus.program().health.ready(), Err("bus: disconnected\n".to_owned()));
    server.restart().await;
    eventually("it is found again", || async { state.borrow().up }).await;
    assert_eq!(state.borrow().connects, 2);
    assert!(bus.round_trip(Duration::from_secs(5)).await.is_some());
    let lost = bus.program().metrics.gather().into_iter();
    let lost = lost.filter(|family| family.name() == "ostler_bus_disconnects_total");
    let lost: f64 = lost.map(|family| family.get_metric()[0].get_counter().value()).sum();
    assert!((lost - 1.0).abs() < 0.1, "{lost}");
}

#[tokio::test]
async fn settings_that_make_no_sense_are_named() {
    let program = Program::new();
    for (settings, wanted) in [
        (Config { root: "a.b".into(), ..Config::default() }, "`root`"),
        (Config { url: "nats://[".into(), ..Config::default() }, "`url`"),
        (Config { credentials: Some("/no/such".into()), ..Config::default() }, "`credentials`"),
    ] {
        match Bus::connect(&settings, "test", Pings::Usual, &program).await {
            Err(ConnectError::Config(text)) => assert!(text.contains(wanted), "{text}"),
            other => panic!("{wanted}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn pool_time_is_the_servers_and_does_not_step_back() {
    let server = NatsServer::start().await;
    let bus = provisioned(&server.url()).await;
    bus.last_revision(&ostler_schemas::bucket::Bucket::Nodes).await.expect("the server answers");
    let now = bus.pool_time();
    assert!(now.as_millis().abs_diff(clock::wall_ms()) < 2_000);
    assert!(bus.pool_time() >= now);
}

#[tokio::test]
async fn another_connection_has_its_own_pings_and_health() {
    let server = NatsServer::start().await;
    let bus = join(&server.url(), "node-n1").await;
    let beats = bus.another("node-n1-beats", Pings::Heartbeat).await.expect("the server runs");
    assert_eq!(beats.config(), &config(&server.url()));
    assert_eq!(bus.program().health.ready(), Ok(()));
    beats.drain().await;
    assert!(bus.round_trip(Duration::from_secs(5)).await.is_some());
    let left = bus.program().health.ready().expect_err("one is closed");
    assert!(left.starts_with("bus-heartbeat: "), "{left}");
}
