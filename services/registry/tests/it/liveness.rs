//! Liveness on real beats: who falls silent is suspect, then offline, and returns with a beat.

use std::future::Future;
use std::time::Duration;

use nkeys::KeyPair;
use ostler_schemas::pb;
use ostler_service::clock;
use ostler_testkit::{eventually, eventually_within};

use crate::fixture::Fleet;

const BEAT: Duration = Duration::from_millis(200);

/// Beats for these nodes until `done`.
async fn beating(fleet: &Fleet, nodes: &[&str], done: impl Future<Output = ()>) {
    let beats = async {
        loop {
            for node in nodes {
                fleet.beat(node, 1).await;
            }
            tokio::time::sleep(BEAT).await;
        }
    };
    tokio::select! {
        () = done => {}
        () = beats => {}
    }
}

async fn is(fleet: &Fleet, node: &str, liveness: &str) -> bool {
    fleet.node(node).await.liveness == liveness
}

async fn three_nodes() -> Fleet {
    let fleet = Fleet::start().await;
    for node in ["n1", "n2", "n3"] {
        fleet.join(node, &KeyPair::new_user()).await.expect("admitted");
    }
    fleet
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_node_is_suspect_then_offline_and_returns_with_a_beat() {
    let fleet = three_nodes().await;
    let silent_since = clock::instant();
    beating(&fleet, &["n1", "n2"], async {
        eventually("n3 is suspect", || is(&fleet, "n3", "suspect")).await;
        assert!(clock::since(silent_since) >= Duration::from_millis(2_400));
        eventually("n3 is offline", || is(&fleet, "n3", "offline")).await;
        let took = clock::since(silent_since);
        assert!(took >= Duration::from_millis(3_900), "{took:?}");
        assert!(took <= Duration::from_millis(6_000), "{took:?}");
    })
    .await;
    assert!(is(&fleet, "n1", "online").await && is(&fleet, "n2", "online").await);
    fleet.beat("n3", 7).await;
    fleet.beat("n3", 1).await;
    eventually_within(Duration::from_secs(2), "n3 is back", || is(&fleet, "n3", "online")).await;
    eventually("its story is told", || async {
        let request = pb::EventList { node: "n3".to_owned(), ..Default::default() };
        let events = fleet.call(request).await.expect("it answers").items;
        let kinds: Vec<_> = events.into_iter().filter_map(|view| view.event).collect();
        let kinds: Vec<_> = kinds.iter().map(|event| event.kind.as_str()).collect();
        kinds.starts_with(&["node.joined", "node.suspect", "node.offline", "node.returned"])
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_node_whose_executor_answers_stays_suspect() {
    let fleet = three_nodes().await;
    let node = crate::fixture::node_name("n3");
    let executor = fleet
        .bus
        .serve_node(&node)
        .on(|_, _: pb::Ping| async { Ok(pb::Pong { node: "n3".to_owned(), epoch: 1 }) });
    executor.start().await.expect("it listens");
    let begun = clock::instant();
    beating(&fleet, &["n1", "n2"], async {
        eventually("six seconds have passed, and it was never offline", || async {
            assert!(!is(&fleet, "n3", "offline").await);
            clock::since(begun) > Duration::from_secs(6)
        })
        .await;
    })
    .await;
    assert!(is(&fleet, "n3", "suspect").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_nats_server_loses_no_node() {
    let mut fleet = three_nodes().await;
    fleet.server.restart().await;
    let begun = clock::instant();
    beating(&fleet, &["n1", "n2", "n3"], async {
        eventually("eight seconds have passed, and nobody was offline", || async {
            let list = fleet.call(pb::NodeList::default()).await;
            let nodes = list.map(|list| list.items).unwrap_or_default();
            assert!(nodes.iter().all(|node| node.liveness != "offline"), "{nodes:?}");
            clock::since(begun) > Duration::from_secs(8)
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_goes_on_with_the_silences_it_has_heard() {
    let fleet = Fleet::start().await;
    fleet.join("n1", &KeyPair::new_user()).await.expect("admitted");
    let mut config = fleet.config();
    config.database = config.database.replace("registry.db", "second.db");
    let standby = fleet.registry_with(config).await;
    fleet.beat("n1", 1).await;
    let silent_since = clock::instant();
    eventually("it is offline", || is(&fleet, "n1", "offline")).await;
    assert!(clock::since(silent_since) <= Duration::from_secs(6));
    standby.finish().await.expect("it stops cleanly");
}

/// Three nodes speak through server `a` and fall silent together while those of `b` beat: that is
/// more likely the server, so they are given longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_of_one_nats_server_that_fall_silent_together_are_given_longer() {
    let fleet = three_nodes().await;
    fleet.join("n4", &KeyPair::new_user()).await.expect("admitted");
    for node in ["n1", "n2", "n3"] {
        fleet.beat_through("a", node, 1).await;
    }
    let silent_since = clock::instant();
    let others = async {
        loop {
            fleet.beat_through("b", "n4", 1).await;
            tokio::time::sleep(BEAT).await;
        }
    };
    let watched = eventually("n1 is offline at last", || is(&fleet, "n1", "offline"));
    tokio::select! {
        () = watched => {}
        () = others => {}
    }
    let took = clock::since(silent_since);
    assert!(took >= Duration::from_millis(14_000), "{took:?}");
    assert!(is(&fleet, "n4", "online").await);
}
