//! History is a read model: it fills from the stream, and again when it was deleted.

use ostler_registry::Config;
use ostler_schemas::pb;
use ostler_testkit::{Postgres, eventually};

use crate::fixture::Fleet;

const EVENTS: usize = 25;

async fn kinds(fleet: &Fleet) -> Vec<String> {
    let request = pb::EventList { workload: "web".to_owned(), limit: 1_000, ..Default::default() };
    let items = fleet.call(request).await.map(|reply| reply.items).unwrap_or_default();
    items.into_iter().filter_map(|view| view.event).map(|event| event.kind).collect()
}

async fn change_it(fleet: &Fleet) {
    fleet.put("name = \"web\"\ndriver = \"sim\"").await.expect("created");
    for count in 2..=25 {
        let scale = pb::WorkloadScale { name: "web".to_owned(), count, ..Default::default() };
        fleet.call(scale).await.expect("scaled");
    }
}

async fn all_told(fleet: &Fleet) {
    eventually("everything is told once", || async { kinds(fleet).await.len() >= EVENTS }).await;
    let kinds = kinds(fleet).await;
    assert_eq!((kinds.len(), kinds[0].as_str()), (EVENTS, "workload.created"));
    assert!(kinds[1..].iter().all(|kind| kind == "workload.scaled"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_database_fills_again() {
    let fleet = Fleet::start().await;
    change_it(&fleet).await;
    all_told(&fleet).await;
    let mut config = fleet.config();
    config.database = config.database.replace("registry.db", "anew.db");
    fleet.replace(config).await;
    all_told(&fleet).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_registries_share_one_postgres_and_tell_everything_once() {
    let postgres = Postgres::start().await;
    let fleet = Fleet::start().await;
    let config = || Config { database: postgres.url(), ..Config::default() };
    fleet.replace(config()).await;
    let second = fleet.registry_with(config()).await;
    change_it(&fleet).await;
    all_told(&fleet).await;
    second.finish().await.expect("it stops cleanly");
    all_told(&fleet).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_read_from_any_place_and_go_on() {
    let fleet = Fleet::start().await;
    change_it(&fleet).await;
    all_told(&fleet).await;
    let mut reader = fleet.bus.events_from(ostler_core::id::Revision(20));
    for sequence in 21..=25 {
        let entry = reader.next().await.expect("it is there");
        assert_eq!(entry.sequence.0, sequence);
        assert!(entry.event.is_ok_and(|event| event.actor == "tester"));
    }
    let last = fleet.bus.last_event().await.expect("it answers");
    assert_eq!(last.0, 25);
    let stop = pb::WorkloadStop { name: "web".to_owned(), ..Default::default() };
    fleet.call(stop).await.expect("stopped");
    let next = reader.next().await.expect("it goes on");
    assert_eq!(next.event.map(|event| event.kind), Ok("workload.stopped".to_owned()));
}
