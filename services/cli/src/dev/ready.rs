//! When a dev fleet is ready, and what is then said.

use std::path::Path;
use std::time::Duration;

use ostler_service::clock;
use serde_json::{Value, json};

use super::layout::{Layout, write_whole};
use crate::client::Client;
use crate::failure::Failure;
use crate::output;

/// How long all parts together may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until the gateway is ready, a scheduler leads and every node is online.
pub async fn wait(layout: &Layout) -> Result<(), Failure> {
    let client = Client::new(&layout.server())?;
    let begin = clock::instant();
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    loop {
        tick.tick().await;
        let missing = missing(&client, layout).await;
        match missing {
            None => return Ok(()),
            Some(missing) if clock::since(begin) > PATIENCE => {
                let logs = layout.dir.join("log");
                let text = format!("not ready after 60 s: {missing}; see {}", logs.display());
                return Err(Failure::failed(text));
            }
            Some(_) => {}
        }
    }
}

/// What is not there yet.
async fn missing(client: &Client, layout: &Layout) -> Option<String> {
    if let Err(failure) = client.text("/readyz").await {
        return Some(format!("the gateway ({})", failure.text));
    }
    let nodes = match client.list("/v1/nodes").await {
        Ok(nodes) => nodes,
        Err(failure) => return Some(format!("the registry ({})", failure.text)),
    };
    let online = |node: &&Value| node["liveness"] == "online";
    let online = nodes.iter().filter(online).count();
    if online < usize::from(layout.fleet.nodes) {
        return Some(format!("nodes: {online} of {} are online", layout.fleet.nodes));
    }
    // Only a leader answers what would happen.
    let probe = json!({ "name": "probe", "driver": "sim" });
    let answer: Result<Value, Failure> =
        client.json(reqwest::Method::POST, "/v1/plan", Some(&probe)).await;
    answer.err().map(|failure| format!("the scheduler ({})", failure.text))
}

/// Says where to look, and writes the ready file.
pub fn tell(layout: &Layout, file: Option<&Path>) -> Result<(), Failure> {
    let Layout { dir, fleet } = layout;
    if let Some(file) = file {
        let ready = json!({
            "server": layout.server(), "nats": layout.nats_url(), "pids": fleet.pids,
        });
        write_whole(file, &ready.to_string())?;
    }
    output::print(&format!(
        "Ostler is ready: {} nodes, {} scheduler{}.\n\
         \n  REST     {}/v1/status   (documentation: {}/docs)\
         \n  NATS     {}\
         \n  data     {}\n\
         \nTry:  ostler run examples/web.toml   then  ostler ps   and  ostler explain web\n\
         Ctrl-C ends it{}.\n",
        fleet.nodes,
        fleet.schedulers,
        if fleet.schedulers == 1 { "" } else { "s" },
        layout.server(),
        layout.server(),
        layout.nats_url(),
        dir.display(),
        if fleet.keep { "; instances go on" } else { " and everything that runs in it" },
    ));
    Ok(())
}
