//! `ostler logs`: what instances wrote, followed if asked, merged with names if several.

use futures::future::try_join_all;
use serde_json::Value;

use crate::args::LogsArgs;
use crate::client::encode;
use crate::failure::Failure;
use crate::output::{self, text};
use crate::session::{self, Session};

/// `ostler logs`.
pub async fn run(session: &Session, args: LogsArgs) -> Result<(), Failure> {
    let instances = find(session, &args.what).await?;
    let prefix = instances.len() > 1;
    let each = instances.iter().map(|item| one(session, item, &args, prefix));
    try_join_all(each).await.map(drop)
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

async fn one(
    session: &Session,
    instance: &Value,
    args: &LogsArgs,
    prefix: bool,
) -> Result<(), Failure> {
    let name = format!("{}/{} ", text(instance, "workload"), text(instance, "slot"));
    let name = if prefix { name } else { String::new() };
    let stream = args.stream.as_ref().map(|stream| format!("&stream={stream}")).unwrap_or_default();
    let grep = args.grep.as_ref().map(|grep| format!("&grep={}", encode(grep))).unwrap_or_default();
    let path =
        format!("/v1/instances/{}/logs?tail={}{stream}{grep}", text(instance, "id"), args.tail);
    if !args.follow {
        let body = session.client.text(&path).await?;
        for line in body.lines() {
            output::print(&format!("{name}{line}\n"));
        }
        return Ok(());
    }
    let path = format!("{path}&follow=true");
    session
        .client
        .follow(&path, |_, _, data| {
            let line = serde_json::from_str::<Value>(data).ok();
            let line = line.and_then(|line| line["text"].as_str().map(str::to_owned));
            output::print(&format!("{name}{}\n", line.unwrap_or_else(|| data.to_owned())));
            true
        })
        .await
}
