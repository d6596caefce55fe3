//! What a container is made of: from a specification to the daemon's words, without asking it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use bollard::models::{
    ContainerCreateBody, HostConfig, PortBinding, ResourcesUlimits, RestartPolicy,
    RestartPolicyNameEnum,
};
use ostler_core::instance::PortGrant;
use ostler_core::workload::{Bind, DockerSection, Protocol};

use super::Means;
use super::engine::Engine;
use crate::driver::Launch;
use crate::driver::process::environment::{environment, expand};

/// Where an instance finds its own directory.
const DATA: &str = "/run/ostler";

/// The ports of one grant: number inside, number outside, transport.
fn ports(
    launch: &Launch,
    section: &DockerSection,
    grant: &PortGrant,
) -> Vec<(u16, u16, &'static str)> {
    let spec = launch.spec.ports.iter().find(|spec| spec.name == grant.name);
    let transport = match spec.map(|spec| spec.protocol) {
        Some(Protocol::Udp) => "udp",
        Some(Protocol::Tcp) | None => "tcp",
    };
    let first = inside(section, grant);
    let both = (0..grant.count.max(1))
        .map(|step| (first.saturating_add(step), grant.first.saturating_add(step), transport));
    both.collect()
}

/// The number inside of a grant.
fn inside(section: &DockerSection, grant: &PortGrant) -> u16 {
    section.container_ports.get(&grant.name).copied().unwrap_or(grant.first)
}

/// What it finds in its environment: ours, with the ports as they are inside, then its own.
pub(super) fn variables(launch: &Launch) -> BTreeMap<String, String> {
    let section = launch.spec.sections.docker.clone().unwrap_or_default();
    let mut all = environment(launch, Path::new(DATA));
    // Those are the image's affair.
    all.remove("PATH");
    all.remove("HOME");
    for grant in &launch.ports {
        let name = grant.name.as_str().to_ascii_uppercase().replace('-', "_");
        let port = if shares_network(&section) { grant.first } else { inside(&section, grant) };
        all.insert(format!("OSTLER_PORT_{name}"), port.to_string());
    }
    let own = all.clone();
    for (name, value) in &section.env {
        all.insert(name.clone(), expand(value, &own));
    }
    all
}

fn shares_network(section: &DockerSection) -> bool {
    section.network.as_deref() == Some("host")
}

fn bind(bind: &Bind) -> String {
    let mode = if bind.read_only { "ro" } else { "rw" };
    format!("{}:{}:{mode}", bind.source, bind.target)
}

fn number(value: u64) -> Option<i64> {
    (value != 0).then(|| i64::try_from(value).unwrap_or(i64::MAX))
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn limits(launch: &Launch, means: &Means) -> HostConfig {
    let ask = &launch.spec.resources;
    let memory = number(ask.memory_max.unwrap_or(launch.spec.memory).0);
    // More than the host allows would keep every container from starting.
    let hard = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    let files = number(hard.map_or(means.max_files, |hard| hard.min(means.max_files)));
    HostConfig {
        memory,
        // No swap besides: the limit is the limit.
        memory_swap: memory,
        cpu_shares: number((ask.cpu * 1024 / 1000).clamp(2, 262_144)),
        nano_cpus: ask.cpu_limit.and_then(|limit| number(limit.saturating_mul(1_000_000))),
        pids_limit: number(means.max_pids.into()),
        ulimits: Some(vec![ResourcesUlimits {
            name: Some("nofile".to_owned()),
            soft: files,
            hard: files,
        }]),
        ..HostConfig::default()
    }
}

/// The container of a launch.
pub(super) fn body(launch: &Launch, means: &Means) -> ContainerCreateBody {
    let section = launch.spec.sections.docker.clone().unwrap_or_default();
    let variables = variables(launch);
    let words = |words: &[String]| {
        some(words.iter().map(|word| expand(word, &variables)).collect::<Vec<_>>())
    };
    let mut binds = vec![format!("{}:{DATA}:rw", means.instance_dir(launch.id).display())];
    binds.extend(section.volumes.iter().map(bind));
    let mut bindings: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    if !shares_network(&section) {
        for (inside, outside, transport) in
            launch.ports.iter().flat_map(|grant| ports(launch, &section, grant))
        {
            let outside = PortBinding { host_ip: None, host_port: Some(outside.to_string()) };
            bindings.insert(format!("{inside}/{transport}"), Some(vec![outside]));
        }
    }
    let exposed: Vec<String> = bindings.keys().cloned().collect();
    let host = HostConfig {
        binds: Some(binds),
        port_bindings: Some(bindings),
        network_mode: section.network.clone(),
        cap_add: some(section.cap_add.clone()),
        cap_drop: some(section.cap_drop.clone()),
        readonly_rootfs: Some(section.read_only),
        // Somebody has to collect what it leaves, and to pass signals on.
        init: Some(true),
        // The supervisor restarts, nobody else.
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        ..limits(launch, means)
    };
    ContainerCreateBody {
        image: Some(section.image.clone()),
        cmd: words(&section.command),
        entrypoint: words(&section.entrypoint),
        env: Some(variables.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        user: section.user.clone(),
        working_dir: section.workdir.clone(),
        exposed_ports: some(exposed),
        labels: Some(Engine::labels(means, launch.id, launch.run)),
        hostname: Some(format!("{}-{}", launch.key.name, launch.slot).chars().take(63).collect()),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    }
}
