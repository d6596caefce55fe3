//! What a scheduler counts: durations, sizes, depths and lags, by pool.

use std::time::Duration;

use ostler_core::id::{PoolName, Term};
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

/// All metrics of the program.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    plan_seconds: HistogramVec,
    commit_seconds: HistogramVec,
    commit_messages: HistogramVec,
    decisions: IntCounterVec,
    queue_depth: IntGaugeVec,
    unplaced: IntGaugeVec,
    term: IntGaugeVec,
    leader: IntGaugeVec,
    watch_lag_ms: IntGaugeVec,
}

/// The metrics of one pool.
#[derive(Debug, Clone)]
pub(crate) struct PoolMetrics {
    all: Metrics,
    pool: String,
}

impl Metrics {
    /// Metrics that the registry shows. Where one of the name is there already, as with two
    /// replicas in one process, the first is shown.
    pub fn register(registry: &Registry) -> Self {
        let times = prometheus::exponential_buckets(0.0005, 2.0, 16).expect("constant");
        let sizes = prometheus::exponential_buckets(1.0, 2.0, 9).expect("constant");
        let times = |name: &str, help: &str| histogram(registry, name, help, &times);
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            let made = IntGaugeVec::new(Opts::new(name, help), labels).expect("constant names");
            registry.register(Box::new(made.clone())).ok();
            made
        };
        let decisions = IntCounterVec::new(
            Opts::new("ostler_scheduler_decisions_total", "Decisions that were committed"),
            &["pool", "kind"],
        );
        let decisions = decisions.expect("constant names");
        registry.register(Box::new(decisions.clone())).ok();
        let pool = &["pool"];
        Self {
            plan_seconds: times("ostler_scheduler_plan_seconds", "How long a plan took"),
            commit_seconds: times("ostler_scheduler_commit_seconds", "How long a batch took"),
            commit_messages: histogram(
                registry,
                "ostler_scheduler_commit_messages",
                "How many messages a batch had",
                &sizes,
            ),
            decisions,
            queue_depth: gauge("ostler_scheduler_queue_depth", "Messages that wait", pool),
            unplaced: gauge("ostler_scheduler_unplaced_instances", "Slots without a node", pool),
            term: gauge("ostler_scheduler_term", "The reign in force", pool),
            leader: gauge("ostler_scheduler_leader", "1 while this replica leads", pool),
            watch_lag_ms: gauge(
                "ostler_scheduler_watch_lag_milliseconds",
                "Age of what was last heard",
                &["pool", "watch"],
            ),
        }
    }

    /// Those of one pool.
    pub fn pool(&self, pool: &PoolName) -> PoolMetrics {
        PoolMetrics { all: self.clone(), pool: pool.to_string() }
    }
}

fn histogram(registry: &Registry, name: &str, help: &str, buckets: &[f64]) -> HistogramVec {
    let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
    let made = HistogramVec::new(options, &["pool"]).expect("constant names");
    registry.register(Box::new(made.clone())).ok();
    made
}

impl PoolMetrics {
    /// A plan was made.
    pub fn planned(&self, took: Duration) {
        self.one(&self.all.plan_seconds).observe(took.as_secs_f64());
    }

    /// A batch was committed.
    pub fn committed(&self, took: Duration, messages: usize) {
        self.one(&self.all.commit_seconds).observe(took.as_secs_f64());
        let messages = u32::try_from(messages).unwrap_or(u32::MAX);
        self.one(&self.all.commit_messages).observe(f64::from(messages));
    }

    /// Decisions of a kind were committed.
    pub fn decided(&self, kind: &'static str) {
        self.all.decisions.with_label_values(&[self.pool.as_str(), kind]).inc();
    }

    /// So many messages wait.
    pub fn waiting(&self, messages: usize) {
        let messages = i64::try_from(messages).unwrap_or(i64::MAX);
        self.gauge(&self.all.queue_depth).set(messages);
    }

    /// So many slots have no node.
    pub fn unplaced(&self, slots: u64) {
        self.gauge(&self.all.unplaced).set(i64::try_from(slots).unwrap_or(i64::MAX));
    }

    /// A reign began here, or ended with `None`.
    pub fn reign(&self, term: Option<Term>) {
        self.gauge(&self.all.leader).set(i64::from(term.is_some()));
        if let Some(term) = term {
            self.gauge(&self.all.term).set(i64::try_from(term.0).unwrap_or(i64::MAX));
        }
    }

    /// What a watch told last was so old.
    pub fn lag(&self, watch: &'static str, ms: u64) {
        let lag = self.all.watch_lag_ms.with_label_values(&[self.pool.as_str(), watch]);
        lag.set(i64::try_from(ms).unwrap_or(i64::MAX));
    }

    fn one(&self, histogram: &HistogramVec) -> Histogram {
        histogram.with_label_values(&[&self.pool])
    }

    fn gauge(&self, gauge: &IntGaugeVec) -> IntGauge {
        gauge.with_label_values(&[&self.pool])
    }
}
