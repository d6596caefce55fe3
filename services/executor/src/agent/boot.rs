//! The executor comes back: what still runs is adopted, what does not is settled with the leader.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use ostler_core::instance::Exit;
use ostler_core::resources::Resources;
use ostler_core::time::Timestamp;
use tokio::sync::mpsc;
use tracing::info;

use super::owed::Owed;
use super::{Agent, Work};
use crate::driver::{Adoption, Drivers, Happened, Place, Run};
use crate::fence::Fence;
use crate::journal::{Journal, Saved};
use crate::shared::Shared;
use crate::site::Site;
use crate::supervise::{Effect, Event, Life, Next, Phase, Readiness};
use crate::tell::Outbox;
use crate::timeline::Timeline;

/// What the loop is made of.
#[derive(Debug)]
pub struct Parts {
    /// What this node is.
    pub site: Arc<Site>,
    /// How instances are run.
    pub drivers: Arc<Drivers>,
    /// The journal, and what it held.
    pub journal: (Journal, Saved),
    /// Where the fleet is told.
    pub outbox: Outbox,
    /// What others may look at.
    pub shared: Arc<Shared>,
    /// The node's pledge.
    pub fence: Arc<Fence>,
    /// Where checks tell what they find.
    pub happened: mpsc::Sender<Happened>,
}

impl Agent {
    /// Takes back what the journal knows and adopts what of it still runs.
    pub async fn boot(parts: Parts) -> Self {
        let Parts { site, drivers, journal: (journal, saved), outbox, shared, fence, happened } =
            parts;
        let place = Place {
            node: site.node.clone(),
            zone: site.zone.clone(),
            address: site.address.clone(),
        };
        let mut agent = Self {
            site,
            place: Arc::new(place),
            timeline: Timeline::default(),
            lives: BTreeMap::new(),
            wheel: BTreeSet::new(),
            armed: HashMap::new(),
            specs: HashMap::new(),
            asked: Resources::default(),
            occupied: 0,
            applied: saved.applied,
            drivers,
            checks: HashMap::new(),
            journal,
            outbox,
            shared,
            halting: None,
            fence,
            fenced: BTreeSet::new(),
            owed: Owed::default(),
            happened_tx: happened,
        };
        let mut work = Work::default();
        for life in saved.lives {
            agent.take_back(life, &mut work);
        }
        agent.fence.want(!agent.fenced.is_empty());
        agent.carry_out(work).await;
        // Also when nothing changed: beats and the goodbye count what was adopted.
        agent.shared.changed(agent.applied.revision, agent.occupied);
        agent
    }

    fn take_back(&mut self, mut life: Life, work: &mut Work) {
        let (id, now) = (life.id, self.timeline.now());
        if let (Some((hash, _)), Some(spec)) = (life.in_force, &life.spec) {
            self.specs.insert(hash, Arc::clone(spec));
        }
        if !life.ended() {
            self.occupy(life.order.ask);
        }
        let before = life.phase;
        let event = self.look(&mut life, work, now);
        if before != life.phase {
            work.changed.insert(id);
        }
        let deadline = life.deadline();
        self.lives.insert(id, life);
        self.note_fenced(id);
        self.arm(id, deadline);
        if let Some(event) = event {
            self.feel(id, event, work);
        }
    }

    /// Brings what the journal says of an instance in line with what runs.
    fn look(&mut self, life: &mut Life, work: &mut Work, now: Timestamp) -> Option<Event> {
        let id = life.id;
        match life.phase {
            Phase::Preparing | Phase::Starting => {
                match self.find(life).filter(|run| self.adopt_run(life, run).is_ok()) {
                    Some(run) => return Some(Event::Started(life.runs, run, readiness(life))),
                    None => life.phase = Phase::Unsettled(None),
                }
            }
            Phase::Running => match self.adopt(life) {
                Ok(()) => work.effects.push((id, Effect::Check)),
                Err(exit) => {
                    info!(instance.id = %id, "instance {id} ended while the executor was away");
                    life.run = None;
                    life.ready = false;
                    life.phase = Phase::Unsettled(Some(exit));
                }
            },
            Phase::Stopping { next, .. } => match (self.adopt(life), next) {
                (Ok(()), _) => {
                    let stop = life.spec.as_ref().map(|s| s.stop.clone()).unwrap_or_default();
                    life.phase = Phase::Stopping { next, kill_at: now.plus(stop.grace) };
                    work.effects.push((id, Effect::Signal(stop.signal)));
                }
                (Err(exit), Next::End) => return Some(Event::Exited(life.runs, exit)),
                (Err(_), Next::Restart | Next::Halt) => life.phase = Phase::Unsettled(None),
            },
            Phase::Backoff { .. } => life.phase = Phase::Unsettled(None),
            Phase::Removing(_) => work.effects.push((id, Effect::Remove)),
            Phase::Waiting | Phase::Unsettled(_) | Phase::Ended(_) => {}
        }
        None
    }

    pub(super) fn find(&self, life: &Life) -> Option<Run> {
        self.drivers.of(life.spec.as_ref()?.driver)?.find(life.id)
    }

    /// Takes back what the journal says runs; how it ended if it does not.
    fn adopt(&self, life: &Life) -> Result<(), Exit> {
        self.adopt_run(life, life.run.as_ref().ok_or(Exit::Unknown)?)
    }

    pub(super) fn adopt_run(&self, life: &Life, run: &Run) -> Result<(), Exit> {
        let launch = self.launch_of(life).ok_or(Exit::Unknown)?;
        let driver = self.drivers.of(launch.spec.driver).ok_or(Exit::Unknown)?;
        let id = life.id;
        match driver.adopt(Arc::new(launch), run) {
            Adoption::Alive => {
                info!(instance.id = %id, pid = run.pid, "instance {id} runs on and is adopted");
                Ok(())
            }
            Adoption::Gone(exit) => Err(exit),
        }
    }
}

pub(super) fn readiness(life: &Life) -> Readiness {
    let checked = life.spec.as_ref().is_some_and(|spec| !spec.checks.is_empty());
    if checked { Readiness::ByChecks } else { Readiness::AtOnce }
}
