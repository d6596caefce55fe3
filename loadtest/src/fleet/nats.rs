//! The NATS of a fleet: one that is there, a private one, or a private cluster.

use ostler_bus::Bus;
use ostler_testkit::{NatsCluster, NatsServer};

use super::Setup;

/// Where the fleet's messages go.
pub enum Nats {
    /// Somebody else's; left as it is, but for our streams.
    Theirs(String),
    /// A private server.
    One(NatsServer),
    /// A private cluster.
    Cluster(NatsCluster),
}

impl Nats {
    /// Starts what was asked for.
    pub async fn start(setup: &Setup) -> Self {
        match (&setup.nats, usize::try_from(setup.replicas)) {
            (Some(url), _) => Self::Theirs(url.clone()),
            (None, Ok(servers)) if servers > 1 => Self::Cluster(NatsCluster::start(servers).await),
            (None, _) => Self::One(NatsServer::start().await),
        }
    }

    /// Where clients reach it.
    pub fn url(&self) -> String {
        match self {
            Self::Theirs(url) => url.clone(),
            Self::One(server) => server.url(),
            Self::Cluster(cluster) => cluster.url(),
        }
    }

    /// The processes that are ours, as far as they are known.
    pub fn pids(&self) -> Vec<u32> {
        match self {
            Self::One(server) => server.pid().into_iter().collect(),
            Self::Theirs(_) | Self::Cluster(_) => Vec::new(),
        }
    }

    /// How many servers, whose, and how far away.
    pub async fn version(&self, bus: &Bus) -> String {
        let what = match self {
            Self::Theirs(url) => format!("at {url}"),
            Self::One(_) => "1 private server".to_owned(),
            Self::Cluster(cluster) => format!("{} private servers", cluster.size()),
        };
        let trip = bus.round_trip(std::time::Duration::from_secs(5)).await;
        let trip = trip.map_or_else(String::new, |trip| format!(", round trip {trip:?}"));
        format!("{what}{trip}")
    }
}
