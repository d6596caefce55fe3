//! A host: processes that outlive the executor, its journal, and an executor that is the product's
//! own roster between a simulated driver and a simulated bus.

use std::collections::{BTreeMap, BTreeSet};

use ostler_core::id::{Epoch, Generation, InstanceId, NodeName, PoolName, SpecHash};
use ostler_core::instance::Exit;
use ostler_core::resources::Resources;
use ostler_core::supervise::{Applied, Leave, Life, Moment, Roster, Run, Work};
use ostler_core::time::{Span, Timestamp};

use crate::bus::Ask;
use crate::world::{Ev, Mistake, Topic, Who, World, say};

mod driver;
mod talk;

/// What runs.
#[derive(Debug, Clone)]
pub struct Proc {
    pub run: u64,
    pub alive: bool,
    pub exit: Option<Exit>,
    pub fenced: bool,
    pub ask: Resources,
    /// When its start is told. A driver tells the end after that.
    pub told_at: Timestamp,
}

/// An executor while it lives.
#[derive(Debug)]
pub struct Exec {
    pub roster: Roster,
    pub epoch: Option<Epoch>,
    pool: PoolName,
    last: Applied,
    hinted: u64,
    missing: BTreeSet<SpecHash>,
    read_at: Timestamp,
    report_after: Option<u64>,
    changed: bool,
    due: Option<Timestamp>,
    begun: Timestamp,
}

#[derive(Debug)]
pub struct Host {
    pub name: NodeName,
    pub pool: PoolName,
    pub labels: BTreeMap<String, String>,
    pub cpu: u64,
    pub procs: BTreeMap<InstanceId, Proc>,
    applied: Applied,
    journal: BTreeMap<InstanceId, Life>,
    pub exec: Option<Exec>,
    /// Its clock is so much ahead.
    pub skew: Span,
    /// Workloads that it declines, or that fail here.
    pub declines: BTreeSet<String>,
    pub fails: BTreeSet<String>,
    /// When the last renewal of its lease that was acknowledged had been sent.
    pub renewed: Option<Timestamp>,
    /// The lease stands, and the manifest was read from its stream's leader since it was taken.
    pub cleared: bool,
    /// How often the lease was taken anew.
    period: u64,
    pub removed: bool,
}

/// Fenced instances are killed when their node's lease was not renewed for so long.
const GUARD: Span = Span::from_secs(10);

struct Here<'a>(&'a Host);

impl ostler_core::supervise::Host for Here<'_> {
    fn admit(&self, life: &Life, _: Resources, _: u32) -> Result<(), String> {
        match self.0.declines.contains(life.order.key.name.as_str()) {
            true => Err("the script says so".to_owned()),
            false => Ok(()),
        }
    }
    fn find(&self, life: &Life) -> Option<Run> {
        self.0.procs.get(&life.id).filter(|proc| proc.alive).map(|_| Run::default())
    }
    fn leave(&self, pledged: Option<u64>) -> Leave {
        match pledged {
            Some(period) if period < self.0.period => Leave::Never,
            Some(_) | None if self.0.cleared => Leave::Granted(self.0.period),
            Some(_) | None => Leave::Later,
        }
    }
    fn adopt(&self, life: &Life, _: &Run) -> Result<(), Exit> {
        match self.0.procs.get(&life.id) {
            Some(proc) if proc.alive => Ok(()),
            Some(proc) => Err(proc.exit.unwrap_or(Exit::Unknown)),
            None => Err(Exit::Unknown),
        }
    }
}

impl Host {
    pub fn new(name: NodeName, pool: PoolName, skew: Span) -> Self {
        Self {
            name,
            pool,
            labels: BTreeMap::new(),
            cpu: 1_000,
            procs: BTreeMap::new(),
            applied: Applied::default(),
            journal: BTreeMap::new(),
            exec: None,
            skew,
            declines: BTreeSet::new(),
            fails: BTreeSet::new(),
            renewed: None,
            cleared: false,
            period: 0,
            removed: false,
        }
    }

    pub fn alive(&self) -> impl Iterator<Item = (InstanceId, &Proc)> {
        self.procs.iter().filter(|(_, proc)| proc.alive).map(|(id, proc)| (*id, proc))
    }

    fn lease(&self) -> String {
        format!("node.{}", self.name)
    }
}

