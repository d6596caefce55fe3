//! The NATS of a fleet: one that is there, a private one, or a private cluster.

use std::time::Duration;

use ostler_bus::{Bus, Config};
use ostler_testkit::{NatsCluster, NatsServer};

use crate::args::Servers;

/// Where the fleet's messages go.
pub enum Nats {
    /// Somebody else's, where we have a root of our own.
    Theirs(Config),
    /// A private server.
    One(NatsServer),
    /// A private cluster.
    Cluster(NatsCluster),
}

impl Nats {
    /// Starts what was asked for.
    pub async fn start(servers: &Servers) -> Self {
        match (&servers.nats, usize::try_from(servers.replicas)) {
            (Some(url), _) => {
                let root = format!("loadtest-{}", ostler_bus::op_id().to_lowercase());
                Self::Theirs(Config { url: url.clone(), root, ..Config::default() })
            }
            (None, Ok(servers)) if servers > 1 => Self::Cluster(NatsCluster::start(servers).await),
            (None, _) => Self::One(NatsServer::start().await),
        }
    }

    /// How clients reach it.
    pub fn config(&self) -> Config {
        match self {
            Self::Theirs(config) => config.clone(),
            Self::One(server) => Config { url: server.url(), ..Config::default() },
            Self::Cluster(cluster) => Config { url: cluster.url(), ..Config::default() },
        }
    }

    /// Takes away what is left on somebody else's server; a private one goes with its folder.
    pub async fn clean(&self, bus: &Bus) -> anyhow::Result<()> {
        match self {
            Self::Theirs(config) => Ok(bus.dismantle(&config.pools).await?),
            Self::One(_) | Self::Cluster(_) => Ok(()),
        }
    }

    /// The processes that are ours.
    pub fn pids(&self) -> Vec<u32> {
        match self {
            Self::One(server) => server.pid().into_iter().collect(),
            Self::Cluster(cluster) => cluster.pids(),
            Self::Theirs(_) => Vec::new(),
        }
    }

    /// How many servers, whose, and how far away.
    pub async fn version(&self, bus: &Bus) -> String {
        let what = match self {
            Self::Theirs(config) => format!("at {}", config.url),
            Self::One(_) => "1 private server".to_owned(),
            Self::Cluster(cluster) => format!("{} private servers", cluster.size()),
        };
        let version = bus.server().version;
        let trip = bus.round_trip(Duration::from_secs(5)).await;
        let trip = trip.map_or_else(String::new, |trip| format!(", round trip {trip:?}"));
        format!("nats-server {version}, {what}{trip}")
    }
}
