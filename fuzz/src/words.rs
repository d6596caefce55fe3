//! Words that stand in documents, keys, subjects and flags.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use ostler_core::artifact::{ArtifactName, ArtifactRef};
use ostler_core::constraint::Requirement;
use ostler_core::explain::{Addition, Selector};
use ostler_core::feasible::Condition;
use ostler_core::id::{InstanceId, NodeName, SpecHash, WorkloadKey};
use ostler_core::node::Node;
use ostler_core::resources::Bytes;
use ostler_core::schedule::Schedule;
use ostler_core::time::{Span, Timestamp};
use ostler_schemas::contract::{EventOf, HeartbeatOf, LogOf, SessionId};

/// Reads the word as each of them, by its first byte.
pub fn check(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match kind % 16 {
        0 => same::<NodeName>(text),
        1 => same::<WorkloadKey>(text),
        2 => same::<InstanceId>(text),
        3 => same::<SpecHash>(text),
        4 => same::<ArtifactName>(text),
        5 => same::<ArtifactRef>(text),
        6 => same::<Bytes>(text),
        7 => same::<Span>(text),
        8 => same::<Condition>(text),
        9 => same::<HeartbeatOf>(text),
        10 => same::<LogOf>(text),
        11 => same::<EventOf>(text),
        12 => same::<SessionId>(text),
        13 => drop((text.parse::<Selector>(), text.parse::<Addition>())),
        14 => schedule(text),
        _ => requirement(text),
    }
}

/// What is written as it was read reads as the same.
fn same<T>(text: &str)
where
    T: FromStr<Err: Display> + Display + PartialEq + Debug,
{
    match text.parse::<T>() {
        Ok(value) => {
            let again = value.to_string();
            assert_eq!(again.parse::<T>().ok().as_ref(), Some(&value), "{text:?} {again:?}");
        }
        Err(error) => assert!(!error.to_string().is_empty(), "a refusal says why"),
    }
}

/// Read, it can be asked of any node, and says the same when it is written and read again.
fn requirement(text: &str) {
    let Ok(requirement) = text.parse::<Requirement>() else { return };
    let again: Requirement = requirement.to_string().parse().expect("what was written can be read");
    let node = node();
    assert_eq!(again.holds(&node), requirement.holds(&node), "{text:?}");
}

fn node() -> Node {
    let text = r#"{
        "name": "n1", "pool": "default", "admin": "active", "liveness": "online",
        "liveness_since": 0, "epoch": 1, "drain_deadline": null, "key": "", "left_empty": false,
        "op_id": "",
        "facts": {
            "arch": "amd64", "os": "linux", "kernel": "6.1.2", "boot_id": "", "hardware": "h",
            "zone": "site/rack", "version": "0.1.0", "addresses": [], "ports": [1, 2],
            "capacity": { "cpu": 4000, "memory": "8GiB" }, "reserved": {}, "max_instances": 9,
            "drivers": { "docker": "24.0.1-rc1" },
            "labels": { "rack": "r1", "list": "a,b,c", "version": "1.2.3" }
        }
    }"#;
    serde_json::from_str(text).expect("a node")
}

/// Where it is a schedule, it comes again and again, ever later.
fn schedule(text: &str) {
    let (pattern, zone) = text.split_once('@').unwrap_or((text, ""));
    let Ok(schedule) = Schedule::new(pattern, zone) else { return };
    let mut last = Timestamp::from_millis(1_790_000_000_000);
    for _ in 0..4 {
        let Some(next) = schedule.next(last) else { return };
        assert!(next > last, "{text:?} comes at {next:?} after {last:?}");
        last = next;
    }
}
