//! What runs on a host, and the lease under which what is fenced may.

use ostler_core::id::InstanceId;
use ostler_core::instance::Exit;
use ostler_core::supervise::{Blame, Effect, Event, Readiness, Run, Work};
use ostler_core::time::{Span, Timestamp};
use ostler_core::workload::Kind;

use super::{GUARD, Proc};
use crate::bus::Ask;
use crate::world::{Ev, Mistake, Topic, Who, World, say};

impl World {
    pub fn renew(&mut self, h: usize) {
        let host = &self.hosts[h];
        let exec = host.exec.as_ref();
        let fenced = exec.is_some_and(|exec| exec.roster.needs_pledge());
        let fresh = host.renewed.is_some_and(|at| self.now.since(at) < Span::from_secs(3));
        if fenced && !fresh && !self.asking(Who::Host(h), |topic| matches!(topic, Topic::Guard(_)))
        {
            self.ask_lease(h);
        }
    }

    pub fn ask_lease(&mut self, h: usize) {
        let ask = Ask::Lease { key: self.hosts[h].lease(), holder: h, ttl: GUARD };
        self.ask(Who::Host(h), Topic::Guard(self.now), ask);
    }

    /// The guardian kills what is fenced when the lease was not renewed in time.
    pub fn guard(&mut self, h: usize, sent: Timestamp) {
        if self.hosts[h].renewed != Some(sent) {
            return;
        }
        (self.hosts[h].renewed, self.hosts[h].cleared) = (None, false);
        if self.plan.mistake == Some(Mistake::SleepingGuardians) {
            return;
        }
        let fenced: Vec<(InstanceId, u64)> = self.hosts[h]
            .alive()
            .filter(|(_, proc)| proc.fenced)
            .map(|(id, proc)| (id, proc.run))
            .collect();
        for (id, run) in fenced {
            say!(self, "{} guardian kills {id}", self.hosts[h].name);
            self.proc_exits(h, id, run, Exit::Signal(9));
        }
    }

    pub fn effect(&mut self, h: usize, id: InstanceId, effect: &Effect) {
        let life_of = self.life(Who::Host(h));
        let Some(exec) = &self.hosts[h].exec else { return };
        let Some(life) = exec.roster.get(id) else { return };
        let (run, generation) = (life.runs, life.order.generation);
        let ready = life.spec.as_ref().is_some_and(|spec| {
            spec.sections.sim.as_ref().is_some_and(|sim| sim.ready_after > Span::ZERO)
        });
        match effect {
            Effect::Launch => {
                let slow = !self.calm && self.net.percent(5);
                let wait =
                    if slow { self.net.between(500, 6_000) } else { self.net.between(2, 60) };
                self.later(wait, Ev::Spawn(h, life_of, id, run));
            }
            Effect::Signal(_) | Effect::Kill => {
                self.ledger_signal(h, id, generation);
                let ignored = *effect != Effect::Kill && !self.calm && self.net.percent(3);
                let wait = self.net.between(1, 400);
                if !ignored {
                    self.later(wait, Ev::Exit(h, id, run, Exit::Signal(15)));
                }
            }
            Effect::Remove => {
                let wait = self.net.between(1, 40);
                self.later(wait, Ev::Gone(h, life_of, id));
            }
            Effect::Check if ready => {
                let wait = self.net.between(100, 2_500);
                let passing = Box::new(Event::Passing(run));
                self.later(wait, Ev::Happened(h, life_of, id, passing));
            }
            // No text here has hooks.
            Effect::Check | Effect::Uncheck | Effect::Tell(_) | Effect::Hook(_) => {}
        }
    }

    pub fn happened(&mut self, h: usize, id: InstanceId, event: Event) {
        let mut work = Work::default();
        self.with_roster(h, |roster, at| roster.feel(id, event, at, &mut work));
        self.carry_out(h, work);
    }

    /// The driver starts it, unless it runs.
    pub fn spawn(&mut self, h: usize, id: InstanceId, run: u64) {
        let life_of = self.life(Who::Host(h));
        let Some(life) = self.hosts[h].exec.as_ref().and_then(|exec| exec.roster.get(id)) else {
            return;
        };
        let Some(spec) = life.spec.clone().filter(|_| life.runs == run) else { return };
        let (order, ask) = (life.order.clone(), life.order.ask);
        if spec.fenced && !self.hosts[h].cleared {
            let event = Event::NotStarted(run, "its pledge is over".to_owned(), Blame::Instance);
            return self.happened(h, id, event);
        }
        if self.hosts[h].fails.contains(order.key.name.as_str()) {
            let event = Event::NotStarted(run, "the script says so".to_owned(), Blame::Instance);
            return self.happened(h, id, event);
        }
        let wait = self.net.between(1, 20);
        let told_at = self.now.plus(Span::from_millis(wait));
        if self.hosts[h].procs.get(&id).is_none_or(|proc| !proc.alive) {
            self.ledger_spawn(h, id, &order);
            let proc = Proc { run, alive: true, exit: None, fenced: spec.fenced, ask, told_at };
            self.hosts[h].procs.insert(id, proc);
            if spec.kind == Kind::Job {
                let wait = self.net.between(500, 20_000);
                self.later(wait, Ev::Exit(h, id, run, Exit::Code(0)));
            } else if !self.calm && self.net.percent(4) {
                let wait = self.net.between(10, 30_000);
                self.later(wait, Ev::Exit(h, id, run, Exit::Code(1)));
            }
        }
        let checked = spec.sections.sim.as_ref().is_some_and(|sim| sim.ready_after > Span::ZERO);
        let readiness = if checked { Readiness::ByChecks } else { Readiness::AtOnce };
        let started = Box::new(Event::Started(run, Run::default(), readiness));
        if let Some(proc) = self.hosts[h].procs.get_mut(&id) {
            proc.told_at = told_at;
        }
        self.at(told_at, Ev::Happened(h, life_of, id, started));
    }

    pub fn proc_exits(&mut self, h: usize, id: InstanceId, run: u64, exit: Exit) {
        let life_of = self.life(Who::Host(h));
        let Some(proc) = self.hosts[h].procs.get_mut(&id) else { return };
        if !proc.alive || proc.run != run {
            return;
        }
        (proc.alive, proc.exit) = (false, Some(exit));
        let told_at = proc.told_at.max(self.now).plus(Span::from_millis(1));
        say!(self, "{} process of {id} ends: {exit:?}", self.hosts[h].name);
        let event = Box::new(Event::Exited(run, exit));
        self.at(told_at, Ev::Happened(h, life_of, id, event));
    }

    pub fn proc_removed(&mut self, h: usize, id: InstanceId) {
        if self.hosts[h].procs.get(&id).is_some_and(|proc| proc.alive) {
            return self.ledger.fail(format!("{id} is removed while it runs"));
        }
        self.hosts[h].procs.remove(&id);
        self.happened(h, id, Event::Removed);
    }
}
