//! The parts of a specification, from protobuf.

use ostler_core::resources::Bytes;
use ostler_core::workload::{
    Affinity, AntiAffinity, Ask, Backoff, Check, Logs, OneOrMany, PlacementRules, PortSpec,
    Preference, Recycle, Reschedule, Restart, Sleep, Spread, Stop, Update,
};

use super::{parse, span, strict_word, word};
use crate::pb;
use crate::wire::WireError;

pub(super) fn ask(raw: pb::Ask) -> Ask {
    Ask {
        cpu: raw.cpu.unwrap_or_else(|| Ask::default().cpu),
        memory: raw.memory.map(Bytes),
        disk: Bytes(raw.disk),
        network: raw.network,
        gpu: raw.gpu,
        cpu_limit: raw.cpu_limit,
        memory_max: raw.memory_max.map(Bytes),
    }
}

fn number(field: &str, raw: u32) -> Result<u16, WireError> {
    u16::try_from(raw).map_err(|_| WireError::field(field, format!("{raw} is above 65535")))
}

pub(super) fn port(raw: pb::PortSpec) -> Result<PortSpec, WireError> {
    let or_one = |field, raw: u32| number(field, if raw == 0 { 1 } else { raw });
    let fixed = number("ports.static", raw.r#static)?;
    let network = raw.host_network;
    Ok(PortSpec {
        name: parse("ports.name", &raw.name)?,
        fixed: (fixed != 0).then_some(fixed),
        count: or_one("ports.count", raw.count)?,
        align: or_one("ports.align", raw.align)?,
        host_network: if network.is_empty() { "default".to_owned() } else { network },
        protocol: word("ports.protocol", &raw.protocol)?,
    })
}

pub(super) fn check(raw: pb::Check) -> Result<Check, WireError> {
    Ok(Check {
        kind: strict_word("checks.type", &raw.r#type)?,
        port: raw.port.map(|name| parse("checks.port", &name)).transpose()?,
        path: raw.path.unwrap_or_else(|| "/".to_owned()),
        command: raw.command,
        interval: span(raw.interval_ms.unwrap_or(10_000)),
        timeout: span(raw.timeout_ms.unwrap_or(2_000)),
        failures: raw.failures.unwrap_or(3),
    })
}

fn anti_affinity(raw: pb::AntiAffinity) -> Result<AntiAffinity, WireError> {
    Ok(AntiAffinity {
        group: raw.group,
        scope: word("placement.anti_affinity.scope", &raw.scope)?,
        mode: word("placement.anti_affinity.mode", &raw.mode)?,
    })
}

fn affinity(raw: pb::Affinity) -> Result<Affinity, WireError> {
    Ok(Affinity {
        workload: parse("placement.affinity.workload", &raw.workload)?,
        scope: word("placement.affinity.scope", &raw.scope)?,
        mode: word("placement.affinity.mode", &raw.mode)?,
    })
}

pub(super) fn placement(raw: pb::PlacementRules) -> Result<PlacementRules, WireError> {
    let prefer = |raw: pb::Preference| Preference {
        attribute: raw.attribute,
        value: raw.value,
        weight: raw.weight.unwrap_or(50),
    };
    let spread = |raw: pb::Spread| Spread {
        attribute: raw.attribute,
        weight: raw.weight.unwrap_or(50),
        targets: raw.targets,
    };
    Ok(PlacementRules {
        strategy: word("placement.strategy", &raw.strategy)?,
        weights: raw.weights,
        node: raw.node,
        prefer: raw.prefer.into_iter().map(prefer).collect(),
        require: raw.require,
        anti_affinity: OneOrMany(super::each(raw.anti_affinity, anti_affinity)?),
        affinity: OneOrMany(super::each(raw.affinity, affinity)?),
        spread: OneOrMany(raw.spread.into_iter().map(spread).collect()),
        max_per: raw.max_per,
        zone_redundancy: raw.zone_redundancy,
        sticky_key: raw.sticky_key,
        feasible_when: raw.feasible_when,
    })
}

fn backoff(raw: Option<pb::Backoff>) -> Backoff {
    let raw = raw.unwrap_or_default();
    Backoff {
        initial: raw.initial_ms.map_or_else(|| Backoff::default().initial, span),
        max: raw.max_ms.map(span),
    }
}

pub(super) fn restart(raw: pb::Restart) -> Restart {
    let default = Restart::default();
    Restart {
        attempts: raw.attempts.unwrap_or(default.attempts),
        window: raw.window_ms.map_or(default.window, span),
        backoff: backoff(raw.backoff),
        never_on_exit: raw.never_on_exit.map_or(default.never_on_exit, |codes| codes.codes),
    }
}

pub(super) fn reschedule(raw: pb::Reschedule) -> Result<Reschedule, WireError> {
    Ok(Reschedule {
        backoff: backoff(raw.backoff),
        on_node_loss: word("reschedule.on_node_loss", &raw.on_node_loss)?,
        disconnected_for: span(raw.disconnected_for_ms),
    })
}

pub(super) fn update(raw: pb::Update) -> Update {
    let default = Update::default();
    Update {
        max_parallel: raw.max_parallel.unwrap_or(default.max_parallel),
        min_ready: raw.min_ready_ms.map_or(default.min_ready, span),
        canary: raw.canary,
        auto_revert: raw.auto_revert.unwrap_or(default.auto_revert),
        deadline: raw.deadline_ms.map_or(default.deadline, span),
    }
}

pub(super) fn stop(raw: pb::Stop) -> Stop {
    let default = Stop::default();
    Stop {
        signal: if raw.signal.is_empty() { default.signal } else { raw.signal },
        grace: raw.grace_ms.map_or(default.grace, span),
        drain: raw.drain_ms.map(span),
    }
}

pub(super) fn sleep(raw: pb::Sleep) -> Sleep {
    Sleep { idle_after: raw.idle_after_ms.map(span), on_demand: raw.on_demand }
}

pub(super) fn recycle(raw: pb::Recycle) -> Recycle {
    Recycle { max_age: raw.max_age_ms.map(span), max_rss: raw.max_rss.map(Bytes) }
}

pub(super) fn logs(raw: pb::LogRules) -> Logs {
    let default = Logs::default();
    Logs {
        max_size: raw.max_size.map_or(default.max_size, Bytes),
        max_files: raw.max_files.unwrap_or(default.max_files),
        max_age: raw.max_age_ms.map_or(default.max_age, span),
    }
}
