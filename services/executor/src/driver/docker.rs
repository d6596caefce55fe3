//! Runs containers of Docker, or of Podman, over their common API.
//!
//! The handle of an instance is the name `ostler-<instance>` with our labels: whoever comes next
//! finds it by that. A container without our labels is never touched, whatever it is called. While
//! the daemon does not answer nothing is known, and nothing is concluded from that.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ostler_core::id::{InstanceId, NodeName};
use ostler_core::instance::Exit;
use ostler_core::workload::Logs;
use ostler_service::Tasks;
use tokio::sync::Semaphore;
use tracing::{debug, info, warn};

use super::process::{cgroup, log_dir, ports};
use super::runs::{Found, Runs};
use super::session::{Exec, Session, session};
use super::{Adoption, Counters, Driver, Launch, Run, Sink, tell};
use crate::artifact::Artifacts;
use crate::import::Foreign;
use crate::supervise::{Blame, Event, Readiness};

mod create;
mod engine;
mod foreign;
mod image;
mod inside;
mod output;
mod place;

use engine::Engine;
pub use engine::EngineError;

/// How the driver uses its host.
#[derive(Debug, Clone)]
pub struct Means {
    /// Instances and logs are below it.
    pub data_dir: PathBuf,
    /// Whose containers these are.
    pub node: NodeName,
    /// At most so many tasks in one instance.
    pub max_pids: u32,
    /// At most so many open files in one process.
    pub max_files: u64,
}

impl Means {
    fn instance_dir(&self, id: InstanceId) -> PathBuf {
        self.data_dir.join("instances").join(id.to_string())
    }
}

/// The `docker` driver.
#[derive(Debug, Clone)]
pub struct Docker {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    engine: Engine,
    means: Means,
    sink: Sink,
    tasks: Tasks,
    starts: Semaphore,
    runs: Runs,
    /// What was there when the driver began; `None` where the daemon did not answer then.
    before: Option<HashMap<InstanceId, engine::Found>>,
    artifacts: OnceLock<Artifacts>,
}

/// Between two looks at a daemon that does not answer, and at the health of a container.
const LOOK: Duration = Duration::from_secs(1);

impl Docker {
    /// A driver on the daemon behind `socket`, which starts at most `parallel` at a time and tells
    /// `sink`; with the daemon's version. Whether the daemon answers already does not matter.
    pub async fn open(
        socket: &str,
        means: Means,
        (parallel, sink): (usize, Sink),
        tasks: &Tasks,
    ) -> Result<(Self, Option<String>), EngineError> {
        let (engine, version) = Engine::open(socket, &means).await?;
        let before = match &version {
            Some(_) => Some(engine.all().await?),
            None => None,
        };
        let inner = Inner {
            engine,
            means,
            sink,
            tasks: tasks.clone(),
            starts: Semaphore::new(parallel.max(1)),
            runs: Runs::default(),
            before,
            artifacts: OnceLock::new(),
        };
        Ok((Self { inner: Arc::new(inner) }, version))
    }

    /// Where images come from that no registry has.
    pub fn supply(&self, artifacts: Artifacts) {
        // Said twice, it is the same.
        drop(self.inner.artifacts.set(artifacts));
    }

    /// How the output of what runs is kept.
    #[must_use]
    pub fn log_rules(&self) -> HashMap<InstanceId, Logs> {
        self.inner.runs.logs()
    }

    /// Makes the directory that an instance finds as its own.
    pub fn make_home(&self, id: InstanceId) -> Result<PathBuf, String> {
        let dir = self.inner.means.instance_dir(id);
        place::make(&dir).map(|()| dir)
    }

    /// The containers that run here and are not ours.
    pub(crate) async fn foreign(&self) -> Result<Vec<Foreign>, EngineError> {
        foreign::foreign(&self.inner.engine).await
    }

    /// Removes every container of this node; returns how many there were.
    pub async fn clean(&self) -> Result<usize, EngineError> {
        let all = self.inner.engine.all().await?;
        for id in all.keys() {
            self.inner.engine.remove(*id).await?;
        }
        Ok(all.len())
    }
}

