//! What the host says: whether it takes an instance, by the core's own rule and what this version
//! cannot do, and what of it still runs.

use std::sync::Arc;

use ostler_core::instance::{Exit, Spec};
use ostler_core::placement::{Seat, room};
use ostler_core::resources::Resources;
use ostler_core::workload::{DriverKind, Private};
use tracing::info;

use crate::driver::{Adoption, Drivers, Launch, Place, Run};
use crate::fence::{Fence, Leave};
use crate::shared::Shared;
use crate::site::Site;
use crate::supervise::{Host, Life};

/// This host.
pub(super) struct Here<'a> {
    pub site: &'a Site,
    pub place: &'a Arc<Place>,
    pub drivers: &'a Drivers,
    pub shared: &'a Shared,
    pub fence: &'a Fence,
}

impl Host for Here<'_> {
    fn admit(&self, life: &Life, requested: Resources, occupied: u32) -> Result<(), String> {
        let Some(spec) = &life.spec else { return Ok(()) };
        if self.drivers.of(spec.driver).is_none() {
            return Err(format!("driver: this node does not offer `{}`", spec.driver));
        }
        if spec.sections.sim.as_ref().is_some_and(|sim| sim.decline) {
            return Err("declined: the script says so".to_owned());
        }
        if let Some(why) = self.shared.refusal(spec.driver) {
            return Err(format!("declined: {why}"));
        }
        self.can_guard(spec)?;
        let seat = Seat {
            capacity: self.site.facts.capacity,
            reserved: self.site.facts.reserved,
            requested,
            used: self.shared.live().map(|live| live.used),
            instances: occupied,
            max_instances: self.site.facts.max_instances,
            ..Seat::default()
        };
        let reasons = room(&seat, life.order.ask);
        if reasons.is_empty() { Ok(()) } else { Err(reasons.to_string()) }
    }

    fn find(&self, life: &Life) -> Option<Run> {
        self.drivers.of(life.spec.as_ref()?.driver)?.find(life.id)
    }

    fn adopt(&self, life: &Life, run: &Run) -> Result<(), Exit> {
        let launch = launch_of(life, self.place).ok_or(Exit::Unknown)?;
        let driver = self.drivers.of(launch.spec.driver).ok_or(Exit::Unknown)?;
        let id = life.id;
        match driver.adopt(Arc::new(launch), run) {
            Adoption::Alive => {
                info!(instance.id = %id, pid = run.pid, "instance {id} runs on and is adopted");
                Ok(())
            }
            Adoption::Gone(exit) => {
                info!(instance.id = %id, "instance {id} ended while the executor was away");
                Err(exit)
            }
        }
    }

    fn leave(&self, pledged: Option<u64>) -> Leave {
        self.fence.leave(pledged)
    }
}

impl Here<'_> {
    /// Fencing, and processes of its own, need a guardian.
    fn can_guard(&self, spec: &Spec) -> Result<(), String> {
        let section = spec.sections.process.as_ref();
        let alone = section.is_some_and(|s| s.private.contains(&Private::Pid));
        if !spec.fenced && !alone {
            return Ok(());
        }
        let what = if spec.fenced { "fence" } else { "private" };
        match &self.drivers.process {
            Some(driver) if spec.driver == DriverKind::Process => {
                driver.can_guard().map_err(|why| format!("{what}: {why}"))?;
            }
            Some(_) | None => {
                return Err(format!("fence: instances of `{}` cannot be fenced", spec.driver));
            }
        }
        if spec.fenced && self.fence.path().is_none() {
            return Err("fence: this node has nowhere to keep its pledge".to_owned());
        }
        Ok(())
    }
}

/// Everything a driver needs to start it.
pub(super) fn launch_of(life: &Life, place: &Arc<Place>) -> Option<Launch> {
    let (_, version) = life.in_force?;
    Some(Launch {
        id: life.id,
        run: life.runs,
        key: life.order.key.clone(),
        version,
        slot: life.order.slot,
        spec: Arc::clone(life.spec.as_ref()?),
        ports: life.order.ports.clone(),
        place: Arc::clone(place),
    })
}
