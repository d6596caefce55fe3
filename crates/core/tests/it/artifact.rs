//! Names and versions of artifacts.

use ostler_core::artifact::{Artifact, ArtifactRef, ArtifactVersion, MOST_VERSIONS};
use ostler_core::id::ContentHash;
use ostler_core::time::Timestamp;

fn text(version: u32) -> ArtifactVersion {
    ArtifactVersion {
        version,
        sha256: ContentHash([7; 32]),
        size: 1,
        created_at: Timestamp::from_millis(5),
        actor: "tester".to_owned(),
    }
}

fn site(versions: usize) -> Artifact {
    let empty = Artifact::new("site".parse().expect("a name"));
    (0..versions).fold(empty, |artifact, _| artifact.with(text(0)).expect("there is room"))
}

#[test]
fn an_artifact_is_written_with_or_without_a_version() {
    for (written, name, version) in [
        ("site", "site", None),
        ("site@3", "site", Some(3)),
        ("site@latest", "site", None),
        ("my_app-1.2@10", "my_app-1.2", Some(10)),
    ] {
        let read: ArtifactRef = written.parse().expect(written);
        assert_eq!((read.name.as_str(), read.version), (name, version), "{written}");
    }
    for wrong in [
        "", "@1", "a@", "a@0", "a@+1", "a@x", "a@1@2", "A", "a/b", "../a", "a..b", ".a", "a.",
        "a b",
    ] {
        assert!(wrong.parse::<ArtifactRef>().is_err(), "{wrong}");
    }
}

#[test]
fn a_name_alone_is_the_newest_version() {
    let site = site(3);
    assert_eq!(site.find(None).expect("there").version, 3);
    assert_eq!(site.find(Some(2)).expect("there").version, 2);
    let missing = site.find(Some(4)).expect_err("not there").to_string();
    assert_eq!(missing, "there is no artifact `site@4`");
}

#[test]
fn a_number_is_never_used_again() {
    let site = site(3).without(Some(3)).expect("there");
    assert_eq!(site.find(None).expect("there").version, 2);
    let site = site.with(text(0)).expect("there is room");
    assert_eq!(site.find(None).expect("there").version, 4);
    let empty = site.without(None).expect("there");
    assert!(empty.find(None).is_err());
    assert!(empty.without(None).is_err());
    assert_eq!(empty.with(text(0)).expect("there is room").last, 5);
}

#[test]
fn there_are_only_so_many_versions() {
    let full = site(MOST_VERSIONS);
    assert!(full.with(text(0)).is_err());
    assert!(full.without(Some(1)).expect("there").with(text(0)).is_ok());
}
