//! Whether what a node says of itself can be: bounded, and sensible.

use std::collections::BTreeMap;

use ostler_core::node::Facts;
use ostler_schemas::problem::Problem;
use semver::Version;

use crate::refusal::invalid;

/// The longest facts, as JSON.
pub(super) const LONGEST: usize = 64 * 1024;
/// A manifest names no more instances.
const MOST_INSTANCES: u32 = 4_096;
const LONGEST_WORD: usize = 256;
const LONGEST_VALUE: usize = 4_096;
const MOST_ENTRIES: usize = 256;
const MOST_ADDRESSES: usize = 64;
/// 16,384 cores.
const MOST_CPU: u64 = 16_384_000;
/// 1 PiB.
const MOST_BYTES: u64 = 1 << 50;

/// Reads facts and checks them.
pub(super) fn facts(json: &str) -> Result<Facts, Problem> {
    if json.len() > LONGEST {
        let message = format!("{} bytes are too many: at most {LONGEST}", json.len());
        return Err(invalid("facts_json", message));
    }
    let facts: Facts =
        serde_json::from_str(json).map_err(|error| invalid("facts_json", error.to_string()))?;
    check(&facts).map_err(|(field, message)| invalid(&format!("facts.{field}"), message))?;
    Ok(facts)
}

type Wrong = (&'static str, String);

fn check(facts: &Facts) -> Result<(), Wrong> {
    let words = [
        ("arch", &facts.arch),
        ("os", &facts.os),
        ("kernel", &facts.kernel),
        ("boot_id", &facts.boot_id),
        ("hardware", &facts.hardware),
        ("zone", &facts.zone),
        ("version", &facts.version),
    ];
    for (field, text) in words {
        word(field, text)?;
    }
    let ours = Version::parse(env!("CARGO_PKG_VERSION")).expect("cargo has checked it");
    version(&ours, &facts.version).map_err(|message| ("version", message))?;
    if facts.hardware.is_empty() {
        return Err(("hardware", "it is empty: which machine is this?".to_owned()));
    }
    capacity(facts)?;
    if facts.addresses.len() > MOST_ADDRESSES {
        return Err(("addresses", format!("more than {MOST_ADDRESSES}")));
    }
    facts.addresses.iter().try_for_each(|address| word("addresses", address))?;
    table("labels", &facts.labels)?;
    table("drivers", &facts.drivers)?;
    let (first, last) = facts.ports;
    if first == 0 || first > last {
        return Err(("ports", format!("{first} to {last} is no range of ports")));
    }
    Ok(())
}

/// Whether an executor of this version understands us: of our minor version, a later one, or the one
/// before.
fn version(ours: &Version, theirs: &str) -> Result<(), String> {
    let read = Version::parse(theirs);
    let read = read.map_err(|error| format!("`{theirs}` is no version: {error}"))?;
    let (major, minor) = (ours.major, ours.minor.saturating_sub(1));
    if (read.major, read.minor) < (major, minor) {
        return Err(format!(
            "an executor of version {theirs} is too old for this fleet, which is at {ours}: upgrade \
             it to {major}.{minor} or later"
        ));
    }
    Ok(())
}

fn capacity(facts: &Facts) -> Result<(), Wrong> {
    let (capacity, reserved) = (facts.capacity, facts.reserved);
    if capacity.cpu == 0 || capacity.cpu > MOST_CPU {
        return Err(("capacity.cpu", format!("{} millicores cannot be", capacity.cpu)));
    }
    if capacity.memory.0 == 0 || capacity.memory.0 > MOST_BYTES {
        return Err(("capacity.memory", format!("{} cannot be", capacity.memory)));
    }
    if reserved.cpu > capacity.cpu || reserved.memory > capacity.memory {
        return Err(("reserved", "it is more than the capacity".to_owned()));
    }
    most(facts.max_instances)
}

fn most(number: u32) -> Result<(), Wrong> {
    if number == 0 || number > MOST_INSTANCES {
        return Err(("max_instances", format!("{number} is not 1 to {MOST_INSTANCES}")));
    }
    Ok(())
}

fn word(field: &'static str, text: &str) -> Result<(), Wrong> {
    if text.len() > LONGEST_WORD || text.chars().any(char::is_control) {
        let message = format!("more than {LONGEST_WORD} bytes, or control characters");
        return Err((field, message));
    }
    Ok(())
}

fn table(field: &'static str, entries: &BTreeMap<String, String>) -> Result<(), Wrong> {
    if entries.len() > MOST_ENTRIES {
        return Err((field, format!("more than {MOST_ENTRIES} entries")));
    }
    for (key, value) in entries {
        word(field, key)?;
        if key.is_empty() || value.len() > LONGEST_VALUE {
            let message = format!("an empty key, or a value of more than {LONGEST_VALUE} bytes");
            return Err((field, message));
        }
    }
    Ok(())
}

/// Labels that an operator sets.
pub(super) fn labels(labels: &BTreeMap<String, String>) -> Result<(), Problem> {
    table("labels", labels).map_err(|(field, message)| invalid(field, message))
}

/// How many instances an operator allows.
pub(super) fn max_instances(number: u32) -> Result<(), Problem> {
    most(number).map_err(|(field, message)| invalid(field, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_executor_of_any_version_was_admitted() {
        let ours = Version::new(1, 4, 2);
        let read = |theirs: &str| version(&ours, theirs);
        for theirs in ["1.4.2", "1.4.0", "1.3.9", "1.5.0", "2.0.0", "1.4.0-rc.1"] {
            assert_eq!(read(theirs), Ok(()), "{theirs}");
        }
        for theirs in ["1.2.9", "0.9.0"] {
            let why = read(theirs).expect_err("it is too old");
            assert!(why.contains("too old") && why.contains("upgrade it to 1.3"), "{why}");
        }
        for theirs in ["banana", "", "1", "1.4"] {
            assert!(read(theirs).is_err_and(|why| why.contains("no version")), "{theirs}");
        }
        let first = Version::new(0, 1, 0);
        assert_eq!(version(&first, "0.0.9"), Ok(()), "there is none before the first");
    }
}
