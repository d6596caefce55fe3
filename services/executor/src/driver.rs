//! How instances are run: the one door to the operating system.
//!
//! The executor may die between any two calls, so each may be made twice: starting what runs and
//! ending what is gone both succeed. Calls return at once; what comes of them is told through the
//! queue that the driver was made with. `tests/it/contract.rs` holds every driver to that.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use ostler_core::id::{InstanceId, NodeName, Slot, Version, WorkloadKey};
use ostler_core::instance::{Exit, PortGrant, Spec};
use ostler_core::workload::{DriverKind, Logs};
use tokio::sync::mpsc;

use crate::supervise::Event;
pub use crate::supervise::Run;

use session::{Exec, Session};

pub mod docker;
pub mod nspawn;
pub mod process;
mod runs;
pub mod session;
pub mod sim;

/// What a driver tells of an instance.
pub type Happened = (InstanceId, Event);
/// Where drivers tell it: bounded, and always emptied.
pub type Sink = mpsc::Sender<Happened>;

/// Tells it; in vain where the executor has stopped and nobody listens any more.
async fn tell(sink: &Sink, id: InstanceId, event: Event) {
    drop(sink.send((id, event)).await);
}

/// Everything a driver needs to start an instance.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Which.
    pub id: InstanceId,
    /// Which start of it this is.
    pub run: u64,
    /// Of which workload.
    pub key: WorkloadKey,
    /// Which text of it.
    pub version: Version,
    /// Its index.
    pub slot: Slot,
    /// What to run.
    pub spec: Arc<Spec>,
    /// The ports it was given.
    pub ports: Vec<PortGrant>,
    /// Where.
    pub place: Arc<Place>,
}

/// What all instances of a node share.
#[derive(Debug, Clone)]
pub struct Place {
    /// The node.
    pub node: NodeName,
    /// Its failure domain.
    pub zone: String,
    /// Where instances can be reached.
    pub address: String,
}

/// What an instance has used up and uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Microseconds of cpu since it began.
    pub cpu_us: u64,
    /// Bytes of memory now.
    pub memory: u64,
}

/// Whether what the journal knows still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adoption {
    /// It runs, and is watched from now on: `Exited` comes.
    Alive,
    /// Nothing of it runs; how it ended, as far as anybody can say.
    Gone(Exit),
}

/// Runs instances of one kind on this node.
pub trait Driver: Send + Sync + fmt::Debug {
    /// Starts the instance unless it runs: `Prepared` and `Started`, or `NotStarted`, come; after
    /// `Started`, once, `Exited`, when nothing of it runs any more.
    fn start(&self, launch: Arc<Launch>);
    /// Takes back what an executor before this one started.
    fn adopt(&self, launch: Arc<Launch>, run: &Run) -> Adoption;
    /// What was started for this id without anybody having written down that it was.
    fn find(&self, id: InstanceId) -> Option<Run>;
    /// Asks it to end; nothing if it is not there.
    fn signal(&self, id: InstanceId, signal: &str);
    /// Ends everything of it by force; nothing if it is not there.
    fn kill(&self, id: InstanceId);
    /// Removes what is left of it but its output: `Removed` comes.
    fn remove(&self, id: InstanceId);
    /// What runs now.
    fn running(&self) -> Vec<InstanceId>;
    /// What it uses; `None` if it is not there or nobody can say.
    fn stats(&self, id: InstanceId) -> Option<Counters>;
    /// Runs a command inside an instance that runs: its namespaces, groups, user and environment.
    /// It ends when the session is dropped, and with the instance.
    fn exec(&self, launch: Arc<Launch>, exec: Exec) -> Session {
        let kind = launch.spec.driver;
        drop(exec);
        Session::refused(&format!("driver `{kind}` runs no commands inside its instances"))
    }
}

/// The drivers of a node.
#[derive(Debug, Default)]
pub struct Drivers {
    /// Commands.
    pub process: Option<process::Process>,
    /// Containers of Docker or Podman.
    pub docker: Option<docker::Docker>,
    /// OS trees.
    pub nspawn: Option<nspawn::Nspawn>,
    /// Nothing.
    pub sim: Option<sim::Sim>,
}

impl Drivers {
    /// Whether anything of what they run is there when the executor is gone.
    #[must_use]
    pub const fn outlive_us(&self) -> bool {
        self.process.is_some() || self.docker.is_some() || self.nspawn.is_some()
    }

    /// Those whose instances use something: trees are processes, and have the same driver below.
    pub(crate) fn real(&self) -> impl Iterator<Item = &dyn Driver> {
        let process = self.process.as_ref().map(|driver| driver as &dyn Driver);
        let trees = self.nspawn.as_ref().map(|driver| driver as &dyn Driver);
        let containers = self.docker.as_ref().map(|driver| driver as &dyn Driver);
        process.or(trees).into_iter().chain(containers)
    }

    /// How the output of what runs is kept.
    #[must_use]
    pub fn log_rules(&self) -> HashMap<InstanceId, Logs> {
        let process = self.process.iter().map(process::Process::log_rules);
        let trees = self.nspawn.iter().map(|driver| driver.process().log_rules());
        let containers = self.docker.iter().map(docker::Docker::log_rules);
        process.chain(trees).chain(containers).flatten().collect()
    }

    /// The driver of a kind, if the node has it.
    #[must_use]
    pub fn of(&self, kind: DriverKind) -> Option<&dyn Driver> {
        match kind {
            DriverKind::Process => self.process.as_ref().map(|driver| driver as &dyn Driver),
            DriverKind::Sim => self.sim.as_ref().map(|driver| driver as &dyn Driver),
            DriverKind::Docker => self.docker.as_ref().map(|driver| driver as &dyn Driver),
            DriverKind::Nspawn => self.nspawn.as_ref().map(|driver| driver as &dyn Driver),
            DriverKind::Vm | DriverKind::S6 | DriverKind::Uwsgi => None,
        }
    }
}
