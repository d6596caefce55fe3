//! All instances of one node: what its manifest means for what is here, and what of it outlived the
//! last executor. What a manifest does not name is never stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{InstanceId, PoolName, Revision, SpecHash, Term};
use crate::instance::{Exit, Manifest, Spec, Status, Usage};
use crate::resources::{Bytes, Resources};
use crate::time::Timestamp;

use super::adopt::look;
use super::gate::gate;
use super::order::orders;
use super::{Effect, Event, Leave, Life, Order, Phase, Run};

mod pool;

/// Which manifest of a pool was applied; compared in this order, and with those of no other pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Applied {
    /// The fleet's life.
    pub incarnation: u64,
    /// The leader's reign.
    pub term: Term,
    /// The stream sequence.
    pub revision: Revision,
}

/// The host, as far as decisions ask it.
pub trait Host {
    /// Why an instance is refused, if it is. `requested` is what all others ask for, `occupied` how
    /// many they are.
    fn admit(&self, life: &Life, requested: Resources, occupied: u32) -> Result<(), String>;
    /// What was started for an instance without anybody having written down that it was.
    fn find(&self, life: &Life) -> Option<Run>;
    /// Takes back what the journal says runs; how it ended if it does not.
    fn adopt(&self, life: &Life, run: &Run) -> Result<(), Exit>;
    /// Whether something fenced, which was pledged in this period before, may be started.
    fn leave(&self, pledged: Option<u64>) -> Leave;
}

/// The signal of a guardian, and of everybody else who ends something at once.
const KILL: i32 = 9;

/// When something happens, and where.
#[derive(Clone, Copy)]
pub struct Moment<'a> {
    /// The node's time.
    pub now: Timestamp,
    /// The host.
    pub host: &'a dyn Host,
}

/// What is to be done once a batch of messages was taken in: first written down, then carried out.
#[derive(Debug, Default)]
pub struct Work {
    /// Instances that are to be written down.
    pub changed: BTreeSet<InstanceId>,
    /// Instances of which nothing is left to know.
    pub forgotten: Vec<InstanceId>,
    /// Instances that run on though the manifest names them no more.
    pub unnamed: Vec<InstanceId>,
    /// What to do, in order.
    pub effects: Vec<(InstanceId, Effect)>,
    /// A manifest was applied.
    pub applied: bool,
}

/// The instances, the specifications they need, and when each wants to be asked.
#[derive(Debug, Default)]
pub struct Roster {
    lives: BTreeMap<InstanceId, Life>,
    specs: BTreeMap<SpecHash, Arc<Spec>>,
    wheel: BTreeSet<(Timestamp, InstanceId)>,
    armed: BTreeMap<InstanceId, Timestamp>,
    asked: Resources,
    occupied: u32,
    /// What is fenced and has not ended: it needs the node's pledge.
    fenced: BTreeSet<InstanceId>,
    /// What waits for the pledge, and for nothing else.
    unpledged: BTreeSet<InstanceId>,
    applied: Applied,
    pool: Option<PoolName>,
}

impl Roster {
    /// An empty one that has applied a manifest before.
    #[must_use]
    pub fn new(applied: Applied) -> Self {
        Self { applied, ..Self::default() }
    }

    /// The manifest that was applied.
    #[must_use]
    pub const fn applied(&self) -> Applied {
        self.applied
    }

    /// How many instances have not ended.
    #[must_use]
    pub const fn occupied(&self) -> u32 {
        self.occupied
    }

    /// Whether anything needs the node's pledge.
    #[must_use]
    pub fn needs_pledge(&self) -> bool {
        !self.fenced.is_empty()
    }

    /// How many need the node's pledge.
    #[must_use]
    pub fn fenced(&self) -> usize {
        self.fenced.len()
    }

    /// One instance.
    #[must_use]
    pub fn get(&self, id: InstanceId) -> Option<&Life> {
        self.lives.get(&id)
    }

    /// All instances, by id.
    pub fn lives(&self) -> impl Iterator<Item = &Life> {
        self.lives.values()
    }

    /// The ids of all instances.
    #[must_use]
    pub fn ids(&self) -> Vec<InstanceId> {
        self.lives.keys().copied().collect()
    }

    /// What a report says, by id.
    #[must_use]
    pub fn statuses(&self) -> Vec<Status> {
        self.lives.values().map(Life::status).collect()
    }

