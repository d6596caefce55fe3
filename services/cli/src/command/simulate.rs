//! `ostler simulate`: the core alone, in simulated time; from a file, or from the live fleet.

use std::io::Read as _;
use std::path::Path;

use ostler_core::sim;
use serde_json::{Map, Value, json};

use crate::args::SimulateArgs;
use crate::failure::Failure;
use crate::output::{self, text};
use crate::session::Session;

/// Runs a scenario. 0: it ran, 1: an expectation failed, 2: it cannot be read.
pub async fn run(session: &Session, args: SimulateArgs) -> Result<u8, Failure> {
    let given = args.scenario.as_deref().map(read).transpose()?;
    let text = if args.from_fleet {
        let fleet = Fleet::read(session).await?;
        let scenario = fleet.scenario(given.as_deref())?;
        serde_json::to_string_pretty(&scenario).map_err(Failure::failed)? + "\n"
    } else {
        given.ok_or_else(|| Failure::usage("name a scenario, or say --from-fleet"))?
    };
    let scenario = sim::read(&text).map_err(Failure::usage)?;
    if let Some(path) = &args.write {
        let wrong = |error| Failure::failed(format!("cannot write {}: {error}", path.display()));
        std::fs::write(path, &text).map_err(wrong)?;
        eprintln!("the scenario is in {}", path.display());
    }
    let result = sim::run(scenario, |step| {
        if args.json {
            let line = serde_json::to_string(&step).expect("a step has text keys");
            output::print(&(line + "\n"));
        } else {
            output::print(&sim::render(&step));
        }
    });
    for wrong in &result.failed {
        eprintln!("{wrong}");
    }
    Ok(result.exit_code())
}

fn read(path: &Path) -> Result<String, Failure> {
    let text = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    text.map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))
}

/// The live fleet as REST tells of it.
struct Fleet {
    nodes: Vec<Value>,
    workloads: Vec<Value>,
    instances: Vec<Value>,
}

impl Fleet {
    async fn read(session: &Session) -> Result<Self, Failure> {
        Ok(Self {
            nodes: session.client.list("/v1/nodes").await?,
            workloads: session.client.list("/v1/workloads").await?,
            instances: session.client.list("/v1/instances").await?,
        })
    }

    /// The scenario that begins with this fleet and goes on with the steps of `more`.
    fn scenario(&self, more: Option<&str>) -> Result<Value, Failure> {
        let mut scenario: Map<String, Value> = match more {
            Some(text) => {
                // It is read for itself first, but its steps may name what only the fleet has.
                let value = serde_json::from_str(text).map_err(|error| {
                    Failure::usage(format!("the scenario is not JSON: {error}"))
                })?;
                match value {
                    Value::Object(object) => object,
                    _ => return Err(Failure::usage("the scenario is not an object")),
                }
            }
            None => Map::new(),
        };
        let workloads: Vec<&Value> = self.workloads.iter().filter(|one| simulated(one)).collect();
        let known = |one: &&Value| workloads.iter().any(|workload| owns(workload, one));
        let begins = |one: &&Value| one["desired"] == "run" && !ended(one);
        let running: Vec<&Value> = self.instances.iter().filter(begins).filter(known).collect();
        let mut slots = std::collections::BTreeSet::new();
        let first = |one: &&&Value| slots.insert((key(one), one["slot"].as_u64()));
        let instances: Vec<Value> = running.iter().filter(first).map(|one| standing(one)).collect();
        let nodes = self.nodes.iter().map(|node| self.node(node)).collect();
        let workloads = workloads.into_iter().map(spec).collect();
        for (name, list) in [("nodes", nodes), ("workloads", workloads), ("instances", instances)] {
            match scenario.entry(name).or_insert_with(|| json!([])) {
                Value::Array(have) => {
                    let own = std::mem::replace(have, list);
                    have.extend(own);
                }
                _ => return Err(Failure::usage(format!("`{name}` of the scenario is no list"))),
            }
        }
        // Without steps it shows how the fleet stands, and what the leader would do now.
        scenario.entry("steps").or_insert_with(|| json!([{ "advance": "0s" }]));
        Ok(Value::Object(scenario))
    }

    fn node(&self, node: &Value) -> Value {
        let mut made = Map::new();
        for key in [
            "name",
            "zone",
            "hardware",
            "pool",
            "labels",
            "arch",
            "os",
            "kernel",
            "capacity",
            "reserved",
            "max_instances",
            "drivers",
            "admin",
            "liveness",
        ] {
            if let Some(value) = node.get(key).filter(|value| !value.is_null()) {
                made.insert(key.to_owned(), value.clone());
            }
        }
        if let Some([first, last]) = node["port_range"].as_array().map(Vec::as_slice) {
            made.insert("ports".to_owned(), json!([first, last]));
        }
        if let Some(used) = self.foreign(node) {
            made.insert("use".to_owned(), used);
        }
        Value::Object(made)
    }

