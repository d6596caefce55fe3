//! Artifacts: uploaded in chunks, checked, named, pinned, collected.

use ostler_bus::CHUNK;
use ostler_core::time::Span;
use ostler_registry::Config;
use ostler_schemas::pb;
use ostler_schemas::problem::{Code, Problem};
use ostler_testkit::eventually;
use sha2::{Digest as _, Sha256};

use crate::fixture::Fleet;

fn digest(data: &[u8]) -> String {
    Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Uploads `data` and gives it a name.
async fn push(fleet: &Fleet, name: &str, data: &[u8]) -> Result<pb::ArtifactView, Problem> {
    let upload = ostler_bus::op_id();
    let length = usize::try_from(CHUNK).expect("it fits");
    for (index, chunk) in (0..).zip(data.chunks(length)) {
        let put = pb::BlobPut { upload: upload.clone(), index, data: chunk.to_vec() };
        fleet.call(put).await.expect("it is put");
    }
    let size = data.len().try_into().expect("it fits");
    let sha256 = digest(data);
    fleet
        .call(pb::ArtifactPut {
            name: name.to_owned(),
            upload,
            sha256,
            size,
            chunk: CHUNK,
            dry_run: false,
        })
        .await
}

async fn part(fleet: &Fleet, data: &[u8], offset: u64, length: u32) -> Vec<u8> {
    let get = pb::BlobGet { sha256: digest(data), offset, length };
    fleet.call(get).await.expect("it is there").data
}

const WEB: &str = "name = \"web\"\ndriver = \"process\"\n[process]\ncommand = [\"true\"]\n";

#[tokio::test]
async fn what_was_pushed_is_read_in_parts_and_named_by_numbers_that_are_not_used_again() {
    let fleet = Fleet::start().await;
    let chunk = usize::try_from(CHUNK).expect("it fits");
    let data: Vec<u8> =
        (0..chunk * 2 + 5).map(|at| u8::try_from(at % 253).expect("fits")).collect();
    assert_eq!(push(&fleet, "site", &data).await.expect("pushed").version, 1);
    assert_eq!(push(&fleet, "site", b"two").await.expect("pushed").version, 2);
    assert_eq!(part(&fleet, &data, 0, CHUNK).await, data[..chunk]);
    assert_eq!(part(&fleet, &data, u64::from(CHUNK) + 3, 10).await, data[chunk + 3..chunk + 13]);
    assert_eq!(part(&fleet, &data, u64::from(CHUNK) * 2, CHUNK).await, data[chunk * 2..]);
    assert_eq!(part(&fleet, &data, u64::from(CHUNK) * 2 + 5, CHUNK).await, b"");

    let remove = pb::ArtifactRemove { name: "site".into(), version: 2, ..Default::default() };
    fleet.call(remove.clone()).await.expect("removed");
    assert_eq!(fleet.refused(remove).await, Code::NotFound);
    assert_eq!(push(&fleet, "site", b"two").await.expect("pushed").version, 3);
    let stat = pb::BlobStat { artifact: "site@1".into() };
    assert_eq!(fleet.call(stat).await.expect("there").sha256, digest(&data));
}

#[tokio::test]
async fn an_upload_that_is_not_what_it_says_gets_no_name() {
    let fleet = Fleet::start().await;
    let upload = ostler_bus::op_id();
    let put = pb::BlobPut { upload: upload.clone(), index: 0, data: b"abc".to_vec() };
    fleet.call(put).await.expect("it is put");
    let right = pb::ArtifactPut {
        name: "a".into(),
        upload: upload.clone(),
        sha256: digest(b"abc"),
        size: 3,
        chunk: CHUNK,
        dry_run: false,
    };
    for (wrong, field) in [
        (pb::ArtifactPut { sha256: digest(b"other"), ..right.clone() }, "sha256"),
        (pb::ArtifactPut { name: "A".into(), ..right.clone() }, "name"),
        (pb::ArtifactPut { upload: "x".into(), ..right.clone() }, "upload"),
        (pb::ArtifactPut { chunk: 0, ..right.clone() }, "chunk"),
        (pb::ArtifactPut { upload: ostler_bus::op_id(), ..right.clone() }, "upload"),
    ] {
        let problem = fleet.call(wrong).await.expect_err("refused");
        assert_eq!((problem.code, problem.field.as_deref()), (Code::Invalid, Some(field)));
    }
    // What was wrong was removed with its first refusal.
    assert_eq!(fleet.refused(right).await, Code::Invalid);
    let list = fleet.call(pb::ArtifactList::default()).await.expect("a list");
    assert!(list.items.is_empty());
}

#[tokio::test]
async fn a_workload_means_the_version_that_was_newest_when_it_was_sent() {
    let fleet = Fleet::start().await;
    let text = format!("{WEB}artifact = \"site\"\n");
    let missing = fleet.put(&text).await.expect_err("there is none");
    assert_eq!(missing.field.as_deref(), Some("process.artifact"));
    push(&fleet, "site", b"one").await.expect("pushed");
    let put = |reply: pb::WorkloadPutReply| {
        let view = reply.workload.expect("a view");
        let process = view.spec.and_then(|spec| spec.process).expect("a section");
        (view.version, process.artifact.expect("an artifact"))
    };
    assert_eq!(put(fleet.put(&text).await.expect("put")), (1, "site@1".to_owned()));
    assert_eq!(put(fleet.put(&text).await.expect("put")), (1, "site@1".to_owned()));
    push(&fleet, "site", b"two").await.expect("pushed");
    assert_eq!(put(fleet.put(&text).await.expect("put")), (2, "site@2".to_owned()));
    let remove =
        |version, force| pb::ArtifactRemove { name: "site".into(), version, force, dry_run: false };
    assert_eq!(fleet.refused(remove(2, false)).await, Code::Conflict);
    let rollback = pb::WorkloadRollback {
        namespace: "default".into(),
        name: "web".into(),
        ..Default::default()
    };
    let view = fleet.call(rollback).await.expect("rolled back");
    assert_eq!(view.spec.and_then(|s| s.process).and_then(|p| p.artifact), Some("site@1".into()));
    fleet.call(remove(2, false)).await.expect("nobody uses it now");
    fleet.call(remove(1, true)).await.expect("forced");
}

#[tokio::test]
async fn content_without_a_name_is_collected_and_what_is_named_stays() {
    let fleet = Fleet::start().await;
    let keep = Span::from_millis(300);
    fleet.replace(Config { artifact_keep: keep, ..fleet.config() }).await;
    push(&fleet, "kept", b"kept").await.expect("pushed");
    push(&fleet, "gone", b"gone").await.expect("pushed");
    let broken = pb::BlobPut { upload: ostler_bus::op_id(), index: 0, data: b"x".to_vec() };
    fleet.call(broken).await.expect("it is put");
    let remove = pb::ArtifactRemove { name: "gone".into(), ..Default::default() };
    fleet.call(remove).await.expect("removed");
    eventually("one upload is left", || async {
        fleet.bus.uploads(ostler_bus::Store::Artifacts).await.expect("it answers").len() == 1
    })
    .await;
    assert_eq!(part(&fleet, b"kept", 0, 10).await, b"kept");
    let gone = pb::BlobGet { sha256: digest(b"gone"), offset: 0, length: 10 };
    assert_eq!(fleet.refused(gone).await, Code::NotFound);
}
