//! Whether this host takes an instance: the core's own rule, and what this version cannot do.

use ostler_core::id::InstanceId;
use ostler_core::instance::Spec;
use ostler_core::placement::{Seat, room};
use ostler_core::resources::{Bytes, Resources};
use ostler_core::workload::{CheckKind, DriverKind, Private};

use super::Agent;
use crate::supervise::Life;

impl Agent {
    /// Why the instance is refused, if it is. It counts as occupying its place already.
    pub(super) fn admit(&self, id: InstanceId) -> Result<(), String> {
        let Some(life) = self.lives.get(&id) else { return Ok(()) };
        let Some(spec) = &life.spec else { return Ok(()) };
        if self.drivers.of(spec.driver).is_none() {
            return Err(format!("driver: this node does not offer `{}`", spec.driver));
        }
        if spec.sections.sim.as_ref().is_some_and(|sim| sim.decline) {
            return Err("declined: the script says so".to_owned());
        }
        later(life)?;
        self.can_guard(spec)?;
        let ask = life.order.ask;
        let seat = Seat {
            capacity: self.site.facts.capacity,
            reserved: self.site.facts.reserved,
            requested: less(self.asked, ask),
            used: self.shared.used(),
            instances: self.occupied.saturating_sub(1),
            max_instances: self.site.facts.max_instances,
            ..Seat::default()
        };
        let reasons = room(&seat, ask);
        if reasons.is_empty() { Ok(()) } else { Err(reasons.to_string()) }
    }

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

    pub(super) fn occupy(&mut self, ask: Resources) {
        self.occupied += 1;
        self.asked.cpu += ask.cpu;
        self.asked.memory.0 += ask.memory.0;
        self.asked.disk.0 += ask.disk.0;
        self.asked.network += ask.network;
    }

    pub(super) fn vacate(&mut self, ask: Resources) {
        self.occupied = self.occupied.saturating_sub(1);
        self.asked = less(self.asked, ask);
    }
}

fn less(all: Resources, part: Resources) -> Resources {
    Resources {
        cpu: all.cpu.saturating_sub(part.cpu),
        memory: Bytes(all.memory.0.saturating_sub(part.memory.0)),
        disk: Bytes(all.disk.0.saturating_sub(part.disk.0)),
        network: all.network.saturating_sub(part.network),
    }
}

/// What is refused rather than pretended.
fn later(life: &Life) -> Result<(), String> {
    let Some(spec) = &life.spec else { return Ok(()) };
    let beats = spec.checks.iter().any(|check| check.kind == CheckKind::Heartbeat);
    let asked = [
        (beats, "heartbeat checks come with a later version"),
        (!spec.hooks.is_empty(), "hooks come with a later version"),
    ];
    match asked.into_iter().find(|(asked, _)| *asked) {
        Some((_, why)) => Err(why.to_owned()),
        None => Ok(()),
    }
}
