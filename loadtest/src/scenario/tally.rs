//! Counts what executors report, as everybody sees it: by a watch of the reports.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::bail;
use indicatif::ProgressBar;
use ostler_bus::{Bus, Watch, WatchEvent};
use ostler_core::instance::{Observed, Report};
use ostler_schemas::bucket::Bucket;
use ostler_service::clock;

use crate::report::Values;

/// How many instances run, by node.
pub struct Tally {
    bus: Bus,
    watch: Watch,
    /// How old each report was when it was heard, in milliseconds of pool time.
    ages: Vec<f64>,
    nodes: BTreeMap<String, u32>,
    running: u32,
}

/// What is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Goal {
    /// So many run.
    pub running: u32,
    /// Since when time is counted.
    pub began: Instant,
    /// How long it may take.
    pub within: Duration,
}

/// When it was reached.
#[derive(Debug, Clone, Default)]
pub struct Reached {
    /// When each report came that brought it nearer, and by how many.
    pub steps: Vec<(Duration, u32)>,
}

impl Reached {
    /// When each instance of those that came was heard, in milliseconds.
    pub fn times(&self) -> Values {
        let each = |(at, by): &(Duration, u32)| {
            std::iter::repeat_n(at.as_secs_f64() * 1000.0, usize::try_from(*by).unwrap_or(0))
        };
        Values::of(self.steps.iter().flat_map(each))
    }

    /// When this share of the way was made.
    pub fn share(&self, share: f64) -> Duration {
        let all: f64 = self.steps.iter().map(|(_, by)| f64::from(*by)).sum();
        let mut made = 0.0;
        for (at, by) in &self.steps {
            made += f64::from(*by);
            if made >= share * all {
                return *at;
            }
        }
        Duration::ZERO
    }
}

impl Tally {
    /// Begins to count; what is there already is known when this returns.
    pub async fn begin(bus: &Bus) -> anyhow::Result<Self> {
        let watch = bus.watch(&Bucket::Reports).await?;
        let mut tally =
            Self { bus: bus.clone(), watch, ages: Vec::new(), nodes: BTreeMap::new(), running: 0 };
        loop {
            match tally.watch.next().await {
                Some(WatchEvent::CaughtUp { .. }) => return Ok(tally),
                Some(event) => tally.hear(event)?,
                None => bail!("the program stops"),
            }
        }
    }

    /// Waits until exactly so many run.
    pub async fn until(&mut self, goal: Goal, bar: &ProgressBar) -> anyhow::Result<Reached> {
        self.wait(goal, bar, |running| running == goal.running).await
    }

    /// Waits until at least so many run.
    pub async fn until_at_least(
        &mut self,
        goal: Goal,
        bar: &ProgressBar,
    ) -> anyhow::Result<Reached> {
        self.wait(goal, bar, |running| running >= goal.running).await
    }

    /// Whether how many run changes within a time.
    pub async fn changes_within(&mut self, time: Duration) -> anyhow::Result<bool> {
        let began = clock::instant();
        let before = self.running;
        while clock::since(began) < time {
            let left = time.saturating_sub(clock::since(began));
            match tokio::time::timeout(left, self.watch.next()).await {
                Ok(Some(event)) => self.hear(event)?,
                Ok(None) => bail!("the program stops"),
                Err(_) => {}
            }
            if self.running != before {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn wait(
        &mut self,
        goal: Goal,
        bar: &ProgressBar,
        enough: impl Fn(u32) -> bool,
    ) -> anyhow::Result<Reached> {
        let mut reached = Reached::default();
        let left = goal.within.saturating_sub(clock::since(goal.began));
        let counting = async {
            while !enough(self.running) {
                let before = self.running;
                let Some(event) = self.watch.next().await else { bail!("the program stops") };
                self.hear(event)?;
                if self.running != before {
                    let step = (clock::since(goal.began), self.running.abs_diff(before));
                    reached.steps.push(step);
                }
                bar.set_position(self.running.into());
            }
            Ok(())
        };
        match tokio::time::timeout(left, counting).await {
            Ok(done) => done?,
            Err(_) => {
                bail!("{} instead of {} run after {:?}", self.running, goal.running, goal.within)
            }
        }
        Ok(reached)
    }

    /// How old reports were when they were heard.
    pub fn ages(&self) -> Values {
        Values::of(self.ages.iter().copied())
    }

    /// How many run on each node that runs any.
    pub fn per_node(&self) -> impl Iterator<Item = u32> {
        self.nodes.values().copied().filter(|running| *running > 0)
    }

    fn hear(&mut self, event: WatchEvent) -> anyhow::Result<()> {
        match event {
            WatchEvent::Put { key, value, at, .. } => {
                let age = self.bus.pool_time().since(at).as_millis();
                self.ages.push(f64::from(u32::try_from(age).unwrap_or(u32::MAX)));
                let report: Report = WatchEvent::decode(&value)?;
                let running =
                    report.statuses.iter().filter(|one| one.observed == Observed::Running).count();
                let running = u32::try_from(running)?;
                let before = self.nodes.insert(key, running).unwrap_or(0);
                self.running = self.running - before + running;
            }
            WatchEvent::Gone { key, .. } => {
                self.running -= self.nodes.remove(&key).unwrap_or(0);
            }
            WatchEvent::CaughtUp { .. } | WatchEvent::Resync => {}
        }
        Ok(())
    }
}
