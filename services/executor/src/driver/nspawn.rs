//! Runs OS trees under systemd-nspawn, as processes of ours.
//!
//! systemd-nspawn is started by the `process` driver, in the instance's own session and groups, so
//! that it is supervised, limited, adopted and killed like any other command. Here is what a tree
//! needs besides: a root of its own over the shared one, the way in for signals and commands, and
//! the names that systemd-nspawn leaves behind.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use ostler_core::id::InstanceId;
use ostler_core::workload::{NspawnSection, ProcessSection};
use ostler_service::Tasks;
use tracing::warn;

use super::process::{self, Process};
use super::session::{Exec, Input, Inside, Output, Session, session};
use super::{Adoption, Counters, Driver, Launch, Run, Sink, tell};
use crate::artifact::Artifacts;
use crate::supervise::{Blame, Event};

mod arguments;
mod leader;
mod root;

use arguments::arguments;
use root::Root;

/// Between two looks whether a tree has come up, and how many there are: ten seconds in all.
const LOOK: Duration = Duration::from_millis(10);
const UP_WITHIN: u32 = 1000;

/// The `nspawn` driver.
#[derive(Debug, Clone)]
pub struct Nspawn {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    process: Process,
    sink: Sink,
    tasks: Tasks,
    artifacts: OnceLock<Artifacts>,
    /// Whose roots are being made: a start that is told twice makes one.
    making: Mutex<HashSet<InstanceId>>,
}

/// The version of systemd-nspawn here; `None` if there is none, or if we may not use it.
#[must_use]
pub fn version() -> Option<String> {
    if !crate::host::is_root() {
        return None;
    }
    let output = std::process::Command::new("systemd-nspawn").arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().nth(1).map(str::to_owned)
}

impl Nspawn {
    /// A driver whose trees run as processes of `process`, and which tells `sink`, as that does.
    #[must_use]
    pub fn new(process: Process, sink: Sink, tasks: &Tasks) -> Self {
        let tasks = tasks.clone();
        let inner =
            Inner { process, sink, tasks, artifacts: OnceLock::new(), making: Mutex::default() };
        Self { inner: Arc::new(inner) }
    }

    /// Unmounts what an instance that was ended from outside left.
    pub fn forget(means: &process::Means, id: InstanceId) {
        let root = Root::new(means.instance_dir(id));
        if let Err(why) = root.unmake() {
            warn!(instance.id = %id, "the root of instance {id} is still there: {why}");
        }
    }

    /// Where trees come from.
    pub fn supply(&self, artifacts: Artifacts) {
        // Said twice, it is the same.
        drop(self.inner.artifacts.set(artifacts));
    }

    /// Makes the directory that an instance finds as its own.
    pub fn make_home(&self, id: InstanceId) -> Result<PathBuf, String> {
        self.inner.root(id).make_data()
    }

    /// How it uses its host.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.inner.process
    }
}

fn section(launch: &Launch) -> NspawnSection {
    launch.spec.sections.nspawn.clone().unwrap_or_default()
}

impl Inner {
    fn making(&self) -> MutexGuard<'_, HashSet<InstanceId>> {
        self.making.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn root(&self, id: InstanceId) -> Root {
        Root::new(self.process.means().instance_dir(id))
    }

    /// What runs inside of an instance; waited for while its tree comes up. `None`: it ended.
    async fn inside(&self, id: InstanceId) -> Option<leader::Inside> {
        for _ in 0..UP_WITHIN {
            let pid = self.process.pid(id)?;
            let words = crate::host::text(format!("/proc/{pid}/cmdline"));
            let command = !words.split('\0').any(|word| word == "--boot");
            if let Some(inside) = leader::inside(pid, command) {
                return Some(inside);
            }
            tokio::time::sleep(LOOK).await;
        }
        None
    }

    async fn launch(&self, launch: Arc<Launch>) {
        let (id, number) = (launch.id, launch.run);
        match self.prepare(&launch).await {
            Ok(command) => {
                self.making().remove(&id);
                self.process.start(Arc::new(command));
            }
            Err((reason, blame)) => {
                self.making().remove(&id);
                tell(&self.sink, id, Event::NotStarted(number, reason, blame)).await;
            }
        }
    }

    /// Makes the root; the launch of the systemd-nspawn that runs it.
    async fn prepare(&self, launch: &Launch) -> Result<Launch, (String, Blame)> {
        let section = section(launch);
        let lower = self.lower(launch.id, &section).await?;
        let (root, storage) = (self.root(launch.id), section.storage);
        let made = {
            let root = root.clone();
            let make = move || root.make(&lower, storage).and_then(|()| root.make_data());
            tokio::task::spawn_blocking(make).await
        };
        let made = made.map_err(|error| error.to_string()).and_then(|made| made);
        let data = made.map_err(|why| (why, Blame::Node))?;
        let process = ProcessSection {
            command: arguments(launch, &section, (&root.top(), &data)),
            ..ProcessSection::default()
        };
        let mut spec = (*launch.spec).clone();
        spec.sections.process = Some(process);
        Ok(Launch { spec: Arc::new(spec), ..launch.clone() })
    }

