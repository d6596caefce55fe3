//! Messages of v1 never change: their bytes are kept here.

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use ostler_core::id::{Epoch, Generation, InstanceId, Revision, Slot, SpecHash, Term, Version};
use ostler_core::instance::{
    Desired, Entry, Exit, Group, Manifest, Observed, PortGrant, Report, Status, Usage,
};
use ostler_core::node::{Bid, Heartbeat, Refusal, Use};
use ostler_core::resources::{Bytes, Resources};
use ostler_core::time::Timestamp;
use ostler_core::workload::{DriverKind, Workload};
use ostler_schemas::pb;
use ostler_schemas::wire::{Format, Wire};

#[track_caller]
fn check<T: Wire + PartialEq + std::fmt::Debug>(value: &T, bytes: &Expect) {
    let encoded = value.encode(Format::Protobuf);
    let hex = encoded.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a String takes all");
        hex
    });
    bytes.assert_eq(&hex);
    assert_eq!(&T::decode(&encoded, Format::Protobuf).expect("reads back"), value);
}

fn manifest() -> Manifest {
    let entry = Entry {
        id: InstanceId::from_bits(0x0123_4567_89ab_cdef_0123),
        slot: Slot(7),
        desired: Desired::Run,
        generation: Generation(2),
        restarted: Generation(1),
        ports: vec![PortGrant { name: "http".parse().expect("a name"), first: 20_001, count: 2 }],
        score: 8_123,
        reason: String::new(),
    };
    Manifest {
        incarnation: 1_700_000_000_000,
        term: Term(3),
        revision: Revision(812),
        groups: vec![Group {
            key: "default/web".parse().expect("a key"),
            version: Version(4),
            spec: SpecHash([0xab; 32]),
            ask: Resources { cpu: 250, memory: Bytes::from_mib(64), disk: Bytes(0), network: 0 },
            priority: 50,
            entries: vec![entry],
        }],
    }
}

#[test]
fn a_manifest_has_these_bytes() {
    check(
        &manifest(),
        &expect![
            "0880d095ffbc31100318ac0622650a0764656661756c74120377656218042220abababababababababababababababababababababababababababababababab2a0808fa01108080802030323a250a0a0123456789abcdef01231007180120022801320c0a046874747010a19c01180238bb3f"
        ],
    );
}

/// A report of one instance; what came later to the message is absent.
fn report() -> Report {
    let status = Status {
        id: InstanceId::from_bits(0x0123_4567_89ab_cdef_0123),
        generation: Generation(2),
        observed: Observed::Failed,
        ready: false,
        proven: true,
        since: Timestamp::from_millis(1_700_000_000_001),
        ready_at: Some(Timestamp::from_millis(1_700_000_000_000)),
        proven_at: None,
        restarts: 3,
        exit: Some(Exit::Code(-1)),
        reason: "it broke".to_owned(),
        pid: Some(4_711),
        version: Version(4),
        usage: Usage { cpu: 12, memory: 34 },
    };
    Report {
        epoch: Epoch(2),
        incarnation: 1_700_000_000_000,
        term: Term(3),
        applied: Revision(812),
        pool: None,
        statuses: vec![status],
    }
}

#[test]
fn a_report_has_these_bytes() {
    check(
        &report(),
        &expect![
            "08021080d095ffbc31180320ac062a390a0a0123456789abcdef01231002180928013081d095ffbc313880d095ffbc3140034a020801520869742062726f6b6558e7246004680c7022"
        ],
    );
}

#[test]
fn a_report_that_names_its_pool_and_when_an_instance_was_proven_has_these_bytes() {
    let mut report = report();
    report.pool = Some("gpu".parse().expect("a name"));
    report.statuses[0].proven_at = Some(Timestamp::from_millis(1_700_000_000_000));
    check(
        &report,
        &expect![
            "08021080d095ffbc31180320ac062a400a0a0123456789abcdef01231002180928013081d095ffbc313880d095ffbc3140034a020801520869742062726f6b6558e7246004680c70227880d095ffbc313203677075"
        ],
    );
}

