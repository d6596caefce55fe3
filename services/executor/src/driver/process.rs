//! Runs commands on the host: own session, own control groups, output straight to files.
//!
//! Nothing of an instance hangs on the executor: no pipes, no parent-death signal, its own groups.
//! A run is known again by pid and start time; its end is heard through a pidfd.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use ostler_core::id::{InstanceId, NodeName};
use ostler_core::instance::Exit;
use ostler_core::workload::Logs;
use ostler_service::Tasks;
use tokio::sync::Semaphore;
use tracing::{debug, error, warn};

use super::runs::{Found, Runs};
use super::session::{Exec, Session, session};
use super::{Adoption, Counters, Driver, Launch, Run, Sink, tell};
use crate::artifact::Artifacts;
use crate::config::Config;
use crate::guardian;
use crate::supervise::{Blame, Event, Readiness};

mod birth;
mod capability;
pub mod cgroup;
mod confine;
mod enter;
pub mod environment;
mod inside;
mod launch;
mod leftover;
mod package;
pub mod ports;
mod proc;
mod signal;
mod user;

pub use cgroup::Cgroups;
pub use confine::Confinement;
pub use inside::beside;
pub use launch::{StartError, prepare};
pub use leftover::scan as find_all;
pub use proc::{end_all, ours, start_ticks};
pub use signal::signal_number;

/// How the driver uses its host.
#[derive(Debug, Clone)]
pub struct Means {
    /// Instances and logs are below it.
    pub data_dir: PathBuf,
    /// Where groups are made.
    pub cgroups: Cgroups,
    /// At most so many tasks in one instance.
    pub max_pids: u32,
    /// At most so many open files in one process.
    pub max_files: u64,
    /// The program that can be a guardian: this one.
    pub guardian: PathBuf,
    /// Where guardians see whether the node's pledge stands.
    pub fence: Option<PathBuf>,
}

impl Means {
    /// As the settings say, for a node with this directory.
    #[must_use]
    pub fn new(config: &Config, node: &NodeName, data_dir: PathBuf, fence: Option<&Path>) -> Self {
        Self {
            cgroups: Cgroups::detect(&config.cgroup, node),
            data_dir,
            max_pids: config.max_pids,
            max_files: config.max_files,
            guardian: config.guardian.clone(),
            fence: fence.map(Path::to_owned),
        }
    }

    /// The directory of an instance.
    #[must_use]
    pub fn instance_dir(&self, id: InstanceId) -> PathBuf {
        self.data_dir.join("instances").join(id.to_string())
    }

    /// Where the output of an instance is.
    #[must_use]
    pub fn log_dir(&self, id: InstanceId) -> PathBuf {
        log_dir(&self.data_dir, id)
    }
}

/// Where the output of an instance is.
#[must_use]
pub fn log_dir(data_dir: &Path, id: InstanceId) -> PathBuf {
    data_dir.join("logs").join(id.to_string())
}

/// The `process` driver.
#[derive(Debug, Clone)]
pub struct Process {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    means: Means,
    sink: Sink,
    tasks: Tasks,
    starts: Semaphore,
    runs: Runs,
    leftovers: Mutex<Option<HashMap<InstanceId, Run>>>,
    guardians: OnceLock<Result<(), String>>,
    artifacts: OnceLock<Artifacts>,
}

