//! `ostler logs`: what instances wrote, followed if asked, merged with names if several.

use futures::future::try_join_all;
use serde_json::Value;

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
    let by_workload = session::instances_of(session, what).await.unwrap_or_default();
    if by_workload.is_empty() {
        return session::instance(session, what).await.map(|item| vec![item]).map_err(|failure| {
            if failure.code == 4 {
                return failure;
            }
            Failure::failed(format!("there is no workload and no instance `{what}`"))
        });
    }
    Ok(by_workload)
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
