//! A specification, to protobuf.

use std::collections::BTreeMap;

use ostler_core::time::Span;
use ostler_core::workload::{
    Ask, Backoff, Check, Cron, DriverKind, PlacementRules, PortSpec, SimSection, Workload,
};

use super::{json_texts, to_word};
use crate::pb;

fn cron(from: Option<&Cron>) -> BTreeMap<String, String> {
    match from.map(serde_json::to_value) {
        Some(Ok(serde_json::Value::Object(table))) => json_texts(table.into_iter().collect()),
        Some(Ok(_) | Err(_)) | None => BTreeMap::new(),
    }
}

fn ms(span: Span) -> u64 {
    span.as_millis()
}

fn ask(from: &Ask) -> pb::Ask {
    pb::Ask {
        cpu: Some(from.cpu),
        memory: from.memory.map(|bytes| bytes.0),
        disk: from.disk.0,
        network: from.network,
        gpu: from.gpu,
        cpu_limit: from.cpu_limit,
        memory_max: from.memory_max.map(|bytes| bytes.0),
    }
}

fn sim(from: &SimSection) -> pb::SimSection {
    pb::SimSection {
        start_after_ms: ms(from.start_after),
        ready_after_ms: ms(from.ready_after),
        stop_after_ms: ms(from.stop_after),
        exit_code: from.exit_code,
        exit_after_ms: from.exit_after.map(ms),
        fail: from.fail,
        decline: from.decline,
    }
}

fn port(from: &PortSpec) -> pb::PortSpec {
    pb::PortSpec {
        name: from.name.to_string(),
        r#static: from.fixed.unwrap_or_default().into(),
        count: from.count.into(),
        align: from.align.into(),
        host_network: from.host_network.clone(),
        protocol: to_word(&from.protocol),
    }
}

fn check(from: &Check) -> pb::Check {
    pb::Check {
        r#type: to_word(&from.kind),
        port: from.port.as_ref().map(ToString::to_string),
        path: Some(from.path.clone()),
        command: from.command.clone(),
        interval_ms: Some(ms(from.interval)),
        timeout_ms: Some(ms(from.timeout)),
        failures: Some(from.failures),
    }
}

fn placement(from: &PlacementRules) -> pb::PlacementRules {
    let prefer = from.prefer.iter().map(|rule| pb::Preference {
        attribute: rule.attribute.clone(),
        value: rule.value.clone(),
        weight: Some(rule.weight),
    });
    let apart = from.anti_affinity.iter().map(|rule| pb::AntiAffinity {
        group: rule.group.clone(),
        scope: to_word(&rule.scope),
        mode: to_word(&rule.mode),
    });
    let near = from.affinity.iter().map(|rule| pb::Affinity {
        workload: rule.workload.to_string(),
        scope: to_word(&rule.scope),
        mode: to_word(&rule.mode),
    });
    let spread = from.spread.iter().map(|rule| pb::Spread {
        attribute: rule.attribute.clone(),
        weight: Some(rule.weight),
        targets: rule.targets.clone(),
    });
    pb::PlacementRules {
        strategy: to_word(&from.strategy),
        weights: from.weights.clone(),
        node: from.node.clone(),
        prefer: prefer.collect(),
        require: from.require.clone(),
        anti_affinity: apart.collect(),
        affinity: near.collect(),
        spread: spread.collect(),
        max_per: from.max_per.clone(),
        zone_redundancy: from.zone_redundancy,
        sticky_key: from.sticky_key.clone(),
        feasible_when: from.feasible_when.clone(),
    }
}

fn backoff(from: &Backoff) -> pb::Backoff {
    pb::Backoff { initial_ms: Some(ms(from.initial)), max_ms: from.max.map(ms) }
}