    /// What an instance uses, as last measured. One that uses more than it may is renewed.
    pub fn uses(&mut self, id: InstanceId, usage: Usage, at: Moment<'_>, work: &mut Work) {
        let Some(life) = self.lives.get_mut(&id) else { return };
        life.usage = usage;
        let most = life.spec.as_ref().and_then(|spec| spec.recycle.max_rss);
        if most.is_some_and(|most| usage.memory > most.0) {
            self.feel(id, Event::Uses(usage.memory), at, work);
        }
    }

    /// When the first instance wants to be told that time has passed.
    #[must_use]
    pub fn wake_at(&self) -> Option<Timestamp> {
        self.wheel.first().map(|(at, _)| *at)
    }

    /// Tells each instance whose time has come.
    pub fn turn(&mut self, at: Moment<'_>, work: &mut Work) {
        while let Some((due, id)) = self.wheel.first().copied()
            && due <= at.now
        {
            self.arm(id, None);
            self.feel(id, Event::Tick, at, work);
        }
    }

    /// Lets one instance take an event. One that would begin for the first time is refused where
    /// the host has no place for it.
    pub fn feel(&mut self, id: InstanceId, event: Event, at: Moment<'_>, work: &mut Work) {
        let (asked, occupied) = (self.asked, self.occupied);
        let Some(life) = self.lives.get_mut(&id) else { return };
        let was_there = !life.ended();
        let killed = matches!(event, Event::Exited(_, Exit::Signal(KILL)));
        let mut effects = life.react(event, at.now);
        if killed && life.fenced() && !matches!(at.host.leave(life.pledged), Leave::Granted(_)) {
            "fenced: the node's pledge was not renewed in time".clone_into(&mut life.reason);
        }
        if effects.contains(&Effect::Launch) && life.runs == 1 {
            let others = less(asked, life.order.ask);
            if let Err(why) = at.host.admit(life, others, occupied.saturating_sub(1)) {
                effects.retain(|effect| *effect != Effect::Launch);
                effects.extend(life.react(Event::Refused(why), at.now));
            }
        }
        if gate(life, &mut effects, at) {
            self.unpledged.insert(id);
        }
        let (ask, is_there, deadline) = (life.order.ask, !life.ended(), life.deadline());
        self.note_fenced(id);
        match (was_there, is_there) {
            (true, false) => self.vacate(ask),
            (false, true) => self.occupy(ask),
            (true, true) | (false, false) => {}
        }
        self.arm(id, deadline);
        work.changed.insert(id);
        work.effects.extend(effects.into_iter().map(|effect| (id, effect)));
    }

    /// Applies a manifest if it is newer than what was applied; the same one again says that what
    /// was ordered still holds. An older one changes nothing.
    pub fn apply(
        &mut self,
        manifest: Manifest,
        specs: impl IntoIterator<Item = (SpecHash, Arc<Spec>)>,
        at: Moment<'_>,
        work: &mut Work,
    ) {
        let Manifest { incarnation, term, revision, .. } = manifest;
        let applied = Applied { incarnation, term, revision };
        self.specs.extend(specs);
        if applied < self.applied {
            // A replica that lags; it is read again.
            return;
        }
        if applied == self.applied {
            return self.settle(at, work);
        }
        let orders = orders(manifest);
        self.drop_unnamed(&orders, work);
        for (id, order) in orders {
            self.order(id, order, at, work);
        }
        self.applied = applied;
        work.applied = true;
        self.settle(at, work);
        self.forget_specs();
    }

    fn order(&mut self, id: InstanceId, order: Order, at: Moment<'_>, work: &mut Work) {
        let (hash, version) = (order.spec, order.version);
        match self.lives.get(&id) {
            None => {
                self.occupy(order.ask);
                self.lives.insert(id, Life::new(id, order.clone(), at.now));
            }
            Some(life) if life.order == order && life.named && life.in_force_is_ordered() => {
                return;
            }
            Some(life) if life.order.ask != order.ask && !life.ended() => {
                let before = life.order.ask;
                self.vacate(before);
                self.occupy(order.ask);
            }
            Some(_) => {}
        }
        self.feel(id, Event::Ordered(order), at, work);
        let in_force = self.lives.get(&id).and_then(|life| life.in_force);
        if in_force == Some((hash, version)) {
            return;
        }
        if let Some(spec) = self.specs.get(&hash).cloned() {
            self.feel(id, Event::Spec(hash, version, spec), at, work);
        }
    }

