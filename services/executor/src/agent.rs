//! The one loop that owns all instances: sources become messages, messages become effects.
//!
//! It never waits for an instance: drivers, checks and the bus answer through its queue. Between a
//! decision and its effects it waits only for the journal.

use std::collections::HashMap;
use std::sync::Arc;

use ostler_bus::Bus;
use ostler_core::id::{InstanceId, PoolName, SpecHash};
use ostler_core::instance::{Manifest, Spec, Status, Usage};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::driver::{Drivers, Happened, Launch, Place};
use crate::fence::Fence;
use crate::firewall::Firewall;
use crate::journal::{Applied, Journal};
use crate::shared::Shared;
use crate::site::Site;
use crate::socket::Sockets;
use crate::supervise::{Event, Life, Moment, Phase, Roster};
use crate::timeline::Timeline;

mod admit;
mod begin;
pub mod boot;
mod carry;
mod clear;
mod owed;

use admit::Here;
use owed::Owed;

/// At most so many messages wait.
pub const QUEUE: usize = 4096;
/// At most so many are taken before their effects are carried out.
const BATCH: usize = 1024;

/// What the loop is told.
#[derive(Debug)]
pub enum Message {
    /// Manifests that follow are this pool's.
    Pool(PoolName),
    /// The manifest was read; specifications that were at hand.
    Manifest(Box<Manifest>, HashMap<SpecHash, Arc<Spec>>),
    /// The manifest was read and is the one that was applied.
    Unchanged,
    /// Specifications that were missing.
    Specs(HashMap<SpecHash, Arc<Spec>>),
    /// The node's pledge stands: what is fenced may start, if this period of it is cleared.
    Pledged,
    /// This is what was read from the manifest's leader in this period of the pledge; it was told.
    Cleared(u64, Applied),
    /// The bus is there: what was to be told can be.
    Linked(Bus),
    /// Nobody can be asked what became of instances that died while we were away.
    Alone,
    /// What instances use.
    Usage(Vec<(InstanceId, Usage)>),
    /// How an instance was started, if it runs.
    Find(InstanceId, oneshot::Sender<Option<Arc<Launch>>>),
    /// How things stand.
    Snapshot(oneshot::Sender<Snapshot>),
    /// Stop everything; answered when nothing runs.
    Halt(oneshot::Sender<()>),
    /// The loop ends; answered when it has.
    Quit(oneshot::Sender<()>),
}

/// How things stand.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The pool that is obeyed, once that is known.
    pub pool: Option<PoolName>,
    /// The manifest of it that was applied.
    pub applied: Applied,
    /// How many that have not ended are named by that.
    pub named: usize,
    /// Every instance, by id.
    pub statuses: Vec<Status>,
}

/// What is to be done after a batch of messages.
#[derive(Debug, Default)]
struct Work {
    roster: crate::supervise::Work,
    asked: Vec<oneshot::Sender<Snapshot>>,
    quit: Option<oneshot::Sender<()>>,
}

/// The loop's state.
#[derive(Debug)]
pub struct Agent {
    pub(crate) site: Arc<Site>,
    place: Arc<Place>,
    timeline: Timeline,
    roster: Roster,
    drivers: Arc<Drivers>,
    checks: HashMap<InstanceId, CancellationToken>,
    journal: Journal,
    outbox: crate::tell::Outbox,
    shared: Arc<Shared>,
    halting: Option<oneshot::Sender<()>>,
    fence: Arc<Fence>,
    owed: Owed,
    sockets: Sockets,
    firewall: Firewall,
    happened_tx: mpsc::Sender<Happened>,
}

/// The loop's two queues: what drivers and checks say, and everything else.
#[derive(Debug)]
pub struct Queues {
    /// From drivers and checks.
    pub happened: mpsc::Receiver<Happened>,
    /// From all others.
    pub messages: mpsc::Receiver<Message>,
}

enum Source {
    Happened(Happened),
    Message(Message),
    Tick,
    Closed,
}

