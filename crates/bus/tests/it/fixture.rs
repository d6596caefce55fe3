//! What the tests share: programs on the bus, and a client that knows nothing of us.

use ostler_bus::{Bus, Config, Pings};
use ostler_core::id::{NodeName, PoolName, Revision, Term};
use ostler_core::instance::Manifest;
use ostler_core::time::Span;
use ostler_schemas::bucket::{LeaseKey, LeaseRecord, ManifestKey};
use ostler_service::Program;
use ostler_testkit::{NatsCluster, NatsServer};

/// One server, or three.
#[expect(dead_code, reason = "kept for its drop")]
pub enum Servers {
    One(NatsServer),
    Three(NatsCluster),
}

impl Servers {
    pub async fn one() -> (Self, String) {
        let server = NatsServer::start().await;
        let url = server.url();
        (Self::One(server), url)
    }

    pub async fn three() -> (Self, String) {
        let cluster = NatsCluster::start(3).await;
        let url = cluster.url();
        (Self::Three(cluster), url)
    }
}

pub fn config(url: &str) -> Config {
    Config { url: url.to_owned(), request_timeout: Span::from_secs(3), ..Config::default() }
}

/// A program of its own on the bus.
pub async fn join(url: &str, name: &str) -> Bus {
    join_with(&config(url), name).await
}

pub async fn join_with(config: &Config, name: &str) -> Bus {
    Bus::connect(config, name, Pings::Usual, &Program::new()).await.expect("the server runs")
}

/// The same, with all streams there.
pub async fn provisioned(url: &str) -> Bus {
    let bus = join(url, "test").await;
    bus.provision(&[PoolName::default()]).await.expect("an empty server takes all");
    bus
}

/// A client that knows nothing of us.
pub async fn stranger(url: &str) -> async_nats::Client {
    async_nats::connect(url.split(',').next().expect("one")).await.expect("the server runs")
}

pub fn node(name: &str) -> NodeName {
    name.parse().expect("a name")
}

pub fn manifest_key(name: &str) -> ManifestKey {
    ManifestKey { pool: PoolName::default(), node: node(name) }
}

pub fn manifest(term: u64) -> Manifest {
    Manifest { incarnation: 7, term: Term(term), revision: Revision(0), groups: Vec::new() }
}

pub fn lease_key(purpose: &str) -> LeaseKey {
    LeaseKey(purpose.to_owned())
}

pub fn record(holder: &str) -> LeaseRecord {
    LeaseRecord { holder: holder.to_owned(), renewals: 0 }
}