    /// What of a node is used by something that is not ours: its use, less that of our instances.
    fn foreign(&self, node: &Value) -> Option<Value> {
        let here = self.instances.iter().filter(|one| one["node"] == node["name"]);
        let ours =
            |key: &str| -> u64 { here.clone().filter_map(|one| one["use"][key].as_u64()).sum() };
        let part = |key: &str| -> Option<u64> {
            let share = node["use"][key].as_f64()?.clamp(0.0, 1.0);
            let whole = node["capacity"][key].as_u64()?;
            // In thousandths, which is finer than it is measured.
            let thousandths = (0..=1000u32).find(|part| f64::from(*part) >= share * 1000.0)?;
            u64::try_from(u128::from(whole) * u128::from(thousandths) / 1000).ok()
        };
        let (cpu, memory) = (part("cpu")?, part("memory")?);
        let disk = part("disk").unwrap_or(0);
        let less = |whole: u64, key: &str| whole.saturating_sub(ours(key));
        Some(json!({ "cpu": less(cpu, "cpu"), "memory": less(memory, "memory"), "disk": disk }))
    }
}

fn key(item: &Value) -> (String, String) {
    let name = if item.get("workload").is_some() { "workload" } else { "name" };
    (text(item, "namespace"), text(item, name))
}

fn owns(workload: &Value, instance: &Value) -> bool {
    key(workload) == key(instance)
}

/// Not what is being deleted; and not jobs, of which a scenario does not know what is done already.
fn simulated(workload: &Value) -> bool {
    let kind = workload["spec"]["kind"].as_str().unwrap_or("service");
    workload["deleted"] != true && matches!(kind, "service" | "system")
}

fn ended(instance: &Value) -> bool {
    let observed = instance["observed"].as_str().unwrap_or_default();
    matches!(observed, "declined" | "stopped" | "completed" | "failed" | "hibernated" | "lost")
}

/// The text of a workload; a stopped one wants no instances.
fn spec(workload: &Value) -> Value {
    let mut spec = workload["spec"].clone();
    if workload["stopped"] == true {
        spec["count"] = json!(0);
    }
    spec
}

fn standing(instance: &Value) -> Value {
    let (namespace, workload) = key(instance);
    json!({
        "workload": format!("{namespace}/{workload}"), "slot": instance["slot"],
        "node": instance["node"], "score": instance["score"].as_u64().unwrap_or(0),
        "ports": instance["ports"].as_object().cloned().unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fleet() -> Fleet {
        let node = |name: &str, use_of: f64| {
            json!({ "name": name, "zone": "a", "pool": "default", "admin": "active",
                "liveness": "online", "labels": {}, "drivers": { "process": "1" },
                "capacity": { "cpu": 4000, "memory": 8_589_934_592_u64, "disk": 0, "network": 0 },
                "reserved": { "cpu": 0, "memory": 0, "disk": 0, "network": 0 },
                "max_instances": 50, "port_range": [20_000, 20_100],
                "use": { "cpu": use_of, "memory": use_of, "disk": 0.0 } })
        };
        let instance = |slot: u32, node: &str| {
            json!({ "namespace": "default", "workload": "web", "slot": slot, "node": node,
                "desired": "run", "observed": "running", "score": 9000, "ports": {},
                "use": { "cpu": 100, "memory": 1024 } })
        };
        let spec = json!({ "name": "web", "driver": "process", "count": 2,
            "process": { "command": ["true"] } });
        Fleet {
            nodes: vec![node("n1", 0.5), node("n2", 0.0), node("n3", 0.0)],
            workloads: vec![json!({ "namespace": "default", "name": "web", "spec": spec })],
            instances: vec![instance(0, "n3"), instance(1, "n3")],
        }
    }

    #[test]
    fn instances_begin_where_they_are_however_much_better_another_place_would_be() {
        let text = fleet().scenario(None).expect("a scenario").to_string();
        let scenario = sim::read(&text).expect("it can be read");
        let mut steps = Vec::new();
        let result = sim::run(scenario, |step| steps.push(step));
        assert_eq!(result.exit_code(), 0, "{result:?}");
        assert!(steps[0].placed.is_empty() && steps[0].stopped.is_empty(), "{steps:?}");
        let nodes: Vec<&str> = steps[0].instances.iter().map(|one| one.node.as_str()).collect();
        assert_eq!(nodes, ["n3", "n3"]);
    }

    #[test]
    fn the_steps_of_a_scenario_go_on_from_there() {
        let more = r#"{"steps": [{"node": {"name": "n3", "liveness": "offline"}}]}"#;
        let text = fleet().scenario(Some(more)).expect("a scenario").to_string();
        let scenario = sim::read(&text).expect("it can be read");
        let mut moved = 0;
        sim::run(scenario, |step| moved += step.moved.len());
        assert_eq!(moved, 2);
    }

    #[test]
    fn use_by_others_is_what_our_own_instances_do_not_use() {
        let scenario = fleet().scenario(None).expect("a scenario");
        assert_eq!(scenario["nodes"][0]["use"]["cpu"], 2000);
        assert_eq!(scenario["nodes"][2]["use"]["cpu"], 0);
    }
}
