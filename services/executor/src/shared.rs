//! What the executor's tasks may look at without asking its loop.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use ostler_bus::Bus;
use ostler_core::id::{Epoch, Revision};
use ostler_core::node::Bid;
use ostler_core::workload::DriverKind;
use ostler_service::{Health, Tasks};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::counts::Counts;
use crate::driver::Happened;
use crate::host::Live;
use crate::predicate::Labels;

/// Shared by all tasks of one executor.
#[derive(Debug)]
pub struct Shared {
    /// Where tasks are run.
    pub tasks: Tasks,
    /// Cancelled when the loop has ended.
    pub stop: CancellationToken,
    /// What is counted.
    pub counts: Counts,
    /// Somebody wants the manifest to be read again.
    pub sync: Notify,
    /// Somebody wants the fleet to be asked whether it knows this node.
    pub asked: Notify,
    /// The node's labels have changed.
    pub relabelled: Notify,
    labels: Mutex<Labels>,
    health: Health,
    epoch: AtomicU64,
    incarnation: AtomicU64,
    applied: AtomicU64,
    instances: AtomicU32,
    live: Mutex<Option<Live>>,
    heard: AtomicBool,
    link: Mutex<Option<Bus>>,
    bid: Mutex<Bid>,
    changes: watch::Sender<u64>,
}

impl Shared {
    /// For a program with these tasks and this health.
    #[must_use]
    pub fn new(tasks: Tasks, health: Health, counts: Counts) -> Self {
        Self {
            tasks,
            stop: CancellationToken::new(),
            counts,
            sync: Notify::new(),
            asked: Notify::new(),
            relabelled: Notify::new(),
            labels: Mutex::new(Labels::new()),
            health,
            epoch: AtomicU64::new(0),
            incarnation: AtomicU64::new(0),
            applied: AtomicU64::new(0),
            instances: AtomicU32::new(0),
            live: Mutex::new(None),
            heard: AtomicBool::new(false),
            link: Mutex::new(None),
            bid: Mutex::new(Bid::default()),
            changes: watch::Sender::new(0),
        }
    }

    /// There is a bus; it may be down now and then.
    pub fn linked(&self, bus: &Bus) {
        *self.link.lock().unwrap_or_else(PoisonError::into_inner) = Some(bus.clone());
    }

    /// The bus, if it is there now.
    pub fn link(&self) -> Option<Bus> {
        let link = self.link.lock().unwrap_or_else(PoisonError::into_inner).clone();
        link.filter(|bus| bus.state().borrow().up)
    }

    /// Whether the bus is there now.
    pub fn is_linked(&self) -> bool {
        self.link().is_some()
    }

    /// The manifest was read in this life.
    pub fn heard(&self) {
        self.heard.store(true, Ordering::Release);
    }

    /// Whether the manifest was read in this life.
    pub fn has_heard(&self) -> bool {
        self.heard.load(Ordering::Acquire)
    }

    /// Which life of the node's executor this is; 0 before it was admitted.
    pub fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::Acquire))
    }

    /// In which life of the fleet it was admitted; 0 before that, or if it was not told.
    pub fn incarnation(&self) -> u64 {
        self.incarnation.load(Ordering::Acquire)
    }

    /// It was admitted, in this life of the fleet.
    pub fn admitted(&self, epoch: Epoch, incarnation: u64) {
        self.incarnation.store(incarnation, Ordering::Release);
        self.epoch.store(epoch.0, Ordering::Release);
        self.health.set("executor", Ok(()));
    }

    /// It is not admitted, or not any more.
    pub fn not_admitted(&self, why: &str) {
        self.health.set("executor", Err(why.to_owned()));
    }

    /// The manifest revision that is applied.
    pub fn applied(&self) -> Revision {
        Revision(self.applied.load(Ordering::Acquire))
    }

    /// How many instances have not ended.
    pub fn instances(&self) -> u32 {
        self.instances.load(Ordering::Acquire)
    }

    /// What everything on the host uses, as last measured; `None` where nothing is measured.
    pub fn live(&self) -> Option<Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The host was measured.
    pub fn measured(&self, live: Live) {
        *self.live.lock().unwrap_or_else(PoisonError::into_inner) = Some(live);
    }

    /// The labels that the operator's commands found out.
    pub fn labels(&self) -> Labels {
        self.labels.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// They found out these.
    pub fn labelled(&self, labels: Labels) {
        *self.labels.lock().unwrap_or_else(PoisonError::into_inner) = labels;
    }

    /// This node's standing bid is this one.
    pub fn bids(&self, bid: Bid) {
        *self.bid.lock().unwrap_or_else(PoisonError::into_inner) = bid;
    }

    /// Why the standing bid refuses this kind, if it does.
    pub fn refusal(&self, kind: DriverKind) -> Option<String> {
        let bid = self.bid.lock().unwrap_or_else(PoisonError::into_inner);
        bid.refusal(kind).map(str::to_owned)
    }

    /// Something is not as it was last reported.
    pub fn changed(&self, applied: Revision, instances: u32) {
        self.applied.store(applied.0, Ordering::Release);
        self.instances.store(instances, Ordering::Release);
        self.counts.instances.set(instances.into());
        self.changes.send_modify(|count| *count += 1);
    }

    /// The fleet is to be told how things stand, though nothing changed.
    pub fn report_again(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Wakes whoever reports.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Whether the journal can be written.
    pub fn journal(&self, state: Result<(), String>) {
        self.health.set("journal", state);
    }

    /// Puts something into the loop's own queue, from within the loop.
    pub fn later(&self, happened: Happened, sink: &mpsc::Sender<Happened>) {
        let sink = sink.clone();
        self.tasks.spawn_brief(async move {
            // The loop has ended when nobody listens.
            drop(sink.send(happened).await);
        });
    }
}
