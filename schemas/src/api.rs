//! The public API on the bus: `ostler.v1.api.<resource>.<verb>`, one type for each request.

use crate::pb;
use crate::wire::{Wire, wire_message};

/// A request with its one kind of reply.
pub trait Call: Wire + Send + Sync + 'static {
    /// What is answered.
    type Reply: Wire + Send + Sync + 'static;
    /// The tokens after the root and version: `api.workload.put`, `join.hello`.
    const SUBJECT: &'static str;
    /// Which program answers.
    const SERVER: Server;
    /// Whether it changes anything.
    const MUTATES: bool;
}

/// Which program answers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Server {
    /// Every registry replica.
    Registry,
    /// The leader of a pool.
    Scheduler,
    /// Every metrics replica.
    Metrics,
    /// The executor of one node; `SUBJECT` is the verb after `node.<node>.`.
    Executor,
}

macro_rules! calls {
    ($($request:ident => $reply:ident, $subject:literal, $server:ident, $mutates:literal;)*) => {
        $(impl Call for pb::$request {
            type Reply = pb::$reply;
            const SUBJECT: &'static str = $subject;
            const SERVER: Server = Server::$server;
            const MUTATES: bool = $mutates;
        })*

        /// Every request: subject, server, whether it changes anything.
        pub const CALLS: &[(&str, Server, bool)] =
            &[$(($subject, Server::$server, $mutates)),*];
    };
}

calls! {
    WorkloadPut => WorkloadPutReply, "api.workload.put", Registry, true;
    WorkloadGet => WorkloadView, "api.workload.get", Registry, false;
    WorkloadList => WorkloadListReply, "api.workload.list", Registry, false;
    WorkloadDelete => WorkloadView, "api.workload.delete", Registry, true;
    WorkloadScale => WorkloadView, "api.workload.scale", Registry, true;
    WorkloadRestart => WorkloadView, "api.workload.restart", Registry, true;
    WorkloadReload => WorkloadView, "api.workload.reload", Registry, true;
    WorkloadStop => WorkloadView, "api.workload.stop", Registry, true;
    WorkloadStart => WorkloadView, "api.workload.start", Registry, true;
    WorkloadPromote => CommandView, "api.workload.promote", Registry, true;
    WorkloadRollback => WorkloadView, "api.workload.rollback", Registry, true;
    WorkloadVersions => WorkloadVersionsReply, "api.workload.versions", Registry, false;
    WorkloadVersion => VersionView, "api.workload.version", Registry, false;
    WorkloadExplain => Document, "api.workload.explain", Scheduler, false;
    WorkloadPlan => Document, "api.workload.plan", Scheduler, false;
    InstanceGet => InstanceView, "api.instance.get", Registry, false;
    InstanceList => InstanceListReply, "api.instance.list", Registry, false;
    InstanceStop => CommandView, "api.instance.stop", Registry, true;
    InstanceRestart => CommandView, "api.instance.restart", Registry, true;
    InstanceMove => CommandView, "api.instance.move", Registry, true;
    InstanceExplain => Document, "api.instance.explain", Scheduler, false;
    NodeGet => NodeView, "api.node.get", Registry, false;
    NodeList => NodeListReply, "api.node.list", Registry, false;
    NodeCordon => NodeView, "api.node.cordon", Registry, true;
    NodeUncordon => NodeView, "api.node.uncordon", Registry, true;
    NodeDrain => CommandView, "api.node.drain", Registry, true;
    NodeMaintenance => CommandView, "api.node.maintenance", Registry, true;
    NodeActivate => NodeView, "api.node.activate", Registry, true;
    NodeRemove => NodeView, "api.node.remove", Registry, true;
    NodePatch => NodeView, "api.node.patch", Registry, true;
    NodeExplain => Document, "api.node.explain", Scheduler, false;
    RebalanceStart => CommandView, "api.rebalance.start", Registry, true;
    RebalancePlan => Document, "api.rebalance.plan", Scheduler, false;
    QuotaGet => QuotaView, "api.quota.get", Registry, false;
    QuotaList => QuotaListReply, "api.quota.list", Registry, false;
    QuotaPut => QuotaView, "api.quota.put", Registry, true;
    QuotaDelete => QuotaView, "api.quota.delete", Registry, true;
    SettingsGet => SettingsView, "api.settings.get", Registry, false;
    SettingsPut => SettingsView, "api.settings.put", Registry, true;
    CommandGet => CommandView, "api.command.get", Registry, false;
    CommandList => CommandListReply, "api.command.list", Registry, false;
    EventList => EventListReply, "api.event.list", Registry, false;
    StatusGet => StatusReply, "api.status.get", Registry, false;
    MetricsFleet => Document, "api.metrics.fleet", Metrics, false;
    MetricsNode => Document, "api.metrics.node", Metrics, false;
    MetricsInstance => Document, "api.metrics.instance", Metrics, false;
    ArtifactPut => ArtifactView, "api.artifact.put", Registry, true;
    ArtifactGet => ArtifactView, "api.artifact.get", Registry, false;
    ArtifactList => ArtifactListReply, "api.artifact.list", Registry, false;
    ArtifactRemove => ArtifactListReply, "api.artifact.remove", Registry, true;
    EndpointList => EndpointListReply, "api.endpoint.list", Registry, false;
    BlobPut => BlobPutReply, "blob.put", Registry, true;
    BlobGet => BlobGetReply, "blob.get", Registry, false;
    BlobStat => BlobStatReply, "blob.stat", Registry, false;
    Challenge => ChallengeReply, "join.challenge", Registry, false;
    Hello => HelloReply, "join.hello", Registry, true;
    Leave => LeaveReply, "join.leave", Registry, true;
    Ping => Pong, "ping", Executor, false;
    Sync => SyncReply, "sync", Executor, false;
    Logs => LogsReply, "logs", Executor, false;
    Signal => SignalReply, "signal", Executor, true;
    Leftovers => LeftoversReply, "leftovers", Executor, true;
    Host => HostReply, "host", Executor, false;
    Stats => StatsReply, "stats", Executor, false;
    Import => ImportReply, "import", Executor, false;
    Exec => ExecReply, "exec", Executor, true;
}