#[test]
fn a_heartbeat_has_these_bytes() {
    let beat = Heartbeat {
        node: "node-1".parse().expect("a name"),
        epoch: Epoch(2),
        applied: Revision(812),
        used: Use { cpu: 120, memory: 1 << 30, disk: 1 << 33, network: 5 },
        load: [12, 8, 300],
        instances: 7,
        clock: Timestamp::from_millis(1_700_000_000_000),
        server: String::new(),
        bid: None,
        battery: false,
    };
    check(
        &beat,
        &expect![
            "0a066e6f64652d31100218ac062210087810808080800418808080802020052a040c08ac0230073880d095ffbc31"
        ],
    );
    let refuses =
        |kinds: &[DriverKind], why: &str| Refusal { kinds: kinds.to_vec(), why: why.to_owned() };
    let refusals = vec![
        refuses(&[], "on battery"),
        refuses(&[DriverKind::Vm, DriverKind::Docker], "quiet hours"),
    ];
    let beat = Heartbeat { bid: Some(Bid { price: 300, refusals }), battery: true, ..beat };
    check(
        &beat,
        &expect![
            "0a066e6f64652d31100218ac062210087810808080800418808080802020052a040c08ac0230073880d095ffbc314a2c08ac02120c120a6f6e206261747465727912190a02766d0a06646f636b6572120b717569657420686f7572735001"
        ],
    );
}

#[test]
fn a_refusal_of_kinds_that_are_not_known_here_is_passed_over_and_a_bid_has_bounds() {
    let beat = |refusals: Vec<pb::Refusal>| {
        let bid = Some(pb::Bid { price: 1, refusals });
        let node = "n1".to_owned();
        let raw = pb::Heartbeat { node, epoch: 1, bid, ..pb::Heartbeat::default() };
        Heartbeat::try_from(raw).map(|beat| beat.bid.expect("there").refusals.len())
    };
    let refusal =
        |kind: &str, why: usize| pb::Refusal { kinds: vec![kind.to_owned()], why: "x".repeat(why) };
    assert_eq!(beat(vec![refusal("quantum", 1), refusal("vm", 1)]), Ok(1));
    assert_eq!(beat(vec![refusal("vm", 256)]), Ok(1));
    assert!(beat(vec![refusal("vm", 257)]).is_err());
    assert!(beat(vec![refusal("vm", 1); 17]).is_err());
    assert!(
        beat(vec![pb::Refusal { kinds: vec!["vm".to_owned(); 17], why: String::new() }]).is_err()
    );
}

/// A workload in which nothing has its default.
const FULL: &str = include_str!("full.json");

#[test]
fn a_full_specification_survives_both_forms() {
    let workload: Workload = serde_json::from_str(FULL).expect("reads");
    let put = pb::WorkloadPut {
        spec: Some(workload.clone().into()),
        if_revision: Some(0),
        dry_run: true,
        placed: true,
    };
    for format in [Format::Json, Format::Protobuf] {
        let read = pb::WorkloadPut::decode(&put.encode(format), format).expect("reads back");
        assert_eq!(read, put, "{format:?}");
        let spec = read.spec.expect("there");
        assert_eq!(Workload::try_from(spec).expect("a workload"), workload, "{format:?}");
    }
}

#[test]
fn an_absent_field_takes_the_same_default_in_both_forms() {
    let text = r#"{"name":"web","driver":"process","process":{"command":["true"]}}"#;
    let by_json: Workload = serde_json::from_str(text).expect("reads");
    let bare = pb::WorkloadSpec {
        name: "web".to_owned(),
        driver: "process".to_owned(),
        process: Some(pb::ProcessSection {
            command: vec!["true".to_owned()],
            ..Default::default()
        }),
        ..Default::default()
    };
    assert_eq!(Workload::try_from(bare).expect("a workload"), by_json);
}

#[test]
fn an_unknown_field_of_a_request_is_refused_by_name() {
    let error = pb::WorkloadScale::decode(br#"{"name":"web","cuont":3}"#, Format::Json);
    let text = error.expect_err("refused").to_string();
    assert!(text.contains("cuont"), "{text}");
}

#[test]
fn a_manifest_above_16_kib_is_packed_and_reads_back() {
    let mut large = manifest();
    let group = &mut large.groups[0];
    group.entries = (0..2_000)
        .map(|slot| Entry {
            id: InstanceId::from_bits(u128::from(slot) << 32),
            slot: Slot(slot),
            ..group.entries[0].clone()
        })
        .collect();
    let bytes = large.encode(Format::Protobuf);
    assert!(bytes.len() < 40_000, "{} bytes", bytes.len());
    assert_eq!(Manifest::decode(&bytes, Format::Protobuf), Ok(large));
}

#[test]
fn bytes_that_are_no_manifest_are_refused() {
    for garbage in [&b"garbage"[..], &[0x28, 0xb5, 0x2f, 0xfd, 1, 2], &[0xff; 64]] {
        assert!(Manifest::decode(garbage, Format::Protobuf).is_err(), "{garbage:?}");
        assert!(Report::decode(garbage, Format::Protobuf).is_err(), "{garbage:?}");
        assert!(Heartbeat::decode(garbage, Format::Protobuf).is_err(), "{garbage:?}");
    }
}
