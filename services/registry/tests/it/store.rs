//! History in SQL: the same tests on SQLite and on PostgreSQL.

use ostler_core::id::Revision;
use ostler_registry::store::{AppendError, OpenError, Query, Store};
use ostler_schemas::pb;
use ostler_testkit::Postgres;
use tempfile::TempDir;

fn event(sequence: u64, kind: &str, workload: &str) -> (Revision, pb::Event) {
    let event = pb::Event {
        id: format!("id-{sequence}"),
        time: "2026-01-01T00:00:00Z".to_owned(),
        source: "registry".to_owned(),
        kind: kind.to_owned(),
        workload: workload.to_owned(),
        namespace: "default".to_owned(),
        instance: "0123456789abcdef".to_owned(),
        version: 7,
        reason: "it's \0 a \"test\"; DROP TABLE events --".to_owned(),
        details: [("a".to_owned(), "b".to_owned())].into(),
        ..Default::default()
    };
    (Revision(sequence), event)
}

async fn sequences(store: &Store, query: Query) -> Vec<u64> {
    let query = Query { limit: 100, ..query };
    let views = store.events(&query).await.expect("it answers");
    views.into_iter().map(|view| view.sequence).collect()
}

async fn keeps_history(address: &str) {
    let store = Store::open(address).await.expect("it opens");
    assert_eq!(store.position(7).await.expect("it answers"), Revision(0));
    let events = [
        event(1, "workload.created", "web"),
        event(2, "instance.placed", "web"),
        event(5, "node.joined", ""),
    ];
    store.append(Revision(0), &events, Revision(6)).await.expect("they are added");
    assert_eq!(store.position(7).await.expect("it answers"), Revision(6));

    let replica = store.append(Revision(0), &events, Revision(6)).await;
    assert!(matches!(replica, Err(AppendError::Moved(_))), "another replica is refused whole");
    let again = [event(2, "instance.placed", "web"), event(7, "instance.ready", "web")];
    store.append(Revision(6), &again, Revision(7)).await.expect("a known id is passed over");

    assert_eq!(sequences(&store, Query::default()).await, [1, 2, 5, 7]);
    let since = Query { since: Revision(2), ..Query::default() };
    assert_eq!(sequences(&store, since).await, [5, 7]);
    let kind = |kind: &str| Query { kind: kind.to_owned(), ..Query::default() };
    assert_eq!(sequences(&store, kind("instance.placed")).await, [2]);
    assert_eq!(sequences(&store, kind("instance")).await, [2, 7]);
    assert_eq!(sequences(&store, kind("instance.*")).await, [2, 7]);
    assert_eq!(sequences(&store, kind("inst_nce")).await, [0u64; 0]);
    let web = Query { workload: "web".to_owned(), ..kind("instance") };
    assert_eq!(sequences(&store, web).await, [2, 7]);
    let begins = Query { instance: "0123".to_owned(), ..Query::default() };
    assert_eq!(sequences(&store, begins).await, [1, 2, 5, 7]);
    let newest = Query { newest: true, limit: 2, ..Query::default() };
    let views = store.events(&newest).await.expect("it answers");
    assert_eq!(views.iter().map(|view| view.sequence).collect::<Vec<_>>(), [5, 7]);
    let read = views[1].event.clone().expect("an event");
    assert_eq!((read.version, read.details.len()), (7, 1));
    assert!(read.reason.contains("DROP TABLE"), "{}", read.reason);

    let reopened = Store::open(address).await.expect("it opens again");
    assert_eq!(reopened.position(7).await.expect("it answers"), Revision(7));
    assert_eq!(reopened.position(8).await.expect("it answers"), Revision(0));
    assert_eq!(sequences(&reopened, Query::default()).await, [0u64; 0], "another fleet's life");
    reopened.close().await;
    store.close().await;
}

/// Of characters that do not shrink when they are packed.
async fn keeps_events_of_any_length(address: &str) {
    let store = Store::open(address).await.expect("it opens");
    let after = store.position(9).await.expect("it answers");
    let char = |n: u32| char::from_u32(0x4e00 + n * 7919 % 20_000).expect("a character");
    let long: String = (0..5_000).map(char).collect();
    let (sequence, mut event) = event(1, "instance.placed", &long);
    (event.id, event.node, event.instance) = (long.clone(), long.clone(), long);
    let kept = store.append(after, &[(sequence, event)], Revision(1)).await;
    kept.expect("nobody holds up what follows");
    assert_eq!(sequences(&store, Query::default()).await, [1]);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_history() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("below/history.db");
    keeps_history(&format!("sqlite:{}", path.display())).await;
    keeps_events_of_any_length(&format!("sqlite:{}", path.display())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_keeps_history() {
    let postgres = Postgres::start().await;
    keeps_history(&postgres.url()).await;
    keeps_events_of_any_length(&postgres.url()).await;
}

#[tokio::test]
async fn an_address_of_no_database_is_refused() {
    for address in ["", "mysql://x", "sqlite:", "sqlite::memory:"] {
        let refused = Store::open(address).await;
        assert!(matches!(refused, Err(OpenError::Address(_))), "{address}: {refused:?}");
    }
}
