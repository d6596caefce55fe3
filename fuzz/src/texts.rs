//! Documents that people write: workloads in TOML and JSON, settings, quotas, scenarios.

use ostler_core::quota::Quota;
use ostler_core::tuning::Tuning;
use ostler_core::{sim, workload};

/// Reads the text as each of them, by its first byte.
pub fn check(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match kind % 5 {
        0 => workload(workload::from_toml(text)),
        1 => workload(workload::from_json(text)),
        2 => drop(Tuning::from_json(text)),
        3 => drop(Quota::from_json(text)),
        _ => drop(sim::read(text)),
    }
}

fn workload(read: Result<workload::Workload, workload::SpecErrors>) {
    match read {
        Ok(workload) => {
            let text = serde_json::to_string(&workload).expect("a workload can be written");
            let again = workload::from_json(&text).expect("what was written can be read");
            assert_eq!(again, workload, "{text}");
            drop(workload.spec());
        }
        Err(errors) => assert!(!errors.to_string().is_empty(), "a refusal says why"),
    }
}