    /// What has ended and is named no more is forgotten; what runs, runs on.
    fn drop_unnamed(&mut self, orders: &BTreeMap<InstanceId, Order>, work: &mut Work) {
        let mut forgotten = Vec::new();
        for life in self.lives.values_mut().filter(|life| !orders.contains_key(&life.id)) {
            if life.ended() {
                forgotten.push(life.id);
                continue;
            }
            if std::mem::take(&mut life.named) {
                work.unnamed.push(life.id);
            }
            work.changed.insert(life.id);
        }
        for id in forgotten {
            self.lives.remove(&id);
            self.fenced.remove(&id);
            self.arm(id, None);
            work.changed.remove(&id);
            work.forgotten.push(id);
        }
    }

    /// Specifications have come: whoever waits for one goes on.
    pub fn learn(
        &mut self,
        specs: impl IntoIterator<Item = (SpecHash, Arc<Spec>)>,
        at: Moment<'_>,
        work: &mut Work,
    ) {
        self.specs.extend(specs);
        let waiting = self.lives.values().filter_map(|life| {
            let wanted = (life.order.spec, life.order.version);
            let spec = self.specs.get(&wanted.0).filter(|_| life.in_force != Some(wanted))?;
            Some((life.id, Event::Spec(wanted.0, wanted.1, Arc::clone(spec))))
        });
        for (id, event) in waiting.collect::<Vec<_>>() {
            self.feel(id, event, at, work);
        }
    }

    /// What died while we were away may be started again, if that is still wanted. What nobody
    /// names any more has ended.
    pub fn settle(&mut self, at: Moment<'_>, work: &mut Work) {
        let unsettled = self.lives.values().filter(|l| matches!(l.phase, Phase::Unsettled(_)));
        let unsettled = unsettled.map(|life| (life.id, life.named)).collect::<Vec<_>>();
        for (id, named) in unsettled {
            self.feel(id, if named { Event::Settled } else { Event::Unnamed }, at, work);
        }
    }

    /// The node's pledge stands: what waited for it, and for nothing else, goes on.
    pub fn pledged(&mut self, at: Moment<'_>, work: &mut Work) {
        for id in std::mem::take(&mut self.unpledged) {
            self.feel(id, Event::Settled, at, work);
        }
    }

    /// Takes back an instance that the journal knows, and adopts what of it still runs.
    pub fn take_back(&mut self, mut life: Life, at: Moment<'_>, work: &mut Work) {
        let id = life.id;
        if let (Some((hash, _)), Some(spec)) = (life.in_force, &life.spec) {
            self.specs.insert(hash, Arc::clone(spec));
        }
        if !life.ended() {
            self.occupy(life.order.ask);
        }
        let before = life.phase;
        let event = look(&mut life, at, work);
        if before != life.phase {
            work.changed.insert(id);
        }
        let deadline = life.deadline();
        self.lives.insert(id, life);
        self.note_fenced(id);
        self.arm(id, deadline);
        if let Some(event) = event {
            self.feel(id, event, at, work);
        }
    }

    fn forget_specs(&mut self) {
        let in_use = |life: &Life| [Some(life.order.spec), life.in_force.map(|(hash, _)| hash)];
        let used: BTreeSet<SpecHash> = self.lives.values().flat_map(in_use).flatten().collect();
        self.specs.retain(|hash, _| used.contains(hash));
    }

    fn arm(&mut self, id: InstanceId, at: Option<Timestamp>) {
        let before = match at {
            Some(at) => self.armed.insert(id, at),
            None => self.armed.remove(&id),
        };
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.wheel.remove(&(before, id));
        }
        if let Some(at) = at {
            self.wheel.insert((at, id));
        }
    }

    /// All that is fenced needs the pledge, until nothing of it is left.
    fn note_fenced(&mut self, id: InstanceId) {
        let needs = self.lives.get(&id).is_some_and(|life| life.fenced() && !life.ended());
        if needs {
            self.fenced.insert(id);
        } else {
            self.fenced.remove(&id);
        }
    }

    fn occupy(&mut self, ask: Resources) {
        self.occupied += 1;
        self.asked = self.asked.plus(ask);
    }

    fn vacate(&mut self, ask: Resources) {
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
