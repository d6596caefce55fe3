//! Compiles the protos with protox, so that a fresh clone needs cargo alone.

use std::error::Error;

/// Requests: an unknown field is refused by name.
const REQUESTS: [&str; 68] = [
    "ArtifactPut",
    "ArtifactGet",
    "ArtifactList",
    "ArtifactRemove",
    "EndpointList",
    "BlobPut",
    "BlobGet",
    "BlobStat",
    "RebalanceStart",
    "RebalancePlan",
    "QuotaGet",
    "QuotaList",
    "QuotaPut",
    "QuotaDelete",
    "SettingsGet",
    "SettingsPut",
    "WorkloadPut",
    "WorkloadGet",
    "WorkloadList",
    "WorkloadDelete",
    "WorkloadScale",
    "WorkloadRestart",
    "WorkloadReload",
    "WorkloadStop",
    "WorkloadStart",
    "WorkloadPromote",
    "WorkloadRollback",
    "WorkloadVersions",
    "WorkloadVersion",
    "WorkloadExplain",
    "WorkloadPlan",
    "InstanceGet",
    "InstanceList",
    "InstanceStop",
    "InstanceRestart",
    "InstanceMove",
    "InstanceExplain",
    "NodeGet",
    "NodeList",
    "NodeCordon",
    "NodeUncordon",
    "NodeDrain",
    "NodeMaintenance",
    "NodeActivate",
    "NodeRemove",
    "NodePatch",
    "NodeExplain",
    "CommandGet",
    "CommandList",
    "EventList",
    "StatusGet",
    "MetricsFleet",
    "MetricsNode",
    "MetricsInstance",
    "Challenge",
    "Hello",
    "Leave",
    "Ping",
    "Sync",
    "Logs",
    "Signal",
    "Leftovers",
    "Host",
    "Stats",
    "Import",
    "Exec",
    "TerminalSize",
    "Resources",
];

/// What is answered or told: readers of an older version pass over what they do not know.
const ANSWERS: [&str; 55] = [
    "ArtifactView",
    "ArtifactListReply",
    "EndpointView",
    "EndpointListReply",
    "BlobPutReply",
    "BlobGetReply",
    "BlobStatReply",
    "QuotaListReply",
    "QuotaView",
    "SettingsView",
    "WorkloadPutReply",
    "WorkloadListReply",
    "WorkloadVersionsReply",
    "VersionView",
    "WorkloadView",
    "WorkloadStatus",
    "InstanceListReply",
    "InstanceView",
    "Usage",
    "NodeListReply",
    "NodeView",
    "NodeUse",
    "CommandListReply",
    "CommandView",
    "EventListReply",
    "Event",
    "EventView",
    "StatusReply",
    "ServiceStatus",
    "NatsStatus",
    "ChallengeReply",
    "HelloReply",
    "LeaveReply",
    "Pong",
    "SyncReply",
    "LogsReply",
    "LogLine",
    "LogChunk",
    "NodeSample",
    "SignalReply",
    "LeftoversReply",
    "Leftover",
    "HostReply",
    "StatsReply",
    "InstanceStats",
    "HostDisk",
    "HostLink",
    "HostBattery",
    "HostShare",
    "ImportReply",
    "ImportItem",
    "ExecReply",
    "ExecInput",
    "ExecOutput",
    "ExecEnded",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = ["ostler/v1/placement.proto", "ostler/v1/workload.proto", "ostler/v1/api.proto"];
    let descriptors = protox::compile(files, ["proto"])?;
    let mut config = prost_build::Config::new();
    config.btree_map(["."]);
    let derive = "#[derive(serde::Serialize, serde::Deserialize, utoipa::ToSchema)]";
    for name in REQUESTS {
        config.message_attribute(format!(".ostler.v1.{name}"), derive);
        config.message_attribute(
            format!(".ostler.v1.{name}"),
            "#[serde(default, deny_unknown_fields)]",
        );
    }
    for name in ANSWERS {
        config.message_attribute(format!(".ostler.v1.{name}"), derive);
        config.message_attribute(format!(".ostler.v1.{name}"), "#[serde(default)]");
    }
    // As protobuf's own JSON has it.
    for bytes in ["BlobPut.data", "BlobGetReply.data"] {
        let attribute = "#[serde(with = \"crate::base64_json\")] #[schema(value_type = String)]";
        config.field_attribute(format!(".ostler.v1.{bytes}"), attribute);
    }
    // Only what was tried has a plan.
    for plan in ["WorkloadView.plan", "NodeView.plan", "CommandView.plan"] {
        let attribute = "#[serde(skip_serializing_if = \"Option::is_none\")]";
        config.field_attribute(format!(".ostler.v1.{plan}"), attribute);
    }
    config.message_attribute(".ostler.v1.InstanceSample", derive);
    config.message_attribute(".ostler.v1.InstanceSample", "#[serde(default)]");
    config.compile_fds(descriptors)?;
    Ok(())
}
