//! Heartbeats every second and samples every five, on a connection of their own: nothing that is
//! slow here may delay them. Skipped while disconnected, never queued.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ostler_bus::Bus;
use ostler_core::id::InstanceId;
use ostler_core::instance::Usage;
use ostler_core::node::{Heartbeat, Use};
use ostler_core::time::Timestamp;
use ostler_schemas::contract::{HeartbeatOf, MetricOf};
use ostler_schemas::pb;
use ostler_service::clock;
use rand::Rng;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::agent::Message;
use crate::bid::Bidder;
use crate::driver::{Counters, Driver, Drivers};
use crate::host::Sampler;
use crate::shared::Shared;
use crate::site::Site;

/// How often a node beats.
const EVERY: Duration = Duration::from_secs(1);
/// Every so many beats comes a sample.
const SAMPLE: u64 = 5;

/// Beats for one node.
#[derive(Debug)]
pub struct Beater {
    bus: Bus,
    site: Arc<Site>,
    shared: Arc<Shared>,
    drivers: Arc<Drivers>,
    agent: mpsc::Sender<Message>,
    bidder: Bidder,
    sampler: Option<Sampler>,
    before: HashMap<InstanceId, (Instant, Counters)>,
}

impl Beater {
    /// For a node; the host is measured unless nothing runs on it but simulations.
    #[must_use]
    pub fn new(
        bus: Bus,
        site: Arc<Site>,
        shared: Arc<Shared>,
        drivers: Arc<Drivers>,
        (agent, bidder): (mpsc::Sender<Message>, Bidder),
    ) -> Self {
        let simulated = drivers.process.is_none();
        let data_dir = site.data_dir.clone().unwrap_or_else(|| "/".into());
        let sampler = (!simulated).then(|| Sampler::new(data_dir, site.host, site.facts.capacity));
        Self { bus, site, shared, drivers, agent, bidder, sampler, before: HashMap::new() }
    }

    /// Beats until stopped.
    pub async fn run(mut self, stop: CancellationToken) {
        self.shared.tasks.spawn_brief(self.bidder.clone().ask(stop.clone()));
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Many nodes in one process do not all sample at once.
        let offset = rand::rng().random_range(0..SAMPLE);
        for count in offset.. {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            let used = match &mut self.sampler {
                Some(sampler) => sampler.take(clock::instant()),
                None => Use::default(),
            };
            if self.sampler.is_some() {
                self.shared.measured(used);
            }
            self.beat(used).await;
            if count % SAMPLE == 0 {
                self.sample(used).await;
            }
        }
    }

    fn load(&self) -> [u32; 3] {
        if self.sampler.is_some() { Sampler::load() } else { [0; 3] }
    }

    async fn beat(&mut self, used: Use) {
        let bid = self.bidder.bid();
        self.shared.bids(bid.clone());
        let beat = Heartbeat {
            node: self.site.node.clone(),
            epoch: self.shared.epoch(),
            applied: self.shared.applied(),
            used,
            load: self.load(),
            instances: self.shared.instances(),
            clock: Timestamp::from_millis(clock::wall_ms()),
            server: self.bus.server().name.chars().take(32).collect(),
            bid: Some(bid),
            battery: self.bidder.on_battery(),
        };
        if let Err(error) = self.bus.publish(&HeartbeatOf(self.site.node.clone()), &beat).await {
            debug!(%error, "a beat was skipped");
        }
    }

    async fn sample(&mut self, used: Use) {
        let usages = self.usages();
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
                cpu: used.cpu,
                memory: used.memory,
                disk: used.disk,
                network: used.network,
            }),
            capacity: Some(self.site.facts.capacity.into()),
            load: self.load().to_vec(),
            instances: instances.collect(),
            cores: Vec::new(),
        };
        if let Err(error) = self.bus.publish(&MetricOf(self.site.node.clone()), &sample).await {
            debug!(%error, "a sample was skipped");
        }
        if !usages.is_empty() {
            // A full queue means that there is more important news.
            drop(self.agent.try_send(Message::Usage(usages)));
        }
    }

    /// What each instance uses; cpu since the last sample.
    fn usages(&mut self) -> Vec<(InstanceId, Usage)> {
        let Some(process) = &self.drivers.process else { return Vec::new() };
        let now = clock::instant();
        let mut after = HashMap::new();
        let mut usages = Vec::new();
        for id in process.running() {
            let Some(counters) = process.stats(id) else { continue };
            after.insert(id, (now, counters));
            let cpu = self.before.get(&id).map_or(0, |(at, before)| {
                let micros = now.saturating_duration_since(*at).as_micros().max(1);
                let used = u128::from(counters.cpu_us.saturating_sub(before.cpu_us));
                u64::try_from(used * 1000 / micros).unwrap_or(u64::MAX)
            });
            usages.push((id, Usage { cpu, memory: counters.memory }));
        }
        self.before = after;
        usages
    }
}
