//! Containers that are not ours, as the workloads that would run the same.

use std::collections::HashMap;

use bollard::models::{
    ContainerConfig, ContainerInspectResponse, HostConfig, ImageConfig, MountPoint,
};
use bollard::query_parameters as query;
use serde_json::{Map, Value, json};

use super::engine::{Engine, EngineError, INSTANCE};
use super::place;
use crate::driver::process::cgroup;
use crate::import::{Foreign, named};

/// Every container that runs and has no label of ours.
pub(super) async fn foreign(engine: &Engine) -> Result<Vec<Foreign>, EngineError> {
    let options = None::<query::ListContainersOptions>;
    let listed = engine.api.list_containers(options).await.map_err(EngineError::of)?;
    let mut found = Vec::new();
    for container in listed {
        let labels = container.labels.unwrap_or_default();
        let Some(id) = container.id.filter(|_| !labels.contains_key(INSTANCE)) else { continue };
        let options = None::<query::InspectContainerOptions>;
        // It may have ended just now.
        let Ok(inspected) = engine.api.inspect_container(&id, options).await else { continue };
        let image = inspected.image.clone().unwrap_or_default();
        let image = engine.api.inspect_image(&image).await.ok().and_then(|image| image.config);
        found.push(read(inspected, image.unwrap_or_default()));
    }
    Ok(found)
}

/// What would run the same as a container of this image.
fn read(inspected: ContainerInspectResponse, image: ImageConfig) -> Foreign {
    let config = inspected.config.unwrap_or_default();
    let host = inspected.host_config.unwrap_or_default();
    let state = inspected.state.unwrap_or_default();
    let name = inspected.name.unwrap_or_default().trim_start_matches('/').to_owned();
    let mut notes = Vec::new();
    let mut docker = section(&config, &image);
    network(&host, &mut docker, &mut notes);
    let ports = ports(&host, &mut docker, &mut notes);
    mounts(inspected.mounts.unwrap_or_default(), &mut docker, &mut notes);
    flags(&host, &mut docker, &mut notes);
    let used = state.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0);
    let used = used.and_then(|pid| cgroup::stats(&place::groups(pid))).map(|now| now.memory);
    let mut workload = json!({
        "name": named(&name),
        "driver": "docker",
        "docker": docker,
        "resources": resources(&host, used.unwrap_or(0), &mut notes),
    });
    if !ports.is_empty() {
        workload["ports"] = ports.into();
    }
    let status = state.status.map(|status| status.to_string()).unwrap_or_default();
    Foreign { driver: "docker", name, state: status, workload, notes }
}

type Section = Map<String, Value>;

/// What the container does not have from its image.
fn section(config: &ContainerConfig, image: &ImageConfig) -> Section {
    let mut docker = Section::new();
    let mut add = |name: &str, value: Value| drop(docker.insert(name.to_owned(), value));
    add("image", config.image.clone().unwrap_or_default().into());
    let words = |own: &Option<Vec<String>>, theirs: &Option<Vec<String>>| {
        own.clone().filter(|words| !words.is_empty() && Some(words) != theirs.as_ref())
    };
    if let Some(command) = words(&config.cmd, &image.cmd) {
        add("command", command.into());
    }
    if let Some(entrypoint) = words(&config.entrypoint, &image.entrypoint) {
        add("entrypoint", entrypoint.into());
    }
    let theirs = image.env.clone().unwrap_or_default();
    let own = config.env.clone().unwrap_or_default();
    let env = own.into_iter().filter(|pair| !theirs.contains(pair));
    let env: Section = env
        .filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            Some((name.to_owned(), value.into()))
        })
        .collect();
    if !env.is_empty() {
        add("env", env.into());
    }
    let differs = |own: &Option<String>, theirs: &Option<String>| {
        own.clone().filter(|text| !text.is_empty() && Some(text) != theirs.as_ref())
    };
    if let Some(user) = differs(&config.user, &image.user) {
        add("user", user.into());
    }
    if let Some(workdir) = differs(&config.working_dir, &image.working_dir) {
        add("workdir", workdir.into());
    }
    if config.healthcheck.is_some() {
        add("health", true.into());
    }
    docker
}

