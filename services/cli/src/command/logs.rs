//! `ostler logs`: what instances wrote, followed if asked, merged with names if several.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use serde_json::{Value, json};

use crate::args::LogsArgs;
use crate::client::encode;
use crate::failure::Failure;
use crate::output::{self, Format, text};
use crate::session::{self, Session};

/// `ostler logs`.
pub async fn run(session: &Session, args: LogsArgs) -> Result<(), Failure> {
    let instances = find(session, &args.what).await?;
    let look = Look { session, times: args.times, names: instances.len() > 1 };
    if args.follow {
        let each = instances.iter().map(|instance| follow(session, instance, (&args, look)));
        return try_join_all(each).await.map(drop);
    }
    let lines = written(session, &instances, &args).await?;
    lines.into_iter().try_for_each(|(name, line)| look.show(&name, line))
}

/// One instance, or all of a workload.
async fn find(session: &Session, what: &str) -> Result<Vec<Value>, Failure> {
    let mut by_workload = session::instances_of(session, what).await.unwrap_or_default();
    if by_workload.is_empty() {
        by_workload = ended(session, what).await.unwrap_or_default();
    }
    if by_workload.is_empty() {
        return match session::instance(session, what).await {
            Ok(item) => Ok(vec![item]),
            Err(failure) if failure.code == 4 => Err(failure),
            // It may have ended: history knows where, the gateway asks it.
            Err(_) if is_id(what) => Ok(vec![json!({ "id": what })]),
            Err(_) => {
                Err(Failure::failed(format!("there is no workload and no instance `{what}`")))
            }
        };
    }
    Ok(by_workload)
}

/// Whether this can be the id of an instance, or the beginning of one.
fn is_id(text: &str) -> bool {
    (1..=16).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'v'))
}

/// The last instance of each slot of a workload that has none any more, as history tells.
async fn ended(session: &Session, what: &str) -> Result<Vec<Value>, Failure> {
    let key: ostler_core::id::WorkloadKey = what.parse().map_err(Failure::usage)?;
    let mut by_slot = BTreeMap::new();
    for kind in ["instance.placed", "instance.moved"] {
        let workload = encode(&key.to_string());
        let path = format!("/v1/events?workload={workload}&kind={kind}&newest=true&limit=1000");
        let page: Value = session.client.get(&path).await?;
        for view in page["items"].as_array().into_iter().flatten() {
            let event = &view["event"];
            let slot: u64 = text(event, "details.slot").parse().unwrap_or_default();
            let (sequence, id) = (view["sequence"].as_u64(), text(event, "instance"));
            let last = by_slot.entry(slot).or_insert((None, String::new()));
            if *last < (sequence, id.clone()) {
                *last = (sequence, id);
            }
        }
    }
    let name = key.name.as_str();
    let items = by_slot.into_iter();
    let items = items.map(|(slot, (_, id))| json!({ "id": id, "workload": name, "slot": slot }));
    Ok(items.collect())
}

/// Where the lines of an instance are, and what it is called.
fn path(instance: &Value, args: &LogsArgs) -> String {
    let mut path = format!("/v1/instances/{}/logs?follow={}", text(instance, "id"), args.follow);
    let mut add = |name: &str, value: Option<String>| {
        let value = value.map(|value| format!("&{name}={}", encode(&value)));
        path.push_str(&value.unwrap_or_default());
    };
    add("tail", args.tail.map(|tail| tail.to_string()));
    add("since", args.since.clone());
    add("stream", args.stream.clone());
    add("grep", args.grep.clone());
    path
}

fn name(instance: &Value) -> String {
    if instance["slot"].is_null() {
        return text(instance, "id");
    }
    format!("{}/{}", text(instance, "workload"), text(instance, "slot"))
}

/// How a line is shown.
#[derive(Clone, Copy)]
struct Look<'a> {
    session: &'a Session,
    times: bool,
    names: bool,
}

impl Look<'_> {
    fn show(self, name: &str, mut line: Value) -> Result<(), Failure> {
        let at = line["at_ms"].as_i64().filter(|at| *at > 0);
        let at = at.and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
        if self.session.format == Format::Json {
            line["instance"] = name.into();
            output::print(&format!("{line}\n"));
            return Ok(());
        }
        let time = match at {
            _ if !self.times => String::new(),
            Some(at) => format!("{at:.0} "),
            None => "- ".to_owned(),
        };
        let name = if self.names { format!("{name} ") } else { String::new() };
        let text = line["text"].as_str().unwrap_or_default();
        output::print(&format!("{time}{name}{text}\n"));
        Ok(())
    }
}

/// All that was written, by time where there are several.
async fn written(
    session: &Session,
    instances: &[Value],
    args: &LogsArgs,
) -> Result<Vec<(String, Value)>, Failure> {
    let each = instances.iter().map(|instance| async move {
        let reply: Value = session.client.get(&path(instance, args)).await?;
        let name = name(instance);
        if reply["truncated"] == true && args.since.is_some() {
            eprintln!("{name}: older lines are left out, there is more than fits");
        }
        let lines = reply["lines"].as_array().cloned().unwrap_or_default();
        Ok::<_, Failure>(lines.into_iter().map(move |line| (name.clone(), line)))
    });
    let mut lines: Vec<_> = try_join_all(each).await?.into_iter().flatten().collect();
    lines.sort_by_key(|(_, line)| line["at_ms"].as_u64().unwrap_or_default());
    Ok(lines)
}

async fn follow(
    session: &Session,
    instance: &Value,
    (args, look): (&LogsArgs, Look<'_>),
) -> Result<(), Failure> {
    let (name, mut failed) = (name(instance), Ok(()));
    let path = path(instance, args);
    let following = session.client.follow(&path, |_, event, data| {
        let said: Value = serde_json::from_str(data).unwrap_or_default();
        match event {
            "dropped" => {
                eprintln!("{name}: {} lines came too fast and are left out", said["dropped"])
            }
            "end" => eprintln!("{name}: {}", text(&said, "reason")),
            _ => failed = look.show(&name, said),
        }
        failed.is_ok()
    });
    following.await?;
    failed
}
