//! What every command has: the gateway, how to print, whether to ask.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use serde_json::Value;

use crate::client::Client;
use crate::failure::Failure;
use crate::output::{self, Format};

/// One call of the command line.
#[derive(Debug)]
pub struct Session {
    /// The gateway.
    pub client: Client,
    /// How results are printed.
    pub format: Format,
    /// Whether everything is confirmed beforehand.
    pub yes: bool,
}

impl Session {
    /// Asks before something that cannot be taken back. Without a terminal, `--yes` is needed.
    pub fn confirm(&self, question: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() {
            return Err(Failure::usage(format!("{question} Say --yes to do it.")));
        }
        eprint!("{question} [y/N] ");
        std::io::stderr().flush().map_err(Failure::failed)?;
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer).map_err(Failure::failed)?;
        match answer.trim() {
            "y" | "Y" | "yes" => Ok(()),
            _ => Err(Failure::failed("nothing was done")),
        }
    }

    /// Prints an answer for programs, or a sentence for people.
    pub fn tell(&self, answer: &Value, sentence: &str) -> Result<(), Failure> {
        let text = output::machine(self.format, answer)?;
        output::print(&text.unwrap_or_else(|| format!("{sentence}\n")));
        Ok(())
    }
}

/// `web` or `shop/web` as the path of its resource.
pub fn workload_path(text: &str) -> Result<String, Failure> {
    let key: ostler_core::id::WorkloadKey = text.parse().map_err(Failure::usage)?;
    Ok(format!("/v1/workloads/{}/{}", key.namespace, key.name))
}

/// An instance by its id, a unique prefix of it, or `workload/slot`.
pub async fn instance(session: &Session, text: &str) -> Result<Value, Failure> {
    if let Some((workload, slot)) = text.rsplit_once('/')
        && let Ok(slot) = slot.parse::<u64>()
    {
        let found = instances_of(session, workload).await?;
        let mut found = found.into_iter().filter(|item| item["slot"].as_u64() == Some(slot));
        return found
            .next()
            .ok_or_else(|| Failure::failed(format!("there is no instance `{text}`")));
    }
    session.client.get(&format!("/v1/instances/{}", crate::client::encode(text))).await
}

/// All instances of a workload.
pub async fn instances_of(session: &Session, workload: &str) -> Result<Vec<Value>, Failure> {
    let key: ostler_core::id::WorkloadKey = workload.parse().map_err(Failure::usage)?;
    let path = format!("/v1/instances?workload={}&namespace={}", key.name, key.namespace);
    session.client.list(&path).await
}