fn network(host: &HostConfig, docker: &mut Section, notes: &mut Vec<String>) {
    let mode = host.network_mode.clone().unwrap_or_default();
    match mode.as_str() {
        "" | "default" | "bridge" => {}
        shared if shared.starts_with("container:") => {
            notes.push(format!("it shares the network of another container (`{shared}`)"));
        }
        other => drop(docker.insert("network".to_owned(), other.into())),
    }
}

/// Its published ports, each as the very port that it has now.
fn ports(host: &HostConfig, docker: &mut Section, notes: &mut Vec<String>) -> Vec<Value> {
    let mut ports = Vec::new();
    let mut inside = Section::new();
    let mut bound: Vec<_> = host.port_bindings.clone().unwrap_or_default().into_iter().collect();
    bound.sort_by(|a, b| a.0.cmp(&b.0));
    for (there, bindings) in bound {
        let (number, protocol) = there.split_once('/').unwrap_or((&there, "tcp"));
        let Ok(number) = number.parse::<u16>() else { continue };
        let bindings = bindings.unwrap_or_default();
        let Some(first) = bindings.first() else { continue };
        if let Some(address) =
            first.host_ip.as_deref().filter(|ip| !matches!(*ip, "" | "0.0.0.0" | "::"))
        {
            notes.push(format!(
                "port {there} was published on {address} alone: here on all addresses"
            ));
        }
        let name =
            if protocol == "tcp" { format!("p{number}") } else { format!("{protocol}{number}") };
        let mut port = json!({ "name": name });
        if protocol != "tcp" {
            port["protocol"] = protocol.into();
        }
        if let Some(outside) = first
            .host_port
            .as_deref()
            .and_then(|port| port.parse::<u16>().ok())
            .filter(|port| *port > 0)
        {
            port["static"] = outside.into();
        }
        inside.insert(name, number.into());
        ports.push(port);
    }
    if !inside.is_empty() {
        docker.insert("container_ports".to_owned(), inside.into());
    }
    ports
}

fn mounts(mounts: Vec<MountPoint>, docker: &mut Section, notes: &mut Vec<String>) {
    let mut volumes = Vec::new();
    for mount in mounts {
        let kind = mount.typ.as_deref().unwrap_or_default().to_owned();
        let target = mount.destination.unwrap_or_default();
        let source = match kind.as_str() {
            "bind" => mount.source.unwrap_or_default(),
            "volume" => mount.name.unwrap_or_default(),
            _ => {
                notes.push(format!("the mount `{target}` of type `{kind}` has no counterpart"));
                continue;
            }
        };
        let read_only = mount.rw == Some(false);
        volumes.push(json!({"source": source, "target": target, "read_only": read_only}));
    }
    if !volumes.is_empty() {
        docker.insert("volumes".to_owned(), volumes.into());
        notes.push("its volumes are of this host: pin it here, or take them along".to_owned());
    }
}

/// What else it may, and what it may here.
fn flags(host: &HostConfig, docker: &mut Section, notes: &mut Vec<String>) {
    let lists = [("cap_add", &host.cap_add), ("cap_drop", &host.cap_drop)];
    for (name, list) in lists {
        if let Some(list) = list.clone().filter(|list| !list.is_empty()) {
            docker.insert(name.to_owned(), list.into());
        }
    }
    if host.readonly_rootfs == Some(true) {
        docker.insert("read_only".to_owned(), true.into());
    }
    let has = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
    let map =
        |map: &Option<HashMap<String, String>>| map.as_ref().is_some_and(|map| !map.is_empty());
    let lost = [
        (host.privileged == Some(true), "it is privileged"),
        (
            host.devices.as_ref().is_some_and(|devices| !devices.is_empty()),
            "it has devices of the host",
        ),
        (has(&host.dns), "it has name servers of its own"),
        (has(&host.extra_hosts), "it has host names of its own"),
        (has(&host.links), "it is linked to other containers"),
        (has(&host.security_opt), "it has security options"),
        (map(&host.tmpfs), "it has file systems in memory"),
        (map(&host.sysctls), "it has kernel settings of its own"),
        (
            host.pid_mode.as_deref().is_some_and(|mode| !mode.is_empty()),
            "it sees processes of others",
        ),
        (host.ipc_mode.as_deref() == Some("host"), "it shares the host's memory segments"),
    ];
    let lost = lost.into_iter().filter(|(is, _)| *is);
    notes.extend(lost.map(|(_, what)| format!("{what}: there is no such option here")));
}

