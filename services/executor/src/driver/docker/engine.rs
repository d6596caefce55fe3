//! The daemon: each call may be made twice, and none touches a container that is not ours.

use std::collections::HashMap;
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, ContainerState, HealthStatusEnum};
use bollard::query_parameters as query;
use futures::StreamExt as _;
use ostler_core::id::{InstanceId, NodeName};
use ostler_core::instance::Exit;
use thiserror::Error;

use super::Means;

/// Which instance a container is.
pub(super) const INSTANCE: &str = "ostler.instance";
/// Which start of it.
pub(super) const RUN: &str = "ostler.run";
/// On which node.
pub(super) const NODE: &str = "ostler.node";
/// By which executor: two of one name may share a daemon, though not a directory.
pub(super) const HOME: &str = "ostler.home";

/// How long the daemon may take to answer; waits and streams have no limit.
const PATIENCE: u64 = 60;

/// Why the daemon did not do what it was asked.
#[derive(Debug, Error)]
pub enum EngineError {
    /// There is a container of that name that is not ours. It was not touched.
    #[error("a container `{0}` that is not ours is there")]
    Foreign(String),
    /// It refuses; nothing was changed.
    #[error("{message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it says.
        message: String,
    },
    /// It does not answer. What was asked may be done.
    #[error("no answer from the daemon: {0}")]
    Unavailable(String),
}

impl EngineError {
    /// Whether another node might succeed.
    pub(super) fn is_of_this_node(&self) -> bool {
        match self {
            Self::Foreign(_) | Self::Unavailable(_) => true,
            Self::Refused { message, .. } => {
                let of_ports = ["port is already allocated", "address already in use"];
                of_ports.iter().any(|words| message.contains(words))
            }
        }
    }

    pub(super) fn of(error: Error) -> Self {
        match error {
            Error::DockerResponseServerError { status_code, message } => {
                Self::Refused { status: status_code, message }
            }
            Error::DockerStreamError { error } => Self::Refused { status: 500, message: error },
            other => Self::Unavailable(other.to_string()),
        }
    }

    fn is_absence(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }
}

/// A container of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// Which start of the instance it is.
    pub(super) run: u64,
    pub(super) running: bool,
    pub(super) pid: Option<u32>,
    /// How it ended, if it did.
    pub(super) exit: Exit,
}

/// The daemon.
#[derive(Debug, Clone)]
pub(super) struct Engine {
    pub(super) api: bollard::Docker,
    node: NodeName,
    home: String,
}

/// The name of an instance's container.
pub(super) fn name(id: InstanceId) -> String {
    format!("ostler-{id}")
}

/// How a container ended. One that a signal ended has 128 and its number as code.
fn exit(state: &ContainerState) -> Exit {
    let code = state.exit_code.and_then(|code| i32::try_from(code).ok());
    match code {
        _ if state.oom_killed == Some(true) => Exit::OutOfMemory,
        None => Exit::Unknown,
        Some(code @ 129..=192) => Exit::Signal(code - 128),
        Some(code) => Exit::Code(code),
    }
}

impl Engine {
    /// The daemon behind a socket, and its version if it answers.
    pub(super) async fn open(
        socket: &str,
        means: &Means,
    ) -> Result<(Self, Option<String>), EngineError> {
        let api =
            bollard::Docker::connect_with_unix(socket, PATIENCE, bollard::API_DEFAULT_VERSION);
        let api = api.map_err(EngineError::of)?;
        let home = means.data_dir.display().to_string();
        let engine = |api| Self { api, node: means.node.clone(), home };
        // A daemon may be older than the client.
        match tokio::time::timeout(Duration::from_secs(5), api.clone().negotiate_version()).await {
            Ok(Ok(api)) => {
                let version = api.version().await.map_err(EngineError::of)?.version;
                Ok((engine(api), Some(version.unwrap_or_default())))
            }
            Ok(Err(_)) | Err(_) => Ok((engine(api), None)),
        }
    }

    fn is_ours(&self, labels: &HashMap<String, String>, id: InstanceId) -> bool {
        let has = |key: &str, value: &str| labels.get(key).is_some_and(|found| found == value);
        has(INSTANCE, &id.to_string()) && has(NODE, self.node.as_str()) && has(HOME, &self.home)
    }

