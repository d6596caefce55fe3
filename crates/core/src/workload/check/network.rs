//! Whether its ports can be given and its checks can be asked.

use std::collections::BTreeMap;

use super::{DAY, Found};
use crate::document::Path;
use crate::id::PortName;
use crate::workload::{Check, CheckKind, PortSpec, Protocol, Workload};

const MOST_PORTS: usize = 64;
const MOST_CHECKS: usize = 32;
const MOST_FAILURES: u64 = 1000;

pub(super) fn check(workload: &Workload, found: &mut Found) {
    found.limit(workload.ports.len(), MOST_PORTS, "ports", "ports");
    found.limit(workload.checks.len(), MOST_CHECKS, "checks", "checks");
    let mut names = BTreeMap::new();
    for (index, port) in workload.ports.iter().enumerate() {
        let here = Path::from("ports").index(index);
        if names.insert(&port.name, port.protocol).is_some() {
            found.push(&here.key("name"), format!("port `{}` is there twice", port.name));
        }
        shape(port, &here, found);
        overlaps(&workload.ports[..index], port, &here, found);
    }
    for (index, check) in workload.checks.iter().enumerate() {
        let here = Path::from("checks").index(index);
        asked(check, &names, &here, found);
        timing(check, &here, found);
    }
}

fn shape(port: &PortSpec, here: &Path, found: &mut Found) {
    if port.count == 0 {
        found.push(&here.key("count"), "0 ports are none: at least 1");
    }
    if port.align == 0 {
        found.push(&here.key("align"), "nothing is a multiple of 0: at least 1");
    }
    if port.host_network.is_empty() {
        found.push(&here.key("host_network"), "it is empty");
    }
    let Some(first) = port.fixed else { return };
    if first == 0 {
        found.push(&here.key("static"), "0 is not a port: 1 to 65535");
    }
    if last(port).is_none() {
        let message = format!("{} ports from {first} go past 65535", port.count);
        found.push(&here.key("count"), message);
    }
    if port.align > 1 && !first.is_multiple_of(port.align) {
        let message = format!("{first} is not a multiple of {}", port.align);
        found.push(&here.key("align"), message);
    }
}

fn last(port: &PortSpec) -> Option<u16> {
    port.fixed?.checked_add(port.count.saturating_sub(1))
}

fn overlaps(before: &[PortSpec], port: &PortSpec, here: &Path, found: &mut Found) {
    let (Some(first), Some(end)) = (port.fixed, last(port)) else { return };
    for other in before.iter().filter(|other| other.protocol == port.protocol) {
        let (Some(other_first), Some(other_end)) = (other.fixed, last(other)) else { continue };
        if first <= other_end && other_first <= end {
            let message = format!("port `{}` has the same numbers", other.name);
            found.push(&here.key("static"), message);
        }
    }
}

fn asked(check: &Check, ports: &BTreeMap<&PortName, Protocol>, here: &Path, found: &mut Found) {
    match check.kind {
        CheckKind::Http | CheckKind::Tcp => match &check.port {
            None => found.push(&here.key("port"), "this check asks a port: name one"),
            Some(port) => match ports.get(port) {
                None => found.push(&here.key("port"), format!("there is no port `{port}`")),
                Some(Protocol::Udp) => {
                    found.push(&here.key("port"), format!("port `{port}` is not tcp"));
                }
                Some(Protocol::Tcp) => {}
            },
        },
        CheckKind::Exec => found.command(&here.key("command"), &check.command),
        CheckKind::Heartbeat => {}
    }
    if check.kind == CheckKind::Http && !check.path.starts_with('/') {
        found.push(&here.key("path"), "a path begins with `/`");
    }
    if check.path.contains(|c: char| c.is_control() || c == ' ') {
        found.push(&here.key("path"), "it holds a blank or a control character");
    }
}

fn timing(check: &Check, here: &Path, found: &mut Found) {
    found.real_span(&here.key("interval").to_string(), check.interval, DAY);
    found.real_span(&here.key("timeout").to_string(), check.timeout, DAY);
    if check.failures == 0 {
        found.push(&here.key("failures"), "at least 1");
    }
    found.at_most(&here.key("failures").to_string(), check.failures.into(), MOST_FAILURES);
}
