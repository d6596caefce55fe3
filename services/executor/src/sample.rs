//! Measures the host every second and what runs on it every five, beside the beats: a disk that
//! does not answer, or thousands of groups to be read, may make a sample late but never a beat.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ostler_bus::Bus;
use ostler_core::id::InstanceId;
use ostler_core::instance::Usage;
use ostler_schemas::contract::MetricOf;
use ostler_schemas::pb;
use ostler_service::clock;
use rand::Rng;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::agent::Message;
use crate::driver::{Counters, Drivers};
use crate::host::{Live, Sampler};
use crate::shared::Shared;
use crate::site::Site;

/// How often the host is measured.
const EVERY: Duration = Duration::from_secs(1);
/// Every so many measurements comes a sample.
const SAMPLE: u64 = 5;

/// Measures for one node.
#[derive(Debug)]
pub(crate) struct Surveyor {
    bus: Bus,
    site: Arc<Site>,
    shared: Arc<Shared>,
    agent: mpsc::Sender<Message>,
    meter: Meter,
}

/// What measures: it may block, and is lent to a thread that may.
#[derive(Debug)]
struct Meter {
    drivers: Arc<Drivers>,
    sampler: Option<Sampler>,
    before: HashMap<InstanceId, (Instant, Counters)>,
}

impl Surveyor {
    /// For a node; the host is measured unless nothing runs on it but simulations. Measures once.
    pub(crate) fn new(
        bus: Bus,
        site: Arc<Site>,
        shared: Arc<Shared>,
        drivers: Arc<Drivers>,
        agent: mpsc::Sender<Message>,
    ) -> Self {
        let data_dir = site.data_dir.clone().unwrap_or_else(|| "/".into());
        let sampler =
            drivers.outlive_us().then(|| Sampler::new(data_dir, site.host, site.facts.capacity));
        let mut meter = Meter { drivers, sampler, before: HashMap::new() };
        meter.host().into_iter().for_each(|live| shared.measured(live));
        Self { bus, site, shared, agent, meter }
    }

    /// Measures until stopped.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Many nodes in one process do not all sample at once.
        let offset = rand::rng().random_range(0..SAMPLE);
        for count in offset.. {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            let due = count % SAMPLE == 0;
            if self.meter.sampler.is_none() {
                if due {
                    self.sample(Live::default(), &[]).await;
                }
                continue;
            }
            let mut meter = self.meter;
            let measured = tokio::task::spawn_blocking(move || {
                let live = meter.host();
                let usages = if due { meter.usages() } else { Vec::new() };
                (meter, live, usages)
            });
            let measured = tokio::select! {
                () = stop.cancelled() => return,
                measured = measured => measured,
            };
            let (meter, live, usages) = match measured {
                Ok(measured) => measured,
                Err(error) => return warn!(%error, "the host is measured no more: {error}"),
            };
            self.meter = meter;
            let live = live.unwrap_or_default();
            self.shared.measured(live.clone());
            if due {
                self.sample(live, &usages).await;
                if !usages.is_empty() {
                    // A full queue means that there is more important news.
                    drop(self.agent.try_send(Message::Usage(usages)));
                }
            }
        }
    }

    async fn sample(&self, live: Live, usages: &[(InstanceId, Usage)]) {
        let instances = usages.iter().map(|(id, usage)| pb::InstanceSample {
            id: id.bits().to_be_bytes()[6..].to_vec(),
            cpu: usage.cpu,
            memory: usage.memory,
        });
        let sample = pb::NodeSample {
            node: self.site.node.to_string(),
            epoch: self.shared.epoch().0,
            clock_ms: clock::wall_ms(),
            used: Some(pb::Resources {
                cpu: live.used.cpu,
                memory: live.used.memory,
                disk: live.used.disk,
                network: live.used.network,
            }),
            capacity: Some(self.site.facts.capacity.into()),
            load: live.load.to_vec(),
            instances: instances.collect(),
            cores: live.cores,
        };
        if let Err(error) = self.bus.publish(&MetricOf(self.site.node.clone()), &sample).await {
            debug!(%error, "a sample was skipped");
        }
    }
}

impl Meter {
    fn host(&mut self) -> Option<Live> {
        self.sampler.as_mut().map(|sampler| sampler.take(clock::instant()))
    }

    /// What each instance uses; cpu since the last sample.
    fn usages(&mut self) -> Vec<(InstanceId, Usage)> {
        let now = clock::instant();
        let mut after = HashMap::new();
        let mut usages = Vec::new();
        for driver in self.drivers.real() {
            for id in driver.running() {
                let Some(counters) = driver.stats(id) else { continue };
                after.insert(id, (now, counters));
                let cpu = self.before.get(&id).map_or(0, |before| rate(*before, (now, counters)));
                usages.push((id, Usage { cpu, memory: counters.memory }));
            }
        }
        self.before = after;
        usages
    }
}

/// Thousandths of a core between two looks.
fn rate((then, before): (Instant, Counters), (now, after): (Instant, Counters)) -> u64 {
    let micros = now.saturating_duration_since(then).as_micros().max(1);
    let used = u128::from(after.cpu_us.saturating_sub(before.cpu_us));
    u64::try_from(used * 1000 / micros).unwrap_or(u64::MAX)
}