    /// What our containers are labelled with.
    pub(super) fn labels(means: &Means, id: InstanceId, run: u64) -> HashMap<String, String> {
        let labels = [
            (INSTANCE, id.to_string()),
            (RUN, run.to_string()),
            (NODE, means.node.to_string()),
            (HOME, means.data_dir.display().to_string()),
        ];
        labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// Every container of this node.
    pub(super) async fn all(&self) -> Result<HashMap<InstanceId, Found>, EngineError> {
        let labels = vec![format!("{NODE}={}", self.node), format!("{HOME}={}", self.home)];
        let filters = HashMap::from([("label".to_owned(), labels)]);
        let options = query::ListContainersOptions {
            all: true,
            filters: Some(filters),
            ..Default::default()
        };
        let listed = self.api.list_containers(Some(options)).await.map_err(EngineError::of)?;
        let mut found = HashMap::new();
        for container in listed {
            let labels = container.labels.unwrap_or_default();
            let id = labels.get(INSTANCE).and_then(|id| id.parse::<InstanceId>().ok());
            if let Some(id) = id
                && let Some(one) = self.find(id).await?
            {
                found.insert(id, one);
            }
        }
        Ok(found)
    }

    /// The container of an instance; `None` if there is none.
    pub(super) async fn find(&self, id: InstanceId) -> Result<Option<Found>, EngineError> {
        let name = name(id);
        let options = None::<query::InspectContainerOptions>;
        let inspected = match self.api.inspect_container(&name, options).await {
            Ok(inspected) => inspected,
            Err(error) => {
                let error = EngineError::of(error);
                return if error.is_absence() { Ok(None) } else { Err(error) };
            }
        };
        let labels = inspected.config.and_then(|config| config.labels).unwrap_or_default();
        if !self.is_ours(&labels, id) {
            return Err(EngineError::Foreign(name));
        }
        let state = inspected.state.unwrap_or_default();
        let pid = state.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid != 0);
        Ok(Some(Found {
            run: labels.get(RUN).and_then(|run| run.parse().ok()).unwrap_or_default(),
            running: state.running == Some(true),
            pid,
            exit: exit(&state),
        }))
    }

    /// Makes the container of an instance.
    pub(super) async fn create(
        &self,
        id: InstanceId,
        body: ContainerCreateBody,
    ) -> Result<(), EngineError> {
        let options = query::CreateContainerOptions { name: Some(name(id)), ..Default::default() };
        let created = self.api.create_container(Some(options), body).await;
        created.map(drop).map_err(EngineError::of)
    }

    /// Starts it; its main process.
    pub(super) async fn start(&self, id: InstanceId) -> Result<Option<u32>, EngineError> {
        let options = None::<query::StartContainerOptions>;
        self.api.start_container(&name(id), options).await.map_err(EngineError::of)?;
        Ok(self.find(id).await?.and_then(|found| found.pid))
    }

    /// Signals its main process; nothing if it does not run.
    pub(super) async fn kill(&self, id: InstanceId, signal: &str) -> Result<(), EngineError> {
        let Some(Found { running: true, .. }) = self.find(id).await? else { return Ok(()) };
        let options = query::KillContainerOptions { signal: signal.to_owned() };
        match self.api.kill_container(&name(id), Some(options)).await.map_err(EngineError::of) {
            // It has ended just now.
            Err(EngineError::Refused { status: 404 | 409, .. }) => Ok(()),
            other => other,
        }
    }

    /// Ends and removes it with its anonymous volumes.
    pub(super) async fn remove(&self, id: InstanceId) -> Result<(), EngineError> {
        if self.find(id).await?.is_none() {
            return Ok(());
        }
        let options = query::RemoveContainerOptions { force: true, v: true, link: false };
        match self.api.remove_container(&name(id), Some(options)).await.map_err(EngineError::of) {
            Err(error) if error.is_absence() => Ok(()),
            // Somebody removes it already.
            Err(EngineError::Refused { status: 409, message }) if message.contains("progress") => {
                Ok(())
            }
            other => other,
        }
    }

    /// Waits until it has ended; at once if it is not there.
    pub(super) async fn wait(&self, id: InstanceId) -> Result<Exit, EngineError> {
        let options = query::WaitContainerOptions { condition: "not-running".to_owned() };
        let mut waiting = self.api.wait_container(&name(id), Some(options));
        // The code is of no use alone: whether memory was short stands elsewhere.
        while let Some(Ok(_)) = waiting.next().await {}
        match self.find(id).await {
            Ok(None) => Ok(Exit::Unknown),
            Ok(Some(Found { running: false, exit, .. })) => Ok(exit),
            Ok(Some(_)) => Err(EngineError::Unavailable("it ended the wait".to_owned())),
            // Somebody replaced it by one of theirs.
            Err(EngineError::Foreign(_)) => Ok(Exit::Unknown),
            Err(error) => Err(error),
        }
    }

    /// What its own health check says; `None`: nothing yet.
    pub(super) async fn healthy(&self, id: InstanceId) -> Result<Option<bool>, EngineError> {
        let options = None::<query::InspectContainerOptions>;
        let inspected = self.api.inspect_container(&name(id), options).await;
        let state = inspected.map_err(EngineError::of)?.state;
        let status = state.and_then(|state| state.health).and_then(|health| health.status);
        Ok(match status {
            Some(HealthStatusEnum::HEALTHY) => Some(true),
            Some(HealthStatusEnum::UNHEALTHY) => Some(false),
            Some(HealthStatusEnum::EMPTY | HealthStatusEnum::NONE | HealthStatusEnum::STARTING)
            | None => None,
        })
    }
}
