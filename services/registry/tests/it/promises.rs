//! What the registry has changed, it tells: whoever dies, whatever is away, and only once.

use nkeys::KeyPair;
use ostler_bus::{Bus, Caller, Pings};
use ostler_core::id::{PoolName, Revision};
use ostler_core::instance::Manifest;
use ostler_core::node::{Liveness, Node};
use ostler_core::time::Span;
use ostler_registry::Config;
use ostler_schemas::api::Call;
use ostler_schemas::bucket::{Bucket, NodeKey};
use ostler_schemas::pb;
use ostler_schemas::problem::Code;
use ostler_service::Program;
use ostler_testkit::eventually;

use crate::fixture::{Fleet, bus_config, caller, manifest_key, node_name};
use crate::raw::Raw;

const GARBAGE: &[u8] = b"\x01garbage";

/// What the stream has: history is another's promise.
async fn events(fleet: &Fleet, kind: &str) -> Vec<pb::Event> {
    let last = fleet.bus.last_event().await.unwrap_or_default();
    let (mut reader, mut found) = (fleet.bus.events_from(Revision(0)), Vec::new());
    while last > Revision(0)
        && let Some(entry) = reader.next().await
    {
        found.extend(entry.event.ok().filter(|event| event.kind == kind));
        if entry.sequence >= last {
            break;
        }
    }
    found
}

async fn told_once(fleet: &Fleet, kind: &str) {
    eventually(kind, || async { !events(fleet, kind).await.is_empty() }).await;
    assert_eq!(events(fleet, kind).await.len(), 1, "{kind} is told once");
}

/// The stream of events is gone, as when none of its servers can be reached.
async fn lose_events(fleet: &Fleet) {
    let mut raw = Raw::connect(&fleet.server.url()).await;
    let said = raw.request("$JS.API.STREAM.DELETE.EVENTS", b"").await;
    assert!(said.contains("\"success\":true"), "{said}");
}

/// A request that is answered for, because it cannot be told what it does.
async fn times_out<R: Call>(fleet: &Fleet, request: R)
where
    R::Reply: std::fmt::Debug,
{
    let caller = Caller { timeout: std::time::Duration::from_millis(700), ..caller() };
    let problem = fleet.bus.call(&request, &caller).await.expect_err("nothing can be told");
    assert_eq!(problem.code, Code::Timeout, "{problem}");
}

