//! Fleets and workloads to measure with.

use ostler_core::head::Head;
use ostler_core::id::{Generation, PoolName, SpecHash, Version};
use ostler_core::node::Node;
use ostler_core::reconcile::{Engine, Event, Settings};
use ostler_core::time::Timestamp;
use ostler_core::workload::Workload;
use serde_json::json;

/// When everything happens.
pub const NOW: Timestamp = Timestamp::from_millis(1_000_000);

/// An engine that knows so many equal nodes.
pub fn fleet(nodes: u32) -> Engine {
    let mut engine = Engine::new(PoolName::default(), Settings::default(), 1);
    for number in 0..nodes {
        engine.observe(Event::Node(Box::new(node(number))), NOW);
    }
    engine
}

/// The node of this number, in one of three zones and a hundred racks.
pub fn node(number: u32) -> Node {
    let zero = json!({ "cpu": 0, "memory": 0, "disk": 0, "network": 0 });
    let has = json!({ "cpu": 64_000, "memory": 274_877_906_944_u64, "disk": "1TiB",
            "network": 10_000 });
    let facts = json!({ "arch": "amd64", "os": "linux", "kernel": "6.1", "boot_id": "",
            "hardware": "", "zone": format!("z{}", number % 3), "capacity": has, "reserved": zero,
            "max_instances": 4096, "drivers": { "sim": "1.0" },
            "labels": { "rack": format!("r{}", number % 100) }, "addresses": [],
            "ports": [20_000, 30_000], "version": "" });
    let node = json!({ "name": format!("n{number:05}"), "pool": "default", "admin": "active",
            "liveness": "online", "liveness_since": 0, "epoch": 1, "facts": facts,
            "drain_deadline": null, "key": "", "left_empty": false, "op_id": "" });
    serde_json::from_value(node).expect("a node")
}

/// Tells it of a workload: its count, the cpu of each, and `placement`.
pub fn put(engine: &mut Engine, name: &str, count: u32, cpu: u64, rules: &str) {
    ask(engine, name, (count, cpu, 50), rules);
}

/// The same with `count`, cpu and priority.
pub fn ask(engine: &mut Engine, name: &str, (count, cpu, priority): (u32, u64, u8), rules: &str) {
    let text = format!(
        r#"{{"name":"{name}","driver":"sim","count":{count},"priority":{priority},
            "resources":{{"cpu":{cpu},"memory":"1MiB"}},"placement":{{{rules}}}}}"#
    );
    let spec: Workload = serde_json::from_str(&text).expect("a workload");
    let head = Head {
        spec,
        version: Version(1),
        compatible_since: Version(1),
        spec_hash: SpecHash([0; 32]),
        restart_generation: Generation(0),
        reload_generation: Generation(0),
        stopped: false,
        deleted: false,
        purge: false,
        updated_at: NOW,
        op_id: String::new(),
        earlier: Vec::new(),
    };
    engine.observe(Event::Workload(Box::new(head)), NOW);
}