impl Inner {
    async fn launch(self: Arc<Self>, launch: Arc<Launch>) {
        let (id, number) = (launch.id, launch.run);
        match self.begin(&launch).await {
            Ok(run) => {
                let readiness = readiness(&launch);
                self.runs.started(id, run.clone(), launch.spec.logs.clone());
                tell(&self.sink, id, Event::Started(number, run, readiness)).await;
                self.follow(launch);
            }
            Err((reason, blame)) => {
                self.runs.forget(id);
                tell(&self.sink, id, Event::NotStarted(number, reason, blame)).await;
            }
        }
    }

    /// Image, container, start. An error leaves no container.
    async fn begin(&self, launch: &Launch) -> Result<Run, (String, Blame)> {
        let of_engine = |error: EngineError| {
            let blame = if error.is_of_this_node() { Blame::Node } else { Blame::Instance };
            (error.to_string(), blame)
        };
        let section = launch.spec.sections.docker.clone().unwrap_or_default();
        image::ensure(&self.engine, self.artifacts.get(), (launch.id, &section)).await?;
        tell(&self.sink, launch.id, Event::Prepared(launch.run)).await;
        let Ok(_permit) = self.starts.acquire().await else {
            return Err(("the executor stops".to_owned(), Blame::Node));
        };
        // What a crash left of this very start runs on; of an earlier one nothing does.
        if let Some(found) = self.engine.find(launch.id).await.map_err(of_engine)? {
            if found.running && found.run == launch.run {
                return Ok(place::run(found.pid));
            }
            self.engine.remove(launch.id).await.map_err(of_engine)?;
        }
        if let Some(taken) = ports::taken(&launch.spec.ports, &launch.ports) {
            return Err((format!("ports: {taken}"), Blame::Node));
        }
        place::make(&self.means.instance_dir(launch.id)).map_err(|why| (why, Blame::Node))?;
        let body = create::body(launch, &self.means);
        let started = async {
            self.engine.create(launch.id, body).await?;
            self.engine.start(launch.id).await
        };
        match started.await {
            Ok(pid) => Ok(place::run(pid)),
            Err(error) => {
                if !matches!(error, EngineError::Foreign(_)) {
                    // It is tried again before the next start, and when the instance is removed.
                    drop(self.engine.remove(launch.id).await);
                }
                Err(of_engine(error))
            }
        }
    }

    /// Copies its output, watches its health, waits for its end.
    fn follow(self: &Arc<Self>, launch: Arc<Launch>) {
        let (inner, of_output) = (Arc::clone(self), Arc::clone(&launch));
        let copying = async move {
            let dir = log_dir(&inner.means.data_dir, of_output.id);
            tokio::select! {
                () = output::copy(&inner.engine, of_output.id, &dir) => {}
                () = inner.sink.closed() => {}
            }
        };
        let (inner, id, number) = (Arc::clone(self), launch.id, launch.run);
        let watching = async move {
            let ended = tokio::select! {
                exit = inner.until_ended(&launch) => exit,
                // The executor's loop listens until the very end.
                () = inner.sink.closed() => return,
            };
            inner.runs.forget(id);
            tell(&inner.sink, id, Event::Exited(number, ended)).await;
        };
        self.tasks.spawn_brief(async move {
            tokio::join!(copying, watching);
        });
    }