fn sections(from: &Workload) -> BTreeMap<String, String> {
    fn json<T: serde::Serialize>(section: &T) -> Option<String> {
        serde_json::to_string(section).ok()
    }
    let json_only = [
        (DriverKind::Nspawn, from.nspawn.as_ref().and_then(json)),
        (DriverKind::Docker, from.docker.as_ref().and_then(json)),
        (DriverKind::Vm, from.vm.as_ref().and_then(json)),
        (DriverKind::S6, from.s6.as_ref().and_then(json)),
        (DriverKind::Uwsgi, from.uwsgi.as_ref().and_then(json)),
    ];
    let written = json_only.into_iter();
    written.filter_map(|(driver, text)| Some((driver.as_str().to_owned(), text?))).collect()
}

/// What happens when instances end, are replaced or are stopped.
fn policies(from: &Workload, spec: &mut pb::WorkloadSpec) {
    spec.restart = Some(pb::Restart {
        attempts: Some(from.restart.attempts),
        window_ms: Some(ms(from.restart.window)),
        backoff: Some(backoff(&from.restart.backoff)),
        never_on_exit: Some(pb::ExitCodes { codes: from.restart.never_on_exit.clone() }),
    });
    spec.reschedule = Some(pb::Reschedule {
        backoff: Some(backoff(&from.reschedule.backoff)),
        on_node_loss: to_word(&from.reschedule.on_node_loss),
        disconnected_for_ms: ms(from.reschedule.disconnected_for),
    });
    spec.update = Some(pb::Update {
        max_parallel: Some(from.update.max_parallel),
        min_ready_ms: Some(ms(from.update.min_ready)),
        canary: from.update.canary,
        auto_revert: Some(from.update.auto_revert),
        deadline_ms: Some(ms(from.update.deadline)),
    });
    spec.stop = Some(pb::Stop {
        signal: from.stop.signal.clone(),
        grace_ms: Some(ms(from.stop.grace)),
        drain_ms: from.stop.drain.map(ms),
    });
    spec.sleep = Some(pb::Sleep {
        idle_after_ms: from.sleep.idle_after.map(ms),
        on_demand: from.sleep.on_demand,
    });
    spec.recycle = Some(pb::Recycle {
        max_age_ms: from.recycle.max_age.map(ms),
        max_rss: from.recycle.max_rss.map(|bytes| bytes.0),
    });
    spec.logs = Some(pb::LogRules {
        max_size: Some(from.logs.max_size.0),
        max_files: Some(from.logs.max_files),
        max_age_ms: Some(ms(from.logs.max_age)),
    });
}

impl From<Workload> for pb::WorkloadSpec {
    fn from(from: Workload) -> Self {
        let process = from.process.clone().map(|process| pb::ProcessSection {
            command: process.command,
            env: process.env,
            user: process.user,
            artifact: process.artifact,
            group: process.group,
            max_pids: process.max_pids,
            max_files: process.max_files,
            capabilities: process.capabilities.map(|names| pb::Names { names }),
            private: process.private.iter().map(|p| p.as_str().to_owned()).collect(),
            chroot: process.chroot,
            reload_signal: process.reload_signal,
            workdir: process.workdir,
        });
        let mut spec = Self {
            name: from.name.to_string(),
            namespace: from.namespace.to_string(),
            kind: to_word(&from.kind),
            count: Some(from.count),
            pool: from.pool.to_string(),
            priority: Some(from.priority.into()),
            driver: from.driver.to_string(),
            process,
            sim: from.sim.as_ref().map(sim),
            sections_json: sections(&from),
            labels: from.labels.clone(),
            resources: Some(ask(&from.resources)),
            ports: from.ports.iter().map(port).collect(),
            checks: from.checks.iter().map(check).collect(),
            placement: Some(placement(&from.placement)),
            hooks_json: json_texts(from.hooks.clone()),
            after: from.after.iter().map(ToString::to_string).collect(),
            scale_json: json_texts(from.scale.clone()),
            cron_json: cron(from.cron.as_ref()),
            ..Self::default()
        };
        policies(&from, &mut spec);
        spec
    }
}
