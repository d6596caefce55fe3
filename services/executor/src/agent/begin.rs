//! What comes before and around a start: directory, local socket, hooks.

use std::sync::Arc;

use ostler_core::workload::{DriverKind, HookPoint};
use tracing::error;

use super::Agent;
use crate::driver::Launch;
use crate::driver::process::prepare;
use crate::hooks::Crew;
use crate::supervise::{Blame, Event, Life};

impl Agent {
    /// Has an instance started: what needs a while goes on in a task of its own.
    pub(super) fn begin(&self, launch: Arc<Launch>) {
        if launch.spec.driver == DriverKind::Sim {
            return self
                .drivers
                .sim
                .iter()
                .for_each(|sim| crate::driver::Driver::start(sim, Arc::clone(&launch)));
        }
        let (drivers, sockets, crew) =
            (Arc::clone(&self.drivers), self.sockets.clone(), self.crew());
        let sink = self.happened_tx.clone();
        sockets.pulses.forget(launch.id);
        self.shared.tasks.spawn_brief(async move {
            let id = launch.id;
            let ready = async {
                if launch.spec.driver == DriverKind::Process
                    && let Some(driver) = &drivers.process
                {
                    let owner = driver.make_home(&launch).await?;
                    let dir = driver.means().instance_dir(id);
                    sockets.open(Arc::clone(&launch), &dir, owner);
                }
                let hooks = crew.run(&launch, HookPoint::BeforeStart).await;
                hooks.map_err(|why| (why, Blame::Instance))
            };
            match ready.await {
                Ok(told) => {
                    for event in told {
                        drop(sink.send((id, event)).await);
                    }
                    match drivers.of(launch.spec.driver) {
                        Some(driver) => driver.start(launch),
                        None => error!(instance.id = %id, "instance {id} has no driver any more"),
                    }
                }
                Err((why, blame)) => {
                    let failed = Event::NotStarted(launch.run, why, blame);
                    // The executor stops when nobody listens.
                    drop(sink.send((id, failed)).await);
                }
            }
        });
    }

    /// Does what is to be done at a point of its life, in a task of its own.
    pub(super) fn hook(&self, life: &Life, point: HookPoint) {
        let (Some(launch), sink, crew) =
            (self.launch_of(life), self.happened_tx.clone(), self.crew())
        else {
            return;
        };
        self.shared.tasks.spawn_brief(async move {
            let (id, run) = (launch.id, launch.run);
            let (told, done) = match crew.run(&launch, point).await {
                Ok(told) => (told, Ok(())),
                Err(why) => (vec![Event::HookFailed(why.clone())], Err(why)),
            };
            for event in told.into_iter().chain([Event::HookDone(run, point, done)]) {
                drop(sink.send((id, event)).await);
            }
        });
    }

    fn crew(&self) -> Crew {
        let means = self.drivers.process.as_ref().map(|driver| driver.means().clone());
        Crew { shared: Arc::clone(&self.shared), means }
    }

    /// Opens the local sockets of what was adopted.
    pub(super) fn open_sockets(&self) {
        let Some(driver) = &self.drivers.process else { return };
        let runs = |life: &&Life| life.run.is_some() && !life.ended();
        for launch in self.roster.lives().filter(runs).filter_map(|life| self.launch_of(life)) {
            let (means, launch) = (driver.means(), Arc::new(launch));
            match prepare(means, &launch) {
                Ok(owner) => {
                    let dir = means.instance_dir(launch.id);
                    self.sockets.open(launch, &dir, owner);
                }
                Err(error) => {
                    error!(instance.id = %launch.id, %error, "no local socket: {error}");
                }
            }
        }
    }
}
