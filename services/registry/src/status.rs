//! The fleet at a glance.

use ostler_bus::Caller;
use ostler_schemas::pb;
use ostler_schemas::problem::Problem;

use crate::app::Shared;
use crate::index::{Census, Picture};

/// At most so many warnings are told.
const WARNINGS: usize = 100;

/// `status.get`
pub async fn get(app: Shared, _: Caller, _: pb::StatusGet) -> Result<pb::StatusReply, Problem> {
    let Census { nodes, workloads, instances, mut warnings, leaders } =
        app.index.read(Picture::census);
    let mut warn = |count: u32, what: &str| {
        if count > 0 {
            warnings.insert(0, format!("{count} {what}"));
        }
    };
    let of = |state: &str| nodes.get(state).copied().unwrap_or_default();
    warn(of("suspect"), "nodes are suspect");
    warn(of("offline"), "nodes are offline");
    warn(u32::try_from(app.index.unreadable()).unwrap_or(u32::MAX), "values cannot be read");
    for pool in &app.bus.config().pools {
        if !leaders.contains_key(&format!("scheduler-{pool}")) {
            warnings.insert(0, format!("pool `{pool}` has never had a scheduler"));
        }
    }
    warnings.splice(0..0, app.fill.warnings());
    warnings.truncate(WARNINGS);
    let server = app.bus.server();
    Ok(pb::StatusReply {
        services: services(&app, &leaders),
        nodes,
        workloads,
        instances,
        warnings,
        leaders,
        incarnation: app.bus.incarnation().await.unwrap_or_default(),
        nats: Some(pb::NatsStatus {
            server: server.name,
            version: server.version,
            servers: u32::try_from(server.servers).unwrap_or(u32::MAX),
        }),
    })
}

/// This replica, and the leaders that the placements name.
fn services(
    app: &Shared,
    leaders: &std::collections::BTreeMap<String, String>,
) -> Vec<pb::ServiceStatus> {
    let ours = pb::ServiceStatus {
        name: "registry".to_owned(),
        id: app.replica.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        leader: app.lead.holds(),
    };
    let schedulers = leaders.iter().map(|(name, holder)| pb::ServiceStatus {
        name: name.clone(),
        id: holder.clone(),
        version: String::new(),
        leader: true,
    });
    std::iter::once(ours).chain(schedulers).collect()
}