impl Process {
    /// A driver that starts at most `parallel` at a time and tells `sink`.
    #[must_use]
    pub fn new(means: Means, parallel: usize, sink: Sink, tasks: &Tasks) -> Self {
        let inner = Inner {
            means,
            sink,
            tasks: tasks.clone(),
            starts: Semaphore::new(parallel.max(1)),
            runs: Runs::default(),
            leftovers: Mutex::default(),
            guardians: OnceLock::new(),
            artifacts: OnceLock::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Where artifacts come from; without, what needs one is not started.
    pub fn supply(&self, artifacts: Artifacts) {
        // Said twice, it is the same.
        drop(self.inner.artifacts.set(artifacts));
    }

    /// How the output of what runs is kept.
    #[must_use]
    pub fn log_rules(&self) -> HashMap<InstanceId, Logs> {
        self.inner.runs.logs()
    }

    /// Why nothing can be fenced or have processes of its own here, if so.
    pub fn can_guard(&self) -> Result<(), String> {
        let means = self.means();
        self.inner.guardians.get_or_init(|| guardian::probe(&means.guardian)).clone()
    }

    /// The main process of an instance that runs.
    #[must_use]
    pub fn pid(&self, id: InstanceId) -> Option<u32> {
        self.inner.runs.of(id)?.pid
    }

    /// Makes the directory of an instance, from its artifact where it has one; whose it is, where
    /// that is not who runs the executor. Nothing where it is there already.
    pub async fn make_home(
        &self,
        launch: &Arc<Launch>,
    ) -> Result<Option<(u32, u32)>, (String, Blame)> {
        package::prepare(self.means(), self.inner.artifacts.get(), launch).await?;
        let (inner, launch) = (Arc::clone(&self.inner), Arc::clone(launch));
        let made = tokio::task::spawn_blocking(move || prepare(&inner.means, &launch)).await;
        let made = made.unwrap_or_else(|error| Err(StartError::Host(error.to_string())));
        made.map_err(|error| (error.to_string(), Blame::Instance))
    }

    /// How it uses its host.
    #[must_use]
    pub fn means(&self) -> &Means {
        &self.inner.means
    }
}

impl Inner {
    async fn launch(self: Arc<Self>, launch: Arc<Launch>) {
        let (id, number) = (launch.id, launch.run);
        // However long it takes, it takes nobody else's place.
        if let Err((reason, blame)) =
            package::prepare(&self.means, self.artifacts.get(), &launch).await
        {
            self.runs.forget(id);
            return tell(&self.sink, id, Event::NotStarted(number, reason, blame)).await;
        }
        let Ok(_permit) = self.starts.acquire().await else { return };
        tell(&self.sink, id, Event::Prepared(number)).await;
        let (inner, given) = (Arc::clone(&self), Arc::clone(&launch));
        let begun = tokio::task::spawn_blocking(move || launch::launch(&inner.means, &given)).await;
        let begun = begun.unwrap_or_else(|error| Err(StartError::Host(error.to_string())));
        match begun {
            Ok((run, pidfd)) => {
                let rules = launch.spec.logs.clone();
                self.runs.started(id, run.clone(), rules);
                let checked = !launch.spec.checks.is_empty();
                let readiness = if checked { Readiness::ByChecks } else { Readiness::AtOnce };
                tell(&self.sink, id, Event::Started(number, run.clone(), readiness)).await;
                let watcher = Arc::clone(&self);
                self.tasks.spawn_brief(async move { watcher.watch(id, number, run, pidfd).await });
            }
            Err(error) => {
                self.runs.forget(id);
                let blame = match &error {
                    StartError::Port(_) => Blame::Node,
                    _ => Blame::Instance,
                };
                tell(&self.sink, id, Event::NotStarted(number, error.to_string(), blame)).await;
            }
        }
    }

    /// Waits until the main process has ended, ends the rest of the instance, and tells.
    async fn watch(self: Arc<Self>, id: InstanceId, number: u64, run: Run, pidfd: OwnedFd) {
        let pidfd = match proc::watch(pidfd) {
            Ok(pidfd) => pidfd,
            Err(error) => {
                warn!(instance.id = %id, %error, "cannot watch instance {id}: {error}");
                return;
            }
        };
        tokio::select! {
            ended = pidfd.readable() => drop(ended),
            // The executor's loop listens until the very end.
            () = self.sink.closed() => return,
        }
        // While the main process is a zombie its pid, and so its group, cannot be anyone else's.
        proc::kill_group(&run);
        cgroup::kill(&run.cgroups);
        let exit = proc::exit_of(pidfd.get_ref(), &run).await;
        self.until_empty(id, number, &run).await;
        let exit = match exit {
            Exit::Signal(libc::SIGKILL) if cgroup::oom_killed(&run.cgroups) => Exit::OutOfMemory,
            other => other,
        };
        cgroup::remove(&run.cgroups);
        self.runs.forget(id);
        tell(&self.sink, id, Event::Exited(number, exit)).await;
    }

    /// Kills what is left of the instance: its groups, or where there are none whatever has it in
    /// its environment. False where nothing is.
    async fn kill_rest(&self, id: InstanceId, run: &Run) -> bool {
        if !run.cgroups.is_empty() {
            cgroup::kill(&run.cgroups);
            return !cgroup::is_empty(&run.cgroups);
        }
        let means = self.means.clone();
        let killed = tokio::task::spawn_blocking(move || leftover::kill(&means, id)).await;
        killed.is_ok_and(|killed| killed > 0)
    }

    /// Kills until nothing of the instance runs. What cannot be killed is told, and tried again.
    async fn until_empty(&self, id: InstanceId, number: u64, run: &Run) {
        let (mut wait, mut waited) = (Duration::from_millis(1), Duration::ZERO);
        while self.kill_rest(id, run).await {
            tokio::time::sleep(wait).await;
            waited += wait;
            if waited > GIVE_UP_AFTER && wait < SELDOM {
                let left = cgroup::left(&run.cgroups);
                error!(instance.id = %id, "instance {id} cannot be killed: {left}");
                let why = format!("cannot be killed: {left}");
                tell(&self.sink, id, Event::Stuck(number, why)).await;
                wait = SELDOM;
            } else if waited <= GIVE_UP_AFTER {
                wait = (wait * 2).min(Duration::from_millis(200));
            }
        }
    }

    fn clear_away(&self, id: InstanceId) {
        let groups = self.means.cgroups.dirs(id);
        launch::sweep(&groups);
        cgroup::remove(&groups);
        let dir = self.means.instance_dir(id);
        // A package that was not whole yet when the executor died is beside it.
        for dir in [dir.with_extension("part"), dir] {
            if let Err(error) = std::fs::remove_dir_all(&dir)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                warn!(instance.id = %id, %error, "cannot remove `{}`: {error}", dir.display());
            }
        }
    }
}

/// How long killing may take before somebody is told, and how often it is tried from then on.
const GIVE_UP_AFTER: Duration = Duration::from_secs(30);
const SELDOM: Duration = Duration::from_secs(5);

impl Driver for Process {
    fn start(&self, launch: Arc<Launch>) {
        let id = launch.id;
        let inner = Arc::clone(&self.inner);
        match self.inner.runs.launching(id) {
            Found::Launching => {}
            Found::Running(run) => self.inner.tasks.spawn_brief(async move {
                let started = Event::Started(launch.run, run, Readiness::ByChecks);
                tell(&inner.sink, id, started).await;
            }),
            Found::Nothing => {
                self.inner.tasks.spawn_brief(async move { inner.launch(launch).await });
            }
        }
    }

