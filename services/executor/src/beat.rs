//! Heartbeats every second, on a connection and in a task of their own: nothing that is slow here
//! may delay them. Skipped while disconnected, never queued.

use std::sync::Arc;
use std::time::Duration;

use ostler_bus::Bus;
use ostler_core::node::Heartbeat;
use ostler_core::time::Timestamp;
use ostler_schemas::contract::HeartbeatOf;
use ostler_service::clock;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::bid::Bidder;
use crate::shared::Shared;
use crate::site::Site;

/// How often a node beats.
const EVERY: Duration = Duration::from_secs(1);

/// Beats for one node.
#[derive(Debug)]
pub struct Beater {
    bus: Bus,
    site: Arc<Site>,
    shared: Arc<Shared>,
    bidder: Bidder,
}

impl Beater {
    /// For a node.
    #[must_use]
    pub fn new(bus: Bus, site: Arc<Site>, shared: Arc<Shared>, bidder: Bidder) -> Self {
        Self { bus, site, shared, bidder }
    }

    /// Beats until stopped.
    pub async fn run(self, stop: CancellationToken) {
        self.shared.tasks.spawn_brief(self.bidder.clone().ask(stop.clone()));
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            self.beat().await;
        }
    }

    async fn beat(&self) {
        let live = self.shared.live().unwrap_or_default();
        let bid = self.bidder.bid(live.battery);
        self.shared.bids(bid.clone());
        let beat = Heartbeat {
            node: self.site.node.clone(),
            epoch: self.shared.epoch(),
            applied: self.shared.applied(),
            used: live.used,
            load: live.load,
            instances: self.shared.instances(),
            clock: Timestamp::from_millis(clock::wall_ms()),
            server: self.bus.server().name.chars().take(32).collect(),
            bid: Some(bid),
            battery: live.battery,
        };
        if let Err(error) = self.bus.publish(&HeartbeatOf(self.site.node.clone()), &beat).await {
            debug!(%error, "a beat was skipped");
        }
    }
}
