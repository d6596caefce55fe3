//! The answers, as JSON: `{"series":{"cpu":[[t_ms,value],…]},"totals":{…}}`.

use ostler_core::id::{InstanceId, NodeName};
use ostler_core::node::Use;
use ostler_core::resources::Resources;
use ostler_core::time::Timestamp;
use serde_json::{Map, Value, json};

use crate::series::{Track, Window};
use crate::store::{FLEET, INSTANCE, NODE, Store};

fn series<const N: usize>(track: &Track<N>, columns: [&str; N], window: Window) -> Value {
    let named = columns.iter().enumerate();
    let all: Map<String, Value> = named
        .map(|(column, name)| ((*name).to_owned(), json!(track.points(column, window))))
        .collect();
    Value::Object(all)
}

fn used(used: Use) -> Value {
    json!({
        "cpu": used.cpu, "memory": used.memory, "disk": used.disk, "network": used.network,
    })
}

fn capacity(all: Resources) -> Value {
    json!({
        "cpu": all.cpu, "memory": all.memory.0, "disk": all.disk.0, "network": all.network,
    })
}

/// Totals and series of the fleet.
#[must_use]
pub fn fleet(store: &Store, window: Window) -> Value {
    let totals = store.totals();
    let states = store.states();
    json!({
        "series": series(store.fleet(), FLEET, window),
        "totals": {
            "reporting_nodes": totals.nodes,
            "running_instances": totals.instances,
            "used": used(totals.used),
            "capacity": capacity(totals.capacity),
            "nodes": states.nodes,
            "workloads": states.workloads,
            "instances": states.instances,
        },
        "step_ms": window.step().as_millis(),
    })
}

/// Series of a node; `None` when nothing is known of it.
#[must_use]
pub fn node(store: &Store, name: &NodeName, window: Window, now: Timestamp) -> Option<Value> {
    let node = store.nodes().get(name)?;
    let heard = node.heard != Timestamp::default();
    Some(json!({
        "node": name.as_str(),
        "series": series(&node.track, NODE, window),
        "totals": {
            "used": used(node.used),
            "capacity": capacity(node.capacity),
            "instances": node.instances,
            "load": node.load.map(|hundredths| f64::from(hundredths) / 100.0),
            "cores": node.cores,
            "heard_ms_ago": heard.then(|| now.since(node.heard).as_millis()),
        },
        "step_ms": window.step().as_millis(),
    }))
}

/// Series of an instance; `None` when nothing is known of it.
#[must_use]
pub fn instance(store: &Store, id: InstanceId, window: Window, now: Timestamp) -> Option<Value> {
    let instance = store.instances().get(&id)?;
    Some(json!({
        "instance": id.to_string(),
        "node": instance.node.as_str(),
        "series": series(&instance.track, INSTANCE, window),
        "totals": {
            "cpu": instance.cpu,
            "memory": instance.memory,
            "heard_ms_ago": now.since(instance.heard).as_millis(),
        },
        "step_ms": window.step().as_millis(),
    }))
}
