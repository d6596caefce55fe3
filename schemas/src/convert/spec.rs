//! Specifications of workloads: protobuf with plain numbers ↔ the typed text of the core.
//!
//! What is absent takes the default of the core, so that both forms of a request mean the same.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use ostler_core::time::Span;
use ostler_core::workload::{
    Cron, DriverKind, Kind, Private, ProcessSection, SimSection, Workload,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::pb;
use crate::wire::WireError;

mod from_wire;
mod to_wire;

use from_wire::{
    ask, check, logs, placement, port, recycle, reschedule, restart, sleep, stop, update,
};

/// A word of a closed list, read as serde reads it; the default where it is empty.
fn word<T: DeserializeOwned + Default>(field: &str, text: &str) -> Result<T, WireError> {
    if text.is_empty() { Ok(T::default()) } else { strict_word(field, text) }
}

fn strict_word<T: DeserializeOwned>(field: &str, text: &str) -> Result<T, WireError> {
    serde_json::from_value(serde_json::Value::from(text))
        .map_err(|error| WireError::field(field, error))
}

/// The word that serde writes for a unit variant.
fn to_word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

fn parse<T: FromStr>(field: &str, text: &str) -> Result<T, WireError>
where
    T::Err: Display,
{
    text.parse().map_err(|error: T::Err| WireError::field(field, error))
}

fn parse_or<T: FromStr + Default>(field: &str, text: &str) -> Result<T, WireError>
where
    T::Err: Display,
{
    if text.is_empty() { Ok(T::default()) } else { parse(field, text) }
}

type Json = BTreeMap<String, serde_json::Value>;

fn json_map(field: &str, raw: BTreeMap<String, String>) -> Result<Json, WireError> {
    let value = |(key, text): (String, String)| {
        let value = serde_json::from_str(&text)
            .map_err(|error| WireError::field(format!("{field}.{key}"), error))?;
        Ok((key, value))
    };
    raw.into_iter().map(value).collect()
}

fn json_texts(map: Json) -> BTreeMap<String, String> {
    map.into_iter().map(|(key, value)| (key, value.to_string())).collect()
}

/// An absent table and an empty one are the same here.
fn cron(raw: BTreeMap<String, String>) -> Result<Option<Cron>, WireError> {
    if raw.is_empty() {
        return Ok(None);
    }
    let table = json_map("cron", raw)?.into_iter().collect();
    let cron = serde_json::from_value(serde_json::Value::Object(table));
    cron.map(Some).map_err(|error| WireError::field("cron", error))
}

fn span(ms: u64) -> Span {
    Span::from_millis(ms)
}

fn process(raw: pb::ProcessSection) -> Result<ProcessSection, WireError> {
    let private = raw.private.into_iter().map(|word| {
        let known = [Private::Mount, Private::Pid, Private::Network];
        let found = known.into_iter().find(|private| private.as_str() == word);
        let wrong = || WireError::field("process.private", "`mount`, `pid` or `network`");
        found.ok_or_else(wrong)
    });
    Ok(ProcessSection {
        command: raw.command,
        env: raw.env,
        user: raw.user,
        artifact: raw.artifact,
        group: raw.group,
        max_pids: raw.max_pids,
        max_files: raw.max_files,
        capabilities: raw.capabilities.map(|list| list.names),
        private: private.collect::<Result<_, _>>()?,
        chroot: raw.chroot,
        reload_signal: raw.reload_signal,
        workdir: raw.workdir,
    })
}

fn sim(raw: pb::SimSection) -> SimSection {
    SimSection {
        start_after: span(raw.start_after_ms),
        ready_after: span(raw.ready_after_ms),
        stop_after: span(raw.stop_after_ms),
        exit_code: raw.exit_code,
        exit_after: raw.exit_after_ms.map(span),
        fail: raw.fail,
        decline: raw.decline,
    }
}

/// A section that travels as JSON.
fn section<T: DeserializeOwned>(
    sections: &mut BTreeMap<String, String>,
    driver: DriverKind,
) -> Result<Option<T>, WireError> {
    let read = |text: String| {
        serde_json::from_str(&text).map_err(|error| WireError::field(driver.as_str(), error))
    };
    sections.remove(driver.as_str()).map(read).transpose()
}

fn each<Raw, T>(raw: Vec<Raw>, read: fn(Raw) -> Result<T, WireError>) -> Result<Vec<T>, WireError> {
    raw.into_iter().map(read).collect()
}

impl TryFrom<pb::WorkloadSpec> for Workload {
    type Error = WireError;
    fn try_from(raw: pb::WorkloadSpec) -> Result<Self, WireError> {
        let mut others = raw.sections_json;
        let priority = raw.priority.unwrap_or(50);
        let workload = Self {
            name: parse("name", &raw.name)?,
            namespace: parse_or("namespace", &raw.namespace)?,
            kind: word::<Kind>("kind", &raw.kind)?,
            count: raw.count.unwrap_or(1),
            pool: parse_or("pool", &raw.pool)?,
            priority: u8::try_from(priority)
                .map_err(|_| WireError::field("priority", format!("{priority} is above 100")))?,
            driver: strict_word("driver", &raw.driver)?,
            process: raw.process.map(process).transpose()?,
            nspawn: section(&mut others, DriverKind::Nspawn)?,
            docker: section(&mut others, DriverKind::Docker)?,
            vm: section(&mut others, DriverKind::Vm)?,
            s6: section(&mut others, DriverKind::S6)?,
            uwsgi: section(&mut others, DriverKind::Uwsgi)?,
            sim: raw.sim.map(sim),
            labels: raw.labels,
            resources: ask(raw.resources.unwrap_or_default()),
            ports: each(raw.ports, port)?,
            checks: each(raw.checks, check)?,
            placement: placement(raw.placement.unwrap_or_default())?,
            restart: restart(raw.restart.unwrap_or_default()),
            reschedule: reschedule(raw.reschedule.unwrap_or_default())?,
            update: update(raw.update.unwrap_or_default()),
            stop: stop(raw.stop.unwrap_or_default()),
            hooks: json_map("hooks", raw.hooks_json)?,
            after: raw.after.iter().map(|name| parse("after", name)).collect::<Result<_, _>>()?,
            scale: json_map("scale", raw.scale_json)?,
            sleep: sleep(raw.sleep.unwrap_or_default()),
            cron: cron(raw.cron_json)?,
            recycle: recycle(raw.recycle.unwrap_or_default()),
            logs: logs(raw.logs.unwrap_or_default()),
        };
        match others.into_keys().next() {
            None => Ok(workload),
            Some(unknown) => {
                Err(WireError::field("sections_json", format!("`{unknown}` is no driver")))
            }
        }
    }
}