    fn adopt(&self, launch: Arc<Launch>, run: &Run) -> Adoption {
        let (id, number, run) = (launch.id, launch.run, run.clone());
        let Some(pidfd) = proc::open(&run) else {
            cgroup::kill(&run.cgroups);
            return Adoption::Gone(proc::exit_of_zombie(&run).unwrap_or(Exit::Unknown));
        };
        debug!(instance.id = %id, pid = run.pid, "instance {id} is adopted");
        let rules = launch.spec.logs.clone();
        self.inner.runs.started(id, run.clone(), rules);
        let watcher = Arc::clone(&self.inner);
        self.inner.tasks.spawn_brief(async move { watcher.watch(id, number, run, pidfd).await });
        Adoption::Alive
    }

    fn find(&self, id: InstanceId) -> Option<Run> {
        let mut leftovers = self.inner.leftovers.lock().unwrap_or_else(PoisonError::into_inner);
        let known = leftovers.get_or_insert_with(|| leftover::scan(&self.inner.means));
        known.get(&id).cloned()
    }

    fn signal(&self, id: InstanceId, signal: &str) {
        let Some(run) = self.inner.runs.of(id) else { return };
        let number = signal_number(signal).unwrap_or(libc::SIGTERM);
        proc::signal_group(&run, number);
    }

    fn kill(&self, id: InstanceId) {
        let Some(run) = self.inner.runs.of(id) else { return };
        cgroup::kill(&run.cgroups);
        proc::kill_group(&run);
    }

    fn remove(&self, id: InstanceId) {
        let inner = Arc::clone(&self.inner);
        self.inner.tasks.spawn_brief(async move {
            let blocking = Arc::clone(&inner);
            let cleared = tokio::task::spawn_blocking(move || blocking.clear_away(id)).await;
            if let Err(error) = cleared {
                warn!(instance.id = %id, %error, "removing instance {id} failed: {error}");
            }
            tell(&inner.sink, id, Event::Removed).await;
        });
    }

    fn running(&self) -> Vec<InstanceId> {
        self.inner.runs.running()
    }

    fn stats(&self, id: InstanceId) -> Option<Counters> {
        let run = self.inner.runs.of(id)?;
        cgroup::stats(&run.cgroups).or_else(|| proc::stats(&run))
    }
    fn exec(&self, launch: Arc<Launch>, exec: Exec) -> Session {
        let Some(run) = self.inner.runs.of(launch.id) else {
            return Session::refused(&format!("instance {} does not run", launch.id));
        };
        let (session, inside) = session();
        let means = self.inner.means.clone();
        self.inner.tasks.spawn_brief(inside::run((means, launch, run), exec, inside));
        session
    }
}
