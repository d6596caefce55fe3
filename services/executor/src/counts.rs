//! What an executor counts, for `/metrics`.

use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// What an executor counts.
#[derive(Debug, Clone)]
pub struct Counts {
    /// Instances that have not ended.
    pub instances: IntGauge,
    /// What happened to them, by kind.
    pub told: IntCounterVec,
    /// How long the journal takes.
    pub journal: Histogram,
    /// Writes to the journal that failed; each is made up for.
    pub journal_failures: IntCounter,
    /// Messages that wait for the loop.
    pub queue: IntGauge,
    /// Instances that wait for the node's pledge or are fenced by it.
    pub fenced: IntGauge,
}

impl Counts {
    /// Registered there. Where another executor of this program counts already, this one counts for
    /// itself.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        let gauge = |name: &str, help: &str| IntGauge::new(name, help).expect("a name");
        let told = Opts::new("ostler_executor_told_total", "what happened to instances");
        let journal = HistogramOpts::new(
            "ostler_executor_journal_write_seconds",
            "how long a write to the journal takes",
        );
        let counts = Self {
            instances: gauge("ostler_executor_instances", "instances that have not ended"),
            told: IntCounterVec::new(told, &["kind"]).expect("a name"),
            journal: Histogram::with_opts(journal).expect("a name"),
            journal_failures: IntCounter::new(
                "ostler_executor_journal_failures_total",
                "writes to the journal that failed and are made up for",
            )
            .expect("a name"),
            queue: gauge("ostler_executor_queue_depth", "messages that wait for the loop"),
            fenced: gauge("ostler_executor_fenced", "instances under the node's pledge"),
        };
        let all: [Box<dyn Collector>; 6] = [
            Box::new(counts.instances.clone()),
            Box::new(counts.told.clone()),
            Box::new(counts.journal.clone()),
            Box::new(counts.journal_failures.clone()),
            Box::new(counts.queue.clone()),
            Box::new(counts.fenced.clone()),
        ];
        for collector in all {
            registry.register(collector).ok();
        }
        counts
    }
}