impl World {
    /// The executor begins: what its journal knows is taken back.
    pub fn host_start(&mut self, h: usize) {
        let who = Who::Host(h);
        let body = self.body(who);
        body.begin();
        say!(
            self,
            "{} executor starts, {} in its journal",
            self.hosts[h].name,
            self.hosts[h].journal.len()
        );
        let host = &mut self.hosts[h];
        let exec = Exec {
            roster: Roster::new(host.applied),
            epoch: None,
            pool: host.pool.clone(),
            last: Applied::default(),
            hinted: 0,
            missing: BTreeSet::new(),
            read_at: self.now,
            report_after: None,
            changed: true,
            due: None,
            begun: self.now,
        };
        host.exec = Some(exec);
        let lives: Vec<Life> = host.journal.values().cloned().collect();
        let mut work = Work::default();
        self.with_roster(h, |roster, at| {
            lives.into_iter().for_each(|life| roster.take_back(life, at, &mut work));
        });
        self.carry_out(h, work);
        if self.plan.mistake == Some(Mistake::EndedAtReturn) {
            let found: Vec<InstanceId> = self.hosts[h].alive().map(|(id, _)| id).collect();
            found.into_iter().for_each(|id| self.ledger_signal(h, id, Generation(1)));
        }
        let life = self.life(who);
        self.later(self.now.as_millis() % 97 + 5, Ev::Tick(who, life));
    }

    /// The executor is gone, at once; what it started runs on.
    pub fn host_dies(&mut self, h: usize) {
        let body = self.body(Who::Host(h));
        (body.up, body.paused) = (false, None);
        self.hosts[h].exec = None;
    }

    /// The machine restarts: nothing of what ran is there any more.
    pub fn host_reboots(&mut self, h: usize) {
        self.host_dies(h);
        self.hosts[h].procs.clear();
        (self.hosts[h].renewed, self.hosts[h].cleared) = (None, false);
    }

    pub fn with_roster<T>(
        &mut self,
        h: usize,
        take: impl FnOnce(&mut Roster, Moment<'_>) -> T,
    ) -> Option<T> {
        let now = self.now.plus(self.hosts[h].skew);
        let mut exec = self.hosts[h].exec.take()?;
        let taken = take(&mut exec.roster, Moment { now, host: &Here(&self.hosts[h]) });
        self.hosts[h].exec = Some(exec);
        Some(taken)
    }

    /// First the journal, then the host, then the fleet.
    pub fn carry_out(&mut self, h: usize, work: Work) {
        let host = &mut self.hosts[h];
        let Some(exec) = &mut host.exec else { return };
        for id in &work.changed {
            if let Some(life) = exec.roster.get(*id) {
                host.journal.insert(*id, life.clone());
            }
        }
        for id in &work.forgotten {
            host.journal.remove(id);
        }
        if work.applied {
            host.applied = exec.roster.applied();
        }
        exec.changed |= work.applied || !work.changed.is_empty() || !work.forgotten.is_empty();
        if !self.calm && self.net.permille(1) {
            // It dies with what it decided written down and not done.
            say!(self, "{} executor dies before it acts", self.hosts[h].name);
            self.host_dies(h);
            let life = self.life(Who::Host(h));
            let wait = self.net.between(200, 9_000);
            return self.later(wait, Ev::Start(Who::Host(h), life));
        }
        for (id, effect) in work.effects {
            self.effect(h, id, &effect);
        }
        self.host_rest(h);
    }

    /// What is due later: the next deadline of an instance, the next report.
    pub fn host_rest(&mut self, h: usize) {
        let (who, now) = (Who::Host(h), self.now);
        let life = self.life(who);
        let host = &mut self.hosts[h];
        let skew = host.skew;
        let Some(exec) = &mut host.exec else { return };
        let turn = exec.roster.wake_at().map(|at| {
            Timestamp::from_millis(at.since(Timestamp::from_millis(skew.as_millis())).as_millis())
        });
        let report = exec.changed.then(|| now.plus(Span::from_millis(50)));
        let Some(due) = turn.into_iter().chain(report).min() else { return };
        let due = due.max(now.plus(Span::from_millis(1)));
        if exec.due.is_none_or(|before| due < before || before <= now) {
            exec.due = Some(due);
            self.at(due, Ev::Due(who, life));
        }
    }

    pub fn host_due(&mut self, h: usize) {
        if let Some(exec) = &mut self.hosts[h].exec {
            exec.due = None;
        }
        let mut work = Work::default();
        self.with_roster(h, |roster, at| roster.turn(at, &mut work));
        self.carry_out(h, work);
        self.report(h);
    }

    /// Once a second: a beat, a look at the manifest now and then, and the lease.
    pub fn host_tick(&mut self, h: usize) {
        let (who, life) = (Who::Host(h), self.life(Who::Host(h)));
        self.later(1_000, Ev::Tick(who, life));
        let Some(exec) = &self.hosts[h].exec else { return };
        let alone = self.now.since(exec.begun) >= Span::from_secs(30);
        let (epoch, reads) = (exec.epoch, exec.read_at <= self.now || !exec.missing.is_empty());
        if epoch.is_none() {
            if alone {
                let mut work = Work::default();
                self.with_roster(h, |roster, at| roster.settle(at, &mut work));
                self.carry_out(h, work);
            }
            if !self.hosts[h].removed && !self.asking(who, |topic| *topic == Topic::Hello) {
                self.ask(who, Topic::Hello, Ask::Challenge { node: h });
            }
            return;
        }
        self.beat(h);
        if reads {
            self.read(h);
        }
        self.report(h);
        self.renew(h);
    }
}
