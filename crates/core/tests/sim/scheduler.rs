//! Replicas of the scheduler: standby, takeover, reign and pen, as the service has them, around the
//! product's own engine, intake and row.

use std::collections::{BTreeMap, VecDeque};

use ostler_core::id::{NodeName, PoolName, Term};
use ostler_core::reconcile::{Aftermath, Engine, Event, Intake, Item, Row, Source};
use ostler_core::time::{Span, Timestamp};

use crate::bus::{Answer, Ask, Bucket, Told, Val};
use crate::world::{Ear, Ev, Topic, Who, World, say};

mod hear;
mod pen;

use hear::understood;

#[derive(Debug)]
pub struct Replica {
    pub pool: PoolName,
    pub ears: BTreeMap<Bucket, Ear>,
    /// When the last renewal of the lease that was confirmed had been sent.
    pub renewed: Option<Timestamp>,
    pub mode: Mode,
}

#[derive(Debug)]
pub enum Mode {
    Standby,
    Taking { goals: Option<Vec<(Source, u64)>>, tried: Term, written: Option<u64> },
    Leading(Box<Reign>),
}

#[derive(Debug)]
pub struct Reign {
    pub term: Term,
    pub engine: Engine,
    pub intake: Intake,
    pub pen: Pen,
    pub dirty: bool,
    pub more: bool,
    pub writing: bool,
    due: Option<Timestamp>,
    behind: BTreeMap<NodeName, (u64, u32)>,
}

/// What is being written.
#[derive(Debug, Default)]
pub struct Pen {
    pub after: u64,
    items: VecDeque<Item>,
    aftermath: Option<Aftermath>,
    batch: Vec<(String, Option<Val>)>,
    manifests: Vec<(NodeName, u64)>,
    doubt: bool,
}

const TTL: Span = Span::from_secs(3);
const HELD: Span = Span::from_secs(2);

impl Replica {
    pub fn new(pool: PoolName) -> Self {
        Self { pool, ears: BTreeMap::new(), renewed: None, mode: Mode::Standby }
    }

    pub fn reign(&self) -> Option<&Reign> {
        match &self.mode {
            Mode::Leading(reign) => Some(reign),
            Mode::Standby | Mode::Taking { .. } => None,
        }
    }

    /// Whether everything up to there was heard; nothing was before a watch has caught up once.
    fn reached(&self, source: Source, goal: u64) -> bool {
        let ear = self.ears.get(&Bucket::of(source, &self.pool));
        ear.is_some_and(|ear| ear.caught_up && ear.heard >= goal)
    }
}

impl World {
    pub fn scheduler_start(&mut self, r: usize) {
        let who = Who::Scheduler(r);
        let body = self.body(who);
        body.begin();
        self.scheduler_stands_by(r);
        let life = self.life(who);
        let wait = self.net.between(5, 900);
        self.later(wait, Ev::Tick(who, life));
    }

    /// Forgets everything and hears it anew.
    pub fn scheduler_stands_by(&mut self, r: usize) {
        // What the last reign had asked is nobody's any more.
        self.body(Who::Scheduler(r)).forget();
        let replica = &mut self.schedulers[r];
        replica.mode = Mode::Standby;
        let buckets = Source::ALL.map(|source| Bucket::of(source, &replica.pool));
        replica.ears = buckets.iter().map(|bucket| (bucket.clone(), Ear::default())).collect();
        for bucket in buckets {
            self.pump_soon(Who::Scheduler(r), bucket);
        }
    }

    pub fn lease_of(&self, r: usize) -> String {
        format!("scheduler-{}", self.schedulers[r].pool)
    }

