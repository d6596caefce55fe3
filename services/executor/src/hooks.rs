//! Hooks: what is done around the life of an instance, bounded in time.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ostler_core::instance::Exit;
use ostler_core::workload::{Action, DriverKind, HookPoint, Hooks, OnHookFailure, WaitFor};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tracing::info;

use crate::driver::process::{Means, beside};
use crate::driver::session::Exec;
use crate::driver::{Drivers, Launch};
use crate::shared::Shared;
use crate::supervise::Event;

/// How often something is looked for that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The hooks of a specification; it was checked, so a mistake is of another version.
pub fn of(launch: &Launch) -> Result<Hooks, String> {
    Hooks::read(&launch.spec.hooks).map_err(|wrong| {
        let wrong = wrong.iter().map(|(key, why)| format!("`hooks.{key}`: {why}"));
        wrong.collect::<Vec<_>>().join(", ")
    })
}

/// What hooks are run with.
#[derive(Debug, Clone)]
pub struct Crew {
    /// Tasks, and the bus where it is there.
    pub shared: Arc<Shared>,
    /// Where commands of processes are run.
    pub means: Option<Means>,
    /// What runs commands inside of containers and trees.
    pub drivers: Arc<Drivers>,
}

impl Crew {
    /// Does everything of one point, in order; the first failure ends it. `Ok` where failures are
    /// passed over. Returns what is to be told.
    pub async fn run(&self, launch: &Launch, point: HookPoint) -> Result<Vec<Event>, String> {
        let hooks = of(launch)?;
        let actions = hooks.at(point);
        if actions.is_empty() {
            return Ok(Vec::new());
        }
        let mut told = Vec::new();
        let all = async {
            for action in actions {
                self.one(launch, action, &mut told).await?;
            }
            Ok::<(), String>(())
        };
        let done = tokio::time::timeout(hooks.timeout.into(), all).await;
        let done = done.unwrap_or_else(|_| Err(format!("not done within {}", hooks.timeout)));
        let Err(why) = done else { return Ok(told) };
        let why = format!("hook `{}`: {why}", point.as_str());
        match hooks.on_failure {
            OnHookFailure::Abort => Err(why),
            OnHookFailure::Ignore => {
                info!(instance.id = %launch.id, "instance {}: {why}; it goes on", launch.id);
                told.push(Event::HookFailed(why));
                Ok(told)
            }
        }
    }

    async fn one(
        &self,
        launch: &Launch,
        action: &Action,
        told: &mut Vec<Event>,
    ) -> Result<(), String> {
        match action {
            Action::Exec(words) => exit(words, self.exec(launch, words).await?),
            Action::Http(url) => http(url).await,
            Action::Publish(text) => {
                told.push(Event::Scroll(text.clone()));
                Ok(())
            }
            Action::WaitFor(what) => loop {
                if self.is_there(launch, what).await {
                    return Ok(());
                }
                tokio::time::sleep(LOOK_EVERY).await;
            },
        }
    }

    /// Runs it as the instance is run: beside a process, inside of a container or tree.
    async fn exec(&self, launch: &Launch, words: &[String]) -> Result<Exit, String> {
        let (kind, words) = (launch.spec.driver, words.to_vec());
        match kind {
            DriverKind::Docker | DriverKind::Nspawn => {
                let driver = self.drivers.of(kind).ok_or("its driver is gone")?;
                let exec = Exec { words, terminal: None };
                driver.exec(Arc::new(launch.clone()), exec).outcome().await
            }
            DriverKind::Process
            | DriverKind::Sim
            | DriverKind::Vm
            | DriverKind::S6
            | DriverKind::Uwsgi => {
                let means = self.means.clone().ok_or("this node runs no commands")?;
                beside(means, launch.clone(), words).await
            }
        }
    }

    async fn is_there(&self, launch: &Launch, what: &WaitFor) -> bool {
        match what {
            WaitFor::File(file) => {
                let dir = self.means.as_ref().map(|means| means.instance_dir(launch.id));
                let file = dir.map_or_else(|| Path::new(file).to_owned(), |dir| dir.join(file));
                tokio::fs::try_exists(file).await.unwrap_or(false)
            }
            WaitFor::Port(name) => {
                let grant = launch.ports.iter().find(|grant| grant.name == *name);
                let Some(grant) = grant else { return false };
                TcpStream::connect((launch.place.address.as_str(), grant.first)).await.is_ok()
            }
            WaitFor::Instance(workload) => {
                let found = crate::socket::endpoints(&self.shared, launch, workload.as_str()).await;
                found.is_ok_and(|found| {
                    found["endpoints"].as_array().is_some_and(|endpoints| !endpoints.is_empty())
                })
            }
        }
    }
}

fn exit(words: &[String], exit: Exit) -> Result<(), String> {
    match exit {
        Exit::Code(0) => Ok(()),
        Exit::Code(code) => Err(format!("`{}` ended with {code}", words[0])),
        Exit::Signal(signal) => Err(format!("`{}` was killed by signal {signal}", words[0])),
        Exit::OutOfMemory | Exit::Unknown => Err(format!("`{}` ended somehow", words[0])),
    }
}

/// A POST without a body, by hand: only the status line is of interest.
async fn http(url: &str) -> Result<(), String> {
    let rest = url.strip_prefix("http://").ok_or("the URL does not begin with `http://`")?;
    let (host, path) =
        rest.split_once('/').map_or((rest, String::new()), |(host, path)| (host, path.to_owned()));
    let address = if host.rsplit(']').next().is_some_and(|end| end.contains(':')) {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    let failed = |error: std::io::Error| format!("`{url}`: {error}");
    let mut stream = TcpStream::connect(address).await.map_err(failed)?;
    let request = format!(
        "POST /{path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: ostler-hook\r\n\
         Content-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.map_err(failed)?;
    let mut head = Vec::with_capacity(64);
    while head.len() < 12 && stream.read_buf(&mut head).await.map_err(failed)? > 0 {}
    let head = String::from_utf8_lossy(&head);
    let status = head.strip_prefix("HTTP/").and_then(|rest| rest.split_whitespace().nth(1));
    match status.and_then(|status| status.get(..3)?.parse::<u16>().ok()) {
        Some(200..=399) => Ok(()),
        Some(status) => Err(format!("`{url}`: status {status}")),
        None => Err(format!("`{url}`: the answer is not HTTP")),
    }
}