async fn events_are_back(fleet: &Fleet) {
    fleet.bus.provision(&[PoolName::default()]).await.expect("it is made again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_was_dropped_at_its_time_out_between_its_write_and_its_event() {
    let fleet = Fleet::start().await;
    lose_events(&fleet).await;
    let put = crate::fixture::put("name = \"web\"\ndriver = \"sim\"");
    times_out(&fleet, put).await;
    events_are_back(&fleet).await;
    told_once(&fleet, "workload.created").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removals_were_told_after_them_so_that_a_death_in_between_left_them_untold() {
    let fleet = Fleet::start().await;
    fleet.join("n1", &KeyPair::new_user()).await.expect("admitted");
    let limits = Some(pb::Document { json: r#"{"instances":5}"#.to_owned() });
    fleet.call(pb::QuotaPut { limits, ..Default::default() }).await.expect("it is set");
    lose_events(&fleet).await;
    times_out(&fleet, pb::NodeRemove { name: "n1".to_owned(), ..Default::default() }).await;
    times_out(&fleet, pb::QuotaDelete::default()).await;
    fleet.call(pb::NodeGet { name: "n1".to_owned() }).await.expect("it waits for its farewell");
    fleet.call(pb::QuotaGet::default()).await.expect("and so does the quota");
    events_are_back(&fleet).await;
    for kind in ["node.removed", "quota.removed"] {
        told_once(&fleet, kind).await;
    }
    eventually("both are gone", || async {
        let node = fleet.call(pb::NodeGet { name: "n1".to_owned() }).await;
        let quota = fleet.call(pb::QuotaGet::default()).await;
        let gone = |code: Option<Code>| code == Some(Code::NotFound);
        gone(node.err().map(|it| it.code)) && gone(quota.err().map(|it| it.code))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_liveness_whose_writer_died_was_never_told() {
    let fleet = Fleet::start().await;
    for name in ["n1", "n2"] {
        fleet.join(name, &KeyPair::new_user()).await.expect("admitted");
    }
    // What a registry wrote that died before it told.
    let key = NodeKey(node_name("n2"));
    let entry = fleet.bus.get(&key).await.expect("it answers").expect("it is there");
    let liveness_since = fleet.bus.pool_time();
    let left = Node { liveness: Liveness::Left, liveness_since, ..entry.value };
    fleet.bus.update(&key, &left, entry.revision).await.expect("written");
    told_once(&fleet, "node.left").await;
    assert_eq!(events(&fleet, "node.joined").await.len(), 2, "what was told is not told again");
    assert!(events(&fleet, "node.returned").await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_cannot_be_read_could_never_be_written_again() {
    let fleet = Fleet::start().await;
    let text = |count: u32| format!("name = \"web\"\ndriver = \"sim\"\ncount = {count}");
    for count in [1, 2] {
        fleet.put(&text(count)).await.expect("written");
    }
    let mut raw = Raw::connect(&fleet.server.url()).await;
    raw.publish("$KV.workloads.default.web", GARBAGE).await;
    let reply = fleet.put(&text(3)).await.expect("it is written over");
    assert_eq!(reply.workload.map(|view| view.version), Some(3), "nothing known is lost");
    told_once(&fleet, "record.unreadable").await;
    // Nor by a registry that never read it.
    raw.publish("$KV.workloads.default.web", GARBAGE).await;
    fleet.replace(fleet.config()).await;
    let delete = pb::WorkloadDelete { name: "web".to_owned(), ..Default::default() };
    let view = fleet.call(delete).await.expect("it is written over");
    assert_eq!((view.version, view.deleted), (3, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_record_cannot_be_read_could_never_join_again() {
    let fleet = Fleet::start().await;
    let key = KeyPair::new_user();
    fleet.join("n1", &key).await.expect("admitted");
    let mut raw = Raw::connect(&fleet.server.url()).await;
    raw.publish("$KV.nodes.n1", GARBAGE).await;
    let challenge = pb::Challenge { node: "n1".to_owned() };
    let reply = fleet.call(challenge).await.expect("it is answered");
    assert!(reply.unknown, "its executor is to say hello");
    let stranger = fleet.join("n1", &KeyPair::new_user()).await;
    assert_eq!(stranger.map_err(|problem| problem.code), Err(Code::Conflict));
    assert_eq!(fleet.join("n1", &key).await.expect("admitted").epoch, 2);
    told_once(&fleet, "record.unreadable").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_fleet_had_an_older_epoch_on_record_than_its_executor() {
    let fleet = Fleet::start().await;
    let key = KeyPair::new_user();
    let granted = fleet.join("n1", &key).await.expect("admitted");
    let known = fleet.call(pb::Challenge { node: "n1".to_owned() }).await.expect("answered");
    assert_eq!((known.epoch, known.incarnation), (granted.epoch, granted.incarnation));
    let hello = fleet.hello("n1", &key, &crate::fixture::facts()).await;
    let later = fleet.call(pb::Hello { epoch: 7, ..hello.clone() }).await.expect("admitted");
    assert_eq!(later.epoch, 8, "the next life is past the one that the executor had");
    let absurd = pb::Hello { epoch: u64::MAX, ..hello };
    assert_eq!(fleet.refused(absurd).await, Code::Invalid);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_ran_on_streams_that_were_not_as_the_table_says() {
    let fleet = Fleet::start().await;
    let mut raw = Raw::connect(&fleet.server.url()).await;
    let info = raw.request("$JS.API.STREAM.INFO.KV_nodes", b"").await;
    let info: serde_json::Value = serde_json::from_str(&info).expect("JSON");
    let mut config = info["config"].clone();
    config["max_bytes"] = 12_345.into();
    let update = config.to_string();
    raw.request("$JS.API.STREAM.UPDATE.KV_nodes", update.as_bytes()).await;
    let program = Program::new();
    let bus = Bus::connect(&bus_config(&fleet.server.url()), "other", Pings::Usual, &program).await;
    let ended = ostler_registry::run(fleet.config(), bus.expect("it runs"), program).await;
    let refused = ended.expect_err("it does not run");
    let why = std::error::Error::source(&refused).map(ToString::to_string).unwrap_or_default();
    assert_eq!(why, "stream `KV_nodes`: `max_bytes` is 12345, should be 1073741824");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_filled_up_and_nobody_was_warned() {
    let fleet = Fleet::start().await;
    let mut raw = Raw::connect(&fleet.server.url()).await;
    // 12 MB of 16 MiB.
    let large = vec![b'x'; 1_000_000];
    for number in 0..12 {
        raw.publish(&format!("$KV.settings.x{number}"), &large).await;
    }
    fleet.replace(fleet.config()).await;
    eventually("it is a warning", || async {
        let status = fleet.call(pb::StatusGet {}).await;
        let says = |warning: &String| warning.starts_with("stream `KV_settings` is 71 % full");
        status.is_ok_and(|status| status.warnings.iter().any(says))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_left_of_deleted_workloads_and_removed_nodes_stayed_for_ever() {
    let fleet = Fleet::start().await;
    fleet.put("name = \"web\"\ndriver = \"sim\"").await.expect("created");
    fleet.join("n1", &KeyPair::new_user()).await.expect("admitted");
    fleet.report("n1", &crate::fixture::report(Vec::new())).await;
    fleet.place(&manifest_key("n1"), &Manifest::default()).await;
    let delete = pb::WorkloadDelete { name: "web".to_owned(), ..Default::default() };
    fleet.call(delete).await.expect("deleted");
    fleet
        .call(pb::NodeRemove { name: "n1".to_owned(), ..Default::default() })
        .await
        .expect("removed");
    told_once(&fleet, "workload.ended").await;
    let markers_kept_for = Span::from_secs(2);
    fleet.replace(Config { markers_kept_for, ..fleet.config() }).await;
    let placements = Bucket::Placements(PoolName::default());
    for bucket in [Bucket::Workloads, Bucket::Versions, Bucket::Reports, placements] {
        eventually(&format!("nothing is left in {bucket}"), || async {
            fleet.bus.keys(&bucket, ">").await.is_ok_and(|keys| keys.is_empty())
        })
        .await;
    }
    let nodes = fleet.bus.keys(&Bucket::Nodes, ">").await.expect("it answers");
    assert_eq!(nodes, ["n1"], "a hello that was removed does not come back");
}