    pub fn scheduler_tick(&mut self, r: usize) {
        let who = Who::Scheduler(r);
        let life = self.life(who);
        self.later(1_000, Ev::Tick(who, life));
        if !self.scheduler_holds(r) {
            self.schedulers[r].renewed = None;
        }
        if !self.scheduler_input(r) {
            return;
        }
        let ask = Ask::Lease { key: self.lease_of(r), holder: r, ttl: TTL };
        if !self.asking(who, |topic| matches!(topic, Topic::Lease(_))) {
            self.ask(who, Topic::Lease(self.now), ask);
        }
        match &mut self.schedulers[r].mode {
            Mode::Standby => {}
            Mode::Taking { .. } => self.taking(r),
            Mode::Leading(reign) => {
                let looks = reign.engine.leases_to_look_for();
                for (node, since) in looks {
                    let key = format!("node.{node}");
                    self.ask(who, Topic::NodeLease(node, since), Ask::LookLease { key });
                }
            }
        }
    }

    pub fn scheduler_holds(&self, r: usize) -> bool {
        self.schedulers[r].renewed.is_some_and(|sent| self.now.since(sent) < HELD)
    }

    /// Each input first shows a leader that its lease is gone; false if its reign ended so.
    pub fn scheduler_input(&mut self, r: usize) -> bool {
        let leads = !matches!(self.schedulers[r].mode, Mode::Standby);
        if leads && !self.scheduler_holds(r) {
            say!(self, "scheduler {r}: the lease is lost");
            self.scheduler_stands_by(r);
            return false;
        }
        true
    }

    pub fn scheduler_told(&mut self, r: usize, bucket: &Bucket, told: Vec<Told>) {
        if !self.scheduler_input(r) {
            return;
        }
        let now = self.now;
        let pool = self.schedulers[r].pool.clone();
        match &mut self.schedulers[r].mode {
            Mode::Standby => {}
            Mode::Taking { .. } => self.taking(r),
            Mode::Leading(_) if matches!(bucket, Bucket::Placements(_)) => {}
            Mode::Leading(reign) => {
                for one in told {
                    if let Some(event) = understood(&pool, &mut reign.intake, bucket, &one) {
                        reign.engine.observe(event, now);
                        reign.dirty = true;
                    }
                }
                self.scheduler_plans(r);
            }
        }
    }

    pub fn scheduler_due(&mut self, r: usize) {
        if !self.scheduler_input(r) {
            return;
        }
        if let Mode::Leading(reign) = &mut self.schedulers[r].mode {
            (reign.due, reign.dirty) = (None, true);
        }
        self.scheduler_plans(r);
    }

    /// One step of a takeover: what the streams' leaders have is heard, then the term is written.
    pub fn taking(&mut self, r: usize) {
        let who = Who::Scheduler(r);
        let replica = &self.schedulers[r];
        let Mode::Taking { goals, tried, written } = &replica.mode else { return };
        let asking = self.asking(who, |topic| matches!(topic, Topic::Goals | Topic::Term));
        let pool = replica.pool.clone();
        if let Some(at) = *written {
            let term = *tried;
            if replica.reached(Source::Placements, at) {
                self.scheduler_leads(r, term, at);
            }
            return;
        }
        match goals {
            None if !asking => self.ask(who, Topic::Goals, Ask::Lasts { pool }),
            Some(goals)
                if !asking && goals.iter().all(|(of, goal)| replica.reached(*of, *goal)) =>
            {
                let after = goals.iter().find(|(of, _)| *of == Source::Placements);
                let after = after.expect("all sources are there").1;
                let last = replica.ears[&Bucket::Placements(pool.clone())].cache.get("_term");
                let last = match last.and_then(|told| told.value.as_ref()) {
                    Some(Val::Term(term, _)) => *term,
                    _other => Term(0),
                };
                let next = last.next();
                if let Mode::Taking { tried, .. } = &mut self.schedulers[r].mode {
                    *tried = next;
                }
                let writes = vec![("_term".to_owned(), Some(Val::Term(next, r)))];
                self.ask(who, Topic::Term, Ask::Commit { pool, after, writes });
            }
            None | Some(_) => {}
        }
    }

