//! The few words in which tests speak of nodes, workloads and decisions.

use ostler_core::id::{PoolName, SpecHash};
use ostler_core::node::{Admin, Facts, Kept, Liveness, Node};
use ostler_core::reconcile::{Decision, Note};
use ostler_core::resources::{Bytes, Resources};
use ostler_core::time::Timestamp;
use ostler_core::workload::Workload;

/// `n1 cpu 4000 mem 8GiB disk 100GiB net 1000 max 50 zone a hw h1 ports 20000-20100 driver sim
/// rack r1 suspect drain …`: a name, then words in any order; an unknown word is a label.
pub fn node(line: &str) -> Node {
    let mut words = line.split_whitespace();
    let name = words.next().expect("a name").parse().expect("a node name");
    let mut node = plain(name);
    while let Some(word) = words.next() {
        match word {
            "suspect" => node.liveness = Liveness::Suspect,
            "offline" => node.liveness = Liveness::Offline,
            "left" => node.liveness = Liveness::Left,
            "cordoned" => node.admin = Admin::Cordoned,
            "draining" => node.admin = Admin::Draining,
            _ => set(&mut node, word, words.next().expect("a value")),
        }
    }
    node
}

fn plain(name: ostler_core::id::NodeName) -> Node {
    let capacity = Resources {
        cpu: 4000,
        memory: Bytes::from_mib(8192),
        disk: Bytes::from_mib(102_400),
        network: 1000,
    };
    Node {
        name,
        pool: PoolName::default(),
        admin: Admin::Active,
        liveness: Liveness::Online,
        liveness_since: Timestamp::from_millis(0),
        epoch: super::FIRST,
        facts: Facts {
            arch: "amd64".to_owned(),
            os: "linux".to_owned(),
            kernel: "6.1".to_owned(),
            boot_id: String::new(),
            hardware: String::new(),
            zone: String::new(),
            capacity,
            reserved: Resources::default(),
            max_instances: 50,
            drivers: [("sim".to_owned(), "1.0".to_owned())].into(),
            labels: [].into(),
            addresses: Vec::new(),
            ports: (20_000, 20_100),
            version: String::new(),
            battery: false,
        },
        drain_deadline: None,
        key: String::new(),
        left_empty: false,
        kept: Kept::default(),
        op_id: String::new(),
    }
}

fn set(node: &mut Node, word: &str, value: &str) {
    let facts = &mut node.facts;
    let number = || value.parse().expect("a number");
    let bytes = || value.parse().expect("a size");
    match word {
        "cpu" => facts.capacity.cpu = number(),
        "mem" => facts.capacity.memory = bytes(),
        "disk" => facts.capacity.disk = bytes(),
        "net" => facts.capacity.network = number(),
        "max" => facts.max_instances = value.parse().expect("a number"),
        "zone" => value.clone_into(&mut facts.zone),
        "hw" => value.clone_into(&mut facts.hardware),
        "arch" => value.clone_into(&mut facts.arch),
        "pool" => node.pool = value.parse().expect("a pool"),
        "driver" => facts.drivers = [(value.to_owned(), "1.0".to_owned())].into(),
        "ports" => {
            let (first, last) = value.split_once('-').expect("two ports");
            facts.ports = (first.parse().expect("a port"), last.parse().expect("a port"));
        }
        label => {
            facts.labels.insert(label.to_owned(), value.to_owned());
        }
    }
}

/// A workload as JSON without its outer braces; the driver is `sim` unless said.
pub fn workload(text: &str) -> Workload {
    let driver = if text.contains("\"driver\"") { "" } else { "\"driver\":\"sim\"," };
    let json = format!("{{{driver}{text}}}");
    serde_json::from_str(&json).unwrap_or_else(|error| panic!("{json}: {error}"))
}

/// Stands for the hash of a specification.
pub fn hash(spec: &Workload) -> SpecHash {
    let text = format!("{:?}", spec.spec());
    let mut hash = [0u8; 32];
    for (index, byte) in text.bytes().enumerate() {
        let place = index % 32;
        hash[place] =
            hash[place].rotate_left(3) ^ byte ^ u8::try_from(index / 32 % 251).expect("fits");
    }
    SpecHash(hash)
}

fn text_of(note: &Note) -> String {
    match note {
        Note::Infeasible { condition } => format!("infeasible: {condition}"),
        Note::Feasible => "feasible".to_owned(),
        Note::RunBegan { .. } => "a run began".to_owned(),
        Note::RunSkipped { why, .. } => format!("a run was skipped: {why}"),
        Note::RunEnded { how, .. } => format!("a run ended: {how}"),
        Note::StopsFirst { slot } => format!("slot {slot} stops first"),
    }
}

/// One decision in a few words.
pub fn decision(decision: &Decision) -> String {
    match decision {
        Decision::Place { workload, slot, version, node, moved, .. } => {
            let moved = moved.as_ref().map(|(from, why)| format!(" instead of {from}: {why}"));
            let moved = moved.unwrap_or_default();
            format!("place {}/{slot}@{version} on {node}{moved}", workload.name)
        }
        Decision::Stop { workload, slot, node, reason, .. } => {
            format!("stop {}/{slot} on {node}: {reason}", workload.name)
        }
        Decision::Preempt { workload, slot, node, by, by_slot, .. } => {
            let (who, by) = (&workload.name, &by.name);
            format!("evict {who}/{slot} on {node} for {by}/{by_slot}")
        }
        Decision::Restart { workload, node, .. } => {
            format!("restart {} on {node}", workload.name)
        }
        Decision::Lost { workload, slot, node, .. } => {
            format!("lost {}/{slot} on {node}", workload.name)
        }
        Decision::UpdateFailed { workload, version, reason } => {
            format!("update of {} to {version} failed: {reason}", workload.name)
        }
        Decision::Updated { workload, version } => {
            format!("{} is now {version}", workload.name)
        }
        Decision::Unplaced { workload, unplaced } => {
            let (first, last) = unplaced.slots;
            format!("no place for {}/{first}-{last}: {:?}", workload.name, unplaced.reasons)
        }
        Decision::Drained { node } => format!("{node} is empty"),
        Decision::Noted { workload, note } => format!("{}: {}", workload.name, text_of(note)),
        Decision::MassLoss { lost, of, .. } => format!("{lost} of {of} nodes lost at once"),
    }
}