    /// The tree that is below the instance's own.
    async fn lower(
        &self,
        id: InstanceId,
        section: &NspawnSection,
    ) -> Result<PathBuf, (String, Blame)> {
        if let Some(directory) = &section.directory {
            let path = PathBuf::from(directory);
            if !path.is_dir() {
                return Err((format!("there is no directory `{directory}` here"), Blame::Node));
            }
            return Ok(path);
        }
        let artifact = section.artifact.as_deref().unwrap_or_default();
        let Some(artifacts) = self.artifacts.get() else {
            return Err(("this executor keeps no artifacts".to_owned(), Blame::Node));
        };
        artifacts.hold_tree(id, artifact).await.map_err(|error| {
            let blame = if error.is_of_this_node() { Blame::Node } else { Blame::Instance };
            (error.to_string(), blame)
        })
    }

    /// Unmounts and lets go of everything of an instance that has ended.
    async fn clear_away(&self, id: InstanceId) {
        let root = self.root(id);
        let cleared = tokio::task::spawn_blocking(move || root.unmake()).await;
        if let Err(why) = cleared.map_err(|error| error.to_string()).and_then(|cleared| cleared) {
            warn!(instance.id = %id, "the root of instance {id} is still there: {why}");
        }
        self.artifacts.get().inspect(|artifacts| artifacts.release(id));
    }
}

impl Driver for Nspawn {
    fn start(&self, launch: Arc<Launch>) {
        let id = launch.id;
        // One that runs is told again; its root is left alone.
        if self.inner.process.running().contains(&id) {
            return self.inner.process.start(launch);
        }
        if !self.inner.making().insert(id) {
            return;
        }
        let inner = Arc::clone(&self.inner);
        self.inner.tasks.spawn_brief(async move { inner.launch(launch).await });
    }

    fn adopt(&self, launch: Arc<Launch>, run: &Run) -> Adoption {
        if let (Some(artifact), Some(artifacts)) =
            (section(&launch).artifact, self.inner.artifacts.get())
        {
            artifacts.hold_again(launch.id, &artifact);
        }
        self.inner.process.adopt(launch, run)
    }

    fn find(&self, id: InstanceId) -> Option<Run> {
        self.inner.process.find(id)
    }

    /// Straight to what runs inside: to the init of a booted tree, to the command otherwise.
    /// SIGTERM asks an init to halt by the signal that systemd knows for that.
    fn signal(&self, id: InstanceId, signal: &str) {
        let (inner, signal) = (Arc::clone(&self.inner), signal.to_owned());
        self.inner.tasks.spawn_brief(async move {
            let Some(inside) = inner.inside(id).await else { return };
            let signal = match (inside.is_init, signal.as_str()) {
                (true, "SIGTERM") => "SIGRTMIN+3",
                (_, other) => other,
            };
            let number = process::signal_number(signal).unwrap_or(libc::SIGTERM);
            leader::signal(inside.pid, number);
        });
    }

    fn kill(&self, id: InstanceId) {
        self.inner.process.kill(id);
    }

    fn remove(&self, id: InstanceId) {
        let inner = Arc::clone(&self.inner);
        self.inner.tasks.spawn_brief(async move {
            inner.clear_away(id).await;
            inner.process.remove(id);
        });
    }

    fn running(&self) -> Vec<InstanceId> {
        self.inner.process.running()
    }

    fn stats(&self, id: InstanceId) -> Option<Counters> {
        self.inner.process.stats(id)
    }

    /// By way of the namespaces of what runs inside.
    fn exec(&self, launch: Arc<Launch>, exec: Exec) -> Session {
        let refused = format!("instance {} does not run", launch.id);
        if self.inner.process.pid(launch.id).is_none() {
            return Session::refused(&refused);
        }
        let (session, far) = session();
        let inner = Arc::clone(&self.inner);
        self.inner.tasks.spawn_brief(async move {
            let Some(inside) = inner.inside(launch.id).await else {
                // Who asked may have gone.
                drop(far.output.send(Output::Refused(refused)).await);
                return;
            };
            let mut words = arguments::enter(&launch, &section(&launch), inside.pid);
            words.extend(exec.words);
            pass_on(inner.process.exec(launch, Exec { words, ..exec }), far).await;
        });
        session
    }
}

/// Connects a conversation with the one that was promised before it could begin.
async fn pass_on(mut near: Session, mut far: Inside) {
    let mut asks = true;
    loop {
        tokio::select! {
            output = near.output.recv() => match output {
                Some(output) => if far.output.send(output).await.is_err() { return },
                None => return,
            },
            input = far.input.recv(), if asks => match input {
                Some(input) => asks = near.input.send(input).await.is_ok(),
                None => {
                    // As a driver takes it: nobody will say any more.
                    asks = false;
                    drop(near.input.send(Input::End).await);
                }
            },
            () = far.output.closed() => return,
        }
    }
}