    pub fn scheduler_leads(&mut self, r: usize, term: Term, after: u64) {
        let (engine, intake) = self.understand(r, term);
        say!(self, "scheduler {r} leads, term {term}, after {after}");
        let pen = Pen { after, ..Pen::default() };
        let reign = Reign {
            term,
            engine,
            intake,
            pen,
            dirty: true,
            more: false,
            writing: false,
            due: None,
            behind: BTreeMap::new(),
        };
        self.schedulers[r].mode = Mode::Leading(Box::new(reign));
        self.scheduler_plans(r);
    }

    pub fn scheduler_answered(&mut self, r: usize, topic: Topic, answer: Answer) {
        let who = Who::Scheduler(r);
        match topic {
            Topic::Lease(sent) => self.lease_answered(r, sent, &answer),
            Topic::Goals => {
                if let (Mode::Taking { goals, .. }, Answer::Lasts(lasts)) =
                    (&mut self.schedulers[r].mode, answer)
                {
                    *goals = Some(lasts);
                    self.taking(r);
                }
            }
            Topic::Term => self.term_answered(r, &answer),
            Topic::Batch => self.batch_answered(r, &answer),
            Topic::Stand => self.stand_answered(r, &answer),
            Topic::NodeLease(node, since) => {
                if !self.scheduler_input(r) || !matches!(answer, Answer::No) {
                    return;
                }
                let now = self.now;
                let Mode::Leading(reign) = &mut self.schedulers[r].mode else { return };
                reign.engine.observe(Event::NodeLeaseGone { node, since }, now);
                reign.dirty = true;
                self.scheduler_plans(r);
            }
            _others => say!(self, "{who:?} did not ask that"),
        }
    }

    pub fn lease_answered(&mut self, r: usize, sent: Timestamp, answer: &Answer) {
        match answer {
            Answer::Yes(_) => {
                self.schedulers[r].renewed = Some(sent);
                if matches!(self.schedulers[r].mode, Mode::Standby) && self.scheduler_holds(r) {
                    say!(self, "scheduler {r} takes over");
                    self.schedulers[r].mode =
                        Mode::Taking { goals: None, tried: Term(0), written: None };
                    self.taking(r);
                }
            }
            Answer::No => {
                self.schedulers[r].renewed = None;
                self.scheduler_input(r);
            }
            _unknown => {}
        }
    }

    pub fn term_answered(&mut self, r: usize, answer: &Answer) {
        if !self.scheduler_input(r) {
            return;
        }
        let Mode::Taking { goals, written, .. } = &mut self.schedulers[r].mode else { return };
        *goals = None;
        if let Answer::Yes(at) = answer {
            *written = Some(*at);
        }
        self.taking(r);
    }

    /// Plans if the pen is free, and hands it the row.
    pub fn scheduler_plans(&mut self, r: usize) {
        let now = self.now;
        let Mode::Leading(reign) = &mut self.schedulers[r].mode else { return };
        if !reign.writing && (reign.dirty || reign.more) {
            let before = reign.engine.clone();
            let plan = reign.engine.plan(now);
            (reign.dirty, reign.more) = (false, plan.more);
            let row = Row::of(plan.clone(), &reign.engine);
            if !row.is_empty() {
                reign.writing = true;
                reign.pen.items = row.items.into();
                reign.pen.aftermath = Some(row.aftermath);
            }
            self.check_plan(r, &before, &plan);
            self.pen_goes_on(r);
        }
        let Mode::Leading(reign) = &mut self.schedulers[r].mode else { return };
        let Some(wake) = reign.engine.wake_at() else { return };
        let wake = wake.max(now.plus(Span::from_millis(10)));
        if reign.due.is_none_or(|due| wake < due || due <= now) {
            reign.due = Some(wake);
            let life = self.life(Who::Scheduler(r));
            self.at(wake, Ev::Due(Who::Scheduler(r), life));
        }
    }
}
