//! One event after the other: whose it is, and who takes it in.

use ostler_core::liveness;
use ostler_core::time::Timestamp;

use super::{Ev, Who, World};

impl World {
    /// Runs until nothing is left to do before `end`, or something is wrong.
    pub fn run(&mut self, end: Timestamp) -> Result<(), String> {
        while let Some(((at, _), _)) = self.queue.first_key_value()
            && *at <= end
        {
            let ((at, _), event) = self.queue.pop_first().expect("just seen");
            self.now = at;
            self.events += 1;
            self.happen(event);
            if let Some(wrong) = self.ledger.wrong.take() {
                return Err(wrong);
            }
        }
        self.now = end;
        Ok(())
    }

    /// Whose event it is, and of which life; what is paused gets it later, what is gone never.
    pub fn due(&mut self, event: Ev) -> Option<Ev> {
        let owner = match &event {
            Ev::Answer(who, life, ..)
            | Ev::Pump(who, life, _)
            | Ev::Told(who, life, ..)
            | Ev::Tick(who, life)
            | Ev::Due(who, life) => Some((*who, *life)),
            Ev::Probed(g, life, ..) | Ev::Deaf(g, life) | Ev::Hearing(g, life) => {
                Some((Who::Registry(*g), *life))
            }
            Ev::Spawn(h, life, ..) | Ev::Happened(h, life, ..) | Ev::Gone(h, life, _) => {
                Some((Who::Host(*h), *life))
            }
            Ev::Act
            | Ev::Server(..)
            | Ev::Beat(..)
            | Ev::Hint(..)
            | Ev::Guard(..)
            | Ev::Exit(..)
            | Ev::Resume(_)
            | Ev::Heal(_)
            | Ev::Start(..) => None,
        };
        let Some((who, life)) = owner else { return Some(event) };
        let body = self.body(who);
        if !body.up || body.life != life {
            return None;
        }
        match body.paused {
            Some(until) => {
                self.at(until, event);
                None
            }
            None => Some(event),
        }
    }

    pub fn happen(&mut self, event: Ev) {
        let Some(event) = self.due(event) else { return };
        match event {
            Ev::Act => self.act(),
            Ev::Server(who, life, number, ask) => {
                let answer = self.serve(who, ask);
                if let Some(wait) = self.way(who, false) {
                    self.later(wait, Ev::Answer(who, life, number, answer));
                }
            }
            Ev::Answer(who, _, number, answer) => {
                let Some(topic) = self.body(who).open.remove(&number) else { return };
                match who {
                    Who::Scheduler(r) => self.scheduler_answered(r, topic, answer),
                    Who::Registry(g) => self.registry_answered(g, &topic, &answer),
                    Who::Host(h) => self.host_answered(h, &topic, answer),
                }
            }
            Ev::Pump(who, _, bucket) => self.pump(who, &bucket),
            Ev::Told(who, _, bucket, told, range) => self.hear(who, &bucket, told, range),
            Ev::Tick(Who::Scheduler(r), _) => self.scheduler_tick(r),
            Ev::Tick(Who::Registry(g), _) => self.registry_tick(g),
            Ev::Tick(Who::Host(h), _) => self.host_tick(h),
            Ev::Due(Who::Scheduler(r), _) => self.scheduler_due(r),
            Ev::Due(Who::Host(h), _) => self.host_due(h),
            Ev::Due(Who::Registry(_), _) => {}
            Ev::Beat(h, epoch, applied) => self.beat_heard(h, epoch, applied),
            Ev::Hint(h, revision) => self.host_hinted(h, revision),
            Ev::Guard(h, sent) => self.guard(h, sent),
            Ev::Probed(g, _, node, epoch, answer) => self.registry_probed(g, node, epoch, answer),
            Ev::Deaf(g, _) => self.registry_senses(g, liveness::Event::Deaf),
            Ev::Hearing(g, _) => self.registry_senses(g, liveness::Event::Hearing),
            Ev::Spawn(h, _, id, run) => self.spawn(h, id, run),
            Ev::Happened(h, _, id, event) => self.happened(h, id, *event),
            Ev::Exit(h, id, run, exit) => self.proc_exits(h, id, run, exit),
            Ev::Gone(h, _, id) => self.proc_removed(h, id),
            Ev::Resume(who) => self.resume(who),
            Ev::Heal(who) => self.heal(who),
            Ev::Start(who, life) => self.start(who, life),
        }
    }
}
