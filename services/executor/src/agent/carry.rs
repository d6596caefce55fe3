//! Carries out what was decided: first the journal, then the host, then the fleet.

use std::sync::Arc;

use ostler_core::id::InstanceId;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::{Agent, Work, boot};
use crate::checks;
use crate::driver::{Driver, Launch};
use crate::journal::{Changes, JournalError};
use crate::supervise::{Blame, Effect, Event, Life};

impl Agent {
    pub(super) async fn carry_out(&mut self, mut work: Work) {
        let there_is_news = !work.changed.is_empty() || !work.forgotten.is_empty() || work.applied;
        if there_is_news || self.owed.is_due() {
            match self.write_down(&work).await {
                Ok(()) => {
                    self.owed.paid();
                    self.shared.journal(Ok(()));
                }
                Err(cause) => {
                    self.owed.failed();
                    error!(error = %cause, "nothing is started until the journal can be written");
                    self.shared.journal(Err(cause.to_string()));
                    self.put_off(&mut work);
                }
            }
        }
        for id in &work.forgotten {
            self.uncheck(*id);
        }
        for (id, effect) in work.effects {
            self.effect(id, effect);
        }
        if there_is_news {
            self.shared.changed(self.applied.revision, self.occupied);
        }
    }

    async fn write_down(&mut self, work: &Work) -> Result<(), JournalError> {
        if !self.journal.is_kept() {
            return Ok(());
        }
        let (changed, forgotten, applied) = self.owed.with(work);
        let mut changes =
            Changes { applied: applied.then_some(self.applied), forgotten, ..Changes::default() };
        for life in changed.iter().filter_map(|id| self.lives.get(id)) {
            if let (Some((hash, _)), Some(spec)) = (life.in_force, &life.spec) {
                changes.specs.insert(hash, Arc::clone(spec));
            }
            changes.lives.push(life.clone());
        }
        self.journal.write(&changes).await
    }

    /// Without a journal nothing is started: it could not be found again.
    fn put_off(&mut self, work: &mut Work) {
        let effects = std::mem::take(&mut work.effects);
        let (launches, others): (Vec<_>, Vec<_>) =
            effects.into_iter().partition(|(_, effect)| *effect == Effect::Launch);
        work.effects = others;
        for (id, _) in launches {
            let Some(run) = self.lives.get(&id).map(|life| life.runs) else { continue };
            let why = "the journal cannot be written".to_owned();
            self.feel(id, Event::NotStarted(run, why, Blame::Node), work);
        }
    }

    fn effect(&mut self, id: InstanceId, effect: Effect) {
        let Some(life) = self.lives.get(&id) else { return };
        match effect {
            Effect::Launch => match (self.launch_of(life), self.driver_of(life)) {
                (Some(launch), Some(_)) if self.runs_already(life, &launch) => {}
                (Some(launch), Some(driver)) => driver.start(Arc::new(launch)),
                _ => error!(instance.id = %id, "instance {id} has nothing that could be started"),
            },
            Effect::Signal(signal) => {
                self.driver_of(life).inspect(|driver| driver.signal(id, &signal));
            }
            Effect::Kill => {
                self.driver_of(life).inspect(|driver| driver.kill(id));
            }
            Effect::Remove => match self.driver_of(life) {
                Some(driver) => driver.remove(id),
                None => self.shared.later((id, Event::Removed), &self.happened_tx),
            },
            Effect::Check => self.check(id),
            Effect::Uncheck => self.uncheck(id),
            Effect::Tell(told) => self.outbox.tell(told, life, &self.site.node),
        }
    }

    /// Its record was lost, but it runs: it is taken back, not doubled.
    fn runs_already(&self, life: &Life, launch: &Launch) -> bool {
        if life.runs != 1 {
            return false;
        }
        let found = self.find(life).filter(|run| self.adopt_run(life, run).is_ok());
        let Some(run) = found else { return false };
        warn!(instance.id = %life.id, pid = run.pid, "instance {} runs, though no record says so", life.id);
        let started = Event::Started(launch.run, run, boot::readiness(life));
        self.shared.later((life.id, started), &self.happened_tx);
        true
    }

    fn uncheck(&mut self, id: InstanceId) {
        if let Some(asking) = self.checks.remove(&id) {
            asking.cancel();
        }
    }

    fn check(&mut self, id: InstanceId) {
        self.uncheck(id);
        let Some(life) = self.lives.get(&id) else { return };
        let Some(launch) = self.launch_of(life).filter(|l| !l.spec.checks.is_empty()) else {
            return;
        };
        let stop = self.shared.stop.child_token();
        self.checks.insert(id, stop.clone());
        let inquiry = checks::Inquiry {
            launch: Arc::new(launch),
            drivers: Arc::clone(&self.drivers),
            sink: self.happened_tx.clone(),
        };
        self.shared.tasks.spawn_brief(async move {
            tokio::select! {
                () = checks::ask(inquiry) => {}
                () = CancellationToken::cancelled(&stop) => {}
            }
        });
    }

    fn driver_of(&self, life: &Life) -> Option<&dyn Driver> {
        self.drivers.of(life.spec.as_ref()?.driver)
    }

    pub(super) fn launch_of(&self, life: &Life) -> Option<Launch> {
        let (_, version) = life.in_force?;
        Some(Launch {
            id: life.id,
            run: life.runs,
            key: life.order.key.clone(),
            version,
            slot: life.order.slot,
            spec: Arc::clone(life.spec.as_ref()?),
            ports: life.order.ports.clone(),
            place: Arc::clone(&self.place),
        })
    }
}
