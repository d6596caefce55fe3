//! What runs on this host that is not ours, as the workloads that would run the same. Looks, and
//! changes nothing: what is found is neither taken over nor stopped.

use ostler_core::workload::from_json_value;
use ostler_schemas::pb;
use serde_json::Value;

use crate::driver::Drivers;

mod machine;

/// Something that is not ours, and what would run the same.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Foreign {
    pub(crate) driver: &'static str,
    /// What it is called there.
    pub(crate) name: String,
    pub(crate) state: String,
    /// As somebody would have written it.
    pub(crate) workload: Value,
    /// What would not be the same.
    pub(crate) notes: Vec<String>,
}

/// Containers and machines of systemd-nspawn that are not ours.
pub(crate) async fn report(drivers: &Drivers) -> pb::ImportReply {
    let mut reply = pb::ImportReply::default();
    let mut found = Vec::new();
    match &drivers.docker {
        None => reply.missing.push("this node does not use the driver `docker`".to_owned()),
        Some(docker) => match docker.foreign().await {
            Ok(containers) => found.extend(containers),
            Err(error) => reply.missing.push(format!("docker: {error}")),
        },
    }
    let looked = tokio::task::spawn_blocking(machine::machines).await;
    found.extend(looked.unwrap_or_default());
    found.sort_by(|a, b| (a.driver, &a.name).cmp(&(b.driver, &b.name)));
    reply.items = found.into_iter().map(item).collect();
    reply
}

fn item(mut found: Foreign) -> pb::ImportItem {
    if let Err(errors) = from_json_value(found.workload.clone()) {
        found.notes.extend(errors.to_string().lines().map(str::to_owned));
    }
    pb::ImportItem {
        driver: found.driver.to_owned(),
        name: found.name,
        state: found.state,
        workload_json: found.workload.to_string(),
        notes: found.notes,
    }
}

/// A name that a workload, or a port, may have.
pub(crate) fn named(text: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = text.chars().map(fits).take(63).collect();
    let name = name.trim_matches('-');
    match name.chars().next() {
        Some(first) if first.is_ascii_alphabetic() => name.to_owned(),
        Some(_) => format!("w-{}", &name[..name.len().min(61)]),
        None => "imported".to_owned(),
    }
}