const MIB: u64 = 1 << 20;

/// What it asks for. Where it has no limit of memory it gets one here: twice what it uses now.
fn resources(host: &HostConfig, used: u64, notes: &mut Vec<String>) -> Value {
    let limit = host.memory.and_then(|limit| u64::try_from(limit).ok()).filter(|limit| *limit > 0);
    let memory = limit.unwrap_or_else(|| {
        let twice = (used * 2).div_ceil(64 * MIB).max(2) * 64;
        notes.push(format!(
            "it has no limit of memory, here it gets {twice} MiB: see whether that fits"
        ));
        twice * MIB
    });
    let mut ask = json!({ "memory": format!("{}MiB", memory.div_ceil(MIB)) });
    if let Some(nanos) =
        host.nano_cpus.and_then(|nanos| u64::try_from(nanos).ok()).filter(|n| *n > 0)
    {
        ask["cpu_limit"] = (nanos / 1_000_000).into();
    }
    ask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_becomes_the_workload_that_would_run_it() {
        let inspected = json!({
            "Name": "/shop_web.1",
            "Config": {
                "Image": "nginx:1.27",
                "Cmd": ["nginx", "-g", "daemon off;"],
                "Entrypoint": ["/start"],
                "Env": ["PATH=/bin", "MODE=fast=1"],
                "User": "101",
            },
            "HostConfig": {
                "NetworkMode": "default",
                "PortBindings": {
                    "80/tcp": [{"HostIp": "", "HostPort": "8080"}],
                    "53/udp": [{"HostIp": "127.0.0.1", "HostPort": ""}],
                },
                "Privileged": true,
                "Memory": 100 * MIB,
                "NanoCpus": 1_500_000_000_u64,
                "CapDrop": ["ALL"],
            },
            "Mounts": [
                {"Type": "bind", "Source": "/srv", "Destination": "/www", "RW": false},
                {"Type": "tmpfs", "Destination": "/tmp"},
            ],
            "State": {"Status": "running"},
        });
        let inspected = serde_json::from_value(inspected).expect("an answer");
        let image = json!({
            "Cmd": ["nginx", "-g", "daemon off;"],
            "Env": ["PATH=/bin"],
            "Entrypoint": ["/docker-entrypoint.sh"],
        });
        let found = read(inspected, serde_json::from_value(image).expect("a configuration"));
        let want = json!({
            "name": "shop-web-1",
            "driver": "docker",
            "docker": {
                "image": "nginx:1.27",
                "entrypoint": ["/start"],
                "env": {"MODE": "fast=1"},
                "user": "101",
                "cap_drop": ["ALL"],
                "container_ports": {"udp53": 53, "p80": 80},
                "volumes": [{"source": "/srv", "target": "/www", "read_only": true}],
            },
            "resources": {"memory": "100MiB", "cpu_limit": 1500},
            "ports": [{"name": "udp53", "protocol": "udp"}, {"name": "p80", "static": 8080}],
        });
        assert_eq!(found.workload, want);
        assert_eq!((found.driver, found.state.as_str()), ("docker", "running"));
        assert_eq!(found.notes.len(), 4, "{:?}", found.notes);
        let workload = ostler_core::workload::from_json_value(want);
        assert!(workload.is_ok(), "{workload:?}");
    }
}
