//! Every message of v1 as each minor version wrote it, kept in `golden/<version>.txt`, and every record
//! that is kept as JSON, in `golden/<version>.json`: this build reads them all, loses nothing of them,
//! and passes over what it does not know.
//!
//! What a version brings is added to its file by `UPDATE_GOLDEN=1 cargo test -p ostler-schemas --test
//! compatible`; once the version is out, the file never changes.

#[path = "compatible/sample.rs"]
mod sample;

use std::collections::BTreeMap;
use std::path::PathBuf;

use ostler_core::artifact::{Artifact, Blob};
use ostler_core::command::Command;
use ostler_core::head::Head;
use ostler_core::instance::Spec;
use ostler_core::node::Node;
use ostler_core::reconcile::Progress;
use ostler_schemas::wire::{Format, Wire};
use ostler_schemas::{bucket, pb};
use prost::Message;
use serde_json::Value;

/// Versions whose messages are read: this one, and the one before it.
const VERSIONS: [&str; 1] = ["0.1"];

/// Reads the bytes of a message by its name, and writes it again.
fn again(name: &str, bytes: &[u8]) -> Result<Vec<u8>, String> {
    macro_rules! messages {
        ($($name:ident),* $(,)?) => {
            match name {
                $(stringify!($name) => <pb::$name as Message>::decode(bytes)
                    .map(|message| Message::encode_to_vec(&message))
                    .map_err(|error| error.to_string()),)*
                other => Err(format!("`{other}` is in the protos and not in this list")),
            }
        };
    }
    messages! {
        Affinity, AntiAffinity, ArtifactGet, ArtifactList, ArtifactListReply, ArtifactPut,
        ArtifactRemove, ArtifactView, Ask, Backoff, Bid, BlobGet, BlobGetReply, BlobPut,
        BlobPutReply, BlobStat, BlobStatReply, Challenge, ChallengeReply, Check, CommandGet,
        CommandList, CommandListReply, CommandView, Document, EndpointList, EndpointListReply,
        EndpointView, Event, EventList, EventListReply, EventView, Exec, ExecEnded, ExecInput,
        ExecOutput, ExecReply, Exit, ExitCodes, Heartbeat, Hello, HelloReply, Host, HostBattery,
        HostDisk, HostLink, HostReply, HostShare, Import, ImportItem, ImportReply,
        InstanceExplain, InstanceGet, InstanceList, InstanceListReply, InstanceMove,
        InstanceRestart, InstanceSample, InstanceStats, InstanceStatus, InstanceStop, InstanceView, Leave,
        LeaveReply, Leftover, Leftovers, LeftoversReply, LogChunk, LogLine, LogRules, Logs,
        LogsReply, Manifest, ManifestEntry, ManifestGroup, MetricsFleet, MetricsInstance,
        MetricsNode, Names, NatsStatus, NodeActivate, NodeCordon, NodeDrain, NodeExplain, NodeGet,
        NodeList, NodeListReply, NodeMaintenance, NodePatch, NodeRemove, NodeSample, NodeUncordon,
        NodeUse, NodeView, Ping, PlacementRules, Pong, PortGrant, PortSpec, Preference,
        ProcessSection, QuotaDelete, QuotaGet, QuotaList, QuotaListReply, QuotaPut, QuotaView,
        RebalancePlan, RebalanceStart, Recycle, Refusal, Report, Reschedule, Resources, Restart,
        ServiceStatus, SettingsGet, SettingsPut, SettingsView, Signal, SignalReply, Stats, StatsReply, SimSection,
        Sleep, Spread, StatusGet, StatusReply, Stop, Sync, SyncReply, TerminalSize, Update, Usage,
        VersionView, WorkloadDelete, WorkloadExplain, WorkloadGet, WorkloadList,
        WorkloadListReply, WorkloadPlan, WorkloadPromote, WorkloadPut, WorkloadPutReply,
        WorkloadReload, WorkloadRestart, WorkloadRollback, WorkloadScale, WorkloadSpec,
        WorkloadStart, WorkloadStatus, WorkloadStop, WorkloadVersion, WorkloadVersions,
        WorkloadVersionsReply, WorkloadView,
    }
}