    /// Waits until the container has ended. A daemon that does not answer is asked again.
    async fn until_ended(&self, launch: &Launch) -> Exit {
        let health = self.watch_health(launch);
        let ended = async {
            loop {
                match self.engine.wait(launch.id).await {
                    Ok(exit) => return exit,
                    Err(error) => debug!(%error, "the daemon is asked again: {error}"),
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::select! {
            exit = ended => exit,
            never = health => match never {},
        }
    }

    /// Tells what the image's own health check says, where that is wanted.
    async fn watch_health(&self, launch: &Launch) -> std::convert::Infallible {
        let wanted = launch.spec.sections.docker.as_ref().is_some_and(|docker| docker.health);
        let mut told = None;
        loop {
            if !wanted {
                std::future::pending::<()>().await;
            }
            if let Ok(Some(healthy)) = self.engine.healthy(launch.id).await
                && told != Some(healthy)
            {
                told = Some(healthy);
                let (id, run) = (launch.id, launch.run);
                let event = match healthy {
                    true => Event::Passing(run),
                    false => Event::Failing(run, "its health check fails".to_owned()),
                };
                tell(&self.sink, id, event).await;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Removes container and directory; goes on until the daemon has answered.
    async fn clear_away(&self, id: InstanceId) {
        while let Err(error) = self.engine.remove(id).await {
            if matches!(error, EngineError::Foreign(_)) {
                break;
            }
            warn!(instance.id = %id, %error, "instance {id} is removed later: {error}");
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = self.sink.closed() => return,
            }
        }
        place::remove(&self.means.instance_dir(id));
        self.artifacts.get().inspect(|artifacts| artifacts.release(id));
    }
}

fn readiness(launch: &Launch) -> Readiness {
    let health = launch.spec.sections.docker.as_ref().is_some_and(|docker| docker.health);
    if health || !launch.spec.checks.is_empty() { Readiness::ByChecks } else { Readiness::AtOnce }
}

impl Driver for Docker {
    fn start(&self, launch: Arc<Launch>) {
        let id = launch.id;
        let inner = Arc::clone(&self.inner);
        match self.inner.runs.launching(id) {
            Found::Launching => {}
            Found::Running(run) => self.inner.tasks.spawn_brief(async move {
                let started = Event::Started(launch.run, run, readiness(&launch));
                tell(&inner.sink, id, started).await;
            }),
            Found::Nothing => {
                self.inner.tasks.spawn_brief(async move { inner.launch(launch).await });
            }
        }
    }

    /// Where the daemon did not answer yet, what the journal knows is taken to be there: its end
    /// is told when the daemon knows of it.
    fn adopt(&self, launch: Arc<Launch>, run: &Run) -> Adoption {
        let id = launch.id;
        let run = match &self.inner.before {
            None => run.clone(),
            Some(before) => match before.get(&id) {
                Some(found) if found.running => place::run(found.pid),
                Some(found) => return Adoption::Gone(found.exit),
                None => return Adoption::Gone(Exit::Unknown),
            },
        };
        info!(instance.id = %id, "the container of instance {id} is adopted");
        self.inner.runs.started(id, run, launch.spec.logs.clone());
        self.inner.follow(launch);
        Adoption::Alive
    }

    fn find(&self, id: InstanceId) -> Option<Run> {
        let found = self.inner.before.as_ref()?.get(&id)?;
        found.running.then(|| place::run(found.pid))
    }

    fn signal(&self, id: InstanceId, signal: &str) {
        if self.inner.runs.of(id).is_none() {
            return;
        }
        let (inner, signal) = (Arc::clone(&self.inner), signal.to_owned());
        self.inner.tasks.spawn_brief(async move {
            if let Err(error) = inner.engine.kill(id, &signal).await {
                warn!(instance.id = %id, %error, "cannot signal instance {id}: {error}");
            }
        });
    }

    fn kill(&self, id: InstanceId) {
        self.signal(id, "SIGKILL");
    }

    fn remove(&self, id: InstanceId) {
        let inner = Arc::clone(&self.inner);
        self.inner.tasks.spawn_brief(async move {
            inner.clear_away(id).await;
            tell(&inner.sink, id, Event::Removed).await;
        });
    }

    fn running(&self) -> Vec<InstanceId> {
        self.inner.runs.running()
    }

    fn stats(&self, id: InstanceId) -> Option<Counters> {
        let run = self.inner.runs.of(id)?;
        cgroup::stats(&place::groups(run.pid?))
    }

    fn exec(&self, launch: Arc<Launch>, exec: Exec) -> Session {
        if self.inner.runs.of(launch.id).is_none() {
            return Session::refused(&format!("instance {} does not run", launch.id));
        }
        let (session, inside) = session();
        let inner = Arc::clone(&self.inner);
        self.inner.tasks.spawn_brief(async move {
            inside::run(&inner.engine, &launch, (exec, inside)).await;
        });
        session
    }
}
