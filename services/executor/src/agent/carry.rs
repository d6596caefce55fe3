//! Carries out what was decided: first the journal, then the host, then the fleet.

use std::sync::Arc;

use ostler_core::id::InstanceId;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::admit::launch_of;
use super::{Agent, Work};
use crate::checks;
use crate::driver::{Driver, Launch};
use crate::journal::{Changes, JournalError, Standing};
use crate::supervise::{Blame, Effect, Event, Host, Life};

impl Agent {
    pub(super) async fn carry_out(&mut self, mut work: Work) {
        let news = &work.roster;
        let there_is_news = !news.changed.is_empty() || !news.forgotten.is_empty() || news.applied;
        if there_is_news || self.owed.is_due() {
            let timed = self.shared.counts.journal.start_timer();
            let written = self.write_down(&work.roster).await;
            timed.observe_duration();
            match written {
                Ok(()) => {
                    self.owed.paid();
                    self.shared.journal(Ok(()));
                }
                Err(cause) => {
                    self.owed.failed();
                    self.shared.counts.journal_failures.inc();
                    error!(error = %cause, "nothing is started until the journal can be written");
                    self.shared.journal(Err(cause.to_string()));
                    self.put_off(&mut work);
                }
            }
        }
        for id in &work.roster.forgotten {
            debug!(instance.id = %id, "instance {id} is forgotten");
            self.uncheck(*id);
        }
        for id in &work.roster.unnamed {
            warn!(instance.id = %id, "the manifest names instance {id} no more, it is kept");
        }
        for (id, effect) in work.roster.effects {
            self.effect(id, effect);
        }
        if there_is_news {
            self.shared.changed(self.roster.applied().revision, self.roster.occupied());
        }
    }

    async fn write_down(&mut self, work: &crate::supervise::Work) -> Result<(), JournalError> {
        if !self.journal.is_kept() {
            return Ok(());
        }
        let (changed, forgotten, applied) = self.owed.with(work);
        let mut changes = Changes {
            applied: applied.then(|| Standing {
                pool: self.roster.pool().cloned(),
                manifest: self.roster.applied(),
            }),
            forgotten,
            ..Changes::default()
        };
        for life in changed.iter().filter_map(|id| self.roster.get(*id)) {
            if let (Some((hash, _)), Some(spec)) = (life.in_force, &life.spec) {
                changes.specs.insert(hash, Arc::clone(spec));
            }
            changes.lives.push(life.clone());
        }
        self.journal.write(&changes).await
    }

    /// Without a journal nothing is started: it could not be found again.
    fn put_off(&mut self, work: &mut Work) {
        let effects = std::mem::take(&mut work.roster.effects);
        let (launches, others): (Vec<_>, Vec<_>) =
            effects.into_iter().partition(|(_, effect)| *effect == Effect::Launch);
        work.roster.effects = others;
        for (id, _) in launches {
            let Some(run) = self.roster.get(id).map(|life| life.runs) else { continue };
            let why = "the journal cannot be written".to_owned();
            self.feel(id, Event::NotStarted(run, why, Blame::Node), work);
        }
    }

    fn effect(&mut self, id: InstanceId, effect: Effect) {
        let Some(life) = self.roster.get(id) else { return };
        match effect {
            Effect::Launch => match self.launch_of(life) {
                Some(launch) if self.runs_already(life, &launch) => {}
                Some(launch) => self.begin(Arc::new(launch)),
                None => {
                    error!(instance.id = %id, "instance {id} has nothing that could be started")
                }
            },
            Effect::Hook(point) => self.hook(life, point),
            Effect::Signal(signal) => {
                self.driver_of(life).inspect(|driver| driver.signal(id, &signal));
            }
            Effect::Kill => {
                self.driver_of(life).inspect(|driver| driver.kill(id));
            }
            Effect::Remove => {
                self.sockets.close(id);
                match self.driver_of(life) {
                    Some(driver) => self.clear(life, driver),
                    None => self.shared.later((id, Event::Removed), &self.happened_tx),
                }
            }
            Effect::Check => self.check(id),
            Effect::Uncheck => self.uncheck(id),
            Effect::Tell(told) => {
                self.shared.counts.told.with_label_values(&[told.kind()]).inc();
                self.outbox.tell(told, life, &self.site.node);
            }
        }
    }

    /// Its record was lost, but it runs: it is taken back, not doubled.
    fn runs_already(&self, life: &Life, launch: &Launch) -> bool {
        if life.runs != 1 {
            return false;
        }
        let here = self.here();
        let found = here.find(life).filter(|run| here.adopt(life, run).is_ok());
        let Some(run) = found else { return false };
        warn!(instance.id = %life.id, pid = run.pid, "instance {} runs, though no record says so", life.id);
        let started = Event::Started(launch.run, run, life.readiness());
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
        let Some(life) = self.roster.get(id) else { return };
        let Some(launch) = self.launch_of(life).filter(|l| !l.spec.checks.is_empty()) else {
            return;
        };
        let stop = self.shared.stop.child_token();
        self.checks.insert(id, stop.clone());
        let inquiry = checks::Inquiry {
            launch: Arc::new(launch),
            drivers: Arc::clone(&self.drivers),
            pulses: self.sockets.pulses.clone(),
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
        launch_of(life, &self.place)
    }
}