/// Reads a record by its name, and writes it again.
fn record_again(name: &str, record: &Value) -> Result<Value, String> {
    fn again<T: Wire>(record: &Value) -> Result<Value, String> {
        let read = T::decode(record.to_string().as_bytes(), Format::Json);
        let written = read.map_err(|error| error.to_string())?.encode(Format::Json);
        serde_json::from_slice(&written).map_err(|error| error.to_string())
    }
    match name {
        "Head" => again::<Head>(record),
        "VersionRecord" => again::<bucket::VersionRecord>(record),
        "Spec" => again::<Spec>(record),
        "Node" => again::<Node>(record),
        "TermRecord" => again::<bucket::TermRecord>(record),
        "LeaseRecord" => again::<bucket::LeaseRecord>(record),
        "Artifact" => again::<Artifact>(record),
        "Blob" => again::<Blob>(record),
        "QuotaRecord" => again::<bucket::QuotaRecord>(record),
        "SettingsRecord" => again::<bucket::SettingsRecord>(record),
        "Progress" => again::<Progress>(record),
        "Command" => again::<Command>(record),
        "Outcomes" => again::<bucket::Outcomes>(record),
        other => Err(format!("there is no record `{other}`")),
    }
}

fn file(version: &str, kind: &str) -> PathBuf {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    PathBuf::from(dir).join(format!("{version}.{kind}"))
}

fn records(version: &str) -> serde_json::Map<String, Value> {
    let text = std::fs::read(file(version, "json")).expect("it is in the repository");
    serde_json::from_slice(&text).expect("an object of records")
}

#[test]
fn whatever_records_a_version_kept_are_read_and_nothing_of_them_is_lost() {
    for version in VERSIONS {
        for (name, record) in records(version) {
            let again = record_again(&name, &record);
            assert_eq!(again.as_ref(), Ok(&record), "{name} of {version}");
        }
    }
}

#[test]
fn what_a_later_version_adds_to_a_record_is_passed_over() {
    for (name, record) in records(VERSIONS[0]) {
        let mut more = record.clone();
        let object = match &mut more {
            Value::Array(items) => items.first_mut().and_then(Value::as_object_mut),
            other => other.as_object_mut(),
        };
        object.expect("an object").insert("of_a_later_version".to_owned(), Value::Bool(true));
        assert_eq!(record_again(&name, &more).as_ref(), Ok(&record), "{name}");
    }
}

/// What was kept of a version: bytes by name.
fn kept(version: &str) -> BTreeMap<String, Vec<u8>> {
    let text = std::fs::read_to_string(file(version, "txt")).expect("it is in the repository");
    let line = |line: &str| {
        let (name, hex) = line.split_once(' ').expect("a name and its bytes");
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
        (name.to_owned(), (0..hex.len()).step_by(2).map(byte).collect())
    };
    text.lines().map(line).collect()
}

#[test]
fn whatever_a_version_wrote_is_read_and_nothing_of_it_is_lost() {
    for version in VERSIONS {
        for (name, bytes) in kept(version) {
            assert_eq!(again(&name, &bytes).as_ref(), Ok(&bytes), "{name} of {version}");
        }
    }
}

#[test]
fn what_a_later_version_adds_is_passed_over() {
    // Field 15,000, a number: 1.
    let added = [0xc0, 0xa9, 0x07, 0x01];
    for (name, bytes) in kept(VERSIONS[0]) {
        let more = [bytes.as_slice(), &added].concat();
        assert_eq!(again(&name, &more).as_ref(), Ok(&bytes), "{name}");
    }
}

#[test]
fn this_version_has_its_file_and_no_message_of_it_was_taken_back() {
    let this = env!("CARGO_PKG_VERSION").rsplit_once('.').map(|(minor, _)| minor);
    assert_eq!(this, Some(VERSIONS[0]), "a new minor version keeps its messages in its own file");
    let now = sample::all();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let lines = now.iter().map(|(name, bytes)| format!("{name} {}\n", hex(bytes)));
        std::fs::write(file(VERSIONS[0], "txt"), lines.collect::<String>()).expect("written");
    }
    let gone = kept(VERSIONS[0]).into_keys().find(|name| !now.contains_key(name));
    assert_eq!(gone, None, "a message was removed");
}