impl Agent {
    /// Runs until told to quit.
    pub async fn run(mut self, mut queues: Queues) {
        loop {
            let wake = self.roster.wake_at().map(|at| self.timeline.instant(at));
            let wake = wake.into_iter().chain(self.owed.due()).min();
            let first = tokio::select! {
                happened = queues.happened.recv() => {
                    happened.map_or(Source::Closed, Source::Happened)
                }
                message = queues.messages.recv() => message.map_or(Source::Closed, Source::Message),
                () = sleep_until(wake) => Source::Tick,
            };
            let mut work = Work::default();
            match first {
                Source::Happened((id, event)) => self.feel(id, event, &mut work),
                Source::Message(message) => self.hear(message, &mut work),
                Source::Tick => {}
                Source::Closed => return,
            }
            for _ in 0..BATCH {
                let Ok((id, event)) = queues.happened.try_recv() else { break };
                self.feel(id, event, &mut work);
            }
            for _ in 0..BATCH {
                let Ok(message) = queues.messages.try_recv() else { break };
                self.hear(message, &mut work);
            }
            self.turn(&mut work);
            let (asked, quit) = (std::mem::take(&mut work.asked), work.quit.take());
            self.fence.want(self.roster.needs_pledge());
            self.count(queues.happened.len() + queues.messages.len());
            self.carry_out(work).await;
            // Only what is written down is told.
            for reply in asked {
                reply.send(self.snapshot()).ok();
            }
            self.answer_halt();
            if let Some(quit) = quit {
                // Who asked may have gone.
                quit.send(()).ok();
                return;
            }
        }
    }

    fn here(&self) -> Here<'_> {
        Here {
            site: &self.site,
            place: &self.place,
            drivers: &self.drivers,
            shared: &self.shared,
            fence: &self.fence,
        }
    }

    /// Takes in what happens now, here.
    fn with_roster<T>(&mut self, take: impl FnOnce(&mut Roster, Moment<'_>) -> T) -> T {
        let here = Here {
            site: &self.site,
            place: &self.place,
            drivers: &self.drivers,
            shared: &self.shared,
            fence: &self.fence,
        };
        take(&mut self.roster, Moment { now: self.timeline.now(), host: &here })
    }

    /// Lets one instance take an event.
    fn feel(&mut self, id: InstanceId, event: Event, work: &mut Work) {
        self.with_roster(|roster, at| roster.feel(id, event, at, &mut work.roster));
    }

    /// What died while we were away may be started again, if that is still wanted.
    fn settle(&mut self, work: &mut Work) {
        self.with_roster(|roster, at| roster.settle(at, &mut work.roster));
    }

    fn hear(&mut self, message: Message, work: &mut Work) {
        match message {
            // What goes takes nothing new in: nobody would stop it.
            Message::Manifest(..) | Message::Specs(_) if self.halting.is_some() => {}
            Message::Pool(pool) => self.roster.enter_pool(pool, &mut work.roster),
            Message::Manifest(manifest, specs) => {
                self.shared.heard();
                self.with_roster(|roster, at| roster.apply(*manifest, specs, at, &mut work.roster));
            }
            Message::Unchanged => {
                self.shared.heard();
                self.settle(work);
            }
            Message::Alone => self.settle(work),
            Message::Cleared(period, read) => {
                // What is older than what was applied before came from no leader.
                if self.roster.applied() == read {
                    self.fence.clear(period);
                }
                self.with_roster(|roster, at| roster.pledged(at, &mut work.roster));
            }
            Message::Pledged => {
                self.with_roster(|roster, at| roster.pledged(at, &mut work.roster));
            }
            Message::Specs(specs) => {
                self.with_roster(|roster, at| roster.learn(specs, at, &mut work.roster));
            }
            Message::Linked(bus) => self.outbox.link(bus),
            Message::Usage(usages) => {
                for (id, usage) in usages {
                    self.with_roster(|roster, at| roster.uses(id, usage, at, &mut work.roster));
                }
            }
            Message::Find(id, reply) => {
                let running = self.roster.get(id).filter(|life| life.phase == Phase::Running);
                let launch = running.and_then(|life| self.launch_of(life)).map(Arc::new);
                // Who asked may have gone.
                reply.send(launch).ok();
            }
            Message::Snapshot(reply) => {
                work.asked.push(reply);
            }
            Message::Halt(reply) => {
                self.halting = Some(reply);
                for id in self.roster.ids() {
                    self.feel(id, Event::Halt, work);
                }
            }
            Message::Quit(reply) => work.quit = Some(reply),
        }
    }

    fn count(&self, waiting: usize) {
        let counts = &self.shared.counts;
        counts.queue.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        counts.fenced.set(i64::try_from(self.roster.fenced()).unwrap_or(i64::MAX));
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            pool: self.roster.pool().cloned(),
            applied: self.roster.applied(),
            named: self.roster.named(),
            statuses: self.roster.statuses(),
        }
    }

    /// Tells each instance whose time has come.
    fn turn(&mut self, work: &mut Work) {
        self.with_roster(|roster, at| roster.turn(at, &mut work.roster));
    }

    fn answer_halt(&mut self) {
        if self.halting.is_some() && self.roster.lives().all(Life::at_rest) {
            let reply = self.halting.take().expect("it is there");
            // Who asked may have gone.
            reply.send(()).ok();
        }
    }
}

async fn sleep_until(wake: Option<std::time::Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake.into()).await,
        None => std::future::pending().await,
    }
}