// Bytes travel as they are.
wire_message! { Protobuf: BlobPut, BlobPutReply, BlobGet, BlobGetReply, BlobStat, BlobStatReply }
wire_message! {
    ArtifactPut, ArtifactGet, ArtifactList, ArtifactListReply, ArtifactRemove, ArtifactView,
    EndpointList, EndpointListReply, WorkloadPut, WorkloadPutReply, WorkloadGet, WorkloadList, WorkloadListReply, WorkloadDelete,
    WorkloadScale, WorkloadRestart, WorkloadReload, WorkloadStop, WorkloadStart, WorkloadPromote,
    WorkloadRollback, WorkloadVersions, WorkloadVersionsReply, WorkloadVersion, WorkloadExplain,
    WorkloadPlan, VersionView, WorkloadView, InstanceGet, InstanceList, InstanceListReply,
    InstanceStop, InstanceRestart, InstanceMove, InstanceExplain, InstanceView, NodeGet, NodeList,
    NodeListReply, NodeCordon, NodeUncordon, NodeDrain, NodeMaintenance, NodeActivate, NodeRemove,
    NodePatch, NodeExplain, NodeView, CommandGet, CommandList, CommandListReply, CommandView,
    EventList, EventListReply, Event, StatusGet, StatusReply, MetricsFleet, MetricsNode,
    MetricsInstance, Challenge, ChallengeReply, Hello, HelloReply, Leave, LeaveReply, Ping, Pong, Sync, SyncReply, Logs,
    LogsReply, LogChunk, Signal, SignalReply, Leftovers, LeftoversReply, Host, HostReply, Stats, StatsReply, Import,
    ImportReply, Exec, ExecReply, NodeSample, Document,
    RebalanceStart, RebalancePlan, QuotaGet, QuotaList,
    QuotaListReply, QuotaPut, QuotaDelete, QuotaView, SettingsGet, SettingsPut, SettingsView,
}

// Bytes of terminals: as JSON they would be four times as many.
wire_message! { Protobuf: ExecInput, ExecOutput }
