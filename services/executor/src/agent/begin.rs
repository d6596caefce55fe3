//! What comes before and around a start: directory, local socket, hooks.

use std::path::PathBuf;
use std::sync::Arc;

use ostler_core::workload::{DriverKind, HookPoint};
use tracing::error;

use super::Agent;
use crate::driver::process::prepare;
use crate::driver::{Drivers, Launch};
use crate::hooks::Crew;
use crate::socket::Access;
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
        let (sink, firewall) = (self.happened_tx.clone(), self.firewall.clone());
        sockets.pulses.forget(launch.id);
        self.shared.tasks.spawn_brief(async move {
            let id = launch.id;
            let ready = async {
                let opened = firewall.open(id, &launch.spec, &launch.ports).await;
                opened.map_err(|error| (error.to_string(), Blame::Node))?;
                if let Some((dir, access)) = home(&drivers, &launch).await? {
                    sockets.open(Arc::clone(&launch), &dir, access);
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

    /// What was adopted is reached as before; what an executor before this one opened besides is
    /// closed.
    pub(super) fn keep_ports(&self) {
        for life in self.roster.lives().filter(|life| life.run.is_some() && !life.ended()) {
            if let Some(spec) = &life.spec {
                self.firewall.adopt(life.id, spec, &life.order.ports);
            }
        }
        let firewall = self.firewall.clone();
        self.shared.tasks.spawn_brief(async move {
            if let Err(error) = firewall.settle().await {
                error!(%error, "{error}");
            }
        });
    }

    fn crew(&self) -> Crew {
        let means = self.drivers.process.as_ref().map(|driver| driver.means().clone());
        let (shared, drivers) = (Arc::clone(&self.shared), Arc::clone(&self.drivers));
        Crew { shared, means, drivers }
    }

    /// Opens the local sockets of what was adopted.
    pub(super) fn open_sockets(&self) {
        let runs = |life: &&Life| life.run.is_some() && !life.ended();
        for launch in self.roster.lives().filter(runs).filter_map(|life| self.launch_of(life)) {
            match there(&self.drivers, &launch) {
                Ok(Some((dir, access))) => self.sockets.open(Arc::new(launch), &dir, access),
                Ok(None) => {}
                Err(why) => error!(instance.id = %launch.id, "no local socket: {why}"),
            }
        }
    }
}

/// The directory that an instance finds as its own, and who may open the socket in it.
type Home = (PathBuf, Access);

fn access(owner: Option<(u32, u32)>) -> Access {
    owner.map_or(Access::Us, |(user, group)| Access::User(user, group))
}

/// Makes the directory of an instance that is to start.
async fn home(drivers: &Drivers, launch: &Arc<Launch>) -> Result<Option<Home>, (String, Blame)> {
    if launch.spec.driver != DriverKind::Process {
        return there(drivers, launch).map_err(|why| (why, Blame::Node));
    }
    let Some(driver) = &drivers.process else { return Ok(None) };
    let owner = driver.make_home(launch).await?;
    Ok(Some((driver.means().instance_dir(launch.id), access(owner))))
}

/// The directory of one that has begun, made again where it is gone.
fn there(drivers: &Drivers, launch: &Launch) -> Result<Option<Home>, String> {
    match launch.spec.driver {
        DriverKind::Process => {
            let Some(driver) = &drivers.process else { return Ok(None) };
            let owner = prepare(driver.means(), launch).map_err(|error| error.to_string())?;
            Ok(Some((driver.means().instance_dir(launch.id), access(owner))))
        }
        DriverKind::Docker => {
            let made = drivers.docker.as_ref().map(|driver| driver.make_home(launch.id));
            Ok(made.transpose()?.map(|dir| (dir, Access::Inside)))
        }
        DriverKind::Nspawn => {
            let made = drivers.nspawn.as_ref().map(|driver| driver.make_home(launch.id));
            Ok(made.transpose()?.map(|dir| (dir, Access::Inside)))
        }
        DriverKind::Sim | DriverKind::Vm | DriverKind::S6 | DriverKind::Uwsgi => Ok(None),
    }
}
