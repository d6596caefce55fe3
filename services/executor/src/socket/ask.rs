//! What an instance may ask, and where the answers come from.

use ostler_bus::Caller;
use ostler_core::id::WorkloadKey;
use ostler_schemas::pb;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::driver::Launch;
use crate::shared::Shared;

/// A scroll has at most so many bytes.
const LONGEST_SCROLL: usize = 4096;
/// At most so many endpoints in an answer.
const MOST_ENDPOINTS: u32 = 200;

/// One line.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Said {
    Ready(bool),
    Proven(bool),
    Beat(bool),
    Sos(String),
    Leader(bool),
    Endpoints(String),
    Publish(String),
    Who(bool),
}

pub(super) fn check(text: &str) -> Result<(), String> {
    if text.len() > LONGEST_SCROLL {
        return Err(format!("{} bytes, at most {LONGEST_SCROLL} are taken", text.len()));
    }
    Ok(())
}

pub(super) fn who(launch: &Launch) -> Value {
    json!({
        "ok": true,
        "instance": launch.id.to_string(),
        "workload": launch.key.to_string(),
        "slot": launch.slot.0,
        "version": launch.version.0,
        "node": launch.place.node.to_string(),
    })
}

fn bus(shared: &Shared) -> Result<(ostler_bus::Bus, Caller), String> {
    let bus = shared.link().ok_or("the fleet cannot be asked now")?;
    Ok((bus, Caller::program("executor")))
}

/// Which replica leads what: `{"registry": "…", "scheduler-default": "…"}`.
pub(super) async fn leaders(shared: &Shared) -> Result<Value, String> {
    let (bus, caller) = bus(shared)?;
    let status = bus.call(&pb::StatusGet {}, &caller).await.map_err(|p| p.to_string())?;
    Ok(json!({ "ok": true, "leaders": status.leaders }))
}

/// Where the ready instances of a workload are, `db` of the same namespace or `shop/db`.
pub async fn endpoints(shared: &Shared, launch: &Launch, of: &str) -> Result<Value, String> {
    let key = match of.contains('/') {
        true => of.parse::<WorkloadKey>().map_err(|error| error.to_string())?,
        false => {
            let name = of.parse().map_err(|error: ostler_core::id::IdError| error.to_string())?;
            WorkloadKey::new(launch.key.namespace.clone(), name)
        }
    };
    let (bus, caller) = bus(shared)?;
    let ask = pb::InstanceList {
        namespace: key.namespace.to_string(),
        workload: key.name.to_string(),
        state: "running".to_owned(),
        limit: MOST_ENDPOINTS,
        ..pb::InstanceList::default()
    };
    let reply = bus.call(&ask, &caller).await.map_err(|problem| problem.to_string())?;
    let ready = reply.items.into_iter().filter(|item| item.ready);
    let endpoints: Vec<Value> = ready
        .map(|item| {
            json!({
                "instance": item.id, "slot": item.slot, "node": item.node,
                "address": item.address, "ports": item.ports,
            })
        })
        .collect();
    Ok(json!({ "ok": true, "endpoints": endpoints }))
}
