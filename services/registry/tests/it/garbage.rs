//! Garbage on every subject and in every bucket: a named error, nothing changed, nothing crashed.

use ostler_schemas::api::{CALLS, Server};
use ostler_schemas::pb;
use ostler_testkit::eventually;

use crate::fixture::Fleet;
use crate::raw::Raw;

const GARBAGE: [&[u8]; 6] =
    [b"{", b"[{}]", b"{\"no_such_field\":1}", b"\xff\xfe\x00", b"null", b"\"text\""];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_on_every_subject_is_answered_with_a_problem() {
    let fleet = Fleet::start().await;
    fleet.put("name = \"web\"\ndriver = \"sim\"").await.expect("created");
    let mut client = Raw::connect(&fleet.server.url()).await;
    for (subject, server, _) in CALLS {
        if *server != Server::Registry {
            continue;
        }
        for garbage in GARBAGE {
            let subject = format!("ostler.v1.{subject}");
            let text = client.request(&subject, garbage).await;
            assert!(text.contains("\"code\":\"malformed\""), "{subject} {garbage:?}: {text}");
        }
    }
    let view = pb::WorkloadGet { name: "web".to_owned(), ..Default::default() };
    assert_eq!(fleet.call(view).await.expect("it is there").version, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_in_the_buckets_is_counted_and_changes_nothing() {
    let fleet = Fleet::start().await;
    fleet.put("name = \"web\"\ndriver = \"sim\"").await.expect("created");
    let mut client = Raw::connect(&fleet.server.url()).await;
    for key in [
        "workloads.default.web",
        "workloads.NOT",
        "nodes.n1",
        "placements-default.n1",
        "placements-default._term",
        "reports.n1",
        "commands.default.x",
        "heartbeats.n1",
    ] {
        client.publish(&format!("$KV.{key}"), b"\x01garbage").await;
    }
    eventually("it was counted", || async {
        let status = fleet.call(pb::StatusGet {}).await.expect("it answers");
        status.warnings.iter().any(|warning| warning.starts_with("7 values cannot be read"))
    })
    .await;
    let listed = fleet.call(pb::WorkloadList::default()).await.expect("it answers");
    assert_eq!(listed.items.len(), 1, "what was known stays");
}
